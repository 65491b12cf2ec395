package reports

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/internal/goldensales"
	"github.com/eventpro/boxoffice/reports/render"
	"github.com/eventpro/boxoffice/reports/statement"
)

// month are the parameters of a month in Berlin.
func month(t testing.TB, name string, basis Basis) Params {
	t.Helper()
	p, err := ParseParams(Asked{Period: name, Zone: "Europe/Berlin", Basis: string(basis)}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFigures holds the totals of every report against the figures that were
// worked out by hand from the sales of package goldensales (its doc.go has the
// orders F1 to F13, J1, J2, K1, K2), in months of Berlin:
//
//	September, booked, EUR
//	  gross     F10 100.00 + F3 120.00 + F1 200.00 + F8 99.95                = 519.95
//	  discounts F1 20.00
//	  tax       F10 15.97 + F3 7.85 + F1 15.97 + 6.54 + F8 7.98 + 8.33      =  62.64
//	  fees      F3 1.85 + F1 3.05 + F8 1.40                                 =   6.30
//	  refunds   F8's is booked on Oct 1                                     =   0.00
//	  net       519.95 - 6.30                                               = 513.65
//	  orders    F10, F3, F1; tickets 2 + 1 + 3                              =   6
//	October, booked, EUR
//	  gross     F2 50.00 + F4 49.95 + F5 150.00 + F13 50.00                  = 299.95
//	  refunds   F8 99.95 + F1 100.00 + F3 120.00                             = 319.95
//	  tax       F2 7.98 + F4 8.33 + F5 23.95 + F13 7.98 - F8 16.31 - F1 6.54 - F3 7.85 = 17.54
//	  fees      F2 0.90 + F4 0.90 + F5 2.35 + F13 0.90                       =   5.05
//	  net       299.95 - 319.95 - 5.05                                       = -25.05
//	  orders    F2, F4, F5, F6 (F13 is decided in November); tickets 1 + 1 + 3 + 1 = 6
//	September, occurred, EUR: F10 moved in August, F2 in September
//	  gross 519.95 - 100.00 + 50.00 = 469.95, tax 62.64 - 15.97 + 7.98 = 54.65,
//	  fees 6.30 + 0.90 = 7.20, net 462.75
//	JPY: September J1 1106 (tax 101, fee 40), October J2 2206 (discount 5, tax 201, fee 79)
//	KWD: September K1 25.930 (tax 1.235, fee 0.750), October K2 1.000 (fee 0.029)
//
//	Open items, EUR
//	  September 0 + charged 519.95 - confirmed (F10 100 + F3 120 + F1 200 = 420.00) = 99.95 (F8)
//	  October   99.95 + 299.95 - confirmed (F2 50 + F4 49.95 + F5 150 = 249.95)
//	            + cancelled (F1 100 + F3 120 = 220.00) - 319.95              = 50.00 (F13)
//	  KWD, October 0 + 1.000 - 1.000 + cancelled 1.000 - 0                   = 1.000 (K2)
//
//	Funnel, EUR: requested in September F1, F2, F3, F7, F8 (519.95, 8 tickets); all held;
//	  paid without F7 (469.95); confirmed F1, F2, F3 (370.00). Requested in October F4, F5,
//	  F6, F11, F12, F13 (1549.95, 18 tickets); held without F11 (349.95); paid and
//	  confirmed F4, F5, F6, F13 (249.95).
//
//	Payout of acme, EUR
//	  September 419.95 - 6.30 = 413.65, correction of August (F10) 100.00
//	  October   249.95 - 319.95 - 4.15 = -74.15, correction of September (F2) 50.00 - 0.90 = 49.10
func TestFigures(t *testing.T) {
	t.Parallel()
	// figures by report, section, month and columns; amounts in minor units.
	for _, c := range []struct {
		report, section, month string
		basis                  Basis
		currency, columns      string
		want                   string
	}{
		{"revenue", "events", "2026-09", "", "EUR", "gross refunds fees net orders tickets", "51995 0 630 51365 3 6"},
		{"revenue", "events", "2026-10", "", "EUR", "gross refunds fees net orders tickets", "29995 31995 505 -2505 4 6"},
		{"revenue", "events", "2026-09", Occurred, "EUR", "gross refunds fees net orders tickets", "46995 0 720 46275 3 6"},
		{"daily-revenue", "days", "2026-09", "", "EUR", "gross discounts tax fees refunds net orders tickets", "51995 2000 6264 630 0 51365 3 6"},
		{"daily-revenue", "days", "2026-10", "", "EUR", "gross discounts tax fees refunds net orders tickets", "29995 0 1754 505 31995 -2505 4 6"},
		{"daily-revenue", "days", "2026-09", Occurred, "EUR", "gross discounts tax fees refunds net orders tickets", "46995 2000 5465 720 0 46275 3 6"},
		{"daily-revenue", "days", "2026-10", Occurred, "EUR", "gross discounts tax fees refunds net orders tickets", "24995 0 956 415 31995 -7415 4 6"},
		{"daily-revenue", "days", "2026-09", "", "JPY", "gross discounts tax fees refunds net orders tickets", "1106 0 101 40 0 1066 1 1"},
		{"daily-revenue", "days", "2026-10", "", "JPY", "gross discounts tax fees refunds net orders tickets", "2206 5 201 79 0 2127 1 2"},
		{"daily-revenue", "days", "2026-09", "", "KWD", "gross discounts tax fees refunds net orders tickets", "25930 0 1235 750 0 25180 1 2"},
		{"daily-revenue", "days", "2026-10", "", "KWD", "gross discounts tax fees refunds net orders tickets", "1000 0 0 29 0 971 1 1"},
		{"ticket-types", "types", "2026-09", "", "EUR", "tickets gross discounts refunds tax net_of_tax", "6 51995 2000 0 6264 45731"},
		{"ticket-types", "types", "2026-10", "", "EUR", "tickets gross discounts refunds tax net_of_tax", "6 29995 0 31995 1754 -3754"},
		{"ticket-types", "types", "2026-09", "", "KWD", "tickets gross discounts refunds tax net_of_tax", "2 25930 0 0 1235 24695"},
		{"payment-methods", "methods", "2026-09", "", "EUR", "charges gross refunds fees net declined", "4 51995 0 630 51365 1"},
		{"payment-methods", "methods", "2026-10", "", "EUR", "charges gross refunds fees net declined", "4 29995 31995 505 -2505 0"},
		{"channels", "channels", "2026-09", "", "EUR", "orders tickets gross refunds fees net", "3 6 51995 0 630 51365"},
		{"channels", "channels", "2026-10", "", "EUR", "orders tickets gross refunds fees net", "4 6 29995 31995 505 -2505"},
		{"event-performance", "events", "2026-10", "", "EUR", "capacity sold held sell_through orders tickets gross refunds fees net charges", "20 12 2 6000 4 6 29995 31995 505 -2505 4"},
		{"event-performance", "events", "2026-10", "", "JPY", "capacity sold held sell_through orders tickets gross refunds fees net charges", "3 3 0 10000 1 2 2206 0 79 2127 1"},
		{"payout", "due", "2026-09", "", "EUR", "gross refunds fees tax payable", "51995 0 630 6264 51365"},
		{"payout", "events", "2026-09", "", "EUR", "gross refunds fees tax payable", "41995 0 630 4667 41365"},
		{"payout", "corrections", "2026-09", "", "EUR", "gross refunds fees tax payable", "10000 0 0 1597 10000"},
		{"payout", "events", "2026-10", "", "EUR", "gross refunds fees tax payable", "24995 31995 415 956 -7415"},
		{"payout", "corrections", "2026-10", "", "EUR", "gross refunds fees tax payable", "5000 0 90 798 4910"},
		{"funnel", "reasons", "2026-09", "", "EUR", "orders tickets amount", "2 3 14995"},
		{"funnel", "reasons", "2026-10", "", "EUR", "orders tickets amount", "2 12 130000"},
	} {
		t.Run(strings.Join([]string{c.report, c.section, c.month, string(c.basis), c.currency}, " "), func(t *testing.T) {
			t.Parallel()
			r, err := Make(t.Context(), db, c.report, month(t, c.month, c.basis))
			if err != nil {
				t.Fatal(err)
			}
			s := r.Section(c.section)
			if got := figuresOf(s, s.Totals, c.currency, c.columns); got != c.want {
				t.Errorf("%s: %s, want %s", c.columns, got, c.want)
			}
		})
	}
	for _, c := range []struct{ section, month, currency, columns, want string }{
		{"roll_forward", "2026-09", "EUR", "pending_start charged confirmed cancelled refunded rolled pending_end difference", "0 51995 42000 0 0 9995 9995 0"},
		{"roll_forward", "2026-10", "EUR", "pending_start charged confirmed cancelled refunded rolled pending_end difference", "9995 29995 24995 22000 31995 5000 5000 0"},
		{"roll_forward", "2026-11", "EUR", "pending_start charged confirmed cancelled refunded rolled pending_end difference", "5000 0 5000 0 0 0 0 0"},
		{"roll_forward", "2026-10", "JPY", "pending_start charged confirmed cancelled refunded rolled pending_end difference", "0 2206 2206 0 0 0 0 0"},
		{"roll_forward", "2026-10", "KWD", "pending_start charged confirmed cancelled refunded rolled pending_end difference", "0 1000 1000 1000 0 1000 1000 0"},
	} {
		r, err := Make(t.Context(), db, openItems.name, month(t, c.month, ""))
		if err != nil {
			t.Fatal(err)
		}
		s := r.Section(c.section)
		if got := figuresOf(s, s.Rows, c.currency, c.columns); got != c.want || r.Alarm != "" {
			t.Errorf("open items of %s, %s: %s: %s, want %s (alarm %q)", c.month, c.currency, c.columns, got, c.want, r.Alarm)
		}
	}
}

// figuresOf are the figures of the one row of a currency.
func figuresOf(s *statement.Section, rows []statement.Row, currency, columns string) string {
	var out []string
	for _, row := range rows {
		if row.Currency != currency {
			continue
		}
		for _, column := range strings.Fields(columns) {
			out = append(out, fmt.Sprint(s.Int(row, column)))
		}
	}
	return strings.Join(out, " ")
}

// asked are the reports that are kept as files.
func asked(t testing.TB) map[string]Params {
	out := map[string]Params{}
	for _, name := range Names() {
		for _, m := range []string{"2026-09", "2026-10"} {
			p := month(t, m, "")
			if name == payout.name {
				p.Organiser = "acme"
			}
			out[name+"-"+m] = p
		}
	}
	return out
}

// made writes all those reports in the formats for terminals and machines.
func made(ctx context.Context, t testing.TB, db *sql.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for file, p := range asked(t) {
		r, err := Make(ctx, db, file[:len(file)-len("-2026-09")], p)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"table", "csv", "json"} {
			f, ok := render.Find(format)
			if !ok {
				t.Fatalf("no format %s", format)
			}
			var text strings.Builder
			if err := f.Write(&text, r); err != nil {
				t.Fatal(err)
			}
			out[file+"."+format] = text.String()
		}
	}
	return out
}

// Every report of a month is what it was when a person checked it against the
// figures above, to the last letter.
func TestGoldenReports(t *testing.T) {
	t.Parallel()
	for file, text := range made(t.Context(), t, db) {
		golden(t, file, text)
	}
}

// I8: records that come late, twice and in any order make the same reports, byte
// for byte.
func TestReportsDoNotDependOnTheLoad(t *testing.T) {
	t.Parallel()
	want := made(t.Context(), t, db)
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 0))
		records := append(goldensales.Records(), goldensales.Records()...)
		random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		first := random.IntN(len(records))
		shuffled, err := goldensales.Load(t.Context(), server, fmt.Sprintf("shuffled_%d", seed), records[:first], records[first:], records[:first])
		if err != nil {
			t.Fatal(err)
		}
		for file, text := range made(t.Context(), t, shuffled) {
			if text != want[file] {
				t.Errorf("seed %d: %s differs:\n%s\nwant\n%s", seed, file, text, want[file])
			}
		}
		if err := shuffled.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A day of the report's zone begins and ends where its clocks say, also on the days
