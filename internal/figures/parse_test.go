package figures

import "testing"

// What Decimal writes, Minor reads; what would have to be rounded or guessed is
// refused.
func TestMinor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, currency string
		want           int64
	}{
		{"12.34", "EUR", 1234},
		{"12.3", "EUR", 1230},
		{"12", "EUR", 1200},
		{"-0.05", "EUR", -5},
		{"12.340", "EUR", 1234},
		{"9800", "JPY", 9800},
		{"9800.00", "JPY", 9800},
		{"1234.567", "KWD", 1234567},
		{"0.00", "EUR", 0},
		{"92233720368547758.07", "EUR", 9223372036854775807},
		{"-92233720368547758.08", "EUR", -9223372036854775808},
	} {
		got, err := Minor(c.text, c.currency)
		if err != nil || got != c.want {
			t.Errorf("Minor(%q, %s) = %d, %v; want %d", c.text, c.currency, got, err, c.want)
		}
		if back, err := Minor(Decimal(c.want, c.currency), c.currency); err != nil || back != c.want {
			t.Errorf("%d %s came back as %d, %v", c.want, c.currency, back, err)
		}
	}
	for _, text := range []string{"", "-", ".5", "1,5", "1e3", "12.345", "1.2.3", "+1", "--1", " 1", "92233720368547758.08", "0x1"} {
		if got, err := Minor(text, "EUR"); err == nil {
			t.Errorf("Minor(%q) = %d, want an error", text, got)
		}
	}
}
