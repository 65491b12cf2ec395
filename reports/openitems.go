package reports

import (
	"fmt"
	"strings"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// openItems is the money that is neither earned nor given back, and whether the
// books of it balance, for who closes a month.
var openItems = definition{
	name:  "open-items",
	title: "Open items",
	about: "Money that was taken and is neither earned nor given back: how it came about in the period, and whether it balances.",
	sections: []statement.Section{
		{
			Name:     "roll_forward",
			Title:    "Roll-forward",
			Query:    queries.OpenItems,
			Empty:    "no money moved in this period, and none is open",
			NoTotals: true,
			Columns: []statement.Column{
				currencyColumn,
				{
					Name: "pending_start", Heading: "Pending at start", Kind: statement.Money, NoTotal: true, Dated: "the beginning of the period",
					About: "Open items at the beginning of the period, counted like those at its end.",
				},
				{Name: "charged", Heading: "+ charged", Kind: statement.Money, Dated: byBasis, About: "Money that was captured in the period, from the journal of movements."},
				{Name: "confirmed", Heading: "- confirmed", Kind: statement.Money, Dated: "the moment of the decision, or of the money if that is later", About: "Money of orders that were confirmed in the period: it is earned."},
				{Name: "cancelled", Heading: "+ cancelled", Kind: statement.Money, Dated: "the moment at which the refund was asked for", About: "Money of lines that were cancelled in the period after their order was confirmed: it is owed."},
				{Name: "refunded", Heading: "- refunded", Kind: statement.Money, Dated: byBasis, About: "Money that was given back in the period, from the journal of movements."},
				{Name: "rolled", Heading: "= pending at end", Kind: statement.Money, NoTotal: true, Dated: "the end of the period", About: "Pending at start + charged - confirmed + cancelled - refunded."},
				{
					Name: "pending_end", Heading: "Counted at end", Kind: statement.Money, NoTotal: true, Dated: "the end of the period",
					About: "Open items at the end of the period, counted one by one from the states of orders and payments: captured and not given back, of orders or lines that do not stand.",
				},
				{Name: "difference", Heading: "Difference", Kind: statement.Money, NoTotal: true, About: "Pending at end as it follows from the period, minus what was counted. It must be nought."},
			},
		},
		{
			Name:  "items",
			Title: "Open at the end, the oldest first",
			Query: queries.OpenItemsList,
			Empty: "none",
			Columns: []statement.Column{
				{Name: "since", Heading: "Since", Kind: statement.Time, About: "When the money came, or when the lines that are to be given back were cancelled, in the report's time zone."},
				{Name: "registration_id", Heading: "Order", Kind: statement.Text, About: "Id of the registration."},
				{Name: "payment_id", Heading: "Payment", Kind: statement.Text, Hidden: true, About: "Id of the payment."},
				{Name: "outcome", Heading: "Outcome now", Kind: statement.Text, About: "What was decided about the order, as of now; open while nothing is."},
				{Name: "reason", Heading: "Reason", Kind: statement.Text, About: "Why: a stable code."},
				currencyColumn,
				{Name: "pending", Heading: "Pending", Kind: statement.Money, Dated: "the end of the period", About: "Money that was neither earned nor given back at the end of the period."},
			},
			NoTotals: true,
		},
	},
	notes: []string{
		"Pending at start + charged - confirmed + cancelled - refunded must be what is counted at the end from the orders and payments themselves. " +
			"Money that stays open is a payment parked for a person, or an order or refund under way. At most a hundred items are listed.", dated,
	},
	conclude: balance,
}

// balance raises the alarm when the two sides of the roll-forward differ.
func balance(r *statement.Report) error {
	s := r.Section("roll_forward")
	var off []string
	for _, row := range s.Rows {
		if d := s.Int(row, "difference"); d != 0 {
			off = append(off, fmt.Sprintf("%s by %s (%s rolled forward, %s counted)", row.Currency,
				figures.Amount(d, row.Currency), figures.Amount(s.Int(row, "rolled"), row.Currency), figures.Amount(s.Int(row, "pending_end"), row.Currency)))
		}
	}
	if len(off) > 0 {
		r.Alarm = "The open items do not balance: " + strings.Join(off, "; ") + "."
	}
	items := r.Section("items")
	outcome := items.Column("outcome")
	for _, row := range items.Rows {
		if row.Cells[outcome] == "unspecified" {
			row.Cells[outcome] = "open"
		}
	}
	return nil
}
