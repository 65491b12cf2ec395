package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// installation is a front door with a real producer and a real view over Kafka's
// protocol, and clients of it.
type installation struct {
	*bench
	cluster *kfake.Cluster
	kafka   *kgo.Client
	emitter *stream.Emitter
	url     string
}

// kafkaDeadline bounds each wait; nothing waits that long when it works.
const kafkaDeadline = 30 * time.Second

const partitions = 4

func install(t *testing.T, change ...func(*Config)) *installation {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	ctx, cancel := context.WithTimeout(context.Background(), kafkaDeadline)
	t.Cleanup(cancel)
	admin := kafkaClient(t, cluster)
	topics := []topology.Topic{topology.CatalogCommands, topology.RegistrationCommands, topology.CatalogTable}
	if err := stream.Ensure(ctx, admin, topics, partitions, 3); err != nil {
		t.Fatal(err)
	}
	cfg := stream.Config{Brokers: cluster.ListenAddrs(), Member: "test", DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
	emitter, err := stream.NewEmitter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = emitter.Close(ctx) })
	if _, err := emitter.Emit(ctx, topology.CatalogTable, eventID.String(), conference()); err != nil {
		t.Fatal(err)
	}
	view, err := stream.NewView(cfg, "ingest", topology.CatalogTable, stream.ViewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	viewEnded := make(chan error, 1)
	running, stop := context.WithCancel(context.Background()) // for as long as the test takes
	go func() { viewEnded <- view.Run(running) }()
	t.Cleanup(func() { stop(); <-viewEnded })
	b := newBench(t, append([]func(*Config){func(c *Config) {
		c.Producer, c.Catalogue, c.UnknownEventWait = emitter, view, 5*time.Second
	}}, change...)...)
	poll(t, view.Ready)
	url, _ := b.listen()
	kafka := kafkaClient(t, cluster, kgo.ConsumeTopics(topology.RegistrationCommands.Name))
	return &installation{bench: b, cluster: cluster, kafka: kafka, emitter: emitter, url: url}
}

func kafkaClient(t *testing.T, cluster *kfake.Cluster, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(options, kgo.SeedBrokers(cluster.ListenAddrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func poll(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(kafkaDeadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("did not happen in time")
		}
	}
}

func (i *installation) client(options ...client.Option) *client.Client {
	i.t.Helper()
	c, err := client.New(i.url, "", goodKey, options...)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(c.Close)
	return c
}

// records reads n commands from the log.
func (i *installation) records(n int) map[client.Position]*kgo.Record {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), kafkaDeadline)
	defer cancel()
	found := map[client.Position]*kgo.Record{}
	for len(found) < n {
		fetches := i.kafka.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			i.t.Fatalf("%d of %d records: %v", len(found), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			found[client.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}] = r
		})
	}
	return found
}

func clientOrder(key string) *client.Order {
	return &client.Order{
		Key: key, EventID: eventID.String(), Email: "ada@example.com", Name: "Ada", PaymentMethod: "tok_visa",
		Lines: []client.OrderLine{{TicketType: "standard", Quantity: 1}},
	}
}

// Two clients send the same registration at the same time: one id, and each 202
// names the place of a record that is in the log under that id's key.
func TestKafkaOneRegistration(t *testing.T) {
	t.Parallel()
	i := install(t)
	clients := []*client.Client{i.client(), i.client()}
	accepted := make([]client.Accepted, len(clients))
	var wg sync.WaitGroup
	for n, c := range clients {
		wg.Go(func() {
			var err error
			if accepted[n], err = c.Register(t.Context(), clientOrder("same")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	id := registrationID("same").String()
	records := i.records(len(clients))
	for _, a := range accepted {
		r := records[a.Position]
		var cmd pb.RegistrationCommand
		if a.RegistrationID != id || r == nil || string(r.Key) != id || proto.Unmarshal(r.Value, &cmd) != nil || cmd.GetRegister().GetLines()[0].TotalMinor != 11900 {
			t.Errorf("%+v names the record %v", a, r)
		}
		if want := stream.Partition(id, partitions); r != nil && r.Partition != want {
			t.Errorf("partition %d, want %d", r.Partition, want)
		}
	}
}

// Many orders go through the batch door: every one is answered in order with the
// place of its record.
func TestKafkaBatch(t *testing.T) {
	t.Parallel()
	const orders = 3000
	i := install(t)
	b, err := i.client().RegisterBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for n := range orders {
			if err := b.Send(clientOrder(fmt.Sprint("batch-", n))); err != nil {
				t.Error(err)
				return
			}
		}
		if err := b.CloseSend(); err != nil {
			t.Error(err)
		}
	}()
	var answers []client.Result
	for {
		r, err := b.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, r)
	}
	if len(answers) != orders {
		t.Fatalf("%d answers", len(answers))
	}
	records := i.records(orders)
	for n, a := range answers {
		id := registrationID(fmt.Sprint("batch-", n)).String()
		if r := records[a.Position]; a.Index != n || a.Status != http.StatusAccepted || a.RegistrationID != id || r == nil || string(r.Key) != id {
			t.Fatalf("answer %d: %+v", n, a)
		}
	}
}

// An event appears in the table while its registration waits: it is accepted.
func TestKafkaEventJustCreated(t *testing.T) {
	t.Parallel()
	i := install(t)
	event := conference()
	id := topology.EventID(organiser, "late")
	event.EventId = id[:]
	order := clientOrder("early")
	order.EventID = id.String()
	done := make(chan error, 1)
	go func() { _, err := i.client().Register(t.Context(), order); done <- err }()
	poll(t, func() bool { return len(i.events.waiting) == 1 })
	if _, err := i.emitter.Emit(t.Context(), topology.CatalogTable, id.String(), event); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Kafka goes away: 503 with Retry-After, and the key is not taken for used.
func TestKafkaGoesAway(t *testing.T) {
	t.Parallel()
	i := install(t)
	c := i.client(client.WithAttempts(1))
	if _, err := c.Register(t.Context(), clientOrder("before")); err != nil {
		t.Fatal(err)
	}
	i.cfg.ProduceTimeout = 200 * time.Millisecond
	i.cluster.Close()
	_, err := c.Register(t.Context(), clientOrder("after"))
	var problem *client.Error
	if !errors.As(err, &problem) || problem.Status != 503 || problem.Code != "kafka_unavailable" || problem.RetryAfter == 0 ||
		problem.Instance != "/v1/registrations/"+registrationID("after").String() {
		t.Errorf("answered %v", err)
	}
	if i.recent.use(registrationID("after"), [32]byte{}) != keyUnseen {
		t.Error("an order that was not accepted is remembered")
	}
}
