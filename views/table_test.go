package views

import (
	"context"
	"errors"
	"iter"
	"sort"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
)

const testPartitions = 4

// memTable is a Table in memory: a test puts values, takes the table out of
// readiness and sets its lag.
type memTable struct {
	mu      sync.Mutex
	ready   bool
	err     error
	values  map[string]proto.Message
	offsets [testPartitions]int64
	lag     [testPartitions]int64
	// changed is closed and replaced with every change.
	changed chan struct{}
	// waited is signalled whenever somebody begins to wait.
	waited chan struct{}
}

func newMemTable() *memTable {
	t := &memTable{ready: true, values: map[string]proto.Message{}, changed: make(chan struct{}), waited: make(chan struct{}, 1000)}
	for i := range t.offsets {
		t.offsets[i] = -1
	}
	return t
}

func (t *memTable) change(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *memTable) put(key string, value proto.Message) {
	t.change(func() {
		t.values[key] = value
		t.offsets[stream.Partition(key, testPartitions)]++
	})
}

func (t *memTable) setReady(ready bool) { t.change(func() { t.ready = ready }) }

func (t *memTable) Ready() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready
}

func (t *memTable) Get(key string) (proto.Message, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.get(key)
}

func (t *memTable) get(key string) (proto.Message, error) {
	if t.err != nil {
		return nil, t.err
	}
	if !t.ready {
		return nil, stream.ErrRecovering
	}
	if v, ok := t.values[key]; ok {
		return v, nil
	}
	return nil, nil
}

func (t *memTable) Freshness(key string) stream.Freshness {
	return t.Partitions()[stream.Partition(key, testPartitions)]
}

func (t *memTable) Partitions() []stream.Freshness {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]stream.Freshness, testPartitions)
	for i := range all {
		all[i] = stream.Freshness{Partition: int32(i), Offset: t.offsets[i], Lag: t.lag[i]}
	}
	return all
}

func (t *memTable) WaitFor(ctx context.Context, key string, pred func(proto.Message) bool) (proto.Message, error) {
	for {
		t.mu.Lock()
		value, err := t.get(key)
		changed := t.changed
		t.mu.Unlock()
		switch {
		case errors.Is(err, stream.ErrRecovering):
		case err != nil:
			return nil, err
		case pred(value):
			return value, nil
		}
		t.waited <- struct{}{}
		select {
		case <-ctx.Done():
			return value, ctx.Err()
		case <-changed:
		}
	}
}

func (t *memTable) Watch(ctx context.Context, key string) iter.Seq2[proto.Message, error] {
	return func(yield func(proto.Message, error) bool) {
		for {
			t.mu.Lock()
			value, err := t.get(key)
			changed := t.changed
			t.mu.Unlock()
			if !errors.Is(err, stream.ErrRecovering) && !yield(value, err) {
				return
			}
			t.waited <- struct{}{}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}
}

func (t *memTable) Range(fn func(key string, value proto.Message) bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ready {
		return stream.ErrRecovering
	}
	keys := make([]string, 0, len(t.values))
	for k := range t.values {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if !fn(k, t.values[k]) {
			break
		}
	}
	return nil
}

// untilWaited returns when somebody waits for a change of the table.
func (t *memTable) untilWaited(tb testing.TB) {
	tb.Helper()
	select {
	case <-t.waited:
	case <-tb.Context().Done():
		tb.Fatal("nobody waits")
	}
}
