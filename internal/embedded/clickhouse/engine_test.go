package clickhouse_test

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"strings"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
)

// Of rows with the same key the one with the highest version is read, whatever order they arrived in and however often.
func TestReplacingMergeTreeKeepsTheLastVersion(t *testing.T) {
	t.Parallel()
	db := database(t)
	conn := connect(t, func(o *ch.Options) { o.Auth.Database = db })
	execute(t, conn, "CREATE TABLE t (id UInt32, version UInt32, state String) ENGINE = ReplacingMergeTree(version) ORDER BY id")
	for _, rows := range []string{"(1, 2, 'b')", "(1, 1, 'a'), (2, 1, 'a')", "(1, 3, 'c')", "(1, 2, 'b')", "(2, 1, 'a')"} {
		execute(t, conn, "INSERT INTO t VALUES "+rows)
	}
	if got := value[string](t, conn, "SELECT toString(groupArray((id, version, state))) FROM (SELECT * FROM t FINAL ORDER BY id)"); got != "[(1,3,'c'),(2,1,'a')]" {
		t.Fatal(got)
	}
	if got := value[string](t, conn, "SELECT toString(arraySort(groupArray(s))) FROM (SELECT argMax(state, version) AS s FROM t GROUP BY id)"); got != "['a','c']" {
		t.Fatal(got)
	}
}

