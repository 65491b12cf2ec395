package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
)

// quick are pauses that a test need not wait for.
var quick = Backoff{Min: time.Millisecond, Max: 4 * time.Millisecond}

// bring runs the stage that brings back what was put off.
func (b *bench) bring(cfg Config) *StageRunner {
	b.t.Helper()
	r, err := NewRetrier(cfg, []topology.Topic{numbers, more})
	if err != nil {
		b.t.Fatal(err)
	}
	b.run(r.Run)
	return r
}

// counted fails unless what was consumed ended in exactly one way each (I7).
func (b *bench) counted(cfg Config) {
	b.t.Helper()
	b.eventually("what was consumed is what ended somewhere", func() bool {
		return metric(b.t, cfg.Registerer, "consumed_records_total", count.Name) == metric(b.t, cfg.Registerer, "records_total", count.Name)
	})
}

// An error, then a panic, then an error, which pass: the record comes back three
// times, is handled once, and nothing else is held up, lost, or handled twice.
func TestAFailureThatPasses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var failures atomic.Int64
	handle := func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		if value(m.Value) == 100 {
			switch failures.Add(1) {
			case 1, 3:
				return transition.Effect{}, errors.New("it will pass")
			case 2:
				panic("a bug that passes")
			}
		}
		return add(state, m)
	}
	b.produce(numbers.Name, 10, 20)
	b.write(record(numbers.Name, key(3), 100))
	b.produce(numbers.Name, 10, 20)
	cfg := b.config("a")
	cfg.Retries = quick
	r := b.start(cfg, Processor{Group: count, Handle: handle})
	b.bring(b.config("a"))
	b.ready(r)
	b.eventually("the sum is whole", func() bool {
		v, err := r.Get(key(3))
		return err == nil && v != nil && value(v) == 140
	})
	b.counted(cfg)
	if n := len(b.read(DeadLetterTopic.Name)); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	if got := metric(t, cfg.Registerer, "session_restarts_total", ""); got != 0 {
		t.Errorf("%v restarts", got)
	}
	if got := metric(t, cfg.Registerer, "records_total", "retried"); got != 3 {
		t.Errorf("%v were put off, want 3", got)
	}
}

// A record fails each time while others of its partition, and of its key, come
// after it. They are handled at once, though it is not due for an hour.
func TestARecordThatIsPutOffHoldsNothingUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k0, k1 := samePartition()
	b.write(record(numbers.Name, k0, 13), record(numbers.Name, k0, 1), record(numbers.Name, k1, 1))
	cfg := b.config("a")
	cfg.Retries = Backoff{Min: time.Hour, Max: time.Hour}
	r := b.start(cfg, Processor{Group: count, Handle: failing(13)})
	b.bring(b.config("a"))
	b.ready(r)
	b.eventually("the neighbours are handled", func() bool {
		v0, err0 := r.Get(k0)
		v1, err1 := r.Get(k1)
		return err0 == nil && err1 == nil && v0 != nil && v1 != nil && value(v0) == 1 && value(v1) == 1
	})
	b.consumed(count.Name, numbers.Name)
	if n := len(b.read(RetryTopic.Name)); n != 1 {
		t.Fatalf("%d wait to be tried again, want 1", n)
	}
}

// failing is the counting handler with a bug: it fails for one number.
func failing(n int64) Handler {
	return func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		if value(m.Value) == n {
			return transition.Effect{}, errors.New("division by zero")
		}
		return add(state, m)
	}
}

