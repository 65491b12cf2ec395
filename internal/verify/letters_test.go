package verify

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// lastRecord is the last one of a key in a topic.
func lastRecord(t *testing.T, o Options, topic topology.Topic, key string) (last *kgo.Record) {
	t.Helper()
	client := clientOf(t, o)
	ends := cut{}
	if err := ends.add(t.Context(), kadm.NewClient(client), topic); err != nil {
		t.Fatal(err)
	}
	rd := topicreader.Reader{Brokers: o.Brokers, Patience: o.ReadPatience}
	part := map[int32]int64{}
	for id, end := range ends.of(topic.Name) {
		part[id] = end
	}
	found := make(chan *kgo.Record, 1000)
	if err := rd.Read(t.Context(), topic, nil, part, func(r *kgo.Record) error {
		if string(r.Key) == key {
			found <- r
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	close(found)
	for r := range found {
		last = r
	}
	if last == nil {
		t.Fatalf("%s has no record of %s", topic.Name, key)
	}
	return last
}

// again is a record in another topic, after a number of failed attempts.
func again(r *kgo.Record, in topology.Topic, attempts int) *kgo.Record {
	headers := []kgo.RecordHeader{
		{Key: headerTopic, Value: []byte(r.Topic)},
		{Key: headerPartition, Value: fmt.Append(nil, r.Partition)},
		{Key: headerOffset, Value: fmt.Append(nil, r.Offset)},
		{Key: headerReason, Value: []byte("failed")},
		{Key: headerAttempt, Value: fmt.Append(nil, attempts)},
	}
	if in.Name != topology.DeadLetters.Name {
		headers = append(headers, kgo.RecordHeader{Key: headerNotBefore, Value: []byte("2026-09-21T12:00:00Z")})
	}
	return &kgo.Record{Topic: in.Name, Key: r.Key, Value: r.Value, Headers: headers}
}

func clientOf(t *testing.T, o Options) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(o.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func put(t *testing.T, o Options, records ...*kgo.Record) {
	t.Helper()
	for _, r := range records {
		r := *r
		if err := clientOf(t, o).ProduceSync(t.Context(), &r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// handle commits a group's inputs up to their ends.
func handle(t *testing.T, o Options, g topology.Group) {
	t.Helper()
	admin := kadm.NewClient(clientOf(t, o))
	ends, err := admin.ListEndOffsets(t.Context(), names(g.Inputs)...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CommitOffsets(t.Context(), g.Name, ends.Offsets()); err != nil {
		t.Fatal(err)
	}
}

func names(topics []topology.Topic) (list []string) {
	for _, t := range topics {
		list = append(list, t.Name)
	}
	return list
}

// I7: an order's handling fails, is put off, fails again when it comes back, and
// dies: at each step it is known where the order is, and when a step is missing
// the order is missed.
func TestACommandThatIsPutOff(t *testing.T) {
	t.Parallel()
	b := newBooks()
	grace := topology.RegistrationID("acme", "grace")
	b.command(grace, &pb.RegistrationCommand{Command: &pb.RegistrationCommand_Register{Register: &pb.Register{EventId: fair[:]}}})
	o := b.options(t)
	o.AtRest = false
	check := func(step string, open int64, broken []string, said string) {
		t.Helper()
		r := verify(t, o)
		expect(t, r, broken, said)
		if broken == nil && r.Open != open {
			t.Fatalf("%s: %d are open, want %d\n%s", step, r.Open, open, text(r))
		}
	}
	order := lastRecord(t, o, topology.RegistrationCommands, grace.String())
	check("handled, and nothing else", 0, []string{"I2", "I7"}, "has no answer")
	put(t, o, again(order, topology.Retries, 1))
	check("put off", 1, nil, "")
	handle(t, o, topology.Retrier)
	check("gone from the retries", 0, []string{"I7"}, "never came back")
	put(t, o, again(order, topology.RegistrationCommands, 1))
	check("back, and not handled", 1, nil, "")
	handle(t, o, topology.Registrations)
	check("back and handled, and nothing else", 0, []string{"I2", "I7"}, "has no answer")
	put(t, o, again(order, topology.Retries, 2))
	check("put off once more", 1, nil, "")
	put(t, o, again(order, topology.RegistrationCommands, 2))
	handle(t, o, topology.Retrier)
	handle(t, o, topology.Registrations)
	put(t, o, again(order, topology.DeadLetters, 3), again(order, topology.DeadLetters, 3)) // it came back twice
	o.AtRest = true
	check("dead", 0, nil, "")
	r := verify(t, o)
	if i, _ := r.Invariant("I7"); !strings.Contains(i.Detail, "1 dead letters, 0 waiting; 2 put off to be tried again, 0 of them not back yet") {
		t.Errorf("I7 says %q", i.Detail)
	}
	if r.PutOff["registration-commands: failed"] != 2 {
		t.Errorf("put off: %v", r.PutOff)
	}
}

// A block's answer and a payment's version come to the registrations again, since
// their handling had failed. To the books and to ClickHouse they are no news;
// without the headers they would be a second version (I8, I9).
func TestWhatComesBackIsNoNews(t *testing.T) {
	t.Parallel()
	o := newBooks().options(t)
	payment := lastRecord(t, o, topology.PaymentEvents, alice.String())
	put(t, o, again(payment, topology.PaymentEvents, 1), again(lastRecord(t, o, topology.SeatEvents, alice.String()), topology.SeatEvents, 1))
	handle(t, o, topology.Registrations)
	load(t, &o)
	expect(t, verify(t, o), nil, "")
	put(t, o, &kgo.Record{Topic: payment.Topic, Key: payment.Key, Value: payment.Value})
	handle(t, o, topology.Registrations)
	o.ClickHouseURL = ""
	expect(t, verify(t, o), []string{"I9"}, "comes after version")
}
