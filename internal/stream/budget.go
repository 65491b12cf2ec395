package stream

import (
	"errors"
	"fmt"
	"sync"
)

// ErrBudget stops a group too many of whose records fail: then it is the
// program that is wrong, and putting off or dead-lettering the rest would only
// hide it.
var ErrBudget = errors.New("too many records fail")

// budget counts how many of the last records that a member handled failed for
// the first time, for whatever reason. A record counts once: not when it fails
// again after it was put off, nor after a redrive.
//
// What is beyond the budget is not committed. A group that is started again in
// the same process finds its budget as it was, so that it stands still at the
// first record that fails, until the program is mended.
type budget struct {
	max, of int // more than max of the last of records stop the group

	mu      sync.Mutex
	past    []handled // of the batches that committed, the oldest first
	sum     handled   // of past
	pending int       // failed in the transaction at hand
}

// handled are the records of one batch, and how many of them failed.
type handled struct{ records, failed int }

// begin forgets what a transaction that did not commit has spent.
func (b *budget) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = 0
}

// spend charges the budget for one record of the transaction at hand.
func (b *budget) spend() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if failed := b.sum.failed + b.pending + 1; failed > b.max {
		return fmt.Errorf("%w: %d among about the last %d, and the budget is %d of %d; look at x-detail of those in %s and %s, mend the program, then start it again",
			ErrBudget, failed, min(b.sum.records+b.pending+1, b.of), b.max, b.of, RetryTopic.Name, DeadLetterTopic.Name)
	}
	b.pending++
	return nil
}

// committed takes the transaction at hand, of n records, into the account, and
// lets go of batches that are not among the last records any more.
func (b *budget) committed(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.past = append(b.past, handled{n, b.pending})
	b.sum.records += n
	b.sum.failed += b.pending
	b.pending = 0
	for len(b.past) > 1 && b.sum.records-b.past[0].records >= b.of {
		b.sum.records -= b.past[0].records
		b.sum.failed -= b.past[0].failed
		b.past = b.past[1:]
	}
}
