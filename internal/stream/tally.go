package stream

import (
	"sync"
	"sync/atomic"

	"github.com/eventpro/boxoffice/internal/transition"
)

// tally counts what became of the records of one transaction. It reaches the
// metrics only when the transaction has committed, so that every record is
// counted once (I7).
type tally struct {
	applied, replayed, rejected, retried, deadLettered atomic.Int64

	mu      sync.Mutex
	reasons map[string]int
	letters map[ending]int
}

// ending is why a record is a dead letter.
type ending struct{ class, reason string }

func (t *tally) verdict(v transition.Verdict, reason string) {
	switch v {
	case transition.Applied:
		t.applied.Add(1)
	case transition.Replayed:
		t.replayed.Add(1)
	case transition.Rejected:
		t.rejected.Add(1)
		t.because(reason)
	}
}

func (t *tally) dead(l letter) {
	t.deadLettered.Add(1)
	t.because(l.reason)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.letters == nil {
		t.letters = map[ending]int{}
	}
	t.letters[ending{l.class, l.reason}]++
}

func (t *tally) because(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reasons == nil {
		t.reasons = map[string]int{}
	}
	t.reasons[reason]++
}

func (t *tally) reset() {
	t.applied.Store(0)
	t.replayed.Store(0)
	t.rejected.Store(0)
	t.deadLettered.Store(0)
	t.retried.Store(0)
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.reasons)
	clear(t.letters)
}
