package reports

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// revenue is what came in and went out, per event and currency.
func revenue(ctx context.Context, db *sql.DB, r *report) (err error) {
	r.columns = []column{
		{"event", "Event", text},
		{"event_id", "Event id", text},
		{"currency", "Currency", text},
		{"gross", "Gross", money},
		{"refunds", "Refunds", money},
		{"fees", "Fees", money},
		{"net", "Net", money},
		{"orders", "Orders", count},
		{"tickets", "Tickets", count},
	}
	r.notes = "Gross was captured by the provider in the period, refunds were given back in it, fees are the provider's; " +
		"net = gross - refunds - fees. Orders were confirmed in the period and still stand."
	rows, err := queries.Run(ctx, db, queries.Revenue, r.params.values())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var (
			id             uuid.UUID
			event, unit    string
			gross, refunds int64
			fees, net      int64
			orders, sold   int64
		)
		if err := rows.Scan(&id, &event, &unit, &gross, &refunds, &fees, &net, &orders, &sold); err != nil {
			return err
		}
		r.rows = append(r.rows, row{
			currency: unit,
			texts:    []string{event, id.String(), unit, "", "", "", "", "", ""},
			numbers:  []int64{0, 0, 0, gross, refunds, fees, net, orders, sold},
		})
	}
	if err := rows.Err(); err != nil {
		return err
	}
	r.total()
	return nil
}

// Total is the revenue of one currency.
type Total struct {
	Currency                                      string
	GrossMinor, RefundsMinor, FeesMinor, NetMinor int64
	Orders, Tickets                               int64
}

// RevenueTotals are the last lines of the revenue report: one total a currency.
func RevenueTotals(ctx context.Context, db *sql.DB, params Params) ([]Total, error) {
	if err := params.check(); err != nil {
		return nil, err
	}
	r := &report{params: params}
	if err := revenue(ctx, db, r); err != nil {
		return nil, err
	}
	totals := make([]Total, 0, len(r.totals))
	for _, t := range r.totals {
		totals = append(totals, Total{
			Currency: t.currency, GrossMinor: t.numbers[3], RefundsMinor: t.numbers[4], FeesMinor: t.numbers[5],
			NetMinor: t.numbers[6], Orders: t.numbers[7], Tickets: t.numbers[8],
		})
	}
	return totals, nil
}
