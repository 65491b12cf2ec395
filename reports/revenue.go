package reports

import (
	"context"
	"database/sql"

	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// revenue is what came in and went out, per event and currency.
var revenue = definition{
	name:  "revenue",
	title: "Revenue by event and currency",
	about: "What each event took, gave back and keeps.",
	sections: []statement.Section{{
		Name:  "events",
		Title: "By event",
		Query: queries.Revenue,
		Empty: "no revenue in this period",
		Columns: []statement.Column{
			eventColumn, eventIDColumn, currencyColumn, grossColumn, refundsColumn, feesColumn, netColumn, ordersColumn, ticketsColumn,
		},
	}},
	notes: []string{"Net = gross - refunds - fees. Orders and tickets were confirmed in the period, whatever became of them later.", dated},
}

// Total is the revenue of one currency.
type Total struct {
	Currency                                      string
	GrossMinor, RefundsMinor, FeesMinor, NetMinor int64
	Orders, Tickets                               int64
}

// RevenueTotals are the last lines of the revenue report: one total a currency.
func RevenueTotals(ctx context.Context, db *sql.DB, params Params) ([]Total, error) {
	r, err := Make(ctx, db, revenue.name, params)
	if err != nil {
		return nil, err
	}
	s := r.Sections[0]
	totals := make([]Total, 0, len(s.Totals))
	for _, t := range s.Totals {
		totals = append(totals, Total{
			Currency: t.Currency, GrossMinor: s.Int(t, "gross"), RefundsMinor: s.Int(t, "refunds"), FeesMinor: s.Int(t, "fees"),
			NetMinor: s.Int(t, "net"), Orders: s.Int(t, "orders"), Tickets: s.Int(t, "tickets"),
		})
	}
	return totals, nil
}
