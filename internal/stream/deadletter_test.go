package stream

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

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
	for verdict, n := range map[string]float64{"applied": 60, "replayed": 0, "rejected": 1, "dead_lettered": 4, "": 65} {
		if got := metric(t, cfg.Registerer, "records_total", verdict); got != n {
			t.Errorf("verdict %q: %v, want %v", verdict, got, n)
		}
	}
	if got := metric(t, cfg.Registerer, "consumed_records_total", ""); got != 65 {
		t.Errorf("consumed %v, want 65", got)
	}
	if got := metric(t, cfg.Registerer, "refused_records_total", "not_today"); got != 1 {
		t.Errorf("rejected for not_today: %v", got)
	}
}

// An error that is no rejection, which passes: the transaction is aborted, the
// session starts again, and nothing is lost or counted twice.
func TestErrorsRestartTheSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var failures atomic.Int64
	handle := func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		if m.Key == key(3) && failures.Add(1) <= 3 {
			if failures.Load() == 2 {
				panic("a bug that passes")
			}
			return transition.Effect{}, errors.New("it will pass")
		}
		return add(state, m)
	}
	b.produce(numbers.Name, 10, 20)
	cfg := b.config("a")
	b.start(cfg, Processor{Group: count, Handle: handle})
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(10, 20)
	if n := len(b.read(DeadLetterTopic.Name)); n != 0 {
		t.Fatalf("%d dead letters", n)
	}
	if n := metric(t, cfg.Registerer, "session_restarts_total", ""); n != 3 {
		t.Fatalf("%v restarts, want 3", n)
	}
}

// A record that fails each time must not stop its partition for ever: after
// the attempts it is a dead letter with its error, and what follows goes on.
func TestARecordThatAlwaysFailsIsBuried(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	handle := func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		if value(m.Value) == 13 {
			return transition.Effect{}, errors.New("division by zero")
		}
		return add(state, m)
	}
	b.produce(numbers.Name, 10, 5)
	b.write(record(numbers.Name, key(3), 13))
	b.produce(numbers.Name, 10, 5)
	cfg := b.config("a")
	cfg.AttemptsMax = 3
	b.start(cfg, Processor{Group: count, Handle: handle})
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(10, 10)
	dead := b.read(DeadLetterTopic.Name)
	if len(dead) != 1 {
		t.Fatalf("%d dead letters", len(dead))
	}
	if d := dead[0]; header(d, HeaderErrorClass) != ClassError || header(d, HeaderAttempt) != "3" || !strings.Contains(header(d, HeaderDetail), "division by zero") {
		t.Fatalf("letter %v", d.Headers)
	}
}

// When it is the program that fails and not the records, the group stops
// before it has buried them all.
func TestTooManyFailuresStopTheGroup(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.produce(numbers.Name, 50, 1)
	cfg := b.config("a")
	cfg.AttemptsMax, cfg.DeadLetterBudget = 1, 10
	cfg.BatchRecordsMax = 4
	r := b.start(cfg, Processor{Group: count, Handle: func(proto.Message, *transition.Message) (transition.Effect, error) {
		return transition.Effect{}, errors.New("a bug in the handler")
	}})
	b.eventually("more than the budget is spent", func() bool { return len(b.read(DeadLetterTopic.Name)) > 10 })
	if err := r.stop(); !errors.Is(err, ErrBudget) {
		t.Fatalf("stopped with %v, want ErrBudget", err)
	}
	if n := len(b.read(DeadLetterTopic.Name)); n > 20 {
		t.Fatalf("%d were buried, the budget is 10", n)
	}
}

// A dead letter that is sent again and dies again: its attempts add up, and
// the time of its first death stays.
func TestALetterThatDiesAgain(t *testing.T) {
	t.Parallel()
	l := letter{class: ClassPoison, reason: "r", attempt: 2}
	at := Position{"t", 1, 2}
	carried := []kgo.RecordHeader{
		{Key: HeaderAttempt, Value: []byte("5")},
		{Key: HeaderFirstFailedAt, Value: []byte("2026-01-01T00:00:00Z")},
		{Key: HeaderReason, Value: []byte("old")},
		{Key: "trace", Value: []byte("x")},
	}
	r := &kgo.Record{Headers: l.headers("g", at, carried)}
	if header(r, HeaderAttempt) != "7" || header(r, HeaderFirstFailedAt) != "2026-01-01T00:00:00Z" || header(r, HeaderReason) != "r" || header(r, "trace") != "x" {
		t.Fatalf("%v", r.Headers)
	}
}
