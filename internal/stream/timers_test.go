package stream

import (
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
)

// The waking group stores a deadline for each key and closes it (a negative
// one) when a timer message says that it has come.
var (
	wakes     = topology.Topic{Name: "wakes", Key: "name", New: newInt, Cleanup: topology.Delete}
	wakeTable = topology.Topic{Name: "wake-table", Key: "name", New: newInt, Cleanup: topology.Compact}
	waking    = topology.Group{Name: "wake", Inputs: []topology.Topic{numbers, wakes}, Timers: wakes, Outputs: []topology.Topic{sums}, Table: wakeTable}
)

func wakingTopics() []topology.Topic {
	return []topology.Topic{numbers, wakes, sums, wakeTable, DeadLetterTopic}
}

func wakingProcessor(handle Handler) Processor {
	return Processor{
		Group: waking, Handle: handle,
		Deadline: func(data []byte) (int64, bool) {
			v := new(wrapperspb.Int64Value)
			if err := proto.Unmarshal(data, v); err != nil {
				return 0, false
			}
			return v.Value, v.Value > 0
		},
		Timer: func(_ string, now time.Time) proto.Message { return wrapperspb.Int64(now.UnixMilli()) },
	}
}

func wake(state proto.Message, m *transition.Message) (transition.Effect, error) {
	n := value(m.Value)
	if m.Topic == numbers.Name {
		return transition.Effect{State: wrapperspb.Int64(n), Verdict: transition.Applied}, nil
	}
	if due := value(state); due <= 0 || n < due {
		return transition.Effect{Verdict: transition.Replayed}, nil
	}
	return transition.Effect{
		State: wrapperspb.Int64(-1), Verdict: transition.Applied,
		Outputs: []transition.Output{{Topic: sums.Name, Key: m.Key, Value: wrapperspb.Int64(n)}},
	}, nil
}

// fakeClock is a clock that a test moves.
type fakeClock struct{ ms atomic.Int64 }

func (c *fakeClock) now() time.Time { return time.UnixMilli(c.ms.Load()) }

// Trace 9: sagas are open when the member dies; its successor has an empty
// disk, and the same disk. Each deadline fires once the clock has come to it,
// and not before.
func TestTimersFireAfterARestart(t *testing.T) {
	t.Parallel()
	for _, disk := range []string{"same", "empty"} {
		t.Run(disk, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, wakingTopics()...)
			clock := &fakeClock{}
			clock.ms.Store(1000)
			cfg := b.config("a")
			cfg.Clock = clock.now
			r := b.start(cfg, wakingProcessor(wake))
			b.ready(r)
			for k := range 20 {
				b.write(record(numbers.Name, key(k), int64(2000+1000*(k%2))))
			}
			b.consumed(waking.Name, numbers.Name)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			if disk == "empty" {
				cfg.DataDir = t.TempDir()
			}
			r = b.start(cfg, wakingProcessor(wake))
			b.ready(r)
			if n := len(b.read(wakes.Name)); n != 0 {
				t.Fatalf("%d timers came before their time", n)
			}
			clock.ms.Store(2000)
			b.eventually("the even ones fire", func() bool { return len(b.read(sums.Name)) == 10 })
			clock.ms.Store(3000)
			b.eventually("the odd ones fire", func() bool { return len(b.read(sums.Name)) == 20 })
			b.eventually("no deadline is in the index any more", func() bool {
				due := 0
				for p := range int32(testPartitions) {
					if err := r.store.Due(wakeTable.Name, p, 1<<40, func(string, int64) bool { due++; return true }); err != nil {
						t.Fatal(err)
					}
				}
				return due == 0
			})
		})
	}
}

// Sagas are open in the partitions of two members, one of them dies and does not
// come back, and the other takes its partitions over: every deadline fires.
func TestTimersFireAfterARebalance(t *testing.T) {
	t.Parallel()
	b := newBench(t, wakingTopics()...)
	clock := &fakeClock{}
	clock.ms.Store(1000)
	start := func(member string) running {
		cfg := b.config(member)
		cfg.Clock = clock.now
		return b.start(cfg, wakingProcessor(wake))
	}
	stays, dies := start("a"), start("b")
	b.eventually("both own a half", func() bool {
		return len(stays.Assigned()) == testPartitions/2 && len(dies.Assigned()) == testPartitions/2
	})
	for k := range 40 {
		b.write(record(numbers.Name, key(k), 2000))
	}
	b.consumed(waking.Name, numbers.Name)
	if err := dies.stop(); err != nil {
		t.Fatal(err)
	}
	b.eventually("one owns all", func() bool { return len(stays.Assigned()) == testPartitions })
	if n := len(b.read(wakes.Name)); n != 0 {
		t.Fatalf("%d timers came before their time", n)
	}
	clock.ms.Store(2000)
	b.eventually("all fire", func() bool { return len(b.read(sums.Name)) == 40 })
}

// Trace 9: the owner's clock is fast, so the handler finds the first timers too
// early and does nothing. If the entry had been dropped with the first, the
// saga would hang for ever.
func TestTimersAreSentAgainUntilTheStateMovesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, wakingTopics()...)
	var early atomic.Int64
	handle := func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		if m.Topic == wakes.Name && early.Add(1) <= 3 {
			return transition.Effect{Verdict: transition.Replayed}, nil
		}
		return wake(state, m)
	}
	r := b.start(b.config("a"), wakingProcessor(handle))
	b.ready(r)
	b.write(record(numbers.Name, key(0), 1))
	b.eventually("it fires in the end", func() bool { return len(b.read(sums.Name)) == 1 })
	if n := len(b.read(wakes.Name)); n < 4 {
		t.Fatalf("%d timers, want at least 4", n)
	}
}

// A member is ten seconds behind: the answers that its sagas wait for are in its
// own inputs. Timers for deadlines within those ten seconds would ask for them
// again and put it further behind; they wait until it has come to them, or until
// nothing waits any more.
func TestTimersWaitForWhatIsStillToBeHandled(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000)
	s := &session{lag: &lagMeter{}}
	if at := s.reached(now); !at.Before(now) {
		t.Fatalf("a session that has handled nothing has reached %v", at)
	}
	s.oldest.Store(now.Add(-10 * time.Second).UnixMilli())
	if at := s.reached(now); !at.Equal(now.Add(-10 * time.Second)) {
		t.Fatalf("ten seconds behind, it has reached %v of %v", at, now)
	}
	s.oldest.Store(now.Add(time.Minute).UnixMilli()) // a producer's fast clock
	if at := s.reached(now); !at.Equal(now) {
		t.Fatalf("records from the future take it to %v of %v", at, now)
	}
	s.oldest.Store(0)
	s.lag.idle.Store(time.Now().Add(-2 * idleAfter).UnixNano())
	if at := s.reached(now); !at.Equal(now) {
		t.Fatalf("with nothing waiting it has reached %v of %v", at, now)
	}
}
