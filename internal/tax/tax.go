// Package tax works out the tax of a line: rounded once per line, half away from
// zero, in whole minor units (I4).
package tax

import pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"

// BasisPoints is a rate of 100 %.
const BasisPoints = 10_000

// Of returns the tax of an amount in minor units and what is paid for it. The rate
// is in basis points: 1900 is 19 %.
func Of(amount int64, rateBp uint32, mode pb.TaxMode) (tax, total int64) {
	rate := int64(rateBp)
	switch mode {
	case pb.TaxMode_TAX_MODE_INCLUDED:
		return divideRounded(amount*rate, BasisPoints+rate), amount
	case pb.TaxMode_TAX_MODE_ON_TOP:
		tax = divideRounded(amount*rate, BasisPoints)
		return tax, amount + tax
	default:
		return 0, amount
	}
}

// divideRounded divides a by b > 0, rounding half away from zero.
func divideRounded(a, b int64) int64 {
	half := b / 2
	if a < 0 {
		return -((-a + half) / b)
	}
	return (a + half) / b
}
