package systemtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
)

// kafka is a client that writes where it is told to, as a broken producer does.
func (s *system) kafkaClient(t *testing.T, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(more, kgo.SeedBrokers(s.brokers()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// firstRecord is one of the records of a topic.
func (s *system) firstRecord(t *testing.T, topic string) *kgo.Record {
	t.Helper()
	c := s.kafkaClient(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var first *kgo.Record
	eventually(t, topic+" has a record", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), patience/10)
		defer cancel()
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) { first = r })
		if first == nil {
			return fmt.Errorf("it has none")
		}
		return nil
	})
	return first
}

// poison is a record that no part of the system would have written.
type poison struct {
	what  string
	key   string
	value []byte
	// misplaced puts it into a partition that is not its key's.
	misplaced bool
	// harmless: it looks like a late timer, or like a repeated request to the
	// provider, and changes nothing.
	harmless bool
	// letter is the dead letter's reason; empty when there are several.
	letter string
}

func poisons(topic topology.Topic, real *kgo.Record) []poison {
	timer := topic.Name == topology.RegistrationTimers.Name || topic.Name == topology.PaymentTimers.Name
	strange := uuid.NewSHA1(uuid.NameSpaceURL, []byte(topic.Name)).String()
	list := []poison{
		{what: "garbage", key: strange, value: []byte("\xff\xff\xffgarbage"), letter: stream.ClassUndecodable},
		{what: "garbage without a key", value: []byte("\xff\xff\xffgarbage")},
		{what: "no value", key: strange, letter: stream.ClassUndecodable},
		{what: "an empty value", key: strange, value: []byte{}, harmless: timer},
	}
	if real != nil {
		list = append(list,
			poison{what: "a message under another's key", key: strange, value: real.Value, harmless: timer},
			poison{
				what: "a message in another partition", key: string(real.Key), value: real.Value, misplaced: true, letter: "wrong_partition",
				harmless: topic.Name == topology.GatewayRequests.Name,
			})
	}
	return list
}

// put writes a poison and returns where it is.
func (s *system) put(t *testing.T, c *kgo.Client, topic string, p poison) stream.Position {
	t.Helper()
	partition := stream.Partition(p.key, topology.EmbeddedPartitions)
	if p.misplaced {
		partition = (partition + 1) % topology.EmbeddedPartitions
	}
	r := &kgo.Record{Topic: topic, Partition: partition, Value: p.value}
	if p.key != "" {
		r.Key = []byte(p.key)
	}
	if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatalf("%s into %s: %v", p.what, topic, err)
	}
	return stream.Position{Topic: topic, Partition: r.Partition, Offset: r.Offset}
}

// deadLetters is every dead letter's reason, by where its record was.
func (s *system) deadLetters(t *testing.T, want []stream.Position) map[stream.Position]string {
	t.Helper()
	c := s.kafkaClient(t, kgo.ConsumeTopics(topology.DeadLetters.Name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	found := map[stream.Position]string{}
	eventually(t, "every poison has its dead letter", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), patience/10)
		defer cancel()
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			at, reason := origin(r)
			found[at] = reason
		})
		for _, at := range want {
			if found[at] == "" {
				return fmt.Errorf("%v has none; there are %v", at, found)
			}
		}
		return nil
	})
	return found
}

func origin(r *kgo.Record) (at stream.Position, reason string) {
	for _, h := range r.Headers {
		switch h.Key {
		case stream.HeaderOriginalTopic:
			at.Topic = string(h.Value)
		case stream.HeaderOriginalPartition:
			n, _ := strconv.Atoi(string(h.Value))
			at.Partition = int32(n)
		case stream.HeaderOriginalOffset:
			at.Offset, _ = strconv.ParseInt(string(h.Value), 10, 64)
		case stream.HeaderReason:
			reason = string(h.Value)
		}
	}
	return at, reason
}

// handled says whether a group with dead letters reads a topic; the loader
// notes what it cannot read in the audit trail instead.
func handled(topic topology.Topic) bool {
	return slices.ContainsFunc(topology.Groups(), func(g topology.Group) bool {
		return g.Name != topology.ClickHouseSink.Name &&
			slices.ContainsFunc(g.Inputs, func(in topology.Topic) bool { return in.Name == topic.Name })
	})
}

func loaded(topic topology.Topic) bool {
	return slices.ContainsFunc(topology.ClickHouseSink.Inputs, func(in topology.Topic) bool { return in.Name == topic.Name })
}

// A broken producer writes what cannot be into every topic, tables and dead
// letters too: what a group reads ends in the dead letters with the reason (I7),
// what only the loader reads is noted in the audit trail, and orders are served
// as before, also after a restart.
func TestPoisonOnEveryTopic(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	event := s.newEvent(t, "poison", 60, func(e *client.NewEvent) { e.MaxPerAttendee = 2 })
	bought := s.buy(t, event, "before-poison")
	if _, err := s.client.Cancel(bounded(t), s.buy(t, event, "cancelled-before").RegistrationID, "cancel", ""); err != nil {
		t.Fatal(err)
	}
	producer := s.kafkaClient(t)
	var letters []stream.Position
	reasons := map[stream.Position]string{}
	var audited []stream.Position
	for _, topic := range topology.Topics() {
		var real *kgo.Record
		if topic.New != nil && !strings.HasSuffix(topic.Name, "-timers") && topic.Name != topology.OperatorActions.Name {
			real = s.firstRecord(t, topic.Name)
		}
		for _, p := range poisons(topic, real) {
			at := s.put(t, producer, topic.Name, p)
			if handled(topic) && !p.harmless {
				letters = append(letters, at)
				reasons[at] = p.letter
			}
			if loaded(topic) && (p.letter == stream.ClassUndecodable || len(p.value) == 0) {
				audited = append(audited, at)
			}
		}
	}
	found := s.deadLetters(t, letters)
	for at, want := range reasons {
		if want != "" && found[at] != want {
			t.Errorf("%v ended as %q, want %q", at, found[at], want)
		}
	}
	s.awaitAudited(t, audited)
	for _, key := range []string{"after-poison", "after-restart"} {
		for i := range 2 * topology.EmbeddedPartitions {
			s.buy(t, event, fmt.Sprintf("%s-%d", key, i))
		}
		if again := s.awaitSettled(t, bought.RegistrationID); again.Status != "confirmed" || again.Version != bought.Version {
			t.Errorf("it was %+v, is %+v", *bought, *again)
		}
		s.get(t, "/v1/events")
		s.get(t, "/v1/events/"+event+"/availability")
		s.get(t, "/v1/attendees/"+bought.AttendeeID+"/registrations")
		if key == "after-poison" {
			s.stop(t)
			s = s.restart(t)
		}
	}
}

// get wants a look-up to be answered.
func (s *system) get(t *testing.T, path string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url(s.views)+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || err != nil {
		t.Errorf("GET %s answered %s %s (%v)", path, res.Status, body, err)
	}
}
