package reports

import (
	"database/sql"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/goldensales"
	"github.com/eventpro/boxoffice/reports/render"
)

// ledger is what the payment provider shows of the golden sales, by hand: F1 200.00,
// F2 50.00, F3 120.00, F4 49.95, F5 150.00, F8 99.95, F9 120.00 (test), F10 100.00,
// F13 50.00; given back F1 100.00, F3 120.00, F8 99.95; fees 3.05 + 0.90 + 1.85 + 0.90
// + 2.35 + 1.40 + 1.85 + 0.00 + 0.90. J1 1106, J2 2206. K1 25.930, K2 1.000.
var ledger = map[string]Money{
	"EUR": {Charged: 939_90, Refunded: 319_95, Fees: 13_20},
	"JPY": {Charged: 3312, Fees: 119},
	"KWD": {Charged: 26_930, Fees: 779},
}

// I4: every report that shows money adds up to the provider's ledger.
func TestReportsAddUpToTheLedger(t *testing.T) {
	t.Parallel()
	totals, alarm, err := LedgerTotals(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range totals {
		if d := r.Differences(ledger); d != nil {
			t.Errorf("%s", d)
		}
	}
	if len(totals) != len(Names())-1 || alarm != "" { // the funnel shows no movements
		t.Errorf("%d of the reports %v, alarm %q", len(totals), Names(), alarm)
	}
}

// The comparison is no formality: a cent more or less, another currency and a fee
// are found, in every report that shows them.
func TestReportsThatDifferFromTheLedger(t *testing.T) {
	t.Parallel()
	totals, _, err := LedgerTotals(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string]Money){
		"a cent more":       func(l map[string]Money) { m := l["EUR"]; m.Charged++; l["EUR"] = m },
		"a cent given back": func(l map[string]Money) { m := l["JPY"]; m.Refunded++; l["JPY"] = m },
		"one too many":      func(l map[string]Money) { delete(l, "KWD") },
		"one is missing":    func(l map[string]Money) { l["USD"] = Money{Charged: 1} },
		"a fee":             func(l map[string]Money) { m := l["EUR"]; m.Fees--; l["EUR"] = m },
	} {
		changed := maps.Clone(ledger)
		change(changed)
		for _, r := range totals {
			if d := r.Differences(changed); len(d) != 1 && (name != "a fee" || !r.WithoutFees || d != nil) {
				t.Errorf("%s: %s says %q", name, r.Report, d)
			}
		}
	}
}

// loaded is a database with changed golden sales, and what is done to it after that.
func loaded(t *testing.T, records []*kgo.Record, statements ...string) *sql.DB {
	t.Helper()
	name := "books_" + strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "/")+1:])
	db, err := goldensales.Load(t.Context(), server, name, records)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// Books that do not balance are said in the first line, with the difference. Each of
// these is money that the two sides of the roll-forward see differently.
func TestOpenItemsRaiseTheAlarm(t *testing.T) {
	t.Parallel()
	const sync = " SETTINGS mutations_sync = 2"
	for name, c := range map[string]struct{ statement, says string }{
		"a charge is lost from the journal": {
			"ALTER TABLE movements DELETE WHERE kind = 'charge' AND amount_minor = 15000" + sync,
			"EUR by -150.00 (-100.00 rolled forward, 50.00 counted)",
		},
		"a refund is in the journal twice": {
			"INSERT INTO movements SELECT * REPLACE (generateUUIDv4() AS movement_id) FROM movements FINAL WHERE kind = 'refund' AND amount_minor = 12000",
			"EUR by -120.00",
		},
		"a confirmed order has no payment": {
			"INSERT INTO registrations SELECT * REPLACE (generateUUIDv4() AS registration_id) FROM registrations FINAL WHERE total_minor = 2206",
			"JPY by -2,206",
		},
		"an order was paid with other money": {
			"INSERT INTO registrations SELECT * REPLACE (total_minor - 1 AS total_minor, version + 1 AS version) FROM registrations FINAL WHERE channel = 'box_office'",
			"EUR by 0.01",
		},
		"more was given back than was cancelled": {
			"INSERT INTO registrations SELECT * REPLACE (arrayMap(x -> false, `lines.cancelled`) AS `lines.cancelled`, version + 1 AS version) FROM registrations FINAL WHERE total_minor = 20000",
			"EUR by -100.00",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := loaded(t, goldensales.Records(), c.statement)
			p := month(t, "2026-10", "")
			r, err := Make(t.Context(), broken, openItems.name, p)
			if err != nil {
				t.Fatal(err)
			}
			f, _ := render.Find(render.Table)
			var out strings.Builder
			if err := f.Write(&out, r); err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(out.String(), "\n")
			if !strings.HasPrefix(first, "The open items do not balance: ") || !strings.Contains(first, c.says) {
				t.Errorf("the first line is %q, want %q in it", first, c.says)
			}
		})
	}
}

