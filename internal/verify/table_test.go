package verify

import (
	"testing"
	"time"
)

// The table is read by people who look for the one line that matters: columns
// line up, counts are grouped, long figures are wrapped, offenders stand below
// what they break.
func TestTable(t *testing.T) {
	t.Parallel()
	r := Report{
		Invariants: []Invariant{
			{Name: "I1", Title: "no seat has two owners, none is lost", OK: true, Checked: 80_000, Detail: "3 ticket types, 1,600 blocks, 80,000 places = 79,998 sold + 0 held + 2 free + 0 withdrawn"},
			{Name: "I2", Title: "one decision for every accepted command", OK: true, Checked: 1_234_567, Detail: "1,234,567 registrations, 1,000,000 confirmed, 200,000 sold out, 34,560 payment failed, 0 expired, 7 cancelled, 0 rejected, 0 undecided; 1,234,567 answers to clients"},
			{
				Name: "I3", Title: "confirmed means paid, and paid means confirmed or refunded", Checked: 12, Violations: 1_002, Detail: "12 ledger entries",
				Offenders: []string{"payment 5f0c7b0e-0000-4000-8000-000000000001 was captured 2 times: ledger entry 7 is one too many", "registration 5f0c7b0e-0000-4000-8000-000000000002 was confirmed for 5000 EUR and the provider captured nothing"},
			},
			{Name: "I8", Title: "ClickHouse holds every version once", OK: true, Skipped: "no ClickHouse was given"},
		},
		Open: 1_500, OpenFirst: []string{"5f0c7b0e-0000-4000-8000-000000000003", "payment 5f0c7b0e-0000-4000-8000-000000000004"}, Overdue: 2,
		DeadLetters: map[string]int64{"seat-commands: undecodable": 1, "registration-commands: no_command": 2_000},
		NotLoaded:   17, Moving: true,
		Registrations: 1_234_567, Confirmed: 1_000_000, Records: 17_654_321, DurationS: 41.26, AsOf: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC),
	}
	const want = `    state       checked    wrong   invariant
I1  ok           80,000        0   no seat has two owners, none is lost
                                   3 ticket types, 1,600 blocks, 80,000 places = 79,998 sold + 0 held + 2 free + 0
                                   withdrawn
I2  ok        1,234,567        0   one decision for every accepted command
                                   1,234,567 registrations, 1,000,000 confirmed, 200,000 sold out, 34,560 payment
                                   failed, 0 expired, 7 cancelled, 0 rejected, 0 undecided
                                   1,234,567 answers to clients
I3  BROKEN           12    1,002   confirmed means paid, and paid means confirmed or refunded
                                   12 ledger entries
                                   - payment 5f0c7b0e-0000-4000-8000-000000000001 was captured 2 times: ledger entry
                                     7 is one too many
                                   - registration 5f0c7b0e-0000-4000-8000-000000000002 was confirmed for 5000 EUR and
                                     the provider captured nothing
                                   - and 1,000 more
I8  skipped           0        0   ClickHouse holds every version once
                                   no ClickHouse was given

open          1,500, 2 of them overdue by a minute and more, for example:
                                   - 5f0c7b0e-0000-4000-8000-000000000003
                                   - payment 5f0c7b0e-0000-4000-8000-000000000004
dead letters  2,000 registration-commands: no_command
              1 seat-commands: undecodable
not loaded    17 records, which the loader loads when it runs again
moving        records arrived meanwhile: what is in flight was not held against the books
read          1,234,567 registrations, 1,000,000 of them confirmed, 17,654,321 records in 41.3 s, as of 2026-09-01T12:00:00Z
`
	if got := text(r); got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
}
