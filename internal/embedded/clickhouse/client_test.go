package clickhouse_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// Every compression that clickhouse-go offers carries rows in and out unchanged, with the types that the sinks use.
func TestClientRoundTrip(t *testing.T) {
	t.Parallel()
	methods := map[string]ch.CompressionMethod{
		"none": ch.CompressionNone, "lz4": ch.CompressionLZ4, "zstd": ch.CompressionZSTD, "gzip": ch.CompressionGZIP,
		"deflate": ch.CompressionDeflate, "br": ch.CompressionBrotli,
	}
	for name, method := range methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := database(t)
			conn := connect(t, func(o *ch.Options) {
				o.Auth.Database = db
				o.Compression = &ch.Compression{Method: method, Level: 3}
				o.Settings = ch.Settings{"max_execution_time": 60}
			})
			execute(t, conn, `CREATE TABLE t (id UUID, n UInt64, s String, l LowCardinality(String), d Nullable(Decimal(18, 2)), at DateTime64(3, 'UTC'),
				a Array(String), m Map(String, Int32), e Enum8('x' = 1, 'y' = 2)) ENGINE = MergeTree ORDER BY n`)
			batch, err := conn.PrepareBatch(context.Background(), "INSERT INTO t")
			if err != nil {
				t.Fatal(err)
			}
			const rows = 20000
			at := time.UnixMilli(1_700_000_000_123).UTC()
			for i := range rows {
				id := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i))
				var amount *decimal.Decimal
				if i%2 == 0 {
					d := decimal.New(int64(i), -2)
					amount = &d
				}
				if err := batch.Append(id, uint64(i), fmt.Sprint("name", i), fmt.Sprint("c", i%10), amount, at, []string{"a", fmt.Sprint(i)},
					map[string]int32{"k": int32(i)}, "y"); err != nil {
					t.Fatal(err)
				}
			}
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
			result, err := conn.Query(context.Background(), "SELECT * FROM t ORDER BY n")
			if err != nil {
				t.Fatal(err)
			}
			defer result.Close()
			var n int
			for ; result.Next(); n++ {
				var (
					id   uuid.UUID
					no   uint64
					s, l string
					d    *decimal.Decimal
					when time.Time
					a    []string
					m    map[string]int32
					e    string
				)
				if err := result.Scan(&id, &no, &s, &l, &d, &when, &a, &m, &e); err != nil {
					t.Fatal(err)
				}
				if no != uint64(n) || s != fmt.Sprint("name", n) || l != fmt.Sprint("c", n%10) || (d != nil) != (n%2 == 0) ||
					!when.Equal(at) || a[1] != fmt.Sprint(n) || m["k"] != int32(n) || e != "y" || id != uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)) {
					t.Fatalf("row %d came back as %v %v %v %v %v %v %v %v %v", n, id, no, s, l, d, when, a, m, e)
				}
			}
			if err := result.Err(); err != nil {
				t.Fatal(err)
			}
			if n != rows {
				t.Fatalf("%d rows came back, %d were inserted", n, rows)
			}
		})
	}
}
