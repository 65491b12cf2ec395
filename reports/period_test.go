package reports

import (
	"errors"
	"testing"
	"time"
)

// A run on the first of the month makes the report of the month before, in the
// zone's days, also across a year and a change of the clocks.
func TestParsePeriod(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	// Half past midnight of Wednesday, 1 April in Berlin, still March in UTC.
	now := time.Date(2026, 3, 31, 22, 30, 0, 0, time.UTC)
	for text, want := range map[string][2]string{
		"today":        {"2026-04-01T00:00:00+02:00", "2026-04-02T00:00:00+02:00"},
		"yesterday":    {"2026-03-31T00:00:00+02:00", "2026-04-01T00:00:00+02:00"},
		"this-week":    {"2026-03-30T00:00:00+02:00", "2026-04-06T00:00:00+02:00"},
		"last-week":    {"2026-03-23T00:00:00+01:00", "2026-03-30T00:00:00+02:00"},
		"this-month":   {"2026-04-01T00:00:00+02:00", "2026-05-01T00:00:00+02:00"},
		"last-month":   {"2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00"},
		"this-quarter": {"2026-04-01T00:00:00+02:00", "2026-07-01T00:00:00+02:00"},
		"last-quarter": {"2026-01-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00"},
		"this-year":    {"2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"},
		"last-year":    {"2025-01-01T00:00:00+01:00", "2026-01-01T00:00:00+01:00"},
		"2026":         {"2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"},
		"2025-Q4":      {"2025-10-01T00:00:00+02:00", "2026-01-01T00:00:00+01:00"},
		"2026-02":      {"2026-02-01T00:00:00+01:00", "2026-03-01T00:00:00+01:00"},
		"2026-03-29":   {"2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"},
	} {
		from, to, err := ParsePeriod(text, now, berlin)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := [2]string{from.Format(time.RFC3339), to.Format(time.RFC3339)}; got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"", "last", "last-decade", "next-month", "2026-13", "2026-Q5", "2026-02-30", "this-"} {
		var mistake *UsageError
		if _, _, err := ParsePeriod(text, now, berlin); !errors.As(err, &mistake) {
			t.Errorf("%q: error %v, want a UsageError", text, err)
		}
	}
}
