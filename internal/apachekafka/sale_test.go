//go:build apachekafka

package apachekafka

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse/clickhousetest"
	"github.com/eventpro/boxoffice/internal/rebuild"
	"github.com/eventpro/boxoffice/internal/testsystem"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/verify"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// engineURL is the one ClickHouse of this process.
var engineURL string

func TestMain(m *testing.M) {
	os.Exit(clickhousetest.Main(m, func(url string) error { engineURL = url; return nil }))
}

const database = "apachekafka"

// Tickets are sold while each broker in turn is killed with kill -9, stays away,
// comes back and catches up. What is sold while one is away is settled while it is
// away. Afterwards every order is settled, every invariant holds, ClickHouse
// included, and a rebuild finds nothing to mend.
func TestASaleWhileBrokersAreKilled(t *testing.T) {
	c := startCluster(t)
	s := testsystem.Start(t, 5_000, testsystem.Options{Brokers: c.brokers()})
	startLoader(t, s)
	stop := sell(s)
	for n := range nodes {
		c.inSync(nodes)
		c.kill(n)
		for i := range 5 {
			s.Await(s.Register(fmt.Sprintf("without-%d-%d", n+1, i)), "settled without a broker", testsystem.Settled)
		}
		c.start(n)
	}
	c.inSync(nodes)
	orders := stop()
	t.Logf("%d orders were placed meanwhile", len(orders))
	s.Eventually("all are confirmed", func() error { return allConfirmed(s, orders) })
	s.BooksHold(verify.Options{ClickHouseURL: engineURL, ClickHouseDB: database, AtRest: true})
	o := rebuild.ClickHouseOptions{
		Brokers: s.Brokers, URL: engineURL, Database: database, Swap: true, By: rebuild.Person{Name: "ana", Note: "a look"}, Logger: slog.New(slog.DiscardHandler),
	}
	if r, err := rebuild.ClickHouse(t.Context(), o); err != nil || r.Differ > 0 {
		t.Errorf("rebuild of ClickHouse: %+v, %v", r, err)
	}
	for _, group := range []string{topology.Registrations.Name, topology.Payments.Name} {
		r, err := rebuild.Table(t.Context(), rebuild.TableOptions{Brokers: s.Brokers, Group: group, Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil || r.Differ > 0 || r.LiveKeys == 0 {
			t.Errorf("rebuild of table %s: %+v, %v", group, r, err)
		}
	}
}

// sell places orders, one after the other, until it is stopped.
func sell(s *testsystem.System) (stop func() []uuid.UUID) {
	ctx, cancel := context.WithCancel(context.Background())
	sold := make(chan []uuid.UUID, 1)
	go func() {
		var ids []uuid.UUID
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil && len(ids) < 4_000 {
			ids = append(ids, s.Register(fmt.Sprint("meanwhile-", len(ids))))
			<-tick.C
		}
		sold <- ids
	}()
	return func() []uuid.UUID { cancel(); return <-sold }
}

func allConfirmed(s *testsystem.System, orders []uuid.UUID) error {
	confirmed := map[string]bool{}
	for _, r := range s.Records(topology.RegistrationsTable) {
		v := new(pb.Registration)
		if err := proto.Unmarshal(r.Value, v); err != nil {
			return err
		}
		confirmed[string(r.Key)] = v.Settled && v.Outcome == pb.Outcome_OUTCOME_CONFIRMED
	}
	for i, id := range orders {
		if !confirmed[id.String()] {
			return fmt.Errorf("order %d of %d, %s, is not", i+1, len(orders), id)
		}
	}
	return nil
}

func startLoader(t *testing.T, s *testsystem.System) {
	t.Helper()
	loader, err := clickhouse.New(clickhouse.Config{Brokers: s.Brokers, URL: engineURL, Database: database, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := loader.Run(ctx); err != nil {
			t.Errorf("the loader ended: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}