// A record that fails each time is tried after pauses that grow up to their cap,
// then it is a dead letter, with all its attempts and where it was first. Another
// topic's record of the same group shares nothing with it.
func TestPausesGrowThenTheRecordIsBuried(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bad := record(numbers.Name, key(3), 13)
	bad.Headers = []kgo.RecordHeader{{Key: "trace", Value: []byte("t1")}}
	b.write(bad)
	b.produce(more.Name, 10, 5)
	cfg := b.config("a")
	cfg.AttemptsMax, cfg.Retries = 5, quick
	now := time.Now()
	cfg.Clock = func() time.Time { return now }
	b.start(cfg, Processor{Group: count, Handle: failing(13)})
	back := b.config("a")
	back.Clock = cfg.Clock
	b.bring(back)
	b.eventually("it is dead", func() bool { return len(b.read(DeadLetterTopic.Name)) == 1 })
	b.consumed(count.Name, more.Name)
	b.sumsExact(10, 5)
	b.counted(cfg)
	id := DeadLetterID(Position{numbers.Name, bad.Partition, bad.Offset})
	var pauses []time.Duration
	for _, r := range b.read(RetryTopic.Name) {
		due, err := time.Parse(time.RFC3339Nano, header(r, HeaderNotBefore))
		if err != nil {
			t.Fatal(err)
		}
		pauses = append(pauses, due.Sub(now))
		if header(r, HeaderAttempt) != fmt.Sprint(len(pauses)) || due.Sub(now) != quick.Pause(len(pauses), id) || header(r, "trace") != "t1" {
			t.Errorf("put off %d times: %v", len(pauses), r.Headers)
		}
	}
	if len(pauses) != 4 || !slices.IsSorted(pauses[:3]) {
		t.Errorf("the pauses are %v", pauses)
	}
	d := b.read(DeadLetterTopic.Name)[0]
	for key, want := range map[string]string{
		HeaderErrorClass: ClassError, HeaderReason: ReasonFailed, HeaderAttempt: "5", HeaderID: id, HeaderGroup: count.Name,
		HeaderOriginalTopic: numbers.Name, HeaderOriginalOffset: fmt.Sprint(bad.Offset), HeaderNotBefore: "", "trace": "t1",
	} {
		if got := header(d, key); got != want {
			t.Errorf("the letter's %s is %q, want %q", key, got, want)
		}
	}
	if !strings.Contains(header(d, HeaderDetail), "division by zero") {
		t.Errorf("the letter's detail is %q", header(d, HeaderDetail))
	}
}

// What comes of a record that was put off once is a message like any other: if
// it carried the history of its cause, it would be taken for a retry itself.
func TestHistoryIsNotPassedOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var failed atomic.Bool
	b.write(record(numbers.Name, key(0), 1))
	cfg := b.config("a")
	cfg.Retries = quick
	b.start(cfg, Processor{Group: count, Handle: func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		if !failed.Swap(true) {
			return transition.Effect{}, errors.New("once")
		}
		return add(state, m)
	}})
	b.bring(b.config("a"))
	b.eventually("it is handled", func() bool { return len(b.read(sums.Name)) == 1 })
	if h := b.read(sums.Name)[0].Headers; len(h) != 0 {
		t.Fatalf("its output carries %v", h)
	}
}

// A timer whose handling fails is not put off: its deadline stands, so the next
// timer is its retry, and a hundred of them would only pile up.
func TestATimerIsItsOwnRetry(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	group := count
	group.Timers = more
	var timers atomic.Int64
	b.write(record(numbers.Name, key(0), 1))
	cfg := b.config("a")
	cfg.AttemptsMax = 2
	b.start(cfg, Processor{
		Group: group,
		Handle: func(state proto.Message, m *transition.Message) (transition.Effect, error) {
			if m.Topic == more.Name && timers.Add(1) <= 3 {
				return transition.Effect{}, errors.New("a bug in the timer")
			}
			effect, err := add(state, m)
			return effect, err
		},
		Deadline: func(value []byte) (int64, bool) {
			v := new(wrapperspb.Int64Value)
			return 1, proto.Unmarshal(value, v) == nil && v.Value == 1
		},
		Timer: func(string, time.Time) proto.Message { return wrapperspb.Int64(1) },
	})
	b.eventually("the state has moved on", func() bool { return len(b.read(sums.Name)) >= 2 })
	b.counted(cfg)
	if n := len(b.read(RetryTopic.Name)) + len(b.read(DeadLetterTopic.Name)); n != 0 {
		t.Fatalf("%d timers were put off or buried", n)
	}
}

// The table's value of one key is garbage. Its records end as dead letters that
// say so, and all other keys of its partition go on.
func TestADamagedStateConcernsItsKeyAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k0, k1 := samePartition()
	b.write(&kgo.Record{Topic: table.Name, Key: []byte(k0), Value: []byte{0xff, 0xff}}, record(numbers.Name, k0, 1), record(numbers.Name, k1, 1))
	cfg := b.config("a")
	cfg.AttemptsMax, cfg.Retries = 2, quick
	b.start(cfg, Processor{Group: count, Handle: add})
	b.bring(b.config("a"))
	b.eventually("its record is a dead letter", func() bool { return len(b.read(DeadLetterTopic.Name)) == 1 })
	if d := b.read(DeadLetterTopic.Name)[0]; string(d.Key) != k0 || header(d, HeaderReason) != ReasonDamagedState {
		t.Fatalf("the letter of %s says %v", d.Key, d.Headers)
	}
	b.eventually("the neighbour is handled", func() bool { return len(b.read(sums.Name)) == 1 })
}

