package deadletters

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	"github.com/eventpro/boxoffice/processors/attendees"
	"github.com/eventpro/boxoffice/processors/catalog"
	"github.com/eventpro/boxoffice/processors/inventory"
	"github.com/eventpro/boxoffice/processors/payments"
	"github.com/eventpro/boxoffice/processors/registrations"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// patience bounds every wait; nothing takes that long when it works.
const patience = 90 * time.Second

// world is a broker with the whole catalogue of topics.
type world struct {
	t       *testing.T
	brokers []string
	client  *kgo.Client
	dir     string
	index   *availability.Index // of the groups that run
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := stream.Ensure(t.Context(), client, topology.Topics(), 2, 1); err != nil {
		t.Fatal(err)
	}
	return &world{t: t, brokers: cluster.ListenAddrs(), client: client, dir: t.TempDir()}
}

func (w *world) options() Options { return Options{Brokers: w.brokers} }

func (w *world) config(role string) stream.Config {
	return stream.Config{
		Brokers: w.brokers, Member: "m", DataDir: w.dir + "/" + role, Registerer: prometheus.NewRegistry(),
		SessionTimeout: 3 * time.Second, HeartbeatInterval: 200 * time.Millisecond,
		AttemptsMax: 3, Retries: stream.Backoff{Min: time.Millisecond, Max: 4 * time.Millisecond},
	}
}

func (w *world) eventually(what string, ok func() error) {
	w.t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			w.t.Fatalf("%s: not after %v: %v", what, patience, err)
		}
	}
}

