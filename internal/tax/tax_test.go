package tax

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// I4: tax is rounded half away from zero, by hand-made examples at the halves.
func TestOf(t *testing.T) {
	t.Parallel()
	const (
		included = pb.TaxMode_TAX_MODE_INCLUDED
		onTop    = pb.TaxMode_TAX_MODE_ON_TOP
		exempt   = pb.TaxMode_TAX_MODE_EXEMPT
	)
	for _, tc := range []struct {
		amount     int64
		rate       uint32
		mode       pb.TaxMode
		tax, total int64
	}{
		{11900, 1900, included, 1900, 11900},
		{100, 1900, included, 16, 100}, // 15.966
		{10, 500, onTop, 1, 11},        // 0.5 up
		{9, 500, onTop, 0, 9},          // 0.45
		{30, 500, onTop, 2, 32},        // 1.5 up
		{21, 500, included, 1, 21},     // 1.0
		{0, 1900, onTop, 0, 0},
		{12345, 0, exempt, 0, 12345},
		{1, 10000, included, 1, 1}, // 0.5 up
	} {
		if tax, total := Of(tc.amount, tc.rate, tc.mode); tax != tc.tax || total != tc.total {
			t.Errorf("Of(%d, %d, %v) = %d, %d; want %d, %d", tc.amount, tc.rate, tc.mode, tax, total, tc.tax, tc.total)
		}
	}
}

// I4: for every amount and rate that a line can have, the tax is the exact
// quotient rounded half away from zero, computed here with big integers.
func TestOfExactly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(0, 100_000_000_000*10).Draw(t, "amount")
		rate := rapid.Uint32Range(0, BasisPoints).Draw(t, "rate")
		mode := rapid.SampledFrom([]pb.TaxMode{pb.TaxMode_TAX_MODE_INCLUDED, pb.TaxMode_TAX_MODE_ON_TOP}).Draw(t, "mode")
		divisor := big.NewInt(BasisPoints)
		if mode == pb.TaxMode_TAX_MODE_INCLUDED {
			divisor.Add(divisor, big.NewInt(int64(rate)))
		}
		// round(a/b) = floor((2a + b) / 2b) for a >= 0.
		want := new(big.Int).Mul(big.NewInt(amount), big.NewInt(int64(rate)))
		want.Lsh(want, 1).Add(want, divisor).Div(want, divisor.Lsh(divisor, 1))
		tax, total := Of(amount, rate, mode)
		if tax != want.Int64() {
			t.Fatalf("tax %d, want %s", tax, want)
		}
		if extra := total - amount; mode == pb.TaxMode_TAX_MODE_ON_TOP && extra != tax || mode == pb.TaxMode_TAX_MODE_INCLUDED && extra != 0 {
			t.Fatalf("total %d of amount %d and tax %d", total, amount, tax)
		}
	})
}
