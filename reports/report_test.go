package reports

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func september(t *testing.T) Params {
	t.Helper()
	p, err := ParseParams(Asked{From: "2026-09-01", To: "2026-10-01"}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A mistake is answered with what there is, and nothing is written.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		report, format string
		asked          Asked
		want           string
	}{
		"report":      {report: "revnue", want: "there are: "},
		"format":      {report: "revenue", format: "docx", want: "there are: csv, "},
		"period":      {report: "revenue", asked: Asked{From: "2026-10-01", To: "2026-09-01"}, want: "ends before it starts"},
		"empty":       {report: "revenue", asked: Asked{From: "2026-10-01", To: "2026-10-01"}, want: "ends before it starts"},
		"date":        {report: "revenue", asked: Asked{From: "yesterday"}, want: `from is "yesterday"`},
		"early":       {report: "revenue", asked: Asked{From: "1914-01-01"}, want: "out of range"},
		"time zone":   {report: "revenue", asked: Asked{Zone: "Mars/Base"}, want: "IANA"},
		"currency":    {report: "revenue", asked: Asked{Currency: "EURO"}, want: "ISO 4217"},
		"event":       {report: "revenue", asked: Asked{Event: "Festival"}, want: "a UUID"},
		"lower limit": {report: "revenue", asked: Asked{To: "1960-01-01"}, want: "out of range"},
		"basis":       {report: "revenue", asked: Asked{Basis: "paid"}, want: "use booked or occurred"},
		"locale":      {report: "revenue", asked: Asked{Locale: "deutsch-"}, want: "en-US"},
		"two periods": {report: "revenue", asked: Asked{Period: "2026-09", To: "2026-10-01"}, want: "leave from and to out"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			p, err := ParseParams(c.asked, time.Time{})
			if err == nil {
				err = Run(t.Context(), db, c.report, p, cmp.Or(c.format, "csv"), &out)
			}
			var mistake *UsageError
			if !errors.As(err, &mistake) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want a UsageError with %q", err, c.want)
			}
			if out.Len() > 0 {
				t.Errorf("wrote %q", out.String())
			}
		})
	}
}

// Two reports have one id only if they say the same.
func TestReportID(t *testing.T) {
	t.Parallel()
	id := func(p Params) string {
		var out strings.Builder
		if err := Run(t.Context(), db, "revenue", p, "table", &out); err != nil {
			t.Fatal(err)
		}
		return out.String()[strings.LastIndex(out.String(), "report "):]
	}
	first, again := id(september(t)), id(september(t))
	if first != again {
		t.Error("the same report has two ids")
	}
	if first == id(Params{From: time.Date(2026, 9, 2, 0, 0, 0, 0, time.UTC)}) {
		t.Error("two reports have one id")
	}
}

// The totals for machines are those of the report. September of UTC has F2, which
// Berlin books on October 1, and the refund of F8.
func TestRevenueTotals(t *testing.T) {
	t.Parallel()
	totals, err := RevenueTotals(t.Context(), db, september(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []Total{
		{Currency: "EUR", GrossMinor: 56995, RefundsMinor: 9995, FeesMinor: 720, NetMinor: 46280, Orders: 4, Tickets: 7},
		{Currency: "JPY", GrossMinor: 1106, FeesMinor: 40, NetMinor: 1066, Orders: 1, Tickets: 1},
		{Currency: "KWD", GrossMinor: 25930, FeesMinor: 750, NetMinor: 25180, Orders: 1, Tickets: 2},
	}
	if !slices.Equal(totals, want) {
		t.Errorf("got %+v, want %+v", totals, want)
	}
}
