package clickhouse_test

import (
	"fmt"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// BenchmarkInsert loads batches through clickhouse-go, with its own encoding of the rows included.
func BenchmarkInsert(b *testing.B) {
	for _, compression := range []ch.CompressionMethod{ch.CompressionNone, ch.CompressionLZ4} {
		for _, rows := range []int{100, 10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", compression, rows), func(b *testing.B) {
				db := database(b)
				conn := connect(b, func(o *ch.Options) {
					o.Auth.Database = db
					o.Compression = &ch.Compression{Method: compression}
				})
				execute(b, conn, "CREATE TABLE t (n UInt64, s String) ENGINE = ReplacingMergeTree ORDER BY n")
				b.ResetTimer()
				for i := range b.N {
					insertNumbers(b, conn, "t", i*rows, rows)
				}
				b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkQuery is the round trip of the smallest query: a session made, used and closed.
func BenchmarkQuery(b *testing.B) {
	conn := connect(b)
	for range b.N {
		value[uint8](b, conn, "SELECT 1")
	}
}

// BenchmarkRead reads a million rows of a number and a text, which are rewritten for the client's revision on their way.
func BenchmarkRead(b *testing.B) {
	const rows = 1_000_000
	conn := connect(b)
	for range b.N {
		result, err := conn.Query(b.Context(), fmt.Sprintf("SELECT number, concat('a text of some length, number ', toString(number)) FROM numbers(%d)", rows))
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for result.Next() {
			n++
		}
		if err := result.Close(); err != nil || n != rows {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
