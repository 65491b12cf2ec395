package figures

import (
	"errors"
	"strconv"
	"strings"
)

// ErrAmount is the error of an amount that Minor cannot read.
var ErrAmount = errors.New("no decimal number with the currency's digits")

// Minor reads a plain decimal number, "-1234.5", as an amount in minor units of
// the currency. Zeros beyond the currency's digits are taken, other digits are not:
// nothing is rounded.
func Minor(text, currency string) (int64, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	n := Digits(currency)
	for len(fraction) > n {
		cut, zero := strings.CutSuffix(fraction, "0")
		if !zero {
			return 0, ErrAmount
		}
		fraction = cut
	}
	fraction += strings.Repeat("0", n-len(fraction))
	sign := ""
	if digits, negative := strings.CutPrefix(whole, "-"); negative {
		sign, whole = "-", digits
	}
	digits := whole + fraction
	if whole == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, ErrAmount
	}
	minor, err := strconv.ParseInt(sign+digits, 10, 64)
	if err != nil {
		return 0, ErrAmount
	}
	return minor, nil
}
