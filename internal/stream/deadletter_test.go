package stream

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/transition"
)

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// metric adds up a metric's series that have the label value (any, if empty).
func metric(t testing.TB, reg prometheus.Registerer, name, label string) float64 {
	t.Helper()
	families, err := reg.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != namespace+"_"+name {
			continue
		}
		for _, m := range f.Metric {
			if hasLabel(m, label) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func hasLabel(m *dto.Metric, value string) bool {
	for _, l := range m.Label {
		if value == "" || l.GetValue() == value {
			return true
		}
	}
	return false
}

// Rule 8 and I7: among good records come one that is no message, one without a
// value, one that the handler calls poison, one in a foreign partition and one
// that is rejected. The good ones are handled, each of the others ends where
// it belongs, and the counts add up. The headers say where it came from.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	handle := func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		switch value(m.Value) {
		case 13:
			return transition.Effect{}, transition.Poisoned("unlucky", "thirteen")
		case 14:
			return transition.Effect{Verdict: transition.Rejected, Reason: "not_today"}, nil
		}
		return add(state, m)
	}
	b.produce(numbers.Name, 10, 3)
	foreign := record(numbers.Name, key(0), 1)
	foreign.Partition = (Partition(key(0), testPartitions) + 1) % testPartitions
	manual := b.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := manual.ProduceSync(b.ctx, foreign).FirstErr(); err != nil {
		t.Fatal(err)
	}
	garbage := &kgo.Record{Topic: numbers.Name, Key: []byte("bad"), Value: []byte{0xff, 0xff}, Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("t1")}}}
	b.write(garbage, &kgo.Record{Topic: numbers.Name, Key: []byte("nil")}, record(numbers.Name, "p", 13), record(numbers.Name, "r", 14))
	cfg := b.config("a")
	r := b.start(cfg, Processor{Group: count, Handle: handle})
	b.ready(r)
	b.produce(numbers.Name, 10, 3)
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(10, 6)

	reasons := map[string]string{}
	for _, d := range b.read(DeadLetterTopic.Name) {
		reasons[string(d.Key)] = header(d, HeaderErrorClass) + " " + header(d, HeaderReason)
		if string(d.Key) != "bad" {
			continue
		}
		at := Position{numbers.Name, garbage.Partition, garbage.Offset}
		if string(d.Value) != "\xff\xff" || header(d, "trace") != "t1" || header(d, HeaderID) != DeadLetterID(at) ||
			header(d, HeaderOriginalTopic) != numbers.Name || header(d, HeaderOriginalPartition) != fmt.Sprint(at.Partition) ||
			header(d, HeaderOriginalOffset) != fmt.Sprint(at.Offset) || header(d, HeaderAttempt) != "1" || header(d, HeaderFirstFailedAt) == "" {
			t.Errorf("the letter of the garbage is %q with %v", d.Value, d.Headers)
		}
	}
	want := map[string]string{"bad": "undecodable undecodable", "nil": "undecodable undecodable", "p": "poison unlucky", key(0): "poison wrong_partition"}
	if fmt.Sprint(reasons) != fmt.Sprint(want) {
		t.Errorf("dead letters %v, want %v", reasons, want)
	}
	b.eventually("all is counted", func() bool { // a moment after others can read it
		return metric(t, cfg.Registerer, "consumed_records_total", "") == 65 && metric(t, cfg.Registerer, "dead_letters_total", "") == 4
	})
	for verdict, n := range map[string]float64{"applied": 60, "replayed": 0, "rejected": 1, "retried": 0, "dead_lettered": 4, "": 65} {
		if got := metric(t, cfg.Registerer, "records_total", verdict); got != n {
			t.Errorf("verdict %q: %v, want %v", verdict, got, n)
		}
	}
	if got := metric(t, cfg.Registerer, "dead_letters_total", ClassPoison); got != 2 {
		t.Errorf("%v letters are poison, want 2", got)
	}
	if got := metric(t, cfg.Registerer, "refused_records_total", "not_today"); got != 1 {
		t.Errorf("rejected for not_today: %v", got)
	}
}

// A dead letter that is sent again and dies again: its attempts add up, the time
// of its first death stays, and it is another letter.
func TestALetterThatDiesAgain(t *testing.T) {
	t.Parallel()
	at := Position{"t", 1, 2}
	carried := []kgo.RecordHeader{
		{Key: HeaderID, Value: []byte("old")},
		{Key: HeaderOriginalTopic, Value: []byte("t")},
		{Key: HeaderOriginalPartition, Value: []byte("1")},
		{Key: HeaderOriginalOffset, Value: []byte("0")},
		{Key: HeaderAttempt, Value: []byte("5")},
		{Key: HeaderFirstFailedAt, Value: []byte("2026-01-01T00:00:00Z")},
		{Key: HeaderReason, Value: []byte("old")},
		{Key: HeaderRedriveOf, Value: []byte("old")},
		{Key: "trace", Value: []byte("x")},
	}
	l := newLetter(at, carried, time.Unix(1, 0), transition.Poisoned("r", "d"))
	r := &kgo.Record{Headers: l.dead("g", carried)}
	for key, want := range map[string]string{
		HeaderAttempt: "6", HeaderFirstFailedAt: "2026-01-01T00:00:00Z", HeaderReason: "r", "trace": "x",
		HeaderID: DeadLetterID(at), HeaderOriginalOffset: "2", HeaderRedriveOf: "old",
	} {
		if got := header(r, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// A redriven record is put off, comes back, and dies: the attempts since the
// redrive decide when it dies, the letter has those before it as well, and its
// original is the redriven record, not the copy that came back.
func TestAttemptsBeforeARedriveOnlyAddUp(t *testing.T) {
	t.Parallel()
	redriven := []kgo.RecordHeader{{Key: HeaderAttempt, Value: []byte("5")}, {Key: HeaderFirstFailedAt, Value: []byte("2026-01-01T00:00:00Z")}}
	l := newLetter(Position{"t", 1, 7}, redriven, time.Unix(1, 0), errors.New("again"))
	if l.attempt != 1 || !l.before {
		t.Fatalf("attempt %d, failed before: %v", l.attempt, l.before)
	}
	l = newLetter(Position{"t", 1, 9}, l.putOff("g", redriven, time.Unix(2, 0)), time.Unix(3, 0), errors.New("and again"))
	r := &kgo.Record{Headers: l.dead("g", redriven)}
	if l.attempt != 2 || header(r, HeaderAttempt) != "7" || header(r, HeaderOriginalOffset) != "7" {
		t.Fatalf("attempt %d, letter %v", l.attempt, r.Headers)
	}
}
