package clickhouse

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
)

// bulkLoad loads everything that the topics have into a database.
func bulkLoad(ctx context.Context, t *testing.T, brokers []string, url, database string) error {
	t.Helper()
	schema, err := Migrate(ctx, engineURL, database)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenBulk(url, database, schema, time.Minute, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.writer.timeout = 500 * time.Millisecond
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := topicreader.Ends(ctx, kadm.NewClient(client), topology.ClickHouseSink.Inputs...)
	if err != nil {
		t.Fatal(err)
	}
	rd := topicreader.Reader{Brokers: brokers}
	for _, topic := range topology.ClickHouseSink.Inputs {
		if err := rd.Read(ctx, topic, nil, ends[topic.Name], func(r *kgo.Record) error { return b.Take(ctx, r) }); err != nil {
			t.Fatal(err)
		}
	}
	return b.Flush(ctx)
}

// I8: a bulk load makes the same rows as the loader, though the first insert into
// each table goes wrong.
func TestBulkMishaps(t *testing.T) {
	t.Parallel()
	for _, m := range mishaps {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			brokers, proxy := newKafka(t), newOnce(t, m.do)
			produce(t, brokers, story(t)...)
			name, _ := newDatabase(t)
			if err := bulkLoad(t.Context(), t, brokers, proxy.URL, name); err != nil {
				t.Fatal(err)
			}
			for _, table := range Tables() {
				if proxy.first(table) {
					t.Errorf("no insert into %s went wrong", table)
				}
			}
			golden(t, "story.golden.txt", facts(t, name))
		})
	}
}

// A table is dropped under a bulk load. It says so at once: no patience brings it
// back.
func TestBulkIntoADroppedTable(t *testing.T) {
	t.Parallel()
	name, db := newDatabase(t)
	schema, err := Migrate(t.Context(), engineURL, name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenBulk(engineURL, name, schema, time.Hour, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := db.ExecContext(t.Context(), "DROP TABLE payments SYNC"); err != nil {
		t.Fatal(err)
	}
	for _, r := range story(t) {
		if err := b.Take(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := b.Flush(ctx); !Gone(err) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "payments") {
		t.Fatalf("%v", err)
	}
}
