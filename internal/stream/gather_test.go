package stream

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A group that rests left what came meanwhile, but for the first of it, to the
// transaction after the next.
func TestWhatComesDuringTheRestIsInTheNextTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, first := b.resting(10)
	for range 10 { // a whole batch, one after the other, ends the rest
		b.write(record(numbers.Name, key(0), 1))
	}
	b.eventually("the batch is committed", func() bool { return r.batches.Load() > first })
	if n := r.batches.Load() - first; n != 1 {
		t.Errorf("%d transactions for what came during one rest", n)
	}
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(1, 11)
	b.tableExact(r, 1, 11)
}

// A fetch fails while the group rests with records at hand: the session ends, and the
// next one must not commit past them.
func TestAnErrorDuringTheRestSkipsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, first := b.resting(1000)
	b.produce(numbers.Name, 1, 5)
	b.atHand(r, 6)
	took := says(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: numbers.Name, Err: kerr.TopicAuthorizationFailed, Count: 1})(b)
	b.eventually("a fetch has failed", func() bool { return took() > 0 })
	b.eventually("the next session has committed", func() bool { return r.batches.Load() > first })
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(1, 6)
	b.tableExact(r, 1, 6)
}

// What a member had polled, but not begun to handle, comes again after its end.
func TestAStopDuringTheRestSkipsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, _ := b.resting(1000)
	b.produce(numbers.Name, 1, 5)
	b.atHand(r, 6)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	next := b.start(b.config("a"), Processor{Group: count, Handle: add})
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(1, 6)
	b.tableExact(next, 1, 6)
}

// A member that rests with records at hand loses partitions to another: they are
// counted once, by whoever has them then.
func TestARevocationDuringTheRestSkipsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, _ := b.resting(1000)
	b.produce(numbers.Name, 20, 2)
	b.atHand(r, 41)
	other := b.start(b.config("b"), Processor{Group: count, Handle: add})
	b.eventually("the other member has partitions", func() bool { return len(other.Assigned()) > 0 })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for k := 1; k < 20; k++ {
		b.write(record(numbers.Name, key(k), 1)) // the one that key 0 had before
	}
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(20, 3)
}

// resting starts a member that has committed one number and rests for an hour now, or
// until so many are at hand. It returns how often it has committed.
func (b *bench) resting(batch int) (r running, committed int64) {
	b.t.Helper()
	cfg := b.config("a")
	cfg.QuietWait, cfg.BatchRecordsMax = time.Hour, batch
	r = b.start(cfg, Processor{Group: count, Handle: add})
	b.ready(r)
	b.write(record(numbers.Name, key(0), 1))
	b.consumed(count.Name, numbers.Name)
	b.eventually("it has committed", func() bool { return r.batches.Load() > 0 })
	return r, r.batches.Load()
}

// atHand waits until a member's next transaction would commit the numbers up to so many,
// all partitions with new ones together.
func (b *bench) atHand(r running, records int64) {
	b.t.Helper()
	client := r.member.Load().tx.Client()
	b.eventually("the records are at hand", func() bool {
		polled := int64(0)
		for _, o := range client.UncommittedOffsets()[numbers.Name] {
			polled += o.Offset
		}
		return polled == records
	})
}
