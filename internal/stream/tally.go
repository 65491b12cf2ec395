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
	applied, replayed, rejected, deadLettered atomic.Int64
	gaveUp                                    atomic.Int64 // of the dead-lettered: failed too often

	mu      sync.Mutex
	reasons map[string]int
}

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
	if l.class == ClassError {
		t.gaveUp.Add(1)
	}
	t.because(l.reason)
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
	t.gaveUp.Store(0)
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.reasons)
}
