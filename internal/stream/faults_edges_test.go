package stream

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
)

var stageStories = []story{
	{name: "commit: coordinator loads", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorLoadInProgress, Count: 3})},
	{name: "commit: not the coordinator", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.NotCoordinator, Count: 3})},
	{name: "commit: illegal generation", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.IllegalGeneration, Count: 3})},
	{name: "commit: unknown member", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownMemberID, Count: 3})},
	{name: "commit: stored, but timed out", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RequestTimedOut, Count: 3})},
	{name: "commit: connection lost before", fault: wires(kmsg.OffsetCommit, unsent, 2, nil)},
	{name: "commit: connection lost after", fault: wires(kmsg.OffsetCommit, unanswered, 2, nil)},
	{name: "commit: never answered", fault: wires(kmsg.OffsetCommit, hanging, 1, nil)},
	{name: "outputs: no leader", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: sums.Name, Partitions: two, Err: kerr.NotLeaderForPartition, Count: 3})},
	{name: "outputs: refused", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: sums.Name, Partitions: two, Err: kerr.TopicAuthorizationFailed, Count: 3})},
	{name: "outputs: connection lost after", fault: wires(kmsg.Produce, unanswered, 2, nil)},
	{name: "fetch: refused", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: numbers.Name, Partitions: two, Err: kerr.TopicAuthorizationFailed, Count: 3})},
	{name: "fetch: out of range", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: numbers.Name, Partitions: two, Err: kerr.OffsetOutOfRange, Count: 1})},
	{name: "coordinators move", fault: (*bench).moveCoordinators},
	{name: "leaders move", fault: (*bench).moveLeaders},
}

// A fault comes in the middle of the work of a stage. Afterwards every message was
// handled, at least once and each key's in order, every output is there, and the
// offsets are at the end (I6); the counters add up (I7).
func TestStageFaultsOnTheWire(t *testing.T) {
	t.Parallel()
	for _, s := range stageStories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.playStage(t)
		})
	}
}

func (s *story) playStage(t *testing.T) {
	b := newWiredBench(t)
	cfg := b.config("a")
	cfg.EndTimeout = 200 * time.Millisecond
	var mu sync.Mutex
	var took hits
	calls, last, handled := 0, map[string]int64{}, map[Position]bool{}
	handle := func(_ context.Context, m *transition.Message) ([]transition.Output, error) {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls == faultAt {
			took = s.fault(b)
		}
		at := Position{m.Topic, m.Partition, m.Offset}
		if !handled[at] && m.Offset < last[m.Key] {
			t.Errorf("%v was handled for the first time after offset %d", at, last[m.Key])
		}
		handled[at], last[m.Key] = true, max(last[m.Key], m.Offset)
		return []transition.Output{{Topic: sums.Name, Key: m.Key, Value: m.Value}}, nil
	}
	const each = 2 * faultNumbers
	b.startStage(cfg, Stage{Group: outside, Handle: handle, Workers: 4})
	for step := range each { // in small steps, so that there are fetches and commits after the fault
		b.produce(numbers.Name, faultKeys, 1)
		if step == 0 { // and a commit before it: what the lost answer of a commit told is in no counter
			b.eventually("the first messages are counted", func() bool {
				return metric(t, cfg.Registerer, "consumed_records_total", "") > 0
			})
		}
	}
	b.consumed(outside.Name, numbers.Name)
	b.eventually("the fault has taken effect", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return took() > 0
	})
	mu.Lock()
	defer mu.Unlock()
	if len(handled) != faultKeys*each {
		t.Errorf("%d messages were handled, want %d", len(handled), faultKeys*each)
	}
	if n := len(b.read(sums.Name)); n < faultKeys*each {
		t.Errorf("%d outputs, want %d at least", n, faultKeys*each)
	}
	b.eventually("the counters add up (I7)", func() bool {
		consumed := metric(t, cfg.Registerer, "consumed_records_total", "")
		return consumed > 0 && consumed == metric(t, cfg.Registerer, "records_total", "")
	})
}

// A second member joins while the first one is in the middle of a message. The
// partitions are handed over only when that is done: nobody handles a message
// while another one does, and all are handled.
func TestStageHandsOverBetweenMessages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var released atomic.Bool
	var mu sync.Mutex
	handled := map[Position]bool{}
	note := func(m *transition.Message) {
		mu.Lock()
		defer mu.Unlock()
		handled[Position{m.Topic, m.Partition, m.Offset}] = true
	}
	start := func(member string, before func()) *StageRunner {
		cfg := b.config(member)
		cfg.HeartbeatInterval = 50 * time.Millisecond
		r, _ := b.startStage(cfg, Stage{Group: outside, Workers: 2, Handle: func(_ context.Context, m *transition.Message) ([]transition.Output, error) {
			before()
			note(m)
			return nil, nil
		}})
		return r
	}
	one := start("one", func() {
		once.Do(func() {
			close(entered)
			<-release
		})
	})
	b.produce(numbers.Name, faultKeys, faultNumbers)
	<-entered
	held := one.tenure.Load()
	two := start("two", func() {
		if !released.Load() {
			t.Error("the second member handles while the first one is in a message")
		}
	})
	<-held.open.Done() // the handing over has begun
	released.Store(true)
	close(release)
	b.consumed(outside.Name, numbers.Name)
	b.eventually("both have a share", func() bool { return one.Ready() && two.Ready() })
	mu.Lock()
	defer mu.Unlock()
	if len(handled) != faultKeys*faultNumbers {
		t.Errorf("%d messages were handled, want %d", len(handled), faultKeys*faultNumbers)
	}
}

