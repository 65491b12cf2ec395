package statement

import "math/big"

// basisPoints is part / whole, rounded to the nearest, halves away from nought.
// It is not ok when whole is nought, or the ratio beyond all figures.
func basisPoints(part, whole int64) (points int64, ok bool) {
	const one = 10_000
	if whole == 0 {
		return 0, false
	}
	n := new(big.Int).Mul(big.NewInt(part), big.NewInt(one))
	d := big.NewInt(whole)
	negative := n.Sign()*d.Sign() < 0
	n.Abs(n).Lsh(n, 1)
	d.Abs(d)
	n.Add(n, d).Quo(n, d.Lsh(d, 1))
	if negative {
		n.Neg(n)
	}
	return n.Int64(), n.IsInt64()
}
