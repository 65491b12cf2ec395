package reports

import (
	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// ticketTypes is revenue by what was sold, for who declares taxes and sets prices.
var ticketTypes = definition{
	name:  "ticket-types",
	title: "Revenue by ticket type",
	about: "What each ticket type sold at each price and tax rate, and the tax in it.",
	sections: []statement.Section{{
		Name:        "types",
		Title:       "By ticket type, price and tax rate",
		Query:       queries.TicketTypes,
		Empty:       "no revenue in this period",
		PerCurrency: true,
		Columns: []statement.Column{
			eventColumn, eventIDColumn, currencyColumn,
			{Name: "ticket_type", Heading: "Ticket type", Kind: statement.Text, About: "Id of the ticket type; empty for money whose lines are not known: it was booked before they were."},
			{Name: "unit_price", Heading: "Price", Kind: statement.Money, NoTotal: true, About: "Price of one ticket, before discounts; the tax is in it or comes on top, as its mode says."},
			{Name: "tax_rate", Heading: "Tax rate", Kind: statement.Percent, About: "Rate of the tax."},
			{Name: "tax_mode", Heading: "Tax is", Kind: statement.Text, About: "Whether the price includes the tax, the tax comes on top, or there is none: included, on_top, exempt."},
			{
				Name: "tickets", Heading: "Tickets", Kind: statement.Count, Dated: byDecision,
				About: "Tickets of orders that were confirmed in the period, free ones included and whatever became of them later.",
			},
			grossColumn, discountsColumn, refundsColumn, taxColumn,
			{Name: "net_of_tax", Heading: "Net of tax", Kind: statement.Money, Dated: byBasis, About: "Gross - refunds - tax. Fees are of whole payments, not of ticket types, and not taken off."},
		},
		Chart: &statement.Chart{Title: "Gross by ticket type", Shape: statement.Bars, X: "ticket_type", Y: []string{"gross"}},
	}},
	notes: []string{
		"Net of tax = gross - refunds - tax, before the providers' fees, which are of whole payments. Tickets were confirmed in the period, whatever became of them later.", dated,
	},
}
