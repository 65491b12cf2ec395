package clickhouse

import (
	"database/sql"
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"
)

var benchOrders = flag.Int("orders", 100_000, "orders of BenchmarkHistory")

// history fills a new database with orders and refreshes its rollups.
func history(b *testing.B, orders int) *sql.DB {
	b.Helper()
	name, db := newDatabase(b)
	if _, err := Migrate(b.Context(), engineURL, name); err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile("testdata/history.sql")
	if err != nil {
		b.Fatal(err)
	}
	for statement := range strings.SplitSeq(strings.ReplaceAll(string(text), "{orders}", strconv.Itoa(orders)), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := db.Exec(statement); err != nil {
			b.Fatalf("%s: %v", statement, err)
		}
	}
	if _, err := RefreshRollups(b.Context(), db); err != nil {
		b.Fatal(err)
	}
	return db
}

// revenueByMonth is a report over all time, by all that its readers tell apart.
const revenueByMonth = `SELECT toYYYYMM(booked_at) AS month, event_id, ticket_type, currency, sumIf(amount_minor, kind = 'charge'), sumIf(amount_minor, kind = 'refund'),
	sum(fee_minor), sumIf(tax_minor, kind = 'charge') - sumIf(tax_minor, kind = 'refund'), sum(quantity) FROM `

// BenchmarkHistory measures what long times cost: the heaviest report from the facts
// and from the rollup, a refresh when one month has changed, and bytes on disk
// (-v tells them by table and column). 100,000 orders are made unless -orders says more.
func BenchmarkHistory(b *testing.B) {
	db := history(b, *benchOrders)
	const where = " WHERE NOT test_mode GROUP BY month, event_id, ticket_type, currency"
	for name, query := range map[string]string{
		"facts/revenue":  revenueByMonth + "movements FINAL" + where,
		"rollup/revenue": revenueByMonth + "revenue_by_quarter_hour" + where,
		"facts/orders": `SELECT toYYYYMM(decided_at) AS month, event_id, currency, count(), sum(arraySum(lines.quantity)) FROM registrations FINAL
			WHERE outcome = 'confirmed' AND NOT test_mode GROUP BY month, event_id, currency`,
		"rollup/orders": `SELECT toYYYYMM(decided_at) AS month, event_id, currency, sum(registrations), sum(tickets) FROM orders_by_quarter_hour
			WHERE reached = 'confirmed' AND NOT test_mode GROUP BY month, event_id, currency`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := db.Exec("SELECT count() FROM (" + query + ")"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("refresh/month", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			if _, err := db.Exec("INSERT INTO movements SELECT * FROM movements WHERE toYYYYMM(occurred_at) = 202408 LIMIT 1"); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if _, err := RefreshRollups(b.Context(), db); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("refresh/nothing", func(b *testing.B) {
		for b.Loop() {
			if _, err := RefreshRollups(b.Context(), db); err != nil {
				b.Fatal(err)
			}
		}
	})
	sizes(b, db)
}

// sizes logs the bytes on disk, everything merged.
func sizes(b *testing.B, db *sql.DB) {
	b.Helper()
	for _, table := range []string{"movements", "payments", "registrations", "events", "revenue_by_quarter_hour", "orders_by_quarter_hour"} {
		if _, err := db.Exec("OPTIMIZE TABLE " + table + " FINAL"); err != nil {
			b.Fatal(err)
		}
		b.Log(table, lines(b, db, "SELECT sum(rows), formatReadableSize(sum(bytes_on_disk)), round(sum(bytes_on_disk) / sum(rows), 1) FROM system.parts WHERE database = currentDatabase() AND active AND table = {table:String}",
			named("table", table)))
		b.Log(lines(b, db, `SELECT column, round(sum(column_data_compressed_bytes) / sum(rows), 2) AS bytes_a_row, round(sum(column_data_uncompressed_bytes) / sum(column_data_compressed_bytes), 1) AS ratio
			FROM system.parts_columns WHERE database = currentDatabase() AND active AND table = {table:String} GROUP BY column ORDER BY bytes_a_row DESC`, named("table", table)))
	}
}
