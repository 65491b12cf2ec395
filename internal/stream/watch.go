package stream

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// watchers wakes those who wait for a key of a view. An update of a key that
// nobody waits for costs one atomic load.
type watchers struct {
	n  atomic.Int64
	mu sync.Mutex
	by map[string]map[chan struct{}]struct{}
}

// add returns a channel that gets a signal after each change of key; signals
// that are not taken collapse into one.
func (w *watchers) add(key string) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[string]map[chan struct{}]struct{}{}
	}
	if w.by[key] == nil {
		w.by[key] = map[chan struct{}]struct{}{}
	}
	w.by[key][c] = struct{}{}
	w.n.Add(1)
	return c, func() { w.remove(key, c) }
}

func (w *watchers) remove(key string, c chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.by[key], c)
	if len(w.by[key]) == 0 {
		delete(w.by, key)
	}
	w.n.Add(-1)
}

// notify is called after a change is visible. A watcher that came after the
// load below looks at the value after that, and sees the change.
func (w *watchers) notify(key string) {
	if w.n.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.by[key] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// recoveringRetry is how often a watcher looks whether the view is back.
const recoveringRetry = 20 * time.Millisecond

// retry wakes a watcher that was told that the view is recovering; nil, which
// never wakes, otherwise.
func (v *View) retry(ctx context.Context, err error) <-chan time.Time {
	if !errors.Is(err, ErrRecovering) {
		return nil
	}
	return time.After(recoveringRetry)
}
