package views

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// overKafka serves the bench from real views of a broker, with a registrations
// table whose partitions are as in the tests' tables.
func overKafka(t *testing.T) (b *bench, emitter *stream.Emitter) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	admin, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	tables := []topology.Topic{topology.RegistrationsTable, topology.PaymentsTable, topology.CatalogTable, topology.AttendeesTable}
	if err := stream.Ensure(t.Context(), admin, tables, testPartitions, 1); err != nil {
		t.Fatal(err)
	}
	cfg := stream.Config{Brokers: cluster.ListenAddrs(), DataDir: t.TempDir()}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	views := make([]*stream.View, len(tables))
	for i, table := range tables {
		if views[i], err = stream.NewView(cfg, "test", table, stream.ViewOptions{}); err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := views[i].Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	if emitter, err = stream.NewEmitter(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		running.Wait()
		if err := emitter.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b = newBench(t, func(c *Config) {
		c.Registrations, c.Payments, c.Events, c.Attendees = views[0], views[1], views[2], views[3]
	})
	return b.listen(t), emitter
}

// untilReady asks until every view has caught up.
func (b *bench) untilReady(t *testing.T) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for {
		if status, _, _ := b.get(t, "", "/readyz"); status == http.StatusOK {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("the views do not get ready")
		}
	}
}

// The whole read side over a broker: 503 until the views have caught up, a
// client that waits for its own write and one that follows are woken by the
// records, and what is listed is what was written.
func TestOverKafka(t *testing.T) {
	t.Parallel()
	b, emitter := overKafka(t)
	emit := func(table topology.Topic, key string, value proto.Message) {
		t.Helper()
		if _, err := emitter.Emit(t.Context(), table, key, value); err != nil {
			t.Fatal(err)
		}
	}
	b.untilReady(t)
	if status, header, body := b.get(t, ownKey, paths()["registration"]); status != http.StatusNotFound || !strings.HasPrefix(header.Get(headerAsOf), "registrations-table/") {
		t.Fatalf("before anything was written: %d %v %s", status, header, body)
	}
	answer := b.ask(t.Context(), paths()["registration"]+"?timeout=30s&wait_for="+waitFor(registrationID, 40), nil)
	early := at(pb.Step_STEP_HOLDING, 2)
	early.LastCommand = commandResult(registrationID, 40, pb.CommandVerdict_COMMAND_VERDICT_APPLIED, "")
	emit(topology.RegistrationsTable, registrationID.String(), early)
	if r := <-answer; r.status != http.StatusOK || !strings.Contains(r.body, `"status":"holding"`) {
		t.Fatalf("%v", r)
	}
	f := b.follow(t, eventsPath(), "")
	if id, _ := f.next(); id != "2" {
		t.Fatalf("following begins with version %q", id)
	}
	emit(topology.RegistrationsTable, registrationID.String(), confirmed())
	if id, data := f.next(); id != "6" || !strings.Contains(data, `"tickets":[`) {
		t.Fatalf("followed by version %q: %s", id, data)
	}
	emit(topology.CatalogTable, eventID.String(), event(eventID, begin))
	status, _, body := b.get(t, ownKey, paths()["event"]+"?timeout=30s&wait_for=catalog-commands/"+strings.Split(waitFor(eventID, 5), "/")[1]+"/5")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if got := b.walk(t, ownKey, "/v1/events", 10, func(int) {}); len(got) != 1 || got[0] != eventID.String() {
		t.Errorf("listed %v", got)
	}
}
