package statement

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func sales() *Section {
	return &Section{Name: "sales", Title: "Sales", Columns: []Column{
		{Name: "event", Heading: "Event", Kind: Text, About: "Name."},
		{Name: "event_id", Heading: "Id", Kind: Text, About: "Id.", Hidden: true},
		{Name: "currency", Heading: "Currency", Kind: Text, About: "Code."},
		{Name: "gross", Heading: "Gross", Kind: Money, About: "Charged."},
		{Name: "refunds", Heading: "Refunds", Kind: Money, About: "Given back."},
		{Name: "rate", Heading: "Rate", Kind: Percent, About: "Share.", Part: "refunds", Whole: "gross"},
		{Name: "price", Heading: "Price", Kind: Money, About: "Price.", NoTotal: true},
	}}
}

// Whatever the rows are, a total is the sum of the rows of its currency and of no
// other, and its percentage is that of the sums, not the mean of percentages.
func TestTotalsNeverMixCurrencies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := sales()
		want := map[string][2]int64{}
		for range rapid.IntRange(0, 30).Draw(t, "rows") {
			currency := rapid.SampledFrom([]string{"EUR", "JPY", "KWD"}).Draw(t, "currency")
			gross, refunds := rapid.Int64Range(-1e12, 1e12).Draw(t, "gross"), rapid.Int64Range(0, 1e12).Draw(t, "refunds")
			if err := s.Add(currency, "e", "id", currency, gross, refunds, nil, int64(7)); err != nil {
				t.Fatal(err)
			}
			want[currency] = [2]int64{want[currency][0] + gross, want[currency][1] + refunds}
		}
		if err := s.Total(); err != nil {
			t.Fatal(err)
		}
		if len(s.Totals) != len(want) || !slices.IsSortedFunc(s.Totals, func(a, b Row) int { return strings.Compare(a.Currency, b.Currency) }) {
			t.Fatalf("totals %+v of %v", s.Totals, want)
		}
		for _, total := range s.Totals {
			gross, refunds := s.Int(total, "gross"), s.Int(total, "refunds")
			if [2]int64{gross, refunds} != want[total.Currency] {
				t.Errorf("%s: %d and %d, want %v", total.Currency, gross, refunds, want[total.Currency])
			}
			if total.Cells[6] != nil {
				t.Errorf("prices are added up: %v", total.Cells[6])
			}
			rate, ok := total.Cells[5].(int64)
			if ok != (gross != 0) || (ok && math.Abs(float64(rate)-1e4*float64(refunds)/float64(gross)) > 0.501) {
				t.Errorf("the rate of %d in %d is %v", refunds, gross, total.Cells[5])
			}
		}
	})
}

// Halves are rounded away from nought; of nothing there is no share.
func TestBasisPoints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part, whole, want int64
		ok                bool
	}{
		{1, 3, 3_333, true},
		{2, 3, 6_667, true},
		{1, 20_000, 1, true},
		{-1, 20_000, -1, true},
		{1, -20_000, -1, true},
		{1, 20_001, 0, true},
		{0, 5, 0, true},
		{math.MaxInt64, math.MaxInt64, 10_000, true},
		{math.MinInt64, math.MaxInt64, -10_000, true},
		{5, 0, 0, false},
		{math.MaxInt64, 1, 0, false},
	} {
		got, ok := basisPoints(c.part, c.whole)
		if ok != c.ok || (ok && got != c.want) {
			t.Errorf("%d of %d is %d, %t; want %d, %t", c.part, c.whole, got, ok, c.want, c.ok)
		}
	}
}

// A row that does not fit its columns is a mistake in a definition, and would
// show a figure as another one: it is refused, and so is a sum beyond all figures.
func TestRowsFitTheirColumns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		currency string
		cells    []any
		want     string
	}{
		"too few cells": {"EUR", []any{"e"}, "7 columns, a row has 1"},
		"a wrong type":  {"EUR", []any{"e", "i", "EUR", 5, nil, nil, nil}, "gross is money, a cell is a int"},
		"no currency":   {"", []any{"e", "i", "", int64(5), nil, nil, nil}, "gross has an amount without a currency"},
	} {
		if err := sales().Add(c.currency, c.cells...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	s := sales()
	for range 2 {
		if err := s.Add("EUR", "e", "i", "EUR", int64(math.MaxInt64), nil, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Total(); err == nil || !strings.Contains(err.Error(), "out of range") {
		t.Errorf("the sum is beyond all figures: %v", err)
	}
}

// People see one table a currency, without ids and without the column that says
// the same in each row; the report itself keeps all for programs.
func TestForPeople(t *testing.T) {
	t.Parallel()
	s := sales()
	s.PerCurrency = true
	for _, currency := range []string{"JPY", "EUR", "EUR"} {
		if err := s.Add(currency, "e", "id", currency, int64(5), int64(1), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Total(); err != nil {
		t.Fatal(err)
	}
	r := &Report{Name: "r", Sections: []*Section{s}}
	parts := r.ForPeople()
	if len(parts) != 2 || parts[0].Title != "Sales, EUR" || parts[1].Title != "Sales, JPY" || len(parts[0].Rows) != 2 || len(parts[0].Totals) != 1 {
		t.Fatalf("parts %+v", parts)
	}
	if parts[0].Column("event_id") >= 0 || parts[0].Column("currency") >= 0 || len(parts[0].Rows[0].Cells) != len(parts[0].Columns) {
		t.Errorf("columns %+v", parts[0].Columns)
	}
	if len(s.Rows) != 3 || s.Column("event_id") < 0 {
		t.Error("the report itself has changed")
	}
}

// What formats rely on is checked once, where a report is made.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		broken func(*Section)
		want   string
	}{
		"a column without a meaning":  {func(s *Section) { s.Columns[3].About = "" }, "sales.gross has no line for the data dictionary"},
		"two columns of one name":     {func(s *Section) { s.Columns[4].Name = "gross" }, "sales.gross has no name or heading of its own"},
		"a ratio of nothing":          {func(s *Section) { s.Columns[5].Whole = "net" }, "the ratio of refunds and net"},
		"a chart over money":          {func(s *Section) { s.Chart = &Chart{X: "gross", Y: []string{"gross"}} }, "must be a column of days or texts"},
		"a chart of a percentage":     {func(s *Section) { s.Chart = &Chart{X: "event", Y: []string{"rate"}} }, `"rate" is not`},
		"a chart of nothing":          {func(s *Section) { s.Chart = &Chart{X: "event"} }, "draws no column"},
		"one name for two quantities": {func(s *Section) { s.Columns[0] = Column{Name: "day", Heading: "D", Kind: Text, About: "D."} }, "days.day is day, and text in another section"},
	} {
		s := sales()
		c.broken(s)
		r := &Report{Name: "r", Sections: []*Section{s, {Name: "days", Title: "Days", Columns: []Column{{Name: "day", Heading: "Day", Kind: Day, About: "Day."}}}}}
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if err := (&Report{Name: "r", Sections: []*Section{sales()}}).Check(); err != nil {
		t.Error(err)
	}
}

// A kind that is added must say what it holds.
func TestKinds(t *testing.T) {
	t.Parallel()
	for kind, value := range map[Kind]any{
		Text: "x", Money: int64(1), Count: int64(1), Percent: int64(1), Day: time.Time{}, Time: time.Time{}, Duration: time.Second,
	} {
		if !kind.holds(value) || !kind.holds(nil) || kind.holds(struct{}{}) || strings.HasPrefix(kind.String(), "kind") {
			t.Errorf("%v does not hold %T, or holds anything", kind, value)
		}
	}
}