// put writes a message to its topic.
func (w *world) put(topic topology.Topic, key string, value proto.Message) {
	w.t.Helper()
	data, err := proto.Marshal(value)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.client.ProduceSync(w.t.Context(), &kgo.Record{Topic: topic.Name, Key: []byte(key), Value: data}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// read returns the committed records of topics as they are now.
func (w *world) read(topics ...topology.Topic) (list []*kgo.Record) {
	w.t.Helper()
	follower, err := stream.NewFollower(w.config("read"), topics, func(r *kgo.Record) { list = append(list, r) })
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- follower.Run(ctx) }()
	select {
	case <-follower.CaughtUp():
	case <-ctx.Done():
		w.t.Fatal("reading did not end")
	}
	cancel()
	<-ended
	return list
}

// ends is how many records, markers too, each topic has.
func (w *world) ends() string {
	w.t.Helper()
	ends, err := kadm.NewClient(w.client).ListEndOffsets(w.t.Context(), topology.RegistrationCommands.Name, topology.SeatCommands.Name,
		topology.PaymentCommands.Name, topology.RegistrationEvents.Name, topology.OperatorActions.Name, topology.DeadLetters.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(ends.Offsets().Sorted())
}

// bug says which records a broken program fails to handle.
type bug func(m *transition.Message) bool

// start starts every group, with or without a bug, and returns what stops them.
func (w *world) start(broken bug) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 10)
	running := 0
	run := func(what string, fn func(context.Context) error) {
		running++
		go func() {
			if err := fn(ctx); err != nil {
				ended <- fmt.Errorf("%s: %w", what, err)
				return
			}
			ended <- nil
		}()
	}
	index := availability.New(availability.Options{Seed: 1})
	w.index = index
	follower, err := stream.NewFollower(w.config("index"), []topology.Topic{topology.InventoryTable}, func(r *kgo.Record) { _ = index.ApplyRecord(r.Value) })
	if err != nil {
		w.t.Fatal(err)
	}
	run("index", follower.Run)
	<-follower.CaughtUp()
	index.SetRecovered(true)
	for _, p := range processors(index) {
		handle := p.Handle
		p.Handle = func(state proto.Message, m *transition.Message) (transition.Effect, error) {
			if broken != nil && broken(m) {
				return transition.Effect{}, errors.New("a bug")
			}
			return handle(state, m)
		}
		runner, err := stream.NewRunner(w.config(p.Group.Name), p)
		if err != nil {
			w.t.Fatal(err)
		}
		run(p.Group.Name, runner.Run)
	}
	gateway, err := stream.NewStage(w.config("gateway"), stream.Stage{Group: topology.Gateway, Handle: honest})
	if err != nil {
		w.t.Fatal(err)
	}
	run("gateway", gateway.Run)
	retrier, err := stream.NewRetrier(w.config("retries"), topology.Topics())
	if err != nil {
		w.t.Fatal(err)
	}
	run("retries", retrier.Run)
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		for range running {
			if err := <-ended; err != nil {
				w.t.Error(err)
			}
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// processors are all stateful groups. They ask again only after an hour, so that
// what is lost stays lost until it is redriven.
func processors(index *availability.Index) []stream.Processor {
	rules := registrations.DefaultRules()
	rules.ChargeTimeout, rules.HoldTimeout, rules.RedriveBase, rules.RedriveCap = time.Hour, time.Hour, time.Hour, time.Hour
	return []stream.Processor{
		catalog.New(catalog.Config{}), inventory.New(inventory.Config{}), attendees.New(attendees.Config{}),
		payments.New(payments.Config{AnswerWithin: time.Hour}),
		registrations.New(registrations.Config{Rules: rules, Availability: index}),
	}
}

// honest is a gateway whose provider does what it is asked.
func honest(_ context.Context, m *transition.Message) ([]transition.Output, error) {
	q := m.Value.(*pb.GatewayRequest)
	result := &pb.GatewayResult{
		PaymentId: q.PaymentId, Operation: q.Operation, IdempotencyKey: q.IdempotencyKey, Attempt: q.Attempt,
		Outcome: pb.GatewayOutcome_GATEWAY_OUTCOME_CAPTURED, ProviderReference: topology.KeyOf(q.IdempotencyKey),
		AmountMinor: q.AmountMinor, FeeMinor: 1, ProviderTimeUnixMs: 1_800_000_000_000,
	}
	if q.Operation == pb.GatewayOperation_GATEWAY_OPERATION_REFUND {
		result.Outcome, result.FeeMinor = pb.GatewayOutcome_GATEWAY_OUTCOME_REFUNDED, 0
	}
	return []transition.Output{{Topic: topology.GatewayResults.Name, Key: m.Key, Value: result}}, nil
}

// The sale: each event has one block of two seats, and one order that wants both.
const orders = 10

func eventOf(n int) uuid.UUID        { return topology.EventID("acme", fmt.Sprint("event-", n)) }
func registrationOf(n int) uuid.UUID { return topology.RegistrationID("acme", fmt.Sprint("order-", n)) }

func attendeeOf(n int) uuid.UUID { return topology.RegistrationID("acme", fmt.Sprint("attendee-", n)) }

func blockOf(n int) string   { e := eventOf(n); return topology.BlockKey(e[:], "regular", 1) }
func paymentOf(n int) string { return topology.PaymentID(registrationOf(n)).String() }

func (w *world) createEvents() {
	for n := range orders {
		id := eventOf(n)
		w.put(topology.CatalogCommands, id.String(), &pb.CatalogCommand{
			EventId: id[:], Organiser: "acme", BodyDigest: []byte("body"),
			Command: &pb.CatalogCommand_CreateEvent{CreateEvent: &pb.CreateEvent{
				Name: "Fair", Currency: "EUR", TicketTypes: []*pb.NewTicketType{{
					Id: "regular", Name: "Regular", PriceMinor: 4900, TaxMode: pb.TaxMode_TAX_MODE_EXEMPT, Capacity: 2, BlockSize: 2,
				}},
			}},
		})
	}
	w.eventually("every block is open", func() error {
		if n := len(w.tables(topology.InventoryTable)); n != orders {
			return fmt.Errorf("%d are", n)
		}
		for n := range orders {
			if id := eventOf(n); !w.index.Known(id[:], "regular") {
				return fmt.Errorf("event %d cannot be found yet", n)
			}
		}
		return nil
	})
}

func (w *world) order(n int) {
	id, event, attendee := registrationOf(n), eventOf(n), attendeeOf(n)
	w.put(topology.RegistrationCommands, id.String(), &pb.RegistrationCommand{
		RegistrationId: id[:], RequestTimeUnixMs: time.Now().UnixMilli(), BodyDigest: []byte("body"), Organiser: "acme",
		Command: &pb.RegistrationCommand_Register{Register: &pb.Register{
			EventId: event[:], AttendeeId: attendee[:], AttendeeSealed: []byte("sealed"), KeyId: "k1", Currency: "EUR", PaymentMethod: "tok_visa",
			Lines: []*pb.Line{{
				Line: 1, TicketType: "regular", Quantity: 2, UnitPriceMinor: 4900, TotalMinor: 9800, TaxMode: pb.TaxMode_TAX_MODE_EXEMPT,
			}},
		}},
	})
}

func (w *world) cancel(n int) {
	id := registrationOf(n)
	w.put(topology.RegistrationCommands, id.String(), &pb.RegistrationCommand{
		RegistrationId: id[:], RequestTimeUnixMs: time.Now().UnixMilli(), Organiser: "acme",
		Command: &pb.RegistrationCommand_Cancel{Cancel: &pb.CancelRegistration{}},
	})
}

// tables are the last values of every key, without what must differ between two
// runs: times, positions.
func (w *world) tables(topics ...topology.Topic) map[string]proto.Message {
	w.t.Helper()
	if len(topics) == 0 {
		topics = []topology.Topic{topology.CatalogTable, topology.InventoryTable, topology.RegistrationsTable, topology.PaymentsTable, topology.AttendeesTable}
	}
	values := map[string]proto.Message{}
	for _, t := range topics {
		for _, r := range w.read(t) {
			m := t.New()
			if err := proto.Unmarshal(r.Value, m); err != nil {
				w.t.Fatal(err)
			}
			timeless(m.ProtoReflect())
			values[t.Name+"/"+string(r.Key)] = m
		}
	}
	return values
}

// timeless clears times and the last command's position, at any depth.
func timeless(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(f.Name())
		switch {
		case strings.HasSuffix(name, "_unix_ms"), name == "last_command":
			m.Clear(f)
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				timeless(v.List().Get(i).Message())
			}
		case f.Message() != nil && !f.IsMap() && !f.IsList():
			timeless(v.Message())
		}
		return true
	})
}

