package stream

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrBudget stops a group too many of whose records fail: then it is the
// program that is wrong, and dead-lettering the rest would only hide it.
var ErrBudget = errors.New("too many records fail")

// failures remembers which records failed, across the restarts of a session,
// so that the same record does not stop its partition for ever (rule 8).
type failures struct {
	attemptsMax int
	budget      int
	window      time.Duration
	clock       func() time.Time

	mu     sync.Mutex
	failed map[Position]*failure
	spent  []time.Time // of those that were given up, within the window
}

type failure struct {
	count int
	first time.Time
	err   error
}

func newFailures(cfg *Config) *failures {
	return &failures{
		attemptsMax: cfg.AttemptsMax, budget: cfg.DeadLetterBudget, window: cfg.DeadLetterWindow,
		clock: cfg.Clock, failed: map[Position]*failure{},
	}
}

// note counts a failure and reports whether the record has now failed for the
// last time.
func (f *failures) note(at Position, err error) (last bool, why failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.failed[at]
	if w == nil {
		w = &failure{first: f.clock()}
		f.failed[at] = w
	}
	w.count++
	w.err = err
	return w.count >= f.attemptsMax, *w
}

// committed forgets the records of topic/partition below offset.
func (f *failures) committed(topic string, partition int32, offset int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for at := range f.failed {
		if at.Topic == topic && at.Partition == partition && at.Offset < offset {
			delete(f.failed, at)
		}
	}
}

// gaveUp charges the budget for n records that went to the dead letters.
func (f *failures) gaveUp(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock()
	for len(f.spent) > 0 && now.Sub(f.spent[0]) > f.window {
		f.spent = f.spent[1:]
	}
	for range n {
		f.spent = append(f.spent, now)
	}
	if len(f.spent) > f.budget {
		return fmt.Errorf("%w: %d went to the dead letters within %v, the budget is %d; look at their x-detail, mend the program, then start it again",
			ErrBudget, len(f.spent), f.window, f.budget)
	}
	return nil
}
