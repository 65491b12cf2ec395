package statement

import (
	"maps"
	"slices"
)

// ForPeople gives the sections as people see them: without hidden columns, and
// those per currency one for each.
func (r *Report) ForPeople() []*Section {
	var out []*Section
	for _, s := range r.Sections {
		if !s.PerCurrency || len(s.Rows) == 0 {
			out = append(out, s.without(func(c Column) bool { return c.Hidden }))
			continue
		}
		for _, currency := range s.Currencies() {
			part := s.of(currency).without(func(c Column) bool { return c.Hidden || c.Name == CurrencyColumn })
			if currency != "" {
				part.Title += ", " + currency
			}
			out = append(out, part)
		}
	}
	return out
}

// Currencies are those of the rows, in order.
func (s *Section) Currencies() []string {
	seen := map[string]bool{}
	for _, row := range s.Rows {
		seen[row.Currency] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// of is the part of a section that is in one currency.
func (s *Section) of(currency string) *Section {
	part := *s
	part.Rows, part.Totals = ofCurrency(s.Rows, currency), ofCurrency(s.Totals, currency)
	return &part
}

func ofCurrency(rows []Row, currency string) (out []Row) {
	for _, row := range rows {
		if row.Currency == currency {
			out = append(out, row)
		}
	}
	return out
}

// without is a copy that lacks some columns.
func (s *Section) without(left func(Column) bool) *Section {
	part := *s
	part.Columns = nil
	var keep []int
	for i, c := range s.Columns {
		if !left(c) {
			keep = append(keep, i)
			part.Columns = append(part.Columns, c)
		}
	}
	pick := func(rows []Row) []Row {
		out := make([]Row, len(rows))
		for i, row := range rows {
			out[i] = Row{Currency: row.Currency, Cells: make([]any, len(keep))}
			for to, from := range keep {
				out[i].Cells[to] = row.Cells[from]
			}
		}
		return out
	}
	part.Rows, part.Totals = pick(s.Rows), pick(s.Totals)
	return &part
}
