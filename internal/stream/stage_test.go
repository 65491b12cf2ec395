package stream

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
)

// outside is a stage over the numbers that answers into sums.
var outside = topology.Group{Name: "outside", Kind: topology.Outside, Inputs: []topology.Topic{numbers}, Outputs: []topology.Topic{sums, DeadLetterTopic}}

func (b *bench) startStage(cfg Config, s Stage) (*StageRunner, func() error) {
	b.t.Helper()
	r, err := NewStage(cfg, s)
	if err != nil {
		b.t.Fatal(err)
	}
	return r, b.run(r.Run)
}

// committed returns a group's committed offset.
func (b *bench) committed(group, topic string, partition int32) int64 {
	at, err := b.adm.FetchOffsets(b.ctx, group)
	if err != nil {
		return -1
	}
	o, ok := at.Lookup(topic, partition)
	if !ok {
		return -1
	}
	return o.At
}

// I6: the first message of a partition hangs while its neighbours are done. If
// the stage committed past it, a crash would lose it.
func TestStageDoesNotCommitPastAnUnfinishedNeighbour(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k0, k1 := samePartition()
	release := make(chan struct{})
	var mu sync.Mutex
	handled := map[string]int{}
	handle := func(ctx context.Context, m *transition.Message) ([]transition.Output, error) {
		if m.Key == k0 {
			select {
			case <-release:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		mu.Lock()
		handled[m.Key]++
		mu.Unlock()
		return []transition.Output{{Topic: sums.Name, Key: m.Key, Value: m.Value}}, nil
	}
	p := Partition(k0, testPartitions)
	b.write(record(numbers.Name, k0, 1), record(numbers.Name, k1, 1), record(numbers.Name, k1, 1))
	r, _ := b.startStage(b.config("a"), Stage{Group: outside, Handle: handle})
	b.eventually("the neighbours are done", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return handled[k1] == 2
	})
	b.eventually("their outputs are there", func() bool { return len(b.read(sums.Name)) == 2 })
	r.tenure.Load().commit(b.ctx)
	if at := b.committed(outside.Name, numbers.Name, p); at > 0 {
		t.Fatalf("committed %d while the first message is unfinished", at)
	}
	close(release)
	b.eventually("all is committed", func() bool { return b.committed(outside.Name, numbers.Name, p) == 3 })
}

// A member dies with messages unfinished; its successor gets them all, and each
// key's in order.
func TestStageRepeatsWhatWasNotFinished(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.produce(numbers.Name, 20, 5)
	var mu sync.Mutex
	order := map[string][]int64{}
	note := func(m *transition.Message) {
		mu.Lock()
		defer mu.Unlock()
		order[m.Key] = append(order[m.Key], m.Offset)
	}
	stuck := func(ctx context.Context, m *transition.Message) ([]transition.Output, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	first, stop := b.startStage(b.config("a"), Stage{Group: outside, Handle: stuck})
	b.eventually("joined", first.Ready)
	first.end(false) // its partitions are lost: nothing is waited for or committed
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	b.startStage(b.config("a"), Stage{Group: outside, Handle: func(_ context.Context, m *transition.Message) ([]transition.Output, error) {
		note(m)
		return nil, nil
	}})
	b.consumed(outside.Name, numbers.Name)
	total := 0
	for k, offsets := range order {
		total += len(offsets)
		for i := 1; i < len(offsets); i++ {
			if offsets[i] <= offsets[i-1] {
				t.Fatalf("key %s was handled out of order: %v", k, offsets)
			}
		}
	}
	if total != 100 {
		t.Fatalf("%d messages were handled, want 100", total)
	}
}

// A loader's target is away for two attempts, one record is garbage and one
// cannot be loaded: the rest is loaded in the end, those two are dead letters,
// and only then are the offsets committed.
func TestStageBatchRetries(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.produce(numbers.Name, 30, 10)
	b.write(&kgo.Record{Topic: numbers.Name, Key: []byte("bad"), Value: []byte{0xff}}, record(numbers.Name, "p", 13))
	var mu sync.Mutex
	attempts := 0
	rows := map[Position]int64{} // a loader bears repetitions
	load := func(_ context.Context, ms []*transition.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if attempts++; attempts <= 2 {
			return errors.New("the target is away")
		}
		for _, m := range ms {
			if value(m.Value) == 13 {
				return transition.Poisoned("unlucky", "thirteen")
			}
		}
		for _, m := range ms {
			rows[Position{m.Topic, m.Partition, m.Offset}] = value(m.Value)
		}
		return nil
	}
	cfg := b.config("a")
	b.startStage(cfg, Stage{Group: outside, Batch: load, BatchRecordsMax: 1000, BatchWait: 10 * time.Millisecond})
	b.consumed(outside.Name, numbers.Name)
	b.eventually("all is counted (I7)", func() bool {
		return metric(t, cfg.Registerer, "consumed_records_total", "") == 302 &&
			metric(t, cfg.Registerer, "records_total", "applied") == 300 &&
			metric(t, cfg.Registerer, "records_total", "dead_lettered") == 2
	})
	mu.Lock()
	defer mu.Unlock()
	if len(rows) != 300 {
		t.Fatalf("%d rows were loaded, want 300", len(rows))
	}
	reasons := map[string]string{}
	for _, d := range b.read(DeadLetterTopic.Name) {
		reasons[string(d.Key)] = header(d, HeaderReason)
	}
	if len(reasons) != 2 || reasons["bad"] != ClassUndecodable || reasons["p"] != "unlucky" {
		t.Fatalf("dead letters %v", reasons)
	}
}

// A second member joins while the first is at work, then the first leaves.
// Every message is handled, and those of a key in order but for repetitions.
func TestStageMembersShareTheWork(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var mu sync.Mutex
	last := map[string]int64{} // by key: the newest offset handled
	handled := map[Position]int{}
	handle := func(_ context.Context, m *transition.Message) ([]transition.Output, error) {
		mu.Lock()
		defer mu.Unlock()
		at := Position{m.Topic, m.Partition, m.Offset}
		if handled[at]++; handled[at] == 1 && m.Offset < last[m.Key] {
			t.Errorf("%v was handled for the first time after offset %d", at, last[m.Key])
		}
		last[m.Key] = max(last[m.Key], m.Offset)
		return []transition.Output{{Topic: sums.Name, Key: m.Key, Value: m.Value}}, nil
	}
	start := func(member string) (*StageRunner, func() error) {
		cfg := b.config(member)
		cfg.SessionTimeout, cfg.HeartbeatInterval = time.Second, 50*time.Millisecond
		return b.startStage(cfg, Stage{Group: outside, Handle: handle, Workers: 8})
	}
	owned := func(r *StageRunner) int {
		if t := r.tenure.Load(); t != nil {
			return len(t.prefixes)
		}
		return 0
	}
	one, stop := start("one")
	b.produce(numbers.Name, 30, 20)
	two, _ := start("two")
	b.produce(numbers.Name, 30, 20)
	b.eventually("both have a share", func() bool { return owned(one) == 2 && owned(two) == 2 })
	b.produce(numbers.Name, 30, 20)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	b.produce(numbers.Name, 30, 20)
	b.consumed(outside.Name, numbers.Name)
	mu.Lock()
	defer mu.Unlock()
	if len(handled) != 30*80 {
		t.Fatalf("%d messages were handled, want %d", len(handled), 30*80)
	}
}
