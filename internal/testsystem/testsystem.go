// Package testsystem runs the real groups and the simulated provider on an
// embedded Kafka inside a test, for tools that work on a whole system.
package testsystem

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/processors/attendees"
	"github.com/eventpro/boxoffice/processors/catalog"
	"github.com/eventpro/boxoffice/processors/gateway"
	"github.com/eventpro/boxoffice/processors/inventory"
	"github.com/eventpro/boxoffice/processors/payments"
	"github.com/eventpro/boxoffice/processors/registrations"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// patience bounds every wait; nothing waits that long when it works.
const patience = time.Minute

// Partitions of every topic.
const Partitions = 2

// Price of a ticket, in cents.
const Price = 2500

// Organiser of everything.
const Organiser = "acme"

// Options change a system.
type Options struct {
	Payments payments.Config
	Rules    registrations.Rules
	// Brokers are those of a cluster of the test's own; the system has one when nil.
	Brokers []string
}

// System is a running one.
type System struct {
	tb          testing.TB
	ctx         context.Context
	client      *kgo.Client
	Brokers     []string
	ProviderURL string
	Event       uuid.UUID
}

// Start runs everything until the test ends, and puts an event with that many
// places on sale.
func Start(tb testing.TB, places uint32, o Options) *System {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	_ = tb.TempDir() // first, so that directories go last, when nobody writes to one any more
	if o.Brokers == nil {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.GroupMinSessionTimeout(100*time.Millisecond))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(cluster.Close)
		o.Brokers = cluster.ListenAddrs()
	}
	s := &System{tb: tb, ctx: ctx, Brokers: o.Brokers, Event: topology.EventID(Organiser, "fair")}
	var err error
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(s.Brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.client.Close)
	if err := stream.Ensure(ctx, s.client, topology.Topics(), Partitions, 3); err != nil {
		tb.Fatal(err)
	}
	var running sync.WaitGroup
	tb.Cleanup(func() { cancel(); running.Wait() })
	run := func(what string, fn func(context.Context) error) {
		running.Go(func() {
			if err := fn(ctx); err != nil && ctx.Err() == nil {
				tb.Errorf("%s ended: %v", what, err)
			}
		})
	}
	s.startProvider(run)
	s.startGroups(run, o)
	s.openEvent(places)
	return s
}

