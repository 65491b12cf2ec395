package clickhouse

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	embedded "github.com/eventpro/boxoffice/internal/embedded/clickhouse"
	"github.com/eventpro/boxoffice/internal/topology"
)

// server is the one engine of this process.
var server *embedded.Server

// TestMain starts the engine. It is needed: without the library the tests fail,
// they are never skipped.
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	library, err := embedded.Locate("", os.Getenv("BOXOFFICE_CHDB_LIB"))
	if err != nil {
		return fail(err)
	}
	dir, err := os.MkdirTemp("", "sink")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	if server, err = embedded.Open(embedded.Options{Library: library, DataDir: dir}); err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	code := m.Run()
	cancel()
	if err := <-ended; err != nil {
		return fail(err)
	}
	return code
}

func serverURL() string { return "http://" + server.Addr() }

// newDatabase returns the name of a database of the test's own, not made yet, and
// a connection to it.
func newDatabase(t testing.TB) (string, *sql.DB) {
	t.Helper()
	name := "t_" + strings.ToLower(strings.NewReplacer("/", "_", " ", "_").Replace(t.Name()))
	db, err := OpenDB(serverURL(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("DROP DATABASE IF EXISTS " + name + " SYNC"); err != nil {
			t.Error(err)
		}
		_ = db.Close()
	})
	return name, db
}

// newKafka returns brokers with the loader's input topics, of four partitions.
func newKafka(t testing.TB) []string {
	t.Helper()
	var topics []string
	for _, topic := range topology.ClickHouseSink.Inputs {
		topics = append(topics, topic.Name)
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

// produce appends messages under their keys, in order.
func produce(t testing.TB, brokers []string, records ...*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ProducerBatchMaxBytes(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func record(t testing.TB, topic topology.Topic, key string, m proto.Message) *kgo.Record {
	t.Helper()
	value, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: topic.Name, Key: []byte(key), Value: value}
}

// start runs a sink until the test, or stop, ends it.
func start(t testing.TB, cfg Config) (s *Sink, stop func()) {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the sink ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

func caughtUp(t testing.TB, s *Sink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
}

// lines returns what a query answers, one line a row, tabs between the columns.
func lines(t testing.TB, db *sql.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, strings.TrimSuffix(strings.ReplaceAll(fmt.Sprintln(values...), " ", "\t"), "\n"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// named is a typed query parameter.
func named(name, value string) any { return ch.Named(name, value) }
