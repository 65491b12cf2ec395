package figures

import "testing"

// Each currency has its own digits, and the largest and smallest amounts are
// written too.
func TestAmount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		minor          int64
		currency, want string
	}{
		{0, "EUR", "0.00"},
		{5, "EUR", "0.05"},
		{-5, "EUR", "-0.05"},
		{123456, "EUR", "1,234.56"},
		{-100000, "USD", "-1,000.00"},
		{1234, "JPY", "1,234"},
		{0, "JPY", "0"},
		{1234567, "KWD", "1,234.567"},
		{12345, "IQD", "12.345"},
		{12345, "CLF", "1.2345"},
		{9223372036854775807, "EUR", "92,233,720,368,547,758.07"},
		{-9223372036854775808, "JPY", "-9,223,372,036,854,775,808"},
	} {
		if got := Amount(c.minor, c.currency); got != c.want {
			t.Errorf("Amount(%d, %s) = %s, want %s", c.minor, c.currency, got, c.want)
		}
	}
}
