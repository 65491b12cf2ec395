package clickhouse_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse"
)

// shared is the one server of this process: an engine cannot be opened twice.
var shared *clickhouse.Server

// TestMain starts the shared server, or plays a child process for the tests that kill one. The real library is needed: without it the
// tests fail, they are never skipped.
func TestMain(m *testing.M) {
	if child, ok := children[os.Getenv("BOXOFFICE_TEST_CHILD")]; ok {
		os.Exit(child())
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	library, err := clickhouse.Locate("", os.Getenv("BOXOFFICE_CHDB_LIB"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "clickhouse")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	shared, err = clickhouse.Open(clickhouse.Options{Library: library, DataDir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- shared.Serve(ctx) }()
	code := m.Run()
	cancel()
	if err := <-stopped; err != nil {
		fmt.Fprintln(os.Stderr, "the server did not stop cleanly:", err)
		return 1
	}
	return code
}

// connect returns a clickhouse-go connection over HTTP to the shared server.
func connect(t testing.TB, change ...func(*ch.Options)) ch.Conn {
	t.Helper()
	options := &ch.Options{Addr: []string{shared.Addr()}, Protocol: ch.HTTP, DialTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	for _, c := range change {
		c(options)
	}
	conn, err := ch.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// database makes a database of the test's own and returns its name.
func database(t testing.TB) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "_", " ", "_", "-", "_").Replace(t.Name()))
	execute(t, connect(t), "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, connect(t), "DROP DATABASE "+name+" SYNC") })
	return name
}

func execute(t testing.TB, conn ch.Conn, statement string, args ...any) {
	t.Helper()
	if err := conn.Exec(context.Background(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// value returns the one value that a query returns.
func value[T any](t testing.TB, conn ch.Conn, query string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}
