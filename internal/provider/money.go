package provider

import "fmt"

// maxAmountMinor bounds one charge, so that no sum or fee overflows an int64.
const maxAmountMinor = 1_000_000_000_000

// Fee is what the provider keeps of each captured charge. Refunds cost nothing
// and give no fee back.
type Fee struct {
	// BasisPoints of the amount (140 is 1.4 %).
	BasisPoints int64
	// FixedMinor is added to it, in the charge's minor units.
	FixedMinor int64
}

// DefaultFee is 1.4 % and 25 minor units.
var DefaultFee = Fee{BasisPoints: 140, FixedMinor: 25}

// Of returns the fee of an amount in minor units, rounded half away from zero.
func (f Fee) Of(amountMinor int64) int64 {
	const whole = 10_000
	scaled := amountMinor * f.BasisPoints
	if scaled < 0 {
		return (scaled-whole/2)/whole + f.FixedMinor
	}
	return (scaled+whole/2)/whole + f.FixedMinor
}

func (f Fee) validate() error {
	if f.BasisPoints < 0 || f.BasisPoints > 10_000 || f.FixedMinor < 0 || f.FixedMinor > maxAmountMinor {
		return fmt.Errorf("fee of %d basis points and %d minor units: want 0 to 10000 and not negative", f.BasisPoints, f.FixedMinor)
	}
	return nil
}