// The same batch sent again, after an answer was lost, is written once: by its content and by the token that names it.
func TestRepeatedInsertIsDeduplicated(t *testing.T) {
	t.Parallel()
	db := database(t)
	conn := connect(t, func(o *ch.Options) { o.Auth.Database = db })
	execute(t, conn, "CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100")
	insert := func(token string, rows ...uint64) {
		t.Helper()
		ctx := ch.Context(context.Background(), ch.WithSettings(ch.Settings{"insert_deduplication_token": token}))
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO t")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range rows {
			if err := batch.Append(n, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if err := batch.Send(); err != nil {
			t.Fatal(err)
		}
	}
	insert("a", 1, 2)
	insert("a", 1, 2)
	insert("a", 3) // another content under the same name is the same batch
	insert("b", 1, 2)
	if got := value[uint64](t, conn, "SELECT count() FROM t"); got != 4 {
		t.Fatalf("%d rows", got)
	}
}

// A refreshable materialised view is computed again on demand and by its schedule, and its state can be asked for.
func TestRefreshableView(t *testing.T) {
	t.Parallel()
	db := database(t)
	conn := connect(t, func(o *ch.Options) { o.Auth.Database = db })
	execute(t, conn, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
	execute(t, conn, "CREATE MATERIALIZED VIEW v REFRESH EVERY 1 SECOND ENGINE = MergeTree ORDER BY total AS SELECT sum(n) AS total FROM t")
	execute(t, conn, "INSERT INTO t VALUES (1), (2)")
	execute(t, conn, "SYSTEM REFRESH VIEW v")
	execute(t, conn, "SYSTEM WAIT VIEW v")
	total := func() uint64 { return value[uint64](t, conn, "SELECT max(total) FROM v") }
	if got := total(); got != 3 {
		t.Fatalf("after a refresh on demand the sum is %d", got)
	}
	execute(t, conn, "INSERT INTO t VALUES (4)")
	eventually(t, "the view was refreshed by its schedule", func() bool { return total() == 7 })
	if got := value[string](t, conn, "SELECT exception FROM system.view_refreshes WHERE database = ? AND view = 'v'", db); got != "" {
		t.Fatal(got)
	}
}

// What operators look at answers: tables, columns, parts, settings, merges, running statements.
func TestSystemTables(t *testing.T) {
	t.Parallel()
	db := database(t)
	conn := connect(t, func(o *ch.Options) { o.Auth.Database = db })
	execute(t, conn, "CREATE TABLE t (n UInt64 COMMENT 'a number', s String) ENGINE = MergeTree ORDER BY n COMMENT 'a table'")
	insertNumbers(t, conn, "t", 0, 10)
	execute(t, conn, "ALTER TABLE t ADD COLUMN d Date DEFAULT '2026-01-01'")
	execute(t, conn, "ALTER TABLE t DELETE WHERE n = 3 SETTINGS mutations_sync = 1")
	execute(t, conn, "OPTIMIZE TABLE t FINAL")
	for query, want := range map[string]string{
		"SELECT toString((engine, total_rows, comment)) FROM system.tables WHERE database = currentDatabase()":                     "('MergeTree',9,'a table')",
		"SELECT toString(groupArray((name, type, comment))) FROM system.columns WHERE database = currentDatabase() AND name = 'n'": "[('n','UInt64','a number')]",
		"SELECT toString(sum(rows)) FROM system.parts WHERE database = currentDatabase() AND active":                               "9",
		"SELECT toString(count()) FROM system.mutations WHERE database = currentDatabase() AND is_done":                            "1",
		"SELECT value FROM system.settings WHERE name = 'max_threads'":                                                             "2",
		"SELECT toString(count() > 0) FROM system.processes":                                                                       "1",
		"SELECT toString(count()) FROM system.merges WHERE database = currentDatabase()":                                           "0",
		"SELECT toString(count()) FROM information_schema.tables WHERE table_schema = currentDatabase()":                           "1",
		"SELECT timezone()": "UTC",
	} {
		if got := value[string](t, conn, query); got != want {
			t.Errorf("%s is %s, want %s", query, got, want)
		}
	}
}

//go:embed testdata/migrations
var migrations embed.FS

// goose applies migrations through database/sql over HTTP, knows afterwards which it has applied, and takes them back.
func TestGooseMigrations(t *testing.T) {
	t.Parallel()
	db := database(t)
	pool := openSQL(t, db)
	files, err := fs.Sub(migrations, "testdata/migrations")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		provider, err := goose.NewProvider(goose.DialectClickHouse, pool, files)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := provider.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		if version, err := provider.GetDBVersion(t.Context()); err != nil || version != 2 {
			t.Fatalf("version %d %v", version, err)
		}
	}
	var names string
	if err := pool.QueryRowContext(t.Context(), "SELECT toString(groupArray(name)) FROM (SELECT name FROM system.columns WHERE database = ? AND table = 'sales' ORDER BY name)", db).Scan(&names); err != nil {
		t.Fatal(err)
	}
	if names != "['amount','at','currency']" {
		t.Fatal(names)
	}
	provider, err := goose.NewProvider(goose.DialectClickHouse, pool, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	var left uint64
	if err := pool.QueryRowContext(t.Context(), "SELECT count() FROM system.tables WHERE database = ? AND name = 'sales'", db).Scan(&left); err != nil || left != 0 {
		t.Fatalf("%d %v", left, err)
	}
}

func openSQL(t *testing.T, db string) *sql.DB {
	t.Helper()
	pool := ch.OpenDB(&ch.Options{Addr: []string{shared.Addr()}, Protocol: ch.HTTP, Auth: ch.Auth{Database: db}})
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

// What Grafana's ClickHouse data source asks while a dashboard is open: a health check, the schema for its editor, variables, and panels
// with its macros filled in.
func TestGrafanaSession(t *testing.T) {
	t.Parallel()
	db := database(t)
	pool := openSQL(t, db)
	for _, statement := range []string{
		"CREATE TABLE sales (at DateTime64(3), event LowCardinality(String), amount Decimal(18, 2)) ENGINE = MergeTree ORDER BY at",
		"INSERT INTO sales SELECT toDateTime64('2026-01-01 00:00:00', 3) + number, if(number % 2 = 0, 'a', 'b'), number / 100 FROM numbers(7200)",
	} {
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := pool.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	const between = "at >= toDateTime64(1767225600, 3) AND at <= toDateTime64(1767232800, 3)"
	for query, rows := range map[string]int{
		"SHOW DATABASES LIKE '" + db + "'":                           1,
		"SHOW TABLES FROM `" + db + "`":                              1,
		"DESC TABLE `" + db + "`.`sales`":                            3,
		"SELECT version()":                                           1,
		"SELECT name FROM system.table_functions":                    -1,
		"SELECT name FROM system.functions":                          -1,
		"SELECT DISTINCT event FROM sales ORDER BY event LIMIT 1000": 2,
		"SELECT toStartOfInterval(toDateTime(at), INTERVAL 60 second) AS time, event, sum(amount) FROM sales WHERE " + between + " GROUP BY time, event ORDER BY time": 240,
		"SELECT quantilesExact(0.5, 0.99)(toFloat64(amount)) AS q, avg(amount), uniqExact(event) FROM sales WHERE " + between:                                          1,
		"WITH sum(amount) AS s SELECT event, s FROM sales GROUP BY event WITH TOTALS ORDER BY s DESC LIMIT 10 SETTINGS max_threads = 1":                                -1,
		"SELECT * FROM sales WHERE " + between + " ORDER BY at LIMIT 1000":                                                                                             1000,
		"SELECT * FROM sales WHERE at > now() + INTERVAL 1 YEAR":                                                                                                       0,
	} {
		got, err := countRows(t, pool, query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if rows >= 0 && got != rows || rows < 0 && got == 0 {
			t.Errorf("%s: %d rows, not %d", query, got, rows)
		}
	}
	if _, err := countRows(t, pool, "SELECT nothing FROM sales"); err == nil || !strings.Contains(err.Error(), "Unknown expression identifier `nothing`") {
		t.Errorf("a panel's mistake reads %v", err)
	}
}

func countRows(t *testing.T, pool *sql.DB, query string) (int, error) {
	t.Helper()
	rows, err := pool.QueryContext(t.Context(), query)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	if _, err := rows.ColumnTypes(); err != nil {
		return 0, err
	}
	n := 0
	for rows.Next() {
		n++
	}
	return n, rows.Err()
}
