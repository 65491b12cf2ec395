// Package clickhousetest gives the tests of a package one embedded ClickHouse. An
// engine can be opened once in a process, so tests share it and take a database
// each.
package clickhousetest

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse"
)

// Main starts the engine in a folder of its own, hands the address of its HTTP
// interface, http://127.0.0.1:port, to ready, runs the tests and stops it; it is
// what a TestMain exits with. Without the library the tests fail, they are never
// skipped.
func Main(m *testing.M, ready func(url string) error) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	library, err := clickhouse.Locate("", os.Getenv("BOXOFFICE_CHDB_LIB")) //nolint:forbidigo // tests have no command line to be told by
	if err != nil {
		return fail(err)
	}
	dir, err := os.MkdirTemp("", "clickhousetest")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	server, err := clickhouse.Open(clickhouse.Options{Library: library, DataDir: dir})
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	code := 1
	if err := ready("http://" + server.Addr()); err != nil {
		fail(err)
	} else {
		code = m.Run()
	}
	cancel()
	if err := <-ended; err != nil {
		return fail(err)
	}
	return code
}
