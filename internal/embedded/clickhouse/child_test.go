package clickhouse_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse"
)

// children are the programs that this test binary plays for the tests that need a process of their own.
var children = map[string]func() int{"serve": serveChild, "reopen": reopenChild}

// serveChild runs a server with the options in its environment until SIGTERM, and prints its address first.
func serveChild() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGXFSZ) // so that a limit on the size of files is an error of the write, as a full disk is
	library, err := clickhouse.Locate("", os.Getenv("BOXOFFICE_CHDB_LIB"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	options := clickhouse.Options{Library: library} // unless the options name another
	if err := json.Unmarshal([]byte(os.Getenv("BOXOFFICE_TEST_OPTIONS")), &options); err != nil {
		fmt.Println(err)
		return 1
	}
	server, err := clickhouse.Open(options)
	if err != nil {
		fmt.Println("refused:", err)
		return 1
	}
	fmt.Println("serving", server.Addr())
	if err := server.Serve(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("stopped")
	return 0
}

// reopenChild opens one directory after the other, adds a row to each and prints how many it has.
func reopenChild() int {
	library, err := clickhouse.Locate("", os.Getenv("BOXOFFICE_CHDB_LIB"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, dir := range filepath.SplitList(os.Getenv("BOXOFFICE_TEST_DIRS")) {
		if err := addRow(library, dir); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}

func addRow(library, dir string) error {
	server, err := clickhouse.Open(clickhouse.Options{Library: library, DataDir: dir})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(ctx) }()
	for _, statement := range []string{"CREATE TABLE IF NOT EXISTS t (n UInt8) ENGINE = MergeTree ORDER BY n", "INSERT INTO t VALUES (1)", "SELECT count() FROM t"} {
		response, err := http.Post("http://"+server.Addr(), "text/plain", strings.NewReader(statement))
		if err != nil {
			return err
		}
		_, _ = io.Copy(os.Stdout, response.Body)
		_ = response.Body.Close()
	}
	cancel()
	return <-stopped
}

// child is a server in a process of its own.
type child struct {
	cmd   *exec.Cmd
	addr  string
	lines *bufio.Scanner

	mu     sync.Mutex
	stderr bytes.Buffer
}

// startChild starts a child and returns it with the first line that it printed: its address, or why it refused.
func startChild(t *testing.T, o childOptions) (*child, string) {
	t.Helper()
	options, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(executable)}
	c.cmd.Env = append(os.Environ(), "BOXOFFICE_TEST_CHILD=serve", "BOXOFFICE_TEST_OPTIONS="+string(options))
	c.cmd.Stderr = writerFunc(func(p []byte) (int, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.stderr.Write(p)
	})
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
	c.lines = bufio.NewScanner(out)
	line := c.line()
	c.addr = strings.TrimPrefix(line, "serving ")
	return c, line
}

// childOptions are the fields of [clickhouse.Options] that the tests set.
type childOptions struct {
	DataDir        string
	Library        string `json:",omitempty"`
	Workers, Queue int    `json:",omitempty"`
	MaxMemoryBytes int64  `json:",omitempty"`
}

// serve starts a child on dir that has to start well.
func serve(t *testing.T, dir string) *child {
	t.Helper()
	return serveWith(t, childOptions{DataDir: dir})
}

func serveWith(t *testing.T, o childOptions) *child {
	t.Helper()
	c, line := startChild(t, o)
	if !strings.HasPrefix(line, "serving ") {
		t.Fatalf("the server did not start: %s %s", line, c.errors())
	}
	return c
}

// line returns the child's next line of output, empty when it has ended.
func (c *child) line() string {
	if !c.lines.Scan() {
		return ""
	}
	return c.lines.Text()
}

func (c *child) errors() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stderr.String()
}

func (c *child) connect(t *testing.T) ch.Conn {
	t.Helper()
	return connect(t, func(o *ch.Options) { o.Addr = []string{c.addr} })
}

// kill ends the child as a power cut would end the process: without a chance to write anything.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait()
}

// stop ends the child with SIGTERM and checks that it ended well.
func (c *child) stop(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if line := c.line(); line != "stopped" {
		t.Fatalf("on SIGTERM the server printed %q: %s", line, c.errors())
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("on SIGTERM the server ended with %v: %s", err, c.errors())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// eventually polls a condition for at most a minute.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after a minute still not: %s", what)
		}
	}
}
