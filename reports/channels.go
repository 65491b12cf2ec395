package reports

import (
	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// channels is what is sold where, for who runs the points of sale.
var channels = definition{
	name:  "channels",
	title: "Sales by region and channel",
	about: "What each region and channel sold.",
	sections: []statement.Section{{
		Name:        "channels",
		Title:       "By region and channel",
		Query:       queries.Channels,
		Empty:       "no sales in this period",
		PerCurrency: true,
		Columns: []statement.Column{
			{Name: "region", Heading: "Region", Kind: statement.Text, About: "The region that accepted the order."},
			{Name: "channel", Heading: "Channel", Kind: statement.Text, About: "Where it was sold, as the seller named it."},
			currencyColumn, ordersColumn, ticketsColumn, grossColumn, refundsColumn, feesColumn, netColumn,
		},
		Chart: &statement.Chart{Title: "Gross by channel", Shape: statement.Bars, X: "channel", Y: []string{"gross"}},
	}},
	notes: []string{"Net = gross - refunds - fees. Orders and tickets were confirmed in the period, whatever became of them later.", dated},
}
