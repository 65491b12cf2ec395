package reports

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
)

// Money is what moved in one currency, in minor units.
type Money struct{ Charged, Refunded, Fees int64 }

// Totals are what a report shows of all time, by currency.
type Totals struct {
	Report string
	Money  map[string]Money
	// WithoutFees says that the report shows no fees.
	WithoutFees bool
}

// ledgerSections say where each report shows the money that the providers' ledger
// shows.
var ledgerSections = []struct {
	report, section         string
	charged, refunded, fees string
}{
	{revenue.name, "events", "gross", "refunds", "fees"},
	{dailyRevenue.name, "days", "gross", "refunds", "fees"},
	{eventPerformance.name, "events", "gross", "refunds", "fees"},
	{ticketTypes.name, "types", "gross", "refunds", ""},
	{paymentMethods.name, "methods", "gross", "refunds", "fees"},
	{channels.name, "channels", "gross", "refunds", "fees"},
	{payout.name, "due", "gross", "refunds", "fees"},
	{openItems.name, "roll_forward", "charged", "refunded", ""},
}

// LedgerTotals are the totals of every report that shows money, of all time and
// with test sales: what the providers' ledger must show (I4). alarm is what the
// open items say when they do not balance.
func LedgerTotals(ctx context.Context, db *sql.DB) (totals []Totals, alarm string, err error) {
	for _, at := range ledgerSections {
		r, err := Make(ctx, db, at.report, Params{TestMode: true})
		if err != nil {
			return nil, "", err
		}
		s := r.Section(at.section)
		t := Totals{Report: at.report, Money: map[string]Money{}, WithoutFees: at.fees == ""}
		for _, row := range s.Rows {
			m := t.Money[row.Currency]
			m.Charged += s.Int(row, at.charged)
			m.Refunded += s.Int(row, at.refunded)
			m.Fees += s.Int(row, at.fees)
			t.Money[row.Currency] = m
		}
		totals = append(totals, t)
		if r.Alarm != "" {
			alarm = r.Alarm
		}
	}
	return totals, alarm, nil
}

// Differences say where the report shows other money than a ledger does.
func (t Totals) Differences(ledger map[string]Money) (differences []string) {
	currencies := maps.Clone(t.Money)
	maps.Copy(currencies, ledger)
	for _, currency := range slices.Sorted(maps.Keys(currencies)) {
		want, got := ledger[currency], t.Money[currency]
		if t.WithoutFees {
			want.Fees, got.Fees = 0, 0
		}
		if want != got {
			differences = append(differences, fmt.Sprintf("the report %s shows %s %s, the ledger %s", t.Report, currency, got, want))
		}
	}
	return differences
}

// String is the money in minor units.
func (m Money) String() string {
	return fmt.Sprintf("captured %d, refunded %d, fees %d", m.Charged, m.Refunded, m.Fees)
}
