package figures

import (
	"strconv"
	"strings"
)

// digits are the decimal digits of the currencies that do not have two: the
// minor units of ISO 4217, list one. The tables of CLDR, which the usual
// libraries carry, say how a currency is customarily shown, and differ from it
// (they give IQD and AFN none), which would move the decimal point.
var digits = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0,
	"UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
	"CLF": 4, "UYW": 4,
}

// Digits are the decimal digits of a currency: how many minor units one is, as a
// power of ten.
func Digits(currency string) int {
	if n, ok := digits[currency]; ok {
		return n
	}
	return 2
}

// Decimal writes an amount in minor units as a plain decimal number, "-1234.50",
// with the digits of its currency.
func Decimal(minor int64, currency string) string { return decimal(minor, Digits(currency), "") }

// Hundredths writes a number of hundredths as a plain decimal number: basis points
// as a percentage.
func Hundredths(n int64) string { return decimal(n, 2, "") }

// Amount is Decimal for people: "-1,234.50".
func Amount(minor int64, currency string) string { return decimal(minor, Digits(currency), ",") }

func decimal(minor int64, n int, separator string) string {
	text, negative := strings.CutPrefix(strconv.FormatInt(minor, 10), "-")
	if len(text) <= n {
		text = strings.Repeat("0", n+1-len(text)) + text
	}
	whole, fraction := text[:len(text)-n], text[len(text)-n:]
	var out strings.Builder
	if negative {
		out.WriteByte('-')
	}
	out.WriteString(grouped(whole, separator))
	if n > 0 {
		out.WriteByte('.')
		out.WriteString(fraction)
	}
	return out.String()
}

// grouped puts a separator between each three digits.
func grouped(text, separator string) string {
	if separator == "" || len(text) <= 3 {
		return text
	}
	head := len(text) % 3
	var parts []string
	if head > 0 {
		parts = append(parts, text[:head])
	}
	for i := head; i < len(text); i += 3 {
		parts = append(parts, text[i:i+3])
	}
	return strings.Join(parts, separator)
}