// on which they change, where midnight is left out or a day is.
func TestDays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone string
		day  date
		want time.Duration
	}{
		{"UTC", date{2026, 10, 25}, 24 * time.Hour},
		{"Europe/Berlin", date{2026, 3, 29}, 23 * time.Hour},
		{"Europe/Berlin", date{2026, 10, 24}, 24 * time.Hour},
		{"Europe/Berlin", date{2026, 10, 25}, 25 * time.Hour},
		{"Australia/Lord_Howe", date{2026, 10, 4}, 23*time.Hour + 30*time.Minute},
		{"America/Sao_Paulo", date{2018, 11, 4}, 23 * time.Hour}, // there is no midnight
		{"America/Havana", date{2026, 11, 1}, 25 * time.Hour},    // midnight comes twice
		{"Pacific/Apia", date{2011, 12, 30}, 0},                  // there is no such day
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.day.within(time.Time{}, time.Time{}, zone); got != c.want {
			t.Errorf("%v in %s: %v, want %v", c.day, c.zone, got, c.want)
		}
	}
	noon := time.Date(2026, 10, 25, 12, 0, 0, 0, time.UTC)
	if got := (date{2026, 10, 25}).within(noon, noon.Add(time.Hour), time.UTC); got != time.Hour {
		t.Errorf("an hour of the day: %v", got)
	}
}

