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

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse/clickhousetest"
	"github.com/eventpro/boxoffice/internal/topology"
)

// engineURL is the one engine of this process.
var engineURL string

func TestMain(m *testing.M) {
	os.Exit(clickhousetest.Main(m, func(url string) error { engineURL = url; return nil }))
}

// newDatabase returns the name of a database of the test's own, not made yet, and
// a connection to it.
func newDatabase(t testing.TB) (string, *sql.DB) {
	t.Helper()
	name := "t_" + strings.ToLower(strings.NewReplacer("/", "_", " ", "_").Replace(t.Name()))
	db, err := OpenDB(engineURL, name)
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
	return newCluster(t).ListenAddrs()
}

// newCluster is for those who make the brokers fail.
func newCluster(t testing.TB) *kfake.Cluster {
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
	return c
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

// load writes a batch as the loader does.
func load(t testing.TB, database string, b *batch) {
	t.Helper()
	schema, err := SchemaVersion(t.Context(), engineURL, database)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := openWriter(engineURL, database, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := &writer{conn: conn, timeout: time.Minute, schema: schema}
	for _, table := range b.rows() {
		if err := w.insert(t.Context(), table, token(schema, b.spans)); err != nil {
			t.Fatal(err)
		}
	}
}
