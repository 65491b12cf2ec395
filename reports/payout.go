package reports

import (
	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// payout is what is due to an organiser for a month.
var payout = definition{
	name:  "payout",
	title: "Payout statement",
	about: "What is due to an organiser for a month, by event, with late corrections of earlier months shown apart.",
	sections: []statement.Section{
		{
			Name:        "due",
			Title:       "Due",
			Empty:       "nothing is due for this period",
			PerCurrency: true,
			Columns: append([]statement.Column{
				organiserColumn,
				{Name: "part", Heading: "For", Kind: statement.Text, About: "Sales and refunds of the period, or corrections of earlier periods that were booked in it."},
				currencyColumn,
			}, payableColumns...),
		},
		{
			Name:        "events",
			Title:       "Sales and refunds of the period, by event",
			Query:       queries.Payout,
			PerCurrency: true,
			Columns:     append([]statement.Column{organiserColumn, eventColumn, eventIDColumn, hidden(monthColumn), currencyColumn}, payableColumns...),
		},
		{
			Name:        "corrections",
			Title:       "Corrections of earlier periods, by month and event",
			Empty:       "none",
			PerCurrency: true,
			Columns:     append([]statement.Column{organiserColumn, eventColumn, eventIDColumn, monthColumn, currencyColumn}, payableColumns...),
		},
	},
	notes: []string{
		"Net payable = gross - refunds - fees. Tax is within it and the organiser's to pay. Money belongs to the period in which it was booked, so a statement never changes: " +
			"what moved at the provider before the period and was booked in it is a correction. Test sales are left out unless asked for.",
	},
	conclude: apart,
}

var (
	organiserColumn = statement.Column{Name: "organiser", Heading: "Organiser", Kind: statement.Text, About: "Id of the organiser."}
	monthColumn     = statement.Column{
		Name: "month", Heading: "Month", Kind: statement.Text,
		About: "The month of the report's time zone in which the provider moved the money, when that was before the period.",
	}
	payableColumns = []statement.Column{
		booked(grossColumn), booked(refundsColumn), booked(feesColumn),
		booked(taxColumn),
		{Name: "payable", Heading: "Net payable", Kind: statement.Money, Dated: byBooking, About: "Gross - refunds - fees. Below nought it is the organiser's debt."},
	}
)

// booked is a column of a statement that has no other date.
func booked(c statement.Column) statement.Column {
	c.Dated = byBooking
	return c
}

func hidden(c statement.Column) statement.Column {
	c.Hidden = true
	return c
}

// apart shows corrections apart, and what all comes to.
func apart(r *statement.Report) error {
	due, events, corrections := r.Section("due"), r.Section("events"), r.Section("corrections")
	month := events.Column("month")
	all := events.Rows
	events.Rows = nil
	type party struct{ organiser, currency string }
	var parties []party
	sums := map[party]*[2][]int64{}
	for _, row := range all {
		into, part := events, 0
		if row.Cells[month] != "" {
			into, part = corrections, 1
		}
		into.Rows = append(into.Rows, row)
		p := party{row.Cells[0].(string), row.Currency}
		if sums[p] == nil {
			parties, sums[p] = append(parties, p), &[2][]int64{}
		}
		if sums[p][part] == nil {
			sums[p][part] = make([]int64, len(payableColumns))
		}
		for i, c := range payableColumns {
			sums[p][part][i] += events.Int(row, c.Name)
		}
	}
	for _, p := range parties {
		for part, name := range []string{"this period", "corrections of earlier periods"} {
			if sums[p][part] == nil {
				continue
			}
			cells := []any{p.organiser, name, p.currency}
			for _, n := range sums[p][part] {
				cells = append(cells, n)
			}
			if err := due.Add(p.currency, cells...); err != nil {
				return err
			}
		}
	}
	for _, s := range []*statement.Section{due, events, corrections} {
		if err := s.Total(); err != nil {
			return err
		}
	}
	return nil
}
