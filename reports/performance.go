package reports

import (
	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// eventPerformance is how events sell, for who plans and prices them.
var eventPerformance = definition{
	name:  "event-performance",
	title: "Performance of events",
	about: "How full each event is, what it earns and how fast it sells.",
	sections: []statement.Section{{
		Name:        "events",
		Title:       "By event",
		Query:       queries.EventPerformance,
		Empty:       "no events",
		PerCurrency: true,
		Columns: []statement.Column{
			eventColumn, eventIDColumn, currencyColumn,
			{Name: "capacity", Heading: "Capacity", Kind: statement.Count, Dated: byNow, About: "Seats of the event that can be sold, without those withdrawn from sale."},
			{Name: "sold", Heading: "Sold", Kind: statement.Count, Dated: byNow, About: "Seats that are sold. Test sales take seats too."},
			{Name: "held", Heading: "Held", Kind: statement.Count, Dated: byNow, About: "Seats that are held for orders under way."},
			{Name: "sell_through", Heading: "Sell-through", Kind: statement.Percent, Part: "sold", Whole: "capacity", Dated: byNow, About: "Sold / capacity."},
			ordersColumn, ticketsColumn, grossColumn, refundsColumn, feesColumn, netColumn,
			{Name: "charges", Heading: "Charges", Kind: statement.Count, Hidden: true, Dated: byBasis, About: "Payments that gross was captured with."},
			{
				Name: "average", Heading: "Average order", Kind: statement.Money, NoTotal: true, Dated: byBasis,
				About: "Gross / charges: what a paid order is worth; free orders do not count. Rounded half away from zero.",
			},
			{Name: "first_sale", Heading: "First sale", Kind: statement.Time, About: "When the first order of the period was confirmed, in the report's time zone."},
			{Name: "last_sale", Heading: "Last sale", Kind: statement.Time, About: "When the last order of the period was confirmed, in the report's time zone."},
			{
				Name: "sold_out_after", Heading: "Sold out after", Kind: statement.Duration, Dated: byNow,
				About: "From the beginning of the sale to the confirmation of the last order that stands; empty while there are seats left.",
			},
		},
		Chart: &statement.Chart{Title: "Gross and net by event", Shape: statement.Bars, X: "event", Y: []string{"gross", "net"}},
	}},
	notes: []string{
		"Capacity, sold, held and sold out after are as of now; all other figures are of the period. " +
			"Net = gross - refunds - fees. The average order is gross by payment.", dated,
	},
}