// brokenTable is Goka's context of a record when the table cannot be read. Fail
// ends the session as Goka's does, by a panic.
type brokenTable struct {
	gokaContext
	marked error
}

type gokaContext = goka.Context // an embedded field of its own name would hide its method

var errFailed = errors.New("failed")

func (*brokenTable) Topic() goka.Stream         { return goka.Stream(numbers.Name) }
func (*brokenTable) Partition() int32           { return 0 }
func (*brokenTable) Offset() int64              { return 0 }
func (*brokenTable) Key() string                { return "k" }
func (*brokenTable) Timestamp() time.Time       { return time.Time{} }
func (*brokenTable) Value() any                 { panic("the disk is gone") }
func (b *brokenTable) DeferCommit() func(error) { return func(err error) { b.marked = err } }
func (*brokenTable) Fail(error)                 { panic(errFailed) }

// A table that cannot be read is no fault of the record, and must not be taken for
// the handler's: it is neither put off nor buried, it ends the session.
func TestATableThatCannotBeReadEndsTheSession(t *testing.T) {
	t.Parallel()
	r, err := NewRunner(Config{Brokers: []string{"127.0.0.1:1"}, Member: "a", DataDir: t.TempDir()}, Processor{Group: count, Handle: add})
	if err != nil {
		t.Fatal(err)
	}
	ctx := &brokenTable{}
	defer func() {
		if p, _ := recover().(error); !errors.Is(p, errFailed) || ctx.marked == nil {
			t.Fatalf("it ended with %v, the deferred commit with %v", p, ctx.marked)
		}
	}()
	r.handle(ctx, &payload{})
	t.Fatal("the session goes on")
}

