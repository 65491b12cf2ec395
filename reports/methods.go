package reports

import (
	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// paymentMethods is money by the way it came, for who deals with the providers.
var paymentMethods = definition{
	name:  "payment-methods",
	title: "Money by payment method",
	about: "What came by each provider and payment method, what it cost, and how much was declined.",
	sections: []statement.Section{{
		Name:        "methods",
		Title:       "By provider and method",
		Query:       queries.PaymentMethods,
		PerCurrency: true,
		Columns: []statement.Column{
			{Name: "provider", Heading: "Provider", Kind: statement.Text, About: "Name of the payment provider; empty for payments of before it was noted."},
			{Name: "method", Heading: "Method", Kind: statement.Text, About: "The payment method at the provider."},
			currencyColumn,
			{Name: "charges", Heading: "Charges", Kind: statement.Count, Dated: byBasis, About: "Payments that were captured in the period."},
			grossColumn, refundsColumn, feesColumn, netColumn,
			{Name: "average", Heading: "Average", Kind: statement.Money, NoTotal: true, Dated: byBasis, About: "Gross / charges, rounded half away from zero."},
			{Name: "declined", Heading: "Declined", Kind: statement.Count, Dated: "the moment at which it became known here", About: "Payments that the provider refused in the period."},
		},
		Chart: &statement.Chart{Title: "Gross and fees by method", Shape: statement.Bars, X: "method", Y: []string{"gross", "fees"}},
	}},
	notes: []string{"Net = gross - refunds - fees. Free orders have no payment.", dated},
}
