package clickhouse_test

import (
	"context"
	"fmt"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// insertNumbers inserts rows n = from ... from+count-1 in one batch.
func insertNumbers(t testing.TB, conn ch.Conn, table string, from, count int) {
	t.Helper()
	batch, err := conn.PrepareBatch(context.Background(), "INSERT INTO "+table+" (n, s)")
	if err != nil {
		t.Fatal(err)
	}
	for n := from; n < from+count; n++ {
		if err := batch.Append(uint64(n), fmt.Sprintf("a text of some length, number %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
}

// The server is killed between acknowledged inserts: every acknowledged row is there afterwards, and the table goes on.
func TestAcknowledgedRowsSurviveKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 3 {
		c := serve(t, dir)
		conn := c.connect(t)
		execute(t, conn, "CREATE TABLE IF NOT EXISTS t (n UInt64, s String) ENGINE = ReplacingMergeTree ORDER BY n")
		if got := value[uint64](t, conn, "SELECT uniqExact(n) FROM t"); got != uint64(round)*3000 {
			t.Fatalf("after %d kills %d of %d rows are left", round, got, round*3000)
		}
		for batch := range 3 {
			insertNumbers(t, conn, "t", round*3000+batch*1000, 1000)
		}
		c.kill(t)
	}
}