// When it is the program that fails and not the records, the group stops within
// its budget and says so, also when it is started again in the same process; what
// it had no budget for is still there for the mended program.
func TestTooManyFailuresStopTheGroup(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.produce(numbers.Name, 50, 1)
	cfg := b.config("a")
	cfg.AttemptsMax, cfg.FailuresMax, cfg.FailuresOf = 1, 10, 1000
	cfg.BatchRecordsMax = 4
	broken, err := NewRunner(cfg, Processor{Group: count, Handle: func(proto.Message, *transition.Message) (transition.Effect, error) {
		return transition.Effect{}, errors.New("a bug in the handler")
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := broken.Run(b.ctx); !errors.Is(err, ErrBudget) {
			t.Fatalf("stopped with %v, want ErrBudget", err)
		}
	}
	dead := len(b.read(DeadLetterTopic.Name))
	if dead > 10 {
		t.Fatalf("%d were buried, the budget is 10", dead)
	}
	cfg = b.config("a")
	b.start(cfg, Processor{Group: count, Handle: add})
	b.consumed(count.Name, numbers.Name)
	if handled := len(b.read(sums.Name)); handled+dead != 50 {
		t.Fatalf("%d were handled and %d buried, of 50", handled, dead)
	}
}

// One in a hundred fails, which is within a budget of one in ten, however long it
// goes on; then one in five does, which is not.
func TestTheBudgetIsARatio(t *testing.T) {
	t.Parallel()
	b := &budget{max: 10, of: 100}
	run := func(batches, records, failed int) error {
		for range batches {
			b.begin()
			for range failed {
				if err := b.spend(); err != nil {
					return err
				}
			}
			b.committed(records)
		}
		return nil
	}
	if err := run(1000, 20, 1); err != nil {
		t.Fatalf("one in twenty: %v", err)
	}
	for range 100 { // aborted: what they spent is given back
		b.begin()
		if err := b.spend(); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(10, 20, 4); !errors.Is(err, ErrBudget) {
		t.Fatalf("one in five: %v", err)
	}
}

// One record is not due for an hour, one is no retry at all, and one is due: that
// one comes back, the second is a dead letter, and the first is kept.
func TestNoRetryWaitsForAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	put := func(key string, due time.Time) *kgo.Record {
		l := newLetter(Position{numbers.Name, Partition(key, testPartitions), 7}, nil, time.Now(), errors.New("x"))
		r := record(RetryTopic.Name, key, 1)
		r.Headers = l.putOff(count.Name, []kgo.RecordHeader{{Key: "trace", Value: []byte(key)}}, due)
		return r
	}
	k0, k1 := samePartition()
	lost := put(k1, time.Now())
	lost.Headers = append(lost.Headers[:0:0], kgo.RecordHeader{Key: HeaderOriginalTopic, Value: []byte("nowhere")})
	b.write(put(k0, time.Now().Add(time.Hour)), lost, put(k1, time.Now()))
	cfg := b.config("a")
	b.bring(cfg)
	b.eventually("the one that is due is back", func() bool { return len(b.read(numbers.Name)) == 1 })
	if r := b.read(numbers.Name)[0]; string(r.Key) != k1 || header(r, "trace") != k1 || r.Partition != Partition(k1, testPartitions) || header(r, HeaderAttempt) != "1" {
		t.Fatalf("what came back is %s in partition %d with %v", r.Key, r.Partition, r.Headers)
	}
	b.eventually("what is no retry is a dead letter", func() bool { return len(b.read(DeadLetterTopic.Name)) == 1 })
	if d := b.read(DeadLetterTopic.Name)[0]; header(d, HeaderReason) != ClassUndecodable || header(d, HeaderOriginalTopic) != RetryTopic.Name {
		t.Fatalf("the letter says %v", d.Headers)
	}
	b.eventually("one waits", func() bool { return gauge(t, cfg, "retries_waiting") == 1 })
}

// A stop does not wait for what is not due.
func TestAStopDoesNotWaitForRetries(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := record(RetryTopic.Name, key(0), 1)
	r.Headers = newLetter(Position{numbers.Name, 0, 7}, nil, time.Now(), errors.New("x")).putOff(count.Name, nil, time.Now().Add(time.Hour))
	b.write(r)
	cfg := b.config("a")
	s, err := NewRetrier(cfg, []topology.Topic{numbers})
	if err != nil {
		t.Fatal(err)
	}
	stop := b.run(s.Run)
	b.eventually("it waits", func() bool { return gauge(t, cfg, "retries_waiting") == 1 })
	if err := stop(); err != nil { // fails after drainTimeout only if it waits
		t.Fatal(err)
	}
	if gauge(t, cfg, "retries_waiting") != 0 {
		t.Fatal("it still waits")
	}
}

// gauge is the value of a metric without labels.
func gauge(t testing.TB, cfg Config, name string) float64 {
	t.Helper()
	families, err := cfg.Registerer.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == namespace+"_"+name {
			return f.Metric[0].GetGauge().GetValue()
		}
	}
	return -1
}

// A stage has one worker, and one key fails for ever. The messages of other keys
// are handled nevertheless: a pause holds no worker.
func TestAFailingKeyHoldsNoWorker(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k0, k1 := samePartition()
	var mu sync.Mutex
	handled := 0
	b.write(record(numbers.Name, k0, 1))
	for range 5 {
		b.write(record(numbers.Name, k1, 1))
	}
	cfg := b.config("a")
	cfg.RestartBackoffMin, cfg.RestartBackoffMax = time.Hour, time.Hour
	b.startStage(cfg, Stage{Group: outside, Workers: 1, Handle: func(_ context.Context, m *transition.Message) ([]transition.Output, error) {
		if m.Key == k0 {
			return nil, errors.New("the provider is away")
		}
		mu.Lock()
		defer mu.Unlock()
		handled++
		return nil, nil
	}})
	b.eventually("the other key is handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return handled == 5
	})
}

// Pauses grow, stay within half of their bound and all of it, differ between
// records, and are the same each time for one.
func TestPauses(t *testing.T) {
	t.Parallel()
	b := Backoff{Min: time.Second, Max: 10 * time.Second}
	seen := map[time.Duration]bool{}
	for n, most := range []time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 60: 10 * time.Second} {
		if most == 0 {
			continue
		}
		for i := range 100 {
			p := b.Pause(n, key(i))
			if p < most/2 || p > most || p != b.Pause(n, key(i)) {
				t.Fatalf("attempt %d pauses for %v, want %v to %v", n, p, most/2, most)
			}
			seen[p] = true
		}
	}
	if len(seen) < 500 {
		t.Fatalf("600 pauses have %d lengths", len(seen))
	}
}
