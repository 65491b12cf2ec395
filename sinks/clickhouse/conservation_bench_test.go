package clickhouse

import (
	"fmt"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// BenchmarkConservation compares a minute of 1,000 paid registrations a second, which lies
// among twenty such minutes.
func BenchmarkConservation(b *testing.B) {
	name, db := newDatabase(b)
	if _, err := Migrate(b.Context(), engineURL, name); err != nil {
		b.Fatal(err)
	}
	query, err := queries.Get(queries.Conservation)
	if err != nil {
		b.Fatal(err)
	}
	const seconds, rate = 600, 1_000
	from := time.UnixMilli(noon).Truncate(time.Minute)
	args, err := query.Args(map[string]string{
		"from": queries.Time(from), "to": queries.Time(from.Add(time.Minute)), "decide_within": "0",
	})
	if err != nil {
		b.Fatal(err)
	}
	for step := -1; step <= 0; step++ {
		at := from.Add(time.Duration(step) * seconds * time.Second)
		if step < 0 {
			at = at.Add(-24 * time.Hour)
		}
		fill := func(into, columns, values string) {
			b.Helper()
			if _, err := db.Exec(fmt.Sprintf(`INSERT INTO %s (%s) WITH UUIDNumToString(sipHash128(number + %d * %d)) AS id,
				toDateTime64('%s', 3, 'UTC') + toIntervalMillisecond(number) AS at SELECT %s FROM numbers(%d) SETTINGS max_block_size = 20000, min_insert_block_size_rows = 20000, max_threads = 1`,
				into, columns, step+1, seconds*rate, queries.Time(at), values, seconds*rate)); err != nil {
				b.Fatal(into, ": ", err)
			}
		}
		fill("registrations", "registration_id, payment_id, outcome, currency, total_minor, request_time, decided_at, changed_at, version", "id, id, 'confirmed', 'EUR', 5000, at, at, at, 4")
		fill("payments", "registration_id, payment_id, currency, captured_minor, requested_at, captured_at, changed_at, version", "id, id, 'EUR', 5000, at, at, at, 3")
		fill("movements", "movement_id, payment_id, line, kind, currency, amount_minor, occurred_at, version", "id, id, 1, 'charge', 'EUR', 5000, at, 3")
		for version := 1; version <= 4; version++ {
			fill("events", "topic, partition, offset, time, key, kind, version", fmt.Sprintf("'registration-events', %d, number, at, id, 'kind', %d", 10*(step+1)+version, version))
		}
		for version := 1; version <= 3; version++ {
			fill("events", "topic, partition, offset, time, key, kind, version", fmt.Sprintf("'payment-events', %d, number, at, id, 'kind', %d", 10*(step+1)+version, version))
		}
	}
	for b.Loop() {
		if got := lines(b, db, query.SQL, args...); got == "" {
			b.Fatal("no minute was compared")
		}
	}
}