// A broker is away while a view recovers: it answers nothing, also for what it has
// already, and is complete when it answers.
func TestViewDoesNotAnswerWhileABrokerIsAway(t *testing.T) {
	t.Parallel()
	b := newWiredBench(t)
	b.produce(table.Name, faultKeys, faultNumbers)
	for k := range faultKeys {
		b.write(record(table.Name, key(k), 7))
	}
	address := b.brokers[b.cluster.LeaderFor(table.Name, 2)]
	b.wire.away(address)
	v, _ := b.view(b.config("v"))
	b.eventually("the others' partitions are there", func() bool {
		for _, f := range v.Partitions() {
			if f.Offset >= 0 {
				return true
			}
		}
		return b.wire.refused(address) > 20
	})
	for k := range faultKeys {
		if _, err := v.Get(key(k)); !errors.Is(err, ErrRecovering) {
			t.Fatalf("%s is answered with %v while a part is missing", key(k), err)
		}
	}
	b.wire.back(address)
	for k := range faultKeys {
		b.eventually(key(k)+" is answered", func() bool {
			m, err := v.Get(key(k))
			if err == nil && value(m) != 7 {
				t.Fatalf("%s is %d, want 7", key(k), value(m))
			}
			return err == nil
		})
	}
}

// A broker is away while a follower catches up: it has not caught up before it has
// everything, each partition in order.
func TestFollowerDoesNotCatchUpWhileABrokerIsAway(t *testing.T) {
	t.Parallel()
	b := newWiredBench(t)
	b.produce(numbers.Name, faultKeys, faultNumbers)
	address := b.brokers[b.cluster.LeaderFor(numbers.Name, 2)]
	var mu sync.Mutex
	seen := map[Position]bool{}
	first := make(chan struct{}, 1)
	f, err := NewFollower(b.config("f"), []topology.Topic{numbers}, func(r *kgo.Record) {
		mu.Lock()
		defer mu.Unlock()
		if len(seen) == 0 && b.wire.away(address) > 0 {
			first <- struct{}{}
		}
		seen[positionOf(r)] = true
	})
	if err != nil {
		t.Fatal(err)
	}
	b.run(f.Run)
	<-first
	b.eventually("the broker is missed", func() bool { return b.wire.refused(address) > 3 })
	complete := func() {
		mu.Lock()
		defer mu.Unlock()
		if len(seen) != faultKeys*faultNumbers {
			t.Errorf("caught up with %d records, want %d", len(seen), faultKeys*faultNumbers)
		}
	}
	select {
	case <-f.CaughtUp(): // it had them all before the broker went
		complete()
	default:
	}
	b.wire.back(address)
	<-f.CaughtUp()
	complete()
}

// What the front door has to bear when it writes.
var emitStories = []struct {
	name    string
	fault   func(*bench) hits
	refused bool // some may be refused, and are not in the log then
}{
	{name: "no leader", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: numbers.Name, Partitions: two, Err: kerr.NotLeaderForPartition, Count: 3})},
	{name: "written, but timed out", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: numbers.Name, Partitions: two, Err: kerr.RequestTimedOut, Count: 3})},
	{name: "written, but too few replicas", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: numbers.Name, Partitions: two, Err: kerr.NotEnoughReplicasAfterAppend, Count: 3})},
	{name: "refused", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: numbers.Name, Partitions: two, Err: kerr.TopicAuthorizationFailed, Count: 3}), refused: true},
	{name: "connection lost before", fault: wires(kmsg.Produce, unsent, 3, nil)},
	{name: "connection lost after", fault: wires(kmsg.Produce, unanswered, 3, nil)},
	{name: "leaders move", fault: (*bench).moveLeaders},
}

// The answers to an emitter's writes go wrong. What it accepted is in the log once,
// at the position that it told; what it refused is not there.
func TestEmitterFaultsOnTheWire(t *testing.T) {
	t.Parallel()
	for _, s := range emitStories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			b := newWiredBench(t)
			e, err := NewEmitter(b.config("e"))
			if err != nil {
				t.Fatal(err)
			}
			const n = 400
			var took hits
			var mu sync.Mutex
			told := map[Position]int64{}
			var refused, answered atomic.Int64
			for i := range n {
				if i == faultAt {
					took = s.fault(b)
				}
				e.EmitAsync(numbers, key(i%faultKeys), wrapperspb.Int64(int64(i)), func(at Position, err error) {
					defer answered.Add(1)
					if err != nil {
						refused.Add(1)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					told[at] = int64(i)
				})
				if i%20 == 19 { // several requests
					b.eventually("an answer", func() bool { return answered.Load() == int64(i+1) })
				}
			}
			if err := e.Close(b.ctx); err != nil {
				t.Fatal(err)
			}
			if took() == 0 {
				t.Fatal("the fault did not take effect")
			}
			if (refused.Load() > 0) != s.refused {
				t.Errorf("%d were refused", refused.Load())
			}
			log := b.read(numbers.Name)
			if len(log) != len(told) {
				t.Errorf("%d records in the log, %d were accepted", len(log), len(told))
			}
			for _, r := range log {
				want, ok := told[positionOf(r)]
				if !ok || string(r.Value) != string(record("", "", want).Value) {
					t.Errorf("%v holds %x, the emitter told %d (%v)", positionOf(r), r.Value, want, ok)
				}
			}
		})
	}
}