// differences says in which values two worlds differ.
func differences(want, have map[string]proto.Message) error {
	var errs []error
	for key, w := range want {
		if h := have[key]; h == nil || !proto.Equal(w, h) {
			errs = append(errs, fmt.Errorf("%s is\n%v\nand not\n%v", key, have[key], w))
		}
	}
	if len(have) != len(want) {
		errs = append(errs, fmt.Errorf("%d values, not %d", len(have), len(want)))
	}
	return errors.Join(errs...)
}

// settled says which of the orders are not settled.
func (w *world) settled(numbers ...int) error {
	values := w.tables(topology.RegistrationsTable)
	for _, n := range numbers {
		r, _ := values[topology.RegistrationsTable.Name+"/"+registrationOf(n).String()].(*pb.Registration)
		if !r.GetSettled() {
			return fmt.Errorf("order %d is %v", n, r)
		}
	}
	return nil
}

// behind says which group has not read all of its inputs.
func (w *world) behind() error {
	admin := kadm.NewClient(w.client)
	for _, g := range topology.Groups() {
		if g.Name == topology.ClickHouseSink.Name {
			continue
		}
		at, err := admin.FetchOffsets(w.t.Context(), g.Name)
		if err != nil {
			return err
		}
		for _, topic := range g.Inputs {
			ends, err := admin.ListEndOffsets(w.t.Context(), topic.Name)
			if err != nil {
				return err
			}
			last := map[int32]int64{}
			for _, r := range w.read(topic) {
				last[r.Partition] = r.Offset + 1
			}
			for id := range ends[topic.Name] {
				if o, _ := at.Lookup(topic.Name, id); last[id] > o.At {
					return fmt.Errorf("%s has read %s/%d up to %d of %d", g.Name, topic.Name, id, o.At, last[id])
				}
			}
		}
	}
	return nil
}
