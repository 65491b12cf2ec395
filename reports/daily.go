package reports

import (
	"sort"
	"time"

	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// dailyRevenue is revenue day by day, for who watches a sale and for who books
// days.
var dailyRevenue = definition{
	name:  "daily-revenue",
	title: "Revenue by day",
	about: "What each day took, gave back and keeps, in days of the report's time zone.",
	sections: []statement.Section{{
		Name:        "days",
		Title:       "By day",
		Query:       queries.DailyRevenue,
		Empty:       "no revenue in this period",
		PerCurrency: true,
		Columns: []statement.Column{
			{Name: "day", Heading: "Day", Kind: statement.Day, About: "Day of the report's time zone. Days on which nothing happened are listed too."},
			{
				Name: "length", Heading: "Length", Kind: statement.Duration, Derived: true, Hidden: true,
				About: "How much of the day lies in the period: 24 hours, and 23 or 25 on the days on which the clocks of the time zone change.",
			},
			currencyColumn, ordersColumn, ticketsColumn, grossColumn, discountsColumn, refundsColumn, feesColumn, netColumn, taxColumn,
		},
		Chart: &statement.Chart{Title: "Gross and refunds by day", Shape: statement.Bars, X: "day", Y: []string{"gross", "refunds"}},
	}},
	notes: []string{
		"Net = gross - refunds - fees. Discounts are not part of gross; tax is within gross and refunds, hence within net. " +
			"Orders and tickets were confirmed on the day, whatever became of them later.", dated,
	},
	conclude: everyDay,
}

// daysMax is how many days a report lists: ten years and their leap days.
const daysMax = 3653

// everyDay lists the days on which nothing happened, and how long each day is. A
// period without bounds goes from the first day to the last on which anything
// happened.
func everyDay(r *statement.Report) error {
	s := r.Section("days")
	day, length := s.Column("day"), s.Column("length")
	type key struct {
		currency string
		day      date
	}
	known := map[key]statement.Row{}
	var first, last date
	for i, row := range s.Rows {
		at, ok := row.Cells[day].(time.Time)
		if !ok {
			at = queries.Beginning // no date was noted
		}
		d := dateOf(at)
		known[key{row.Currency, d}] = row
		if i == 0 || d.before(first) {
			first = d
		}
		if i == 0 || last.before(d) {
			last = d
		}
	}
	currencies := s.Currencies()
	if wanted := r.Parameters["currency"]; len(currencies) == 0 && wanted != queries.All && !r.From.IsZero() && !r.To.IsZero() {
		currencies = []string{wanted}
	}
	if !r.From.IsZero() {
		first = dateOf(r.From.In(r.Zone))
	}
	if !r.To.IsZero() {
		last = dateOf(r.To.Add(-1).In(r.Zone))
	}
	sparse := len(currencies) > 0 && first.days(last) > daysMax
	if sparse && !r.From.IsZero() && !r.To.IsZero() {
		return usage("the period has %d days: ask for at most %d", first.days(last), daysMax)
	}
	if sparse {
		s.Notes = append(s.Notes, "Days on which nothing happened are left out: there are too many.")
	}
	s.Rows = nil
	for _, currency := range currencies {
		for d := first; !last.before(d); d = d.next() {
			row, ok := known[key{currency, d}]
			if sparse && !ok {
				continue
			}
			if !ok {
				row = nothing(s, currency)
			}
			row.Cells[day], row.Cells[length] = d.utc(), d.within(r.From, r.To, r.Zone)
			if err := s.Add(currency, row.Cells...); err != nil {
				return err
			}
		}
	}
	return s.Total()
}

// nothing is a row without figures.
func nothing(s *statement.Section, currency string) statement.Row {
	row := statement.Row{Currency: currency, Cells: make([]any, len(s.Columns))}
	for i, c := range s.Columns {
		switch {
		case c.Name == statement.CurrencyColumn:
			row.Cells[i] = currency
		case c.Kind == statement.Money || c.Kind == statement.Count:
			row.Cells[i] = int64(0)
		}
	}
	return row
}

// date is a day of the calendar, of no time zone.
type date struct {
	year  int
	month time.Month
	day   int
}

func dateOf(t time.Time) date {
	y, m, d := t.Date()
	return date{y, m, d}
}

func (d date) utc() time.Time      { return time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC) }
func (d date) before(o date) bool  { return d.utc().Before(o.utc()) }
func (d date) next() date          { return dateOf(d.utc().AddDate(0, 0, 1)) }
func (d date) days(until date) int { return int(until.utc().Sub(d.utc())/(24*time.Hour)) + 1 }

// begins is the first moment of the day in a zone. It is looked for: midnight may
// not exist there, or exist twice, and neither does time.Date say which it takes.
func (d date) begins(zone *time.Location) time.Time {
	const farthest = 16 * time.Hour // from UTC that a zone's midnight may be
	from := d.utc().Add(-farthest)
	seconds := sort.Search(2*int(farthest/time.Second), func(n int) bool {
		return !dateOf(from.Add(time.Duration(n) * time.Second).In(zone)).before(d)
	})
	return from.Add(time.Duration(seconds) * time.Second)
}

// within is how much of the day lies in a period, whose bounds may be open.
func (d date) within(from, to time.Time, zone *time.Location) time.Duration {
	begin, end := d.begins(zone), d.next().begins(zone)
	if !from.IsZero() && begin.Before(from) {
		begin = from
	}
	if !to.IsZero() && to.Before(end) {
		end = to
	}
	return max(0, end.Sub(begin))
}