// An order was cancelled before it was imported, and its money kept there: nobody is
// owed it, so it is no open item. Cancelled here, it is.
func TestMoneyKeptElsewhereIsNotOpen(t *testing.T) {
	t.Parallel()
	const cancelled = "INSERT INTO registrations SELECT * REPLACE ('cancelled' AS outcome, arrayMap(x -> true, `lines.cancelled`) AS `lines.cancelled`, " +
		"version + 1 AS version) FROM registrations FINAL WHERE total_minor = %d AND imported = %t AND NOT test_mode"
	for name, c := range map[string]struct {
		statement string
		open      int64
	}{
		"imported": {fmt.Sprintf(cancelled, 100_00, true), 0},
		"here":     {fmt.Sprintf(cancelled, 22_06, false), 22_06},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pending := func(db *sql.DB) (sum int64) {
				t.Helper()
				r, err := Make(t.Context(), db, openItems.name, Params{})
				if err != nil {
					t.Fatal(err)
				}
				if r.Alarm != "" {
					t.Error(r.Alarm)
				}
				column := -1
				for i, c := range r.Sections[0].Columns {
					if c.Name == "pending_end" {
						column = i
					}
				}
				for _, row := range r.Sections[0].Rows {
					sum += row.Cells[column].(int64)
				}
				return sum
			}
			before, after := pending(db), pending(loaded(t, goldensales.Records(), c.statement))
			if after-before != c.open {
				t.Errorf("%d is open, want %d", after-before, c.open)
			}
		})
	}
}

// A month that is closed is not restated: what is decided, cancelled, given back and
// booked later changes none of its figures.
func TestAClosedMonthStays(t *testing.T) {
	t.Parallel()
	closing := time.Date(2026, 9, 30, 22, 0, 0, 0, time.UTC) // October begins in Berlin
	var september []*kgo.Record
	for _, r := range goldensales.Records() {
		if r.Timestamp.Before(closing) {
			september = append(september, r)
		}
	}
	if all := len(goldensales.Records()); len(september) == 0 || len(september) >= all {
		t.Fatalf("%d of %d records are of September", len(september), all)
	}
	then := loaded(t, september)
	for _, name := range Names() {
		if name == funnel.name || name == eventPerformance.name {
			continue // as of now, and they say so
		}
		rows := func(db *sql.DB) string {
			r, err := Make(t.Context(), db, name, month(t, "2026-09", ""))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for _, s := range r.Sections {
				fmt.Fprintln(&out, s.Name)
				for _, row := range append(s.Rows, s.Totals...) {
					fmt.Fprintln(&out, row.Cells...)
				}
			}
			return out.String()
		}
		if before, after := rows(then), rows(db); before != after {
			t.Errorf("%s of September was\n%s\nand is now\n%s", name, before, after)
		}
	}
}

// A statement of the provider's dates is no statement of the books.
func TestPayoutHasOneBasis(t *testing.T) {
	t.Parallel()
	_, err := Make(t.Context(), db, payout.name, month(t, "2026-09", Occurred))
	if err == nil || !strings.Contains(err.Error(), "basis") {
		t.Errorf("%v", err)
	}
}
