package render

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/language"

	"github.com/eventpro/boxoffice/reports/statement"
)

// fixture is a report with everything that a report can have: an alarm, several
// currencies, each kind of column, hidden columns, sections per currency, charts,
// an empty section, no figures, texts in several scripts and one that a
// spreadsheet would take for a formula.
func fixture(t testing.TB) *statement.Report {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	r := &statement.Report{
		Name: "sales", Title: "Sales of the month", ID: uuid.MustParse("8fc01b51-be60-592c-8bfc-23157f0cf5ee"),
		From: time.Date(2026, 9, 1, 0, 0, 0, 0, zone), To: time.Date(2026, 10, 1, 0, 0, 0, 0, zone), Zone: zone,
		Conditions: []string{"all events", "all currencies", "by the date of booking"},
		Parameters: map[string]string{"from": "2026-08-31 22:00:00.000", "to": "2026-09-30 22:00:00.000", "event": "all", "currency": "all"},
		AsOf:       time.Date(2026, 10, 2, 8, 30, 0, 123_000_000, time.UTC),
		Locale:     language.English,
		Alarm:      "DOES NOT BALANCE: EUR is 0.05 off",
		Notes:      []string{"Net = gross - refunds - fees."},
		Sections:   []*statement.Section{byEvent(t), byDay(t), settlements(t), {Name: "disputes", Title: "Disputes", Empty: "no disputes in this period", Columns: disputeColumns}},
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	return r
}

var disputeColumns = []statement.Column{{Name: "reason", Heading: "Reason", Kind: statement.Text, About: "Why."}}

func byEvent(t testing.TB) *statement.Section {
	s := &statement.Section{
		Name: "events", Title: "By event",
		Notes: []string{"Orders were confirmed in the period and still stand."},
		Chart: &statement.Chart{Title: "Net by event", Shape: statement.Bars, X: "event", Y: []string{"net"}},
		Columns: []statement.Column{
			{Name: "event", Heading: "Event", Kind: statement.Text, About: "Name."},
			{Name: "event_id", Heading: "Event id", Kind: statement.Text, About: "Id.", Hidden: true},
			{Name: "currency", Heading: "Currency", Kind: statement.Text, About: "Code."},
			{Name: "gross", Heading: "Gross", Kind: statement.Money, About: "Charged."},
			{Name: "refunds", Heading: "Refunds", Kind: statement.Money, About: "Given back."},
			{Name: "fees", Heading: "Fees", Kind: statement.Money, About: "Provider's."},
			{Name: "net", Heading: "Net", Kind: statement.Money, About: "Kept."},
			{Name: "refund_rate", Heading: "Refunded", Kind: statement.Percent, About: "Share.", Part: "refunds", Whole: "gross"},
			{Name: "price", Heading: "Lowest price", Kind: statement.Money, About: "Price.", NoTotal: true},
			{Name: "tickets", Heading: "Tickets", Kind: statement.Count, About: "Tickets."},
		},
	}
	add(t, s, "EUR", "Open-Air-Festival am Großen See mit einem sehr langen Namen", "00000000-0000-0000-0000-00000000000a", "EUR", int64(123_456_750), int64(1_234_50), int64(3_703_70), int64(1_229_629_30), nil, int64(49_00), int64(25_195))
	add(t, s, "EUR", "Ночь музеев", "00000000-0000-0000-0000-00000000000d", "EUR", int64(300_00), int64(400_00), int64(4_70), int64(-104_70), nil, int64(10_00), int64(30))
	add(t, s, "JPY", "東京コンサート", "00000000-0000-0000-0000-00000000000c", "JPY", int64(980_000), int64(0), int64(2_500), int64(977_500), nil, int64(9_800), int64(100))
	add(t, s, "KWD", "=HYPERLINK(\"http://evil\")", "00000000-0000-0000-0000-00000000000b", "KWD", int64(1_234_567), int64(0), int64(1_000), int64(1_233_567), nil, nil, int64(4))
	add(t, s, "USD", "مهرجان الكويت 2026", "00000000-0000-0000-0000-00000000000e", "USD", int64(0), int64(0), int64(0), int64(0), nil, nil, int64(12))
	if err := s.Total(); err != nil {
		t.Fatal(err)
	}
	return s
}

func byDay(t testing.TB) *statement.Section {
	s := &statement.Section{
		Name: "days", Title: "By day", PerCurrency: true,
		Chart: &statement.Chart{Title: "Gross and refunds by day", Shape: statement.Lines, X: "day", Y: []string{"gross", "refunds"}},
		Columns: []statement.Column{
			{Name: "day", Heading: "Day", Kind: statement.Day, About: "Day."},
			{Name: "currency", Heading: "Currency", Kind: statement.Text, About: "Code."},
			{Name: "gross", Heading: "Gross", Kind: statement.Money, About: "Charged."},
			{Name: "refunds", Heading: "Refunds", Kind: statement.Money, About: "Given back."},
			{Name: "orders", Heading: "Orders", Kind: statement.Count, About: "Orders."},
		},
	}
	for _, currency := range []string{"EUR", "JPY"} {
		for n := range int64(5) {
			day := time.Date(2026, 9, int(1+n), 0, 0, 0, 0, time.UTC)
			add(t, s, currency, day, currency, 100_000+n*n*30_000, n*15_000, 10+n)
		}
	}
	if err := s.Total(); err != nil {
		t.Fatal(err)
	}
	return s
}

func settlements(t testing.TB) *statement.Section {
	s := &statement.Section{
		Name: "delays", Title: "Delays", NoTotals: true,
		Columns: []statement.Column{
			{Name: "provider", Heading: "Provider", Kind: statement.Text, About: "Provider."},
			{Name: "last", Heading: "Last at", Kind: statement.Time, About: "Time."},
			{Name: "median", Heading: "Median", Kind: statement.Duration, About: "Delay."},
			{Name: "share", Heading: "In time", Kind: statement.Percent, About: "Share."},
		},
	}
	add(t, s, "", "stripe", time.Date(2026, 9, 30, 21, 59, 59, 0, time.UTC), 340*time.Millisecond, int64(99_95))
	add(t, s, "", "adyen", time.Date(2026, 9, 30, 22, 30, 0, 0, time.UTC), 27*time.Hour+30*time.Minute, int64(100_00))
	add(t, s, "", "bank transfer", nil, nil, nil)
	return s
}

func add(t testing.TB, s *statement.Section, currency string, cells ...any) {
	t.Helper()
	if err := s.Add(currency, cells...); err != nil {
		t.Fatal(err)
	}
}

// long is a report of many rows and columns.
func long(t testing.TB) *statement.Report {
	r := fixture(t)
	s := &statement.Section{Name: "lines", Title: "Every line", Columns: []statement.Column{
		{Name: "event", Heading: "Event", Kind: statement.Text, About: "Name."},
		{Name: "day", Heading: "Day", Kind: statement.Day, About: "Day."},
	}}
	for i := range 11 {
		s.Columns = append(s.Columns, statement.Column{Name: fmt.Sprint("amount", i), Heading: fmt.Sprint("Amount no. ", i), Kind: statement.Money, About: "Amount."})
	}
	for n := range 400 {
		cells := []any{fmt.Sprintf("Event number %d of the season", n), time.Date(2026, 9, 1+n%30, 0, 0, 0, 0, time.UTC)}
		for i := range 11 {
			cells = append(cells, int64(n*1_000_003+i*17_77))
		}
		add(t, s, "EUR", cells...)
	}
	if err := s.Total(); err != nil {
		t.Fatal(err)
	}
	r.Alarm, r.Sections = "", []*statement.Section{s}
	return r
}
