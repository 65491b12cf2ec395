package statement

import (
	"fmt"
	"maps"
	"slices"
)

// CurrencyColumn is the name of the column that holds the row's currency.
const CurrencyColumn = "currency"

// Row is one row: a cell a column, of the column's kind.
type Row struct {
	// Currency is what the amounts of the row are in; empty when it has none.
	Currency string
	Cells    []any
}

// Section is one table of a report.
type Section struct {
	// Name is the section in CSV and JSON, Title the heading for people.
	Name, Title string
	// Query is the named query that the figures come from; empty when they follow
	// from other sections.
	Query string
	// Dated says by which date and in which zone's days the figures are counted,
	// for the data dictionary.
	Dated   string
	Columns []Column
	Rows    []Row
	// Totals are one row a currency. Total makes them.
	Totals []Row
	// Notes say what people must know to read the section.
	Notes []string
	// Empty is said instead of an empty table; there is a default.
	Empty string
	// PerCurrency shows people one table for each currency, and leaves the column
	// of the currency out of it.
	PerCurrency bool
	// NoTotals leaves out totals of a section in which rows do not add up.
	NoTotals bool
	Chart    *Chart
}

// Chart is a picture of a section, one a currency.
type Chart struct {
	Title string
	Shape Shape
	// X is the column along the bottom, of days or texts. Rows with the same X are
	// added up.
	X string
	// Y are the columns that are drawn, all of one kind: money or counts.
	Y []string
}

// Shape says how a chart is drawn.
type Shape uint8

// The shapes.
const (
	Bars Shape = iota + 1
	Lines
)

// Column gives a column's place; -1 when there is none of the name.
func (s *Section) Column(name string) int {
	return slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name })
}

// Add appends a row. Percent columns that name their part and whole are worked
// out here; their cells may be nil.
func (s *Section) Add(currency string, cells ...any) error {
	if len(cells) != len(s.Columns) {
		return fmt.Errorf("section %s has %d columns, a row has %d cells", s.Name, len(s.Columns), len(cells))
	}
	for i, c := range s.Columns {
		if !c.Kind.holds(cells[i]) {
			return fmt.Errorf("section %s: column %s is %v, a cell is a %T", s.Name, c.Name, c.Kind, cells[i])
		}
		if c.Kind == Money && cells[i] != nil && currency == "" {
			return fmt.Errorf("section %s: column %s has an amount without a currency", s.Name, c.Name)
		}
	}
	row := Row{Currency: currency, Cells: cells}
	s.ratios(row)
	s.Rows = append(s.Rows, row)
	return nil
}

// Total sums the rows by currency, in the order of currencies. Rows without a
// currency are a total of their own.
func (s *Section) Total() error {
	s.Totals = nil
	if s.NoTotals || !slices.ContainsFunc(s.Columns, Column.summed) {
		return nil
	}
	sums := map[string]Row{}
	for _, row := range s.Rows {
		total, ok := sums[row.Currency]
		if !ok {
			total = s.emptyTotal(row.Currency)
			sums[row.Currency] = total
		}
		for i, c := range s.Columns {
			n, ok := row.Cells[i].(int64)
			if !ok || !c.summed() {
				continue
			}
			sum := total.Cells[i].(int64)
			if (n > 0 && sum+n < sum) || (n < 0 && sum+n > sum) {
				return fmt.Errorf("section %s: the total of column %s is out of range", s.Name, c.Name)
			}
			total.Cells[i] = sum + n
		}
	}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		s.ratios(sums[currency])
		s.Totals = append(s.Totals, sums[currency])
	}
	return nil
}

func (s *Section) emptyTotal(currency string) Row {
	total := Row{Currency: currency, Cells: make([]any, len(s.Columns))}
	for i, c := range s.Columns {
		switch {
		case c.Name == CurrencyColumn:
			total.Cells[i] = currency
		case c.summed():
			total.Cells[i] = int64(0)
		}
	}
	return total
}

// ratios fills in the percentages that follow from other columns.
func (s *Section) ratios(row Row) {
	for i, c := range s.Columns {
		if c.Kind != Percent || c.Part == "" {
			continue
		}
		row.Cells[i] = nil
		part, whole := s.Column(c.Part), s.Column(c.Whole)
		if part < 0 || whole < 0 {
			continue
		}
		a, okA := row.Cells[part].(int64)
		b, okB := row.Cells[whole].(int64)
		if points, ok := basisPoints(a, b); ok && okA && okB {
			row.Cells[i] = points
		}
	}
}

// Int is the figure of a row in a column; 0 when there is none.
func (s *Section) Int(row Row, column string) int64 {
	i := s.Column(column)
	if i < 0 {
		return 0
	}
	n, _ := row.Cells[i].(int64)
	return n
}