// Days on which nothing happened are listed, of a period without bounds those
// between the first and the last on which anything did; a century is refused.
func TestEveryDayIsListed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asked      Asked
		rows       int
		complaints string
	}{
		"a month":          {asked: Asked{Period: "2026-10", Currency: "EUR"}, rows: 31},
		"three currencies": {asked: Asked{Period: "2026-10"}, rows: 3 * 31},
		"all time":         {asked: Asked{Currency: "JPY"}, rows: 26},
		"nothing sold":     {asked: Asked{Period: "2027-02", Currency: "EUR"}, rows: 28},
		"nothing at all":   {asked: Asked{Period: "2027-02"}, rows: 0},
		"part of a day":    {asked: Asked{From: "2026-10-24T12:00:00Z", To: "2026-10-25T12:00:00Z", Currency: "EUR"}, rows: 2},
		"a century":        {asked: Asked{From: "1970-01-01", To: "2070-01-01", Currency: "EUR"}, complaints: "days"},
	} {
		p, err := ParseParams(c.asked, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Make(t.Context(), db, dailyRevenue.name, p)
		if c.complaints != "" {
			if err == nil || !strings.Contains(err.Error(), c.complaints) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := len(r.Section("days").Rows); got != c.rows {
			t.Errorf("%s: %d days, want %d", name, got, c.rows)
		}
	}
}

// An organiser's, an event's and a currency's figures add up to all figures, and
// test sales are in only when asked for.
func TestPartsAddUp(t *testing.T) {
	t.Parallel()
	gross := func(name, section string, p Params) map[string]int64 {
		r, err := Make(t.Context(), db, name, p)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]int64{}
		s := r.Section(section)
		for _, row := range s.Rows {
			out[row.Currency] += s.Int(row, cmp.Or(map[string]string{openItems.name: "charged", funnel.name: "amount"}[name], "gross"))
		}
		return out
	}
	for name, section := range map[string]string{
		"revenue": "events", "daily-revenue": "days", "event-performance": "events", "ticket-types": "types",
		"payment-methods": "methods", "channels": "channels", "open-items": "roll_forward", "payout": "due", "funnel": "steps",
	} {
		all := gross(name, section, Params{})
		for kind, parts := range map[string][]Params{
			"organiser": {{Organiser: "acme"}, {Organiser: "gulf"}, {Organiser: "nobody"}},
			"event":     {{Event: goldensales.Festival.String()}, {Event: goldensales.Gala.String()}, {Event: goldensales.Tokyo.String()}},
			"currency":  {{Currency: "EUR"}, {Currency: "JPY"}, {Currency: "KWD"}, {Currency: "USD"}},
		} {
			sum := map[string]int64{}
			for _, p := range parts {
				for currency, n := range gross(name, section, p) {
					sum[currency] += n
				}
			}
			if fmt.Sprint(sum) != fmt.Sprint(all) {
				t.Errorf("%s by %s: %v, want %v", name, kind, sum, all)
			}
		}
		with := gross(name, section, Params{TestMode: true})
		extra := int64(120_00)
		if name == funnel.name {
			extra *= int64(len(steps))
		}
		if with["EUR"]-all["EUR"] != extra {
			t.Errorf("%s: test sales bring %d more, want %d", name, with["EUR"]-all["EUR"], extra)
		}
	}
}