func (s *System) startProvider(run func(string, func(context.Context) error)) {
	s.tb.Helper()
	p, err := provider.Open(provider.Options{Dir: s.tb.TempDir(), Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		s.tb.Fatal(err)
	}
	s.ProviderURL = "http://" + p.Addr()
	run("the provider", p.Serve)
}

// log collects what the groups warn of, and shows it when the test has failed.
func (s *System) log() *slog.Logger {
	lines := new(lines)
	s.tb.Cleanup(func() {
		if s.tb.Failed() {
			s.tb.Logf("what the groups said:\n%s", lines)
		}
	})
	return slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// lines is a buffer that several goroutines write.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (s *System) startGroups(run func(string, func(context.Context) error), o Options) {
	s.tb.Helper()
	must := func(err error) {
		if err != nil {
			s.tb.Fatal(err)
		}
	}
	cfg := stream.Config{
		Logger: s.log(), Brokers: s.Brokers, Member: "test", DataDir: s.tb.TempDir(), Registerer: prometheus.NewRegistry(),
		SessionTimeout: 3 * time.Second, HeartbeatInterval: 200 * time.Millisecond, TransactionTimeout: 3 * time.Second,
		RestartBackoffMin: time.Millisecond, RestartBackoffMax: 100 * time.Millisecond,
		TimerInterval: 10 * time.Millisecond, TimerBackoffMin: 20 * time.Millisecond,
	}
	index := availability.New(availability.Options{Seed: 1})
	follower, err := stream.NewFollower(cfg, []topology.Topic{topology.InventoryTable}, func(r *kgo.Record) {
		if err := index.ApplyRecord(r.Value); err != nil {
			s.tb.Error(err)
		}
	})
	must(err)
	run("availability", follower.Run)
	<-follower.CaughtUp()
	index.SetRecovered(true)
	stage, err := gateway.New(gateway.Config{BaseURL: s.ProviderURL, Timeout: time.Second, Tries: 1, BreakerPause: 50 * time.Millisecond})
	must(err)
	calls, err := stream.NewStage(cfg, stage)
	must(err)
	run("gateway", calls.Run)
	retries, err := stream.NewRetrier(cfg, topology.Topics())
	must(err)
	run("retries", retries.Run)
	ready := []func() bool{calls.Ready, retries.Ready}
	for _, p := range []stream.Processor{
		catalog.New(catalog.Config{}), inventory.New(inventory.Config{}), attendees.New(attendees.Config{}),
		payments.New(o.Payments), registrations.New(registrations.Config{Rules: o.Rules, Availability: index}),
	} {
		runner, err := stream.NewRunner(cfg, p)
		must(err)
		run(p.Group.Name, runner.Run)
		ready = append(ready, runner.Ready)
	}
	s.Eventually("all groups are ready", func() error {
		for i, ok := range ready {
			if !ok() {
				return fmt.Errorf("number %d is not", i)
			}
		}
		return nil
	})
}

func (s *System) openEvent(places uint32) {
	s.tb.Helper()
	s.Send(topology.CatalogCommands, s.Event.String(), &pb.CatalogCommand{
		EventId: s.Event[:], Organiser: Organiser, BodyDigest: []byte("fair"), RequestTimeUnixMs: time.Now().UnixMilli(),
		Command: &pb.CatalogCommand_CreateEvent{CreateEvent: &pb.CreateEvent{
			Name: "Fair", Currency: "EUR", SaleEndsUnixMs: time.Now().Add(time.Hour).UnixMilli(),
			StartsAtUnixMs: time.Now().Add(2 * time.Hour).UnixMilli(),
			TicketTypes:    []*pb.NewTicketType{{Id: "seat", Name: "Seat", PriceMinor: Price, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, Capacity: places, BlockSize: 50}},
		}},
	})
	s.Eventually("the event is on sale", func() error {
		e := new(pb.Event)
		if !s.Last(topology.CatalogTable, s.Event.String(), e) || e.Status != pb.EventStatus_EVENT_STATUS_ON_SALE {
			return fmt.Errorf("it is %v", e)
		}
		return nil
	})
}

// Send produces one message.
func (s *System) Send(t topology.Topic, key string, m proto.Message) {
	s.tb.Helper()
	value, err := proto.Marshal(m)
	if err != nil {
		s.tb.Fatal(err)
	}
	if err := s.client.ProduceSync(s.ctx, &kgo.Record{Topic: t.Name, Key: []byte(key), Value: value}).FirstErr(); err != nil {
		s.tb.Fatal(err)
	}
}

// Register asks for one ticket and returns the registration's id.
func (s *System) Register(key string) uuid.UUID {
	s.tb.Helper()
	id := topology.RegistrationID(Organiser, key)
	attendee := topology.RegistrationID("attendee", key)
	s.Send(topology.RegistrationCommands, id.String(), &pb.RegistrationCommand{
		RegistrationId: id[:], Organiser: Organiser, BodyDigest: []byte(key), RequestTimeUnixMs: time.Now().UnixMilli(),
		Command: &pb.RegistrationCommand_Register{Register: &pb.Register{
			EventId: s.Event[:], AttendeeId: attendee[:], Currency: "EUR", PaymentMethod: "card_1", EventVersion: 1,
			Lines: []*pb.Line{{Line: 1, TicketType: "seat", Quantity: 1, UnitPriceMinor: Price, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, TotalMinor: Price}},
		}},
	})
	return id
}

// Cancel asks for the cancellation of a registration.
func (s *System) Cancel(id uuid.UUID) {
	s.tb.Helper()
	s.Send(topology.RegistrationCommands, id.String(), &pb.RegistrationCommand{
		RegistrationId: id[:], Organiser: Organiser, BodyDigest: []byte("cancel"), RequestTimeUnixMs: time.Now().UnixMilli(),
		Command: &pb.RegistrationCommand_Cancel{Cancel: &pb.CancelRegistration{}},
	})
}

// Await waits until a registration's value satisfies ok.
func (s *System) Await(id uuid.UUID, what string, ok func(*pb.Registration) bool) *pb.Registration {
	s.tb.Helper()
	r := new(pb.Registration)
	s.Eventually("registration "+id.String()+" is "+what, func() error {
		if !s.Last(topology.RegistrationsTable, id.String(), r) || !ok(r) {
			return fmt.Errorf("it is %v", r)
		}
		return nil
	})
	return r
}

// Settled says whether a registration waits for nothing.
func Settled(r *pb.Registration) bool { return r.Settled }

// Last reads the committed value that a table has for a key.
func (s *System) Last(table topology.Topic, key string, into proto.Message) (found bool) {
	s.tb.Helper()
	for _, r := range s.Records(table) {
		if string(r.Key) == key {
			proto.Reset(into)
			if err := proto.Unmarshal(r.Value, into); err != nil {
				s.tb.Fatal(err)
			}
			found = true
		}
	}
	return found
}

// Records are the committed records of a topic now, in order for each key.
func (s *System) Records(t topology.Topic) []*kgo.Record {
	s.tb.Helper()
	records, err := read(s.ctx, s.Brokers, t)
	if err != nil {
		s.tb.Fatal(err)
	}
	return records
}

// Behave changes the provider's behaviour.
func (s *System) Behave(b provider.Behaviour) {
	s.tb.Helper()
	body, err := json.Marshal(b)
	if err != nil {
		s.tb.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPut, s.ProviderURL+"/v1/behaviour", bytes.NewReader(body))
	if err != nil {
		s.tb.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		s.tb.Fatalf("the provider answers %s", res.Status)
	}
}

// Eventually polls until fn returns nil, and fails with its last error.
func (s *System) Eventually(what string, fn func() error) {
	s.tb.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := fn()
		if err == nil {
			return
		}
		select {
		case <-limit.C:
			s.tb.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-tick.C:
		}
	}
}
