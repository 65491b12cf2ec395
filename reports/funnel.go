package reports

import (
	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// funnel is how far orders come, for who wants more of them to arrive.
var funnel = definition{
	name:  "funnel",
	title: "From request to confirmation",
	about: "How many of the orders requested in a period got seats, paid and were confirmed, and why the others did not.",
	sections: []statement.Section{
		{
			Name:        "steps",
			Title:       "How far orders came",
			PerCurrency: true,
			Dated:       byRequest,
			NoTotals:    true,
			Empty:       "no orders were requested in this period",
			Chart:       &statement.Chart{Title: "Orders by step", Shape: statement.Bars, X: "step", Y: []string{"orders"}},
			Columns: []statement.Column{
				{Name: "step", Heading: "Step", Kind: statement.Text, About: "requested: accepted; held: had all its seats; paid: its money was captured, or it was free; confirmed, whatever became of it later."},
				currencyColumn,
				{Name: "orders", Heading: "Orders", Kind: statement.Count, About: "Orders requested in the period that came as far as this step."},
				{Name: "requested", Heading: "Requested", Kind: statement.Count, Hidden: true, About: "Orders of the first step."},
				{Name: "before", Heading: "Before", Kind: statement.Count, Hidden: true, About: "Orders of the step before; of the first step itself."},
				{Name: "of_requested", Heading: "Of requested", Kind: statement.Percent, Part: "orders", Whole: "requested", About: "Orders / orders requested."},
				{Name: "of_before", Heading: "Of step before", Kind: statement.Percent, Part: "orders", Whole: "before", About: "Orders / orders of the step before."},
				{Name: "tickets", Heading: "Tickets", Kind: statement.Count, About: "Tickets of these orders."},
				{Name: "amount", Heading: "Amount", Kind: statement.Money, About: "What these orders were to pay, discounts taken off and taxes included."},
				{Name: "lost", Heading: "Lost here", Kind: statement.Money, About: "The amount of the orders that came as far as this step and ended before the next. Open ones are not lost."},
				{Name: "open", Heading: "Still open", Kind: statement.Money, About: "The amount of the orders that are at this step and not decided."},
			},
		},
		{
			Name:        "reasons",
			Title:       "Where and why orders ended",
			Query:       queries.Funnel,
			PerCurrency: true,
			Dated:       byRequest,
			Empty:       "every order was confirmed",
			Columns: []statement.Column{
				{Name: "reached", Heading: "Came as far as", Kind: statement.Text, About: "The last step that the order reached."},
				{Name: "outcome", Heading: "Outcome", Kind: statement.Text, About: "What was decided: sold_out, payment_failed, expired, cancelled (before it was confirmed), rejected; open while nothing is."},
				{Name: "reason", Heading: "Reason", Kind: statement.Text, About: "Why: a stable code."},
				currencyColumn,
				{Name: "orders", Heading: "Orders", Kind: statement.Count, About: "Orders that ended so."},
				{Name: "tickets", Heading: "Tickets", Kind: statement.Count, About: "Tickets of these orders."},
				{Name: "amount", Heading: "Amount", Kind: statement.Money, About: "What these orders were to pay."},
			},
		},
	},
	notes: []string{
		"An order belongs to the period in which it was requested; how far it came is as of now, so the figures of a past period change until its last order is decided. " +
			"Money captured for orders that were not confirmed is given back: see open-items.",
	},
	conclude: stepByStep,
}

// steps are those of the funnel, in order.
var steps = []string{"requested", "held", "paid", "confirmed"}

// reach is what orders came as far as a step.
type reach struct{ orders, tickets, amount, lost, open int64 }

// stepByStep makes the funnel of the ends: who came as far as a step was at all
// steps before it. Confirmed orders are no losses.
func stepByStep(r *statement.Report) error {
	ends, funnel := r.Section("reasons"), r.Section("steps")
	reached, outcome := ends.Column("reached"), ends.Column("outcome")
	sums := map[string]*[4]reach{}
	all := ends.Rows
	ends.Rows = nil
	currencies := (&statement.Section{Rows: all}).Currencies()
	for _, row := range all {
		if sums[row.Currency] == nil {
			sums[row.Currency] = &[4]reach{}
		}
		of := sums[row.Currency]
		for i, step := range steps {
			of[i].orders += ends.Int(row, "orders")
			of[i].tickets += ends.Int(row, "tickets")
			of[i].amount += ends.Int(row, "amount")
			if row.Cells[reached] != step {
				continue
			}
			switch {
			case step == "confirmed":
			case row.Cells[outcome] == "unspecified":
				row.Cells[outcome] = "open"
				of[i].open += ends.Int(row, "amount")
				ends.Rows = append(ends.Rows, row)
			default:
				of[i].lost += ends.Int(row, "amount")
				ends.Rows = append(ends.Rows, row)
			}
			break
		}
	}
	for _, currency := range currencies {
		of := sums[currency]
		for i, step := range steps {
			err := funnel.Add(currency, step, currency, of[i].orders, of[0].orders, of[max(0, i-1)].orders, nil, nil,
				of[i].tickets, of[i].amount, of[i].lost, of[i].open)
			if err != nil {
				return err
			}
		}
	}
	return ends.Total()
}
