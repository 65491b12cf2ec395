package load

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/uuid"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	shardCount = 64
	// latencyMax bounds the histograms; a longer latency counts as this one.
	latencyMax = 30 * time.Minute
	outcomes   = int(pb.Outcome_OUTCOME_REJECTED) + 1
)

// tracker knows what became of each registration: 16 bytes of id and 16 of
// state each, whatever else happens. Acceptance and observation come in any
// order, from any goroutine.
type tracker struct {
	plan   *Plan
	start  time.Time
	warmup time.Duration
	// decided is called once for each registration that is accepted and decided,
	// cancel for each that is to be cancelled now; neither may block.
	decided func()
	cancel  func(id uuid.UUID, n int)

	shards [shardCount]trackerShard

	accepted   atomic.Int64
	decisions  atomic.Int64
	byOutcome  [outcomes]atomic.Int64 // the first decision
	cancelled  atomic.Int64           // after they were confirmed
	open       atomic.Int64           // accepted, and not decided, settled and done with
	tickets    atomic.Int64           // confirmed
	moved      atomic.Int64           // Unix nanoseconds of the last change
	latencies  latencies
	acceptance latencies
}

type trackerShard struct {
	mu      sync.Mutex
	entries map[uuid.UUID]entry
}

// entry is one registration.
type entry struct {
	// at is in microseconds since the start: when the request was due; while it
	// is not accepted, when it was seen decided.
	at      int64
	index   int32
	outcome uint8
	flags   uint8
}

const (
	flagAccepted uint8 = 1 << iota
	flagSettled
	// flagCancelAsked: the cancellation is under way, or done.
	flagCancelAsked
	// flagCancelPending: it is not settled yet.
	flagCancelPending
)

func (e entry) has(flag uint8) bool { return e.flags&flag != 0 }
func (e entry) counts() bool        { return e.has(flagAccepted) && e.outcome != 0 }
func (e entry) finished() bool {
	return e.has(flagAccepted) && e.has(flagSettled) && e.outcome != 0 && !e.has(flagCancelPending)
}

func newTracker(plan *Plan, start time.Time, warmup time.Duration) *tracker {
	t := &tracker{plan: plan, start: start, warmup: warmup, decided: func() {}, cancel: func(uuid.UUID, int) {}}
	for i := range t.shards {
		t.shards[i].entries = make(map[uuid.UUID]entry)
	}
	t.latencies.init()
	t.acceptance.init()
	return t
}

func (t *tracker) micros(at time.Time) int64 { return at.Sub(t.start).Microseconds() }

// accept notes that the front door accepted request n, which was due at
// intended.
func (t *tracker) accept(n int, id uuid.UUID, intended, now time.Time) {
	var decidedAt int64
	before, after := t.change(id, now, func(e *entry) {
		decidedAt = e.at
		e.at, e.index = t.micros(intended), int32(n)
		e.flags |= flagAccepted
	})
	if before.has(flagAccepted) {
		return // the same run again, or a repeated answer
	}
	t.accepted.Add(1)
	t.acceptance.record(t.micros(now)-after.at, after.at >= t.warmup.Microseconds())
	if after.counts() {
		t.count(after, decidedAt)
	}
}

// observe notes a version of a registration that has become visible.
func (t *tracker) observe(id uuid.UUID, outcome pb.Outcome, settled bool, now time.Time) {
	seenAt := t.micros(now)
	before, after := t.change(id, now, func(e *entry) {
		if e.outcome == 0 && !e.has(flagAccepted) {
			e.at = seenAt
		}
		if int(outcome) < outcomes { // one that this program does not know is not counted
			e.outcome = uint8(outcome)
		}
		e.flags &^= flagSettled
		if settled {
			e.flags |= flagSettled
		}
		if settled && outcome == pb.Outcome_OUTCOME_CANCELLED {
			e.flags &^= flagCancelPending
		}
	})
	switch {
	case after.counts() && before.outcome == 0:
		t.count(after, seenAt)
	case after.counts() && before.outcome == uint8(pb.Outcome_OUTCOME_CONFIRMED) && outcome == pb.Outcome_OUTCOME_CANCELLED:
		t.cancelled.Add(1)
	}
}

// cancelRefused notes that a registration will not be cancelled after all.
func (t *tracker) cancelRefused(id uuid.UUID, now time.Time) {
	t.change(id, now, func(e *entry) { e.flags &^= flagCancelPending })
}

// change changes one entry, and keeps the count of what is open.
func (t *tracker) change(id uuid.UUID, now time.Time, f func(*entry)) (before, after entry) {
	s := &t.shards[id[len(id)-1]%shardCount]
	s.mu.Lock()
	before = s.entries[id]
	after = before
	f(&after)
	ask := after.counts() && after.has(flagSettled) && after.outcome == uint8(pb.Outcome_OUTCOME_CONFIRMED) &&
		!after.has(flagCancelAsked) && t.plan.Cancels(int(after.index))
	if ask {
		after.flags |= flagCancelAsked | flagCancelPending
	}
	s.entries[id] = after
	s.mu.Unlock()

	t.open.Add(openness(after) - openness(before))
	t.moved.Store(now.UnixNano())
	if ask {
		t.cancel(id, int(after.index))
	}
	return before, after
}

func openness(e entry) int64 {
	if e.has(flagAccepted) && !e.finished() {
		return 1
	}
	return 0
}

// count counts a decision, once for each registration.
func (t *tracker) count(e entry, decidedAt int64) {
	t.decisions.Add(1)
	t.byOutcome[e.outcome].Add(1)
	if e.outcome == uint8(pb.Outcome_OUTCOME_CONFIRMED) {
		r := t.plan.Request(int(e.index))
		t.tickets.Add(int64(r.Quantity))
		t.latencies.record(decidedAt-e.at, e.at >= t.warmup.Microseconds())
		t.latencies.seen(decidedAt, decidedAt >= t.warmup.Microseconds())
	}
	t.decided()
}

// stray counts the registrations that were seen though their request was never
// answered: an answer that was lost.
func (t *tracker) stray() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, e := range s.entries {
			if !e.has(flagAccepted) {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// latencies is a histogram of microseconds with and without the warm-up, and
// when the first and the last came.
type latencies struct {
	mu          sync.Mutex
	all, warm   *hdrhistogram.Histogram
	warmCount   int64
	first, last int64
}

func (l *latencies) init() {
	l.all = hdrhistogram.New(1, latencyMax.Microseconds(), 3)
	l.warm = hdrhistogram.New(1, latencyMax.Microseconds(), 3)
}

func (l *latencies) record(micros int64, warm bool) {
	micros = min(max(micros, 1), latencyMax.Microseconds())
	l.mu.Lock()
	defer l.mu.Unlock()
	// Inside the bounds it cannot fail.
	_ = l.all.RecordValue(micros)
	if warm {
		_ = l.warm.RecordValue(micros)
	}
}

// seen notes when something came, in microseconds since the start.
func (l *latencies) seen(at int64, warm bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == 0 {
		l.first = at
	}
	l.last = max(l.last, at)
	if warm {
		l.warmCount++
	}
}
