package stream

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
)

// A follower passes on what is committed, not what was aborted, and has caught
// up though its topics end in transaction markers and one is empty.
func TestFollowerCatchesUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	committed := b.transaction("one", table.Name, 5)
	if err := committed.EndTransaction(b.ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	aborted := b.transaction("two", table.Name, 6)
	if err := aborted.EndTransaction(b.ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	b.produce(numbers.Name, 10, 3)
	got := make(chan string, 1000)
	f, err := NewFollower(b.config("f"), []topology.Topic{table, numbers, sums}, func(r *kgo.Record) {
		if r.Topic == table.Name && string(r.Value) != string(record("", "", 5).Value) {
			t.Errorf("an aborted value came")
		}
		got <- r.Topic
	})
	if err != nil {
		t.Fatal(err)
	}
	b.run(f.Run)
	b.eventually("caught up", func() bool {
		select {
		case <-f.CaughtUp():
			return true
		default:
			return false
		}
	})
	counts := map[string]int{}
	for range testPartitions + 30 {
		counts[<-got]++
	}
	if len(got) != 0 || counts[table.Name] != testPartitions || counts[numbers.Name] != 30 {
		t.Fatalf("got %v and %d more", counts, len(got))
	}
	b.produce(sums.Name, 1, 1)
	if topic := <-got; topic != sums.Name {
		t.Fatalf("what came after is of %s", topic)
	}
}
