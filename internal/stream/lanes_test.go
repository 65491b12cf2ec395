package stream

import (
	"fmt"
	"sync"
	"testing"
)

// Jobs of one key run in order and never at the same time, those of different
// keys at the same time, but not more than there are workers.
func TestLanesKeepTheOrderOfAKey(t *testing.T) {
	t.Parallel()
	const workers, keys, each = 4, 10, 50
	l := newLanes(workers)
	var mu sync.Mutex
	running, most := 0, 0
	seen := map[string][]int{}
	busy := map[string]bool{}
	together := make(chan struct{}) // closed when all workers are busy at once
	var once sync.Once
	for i := range each {
		for k := range keys {
			key := fmt.Sprint(k)
			l.submit(key, func() {
				mu.Lock()
				if busy[key] {
					t.Error("two jobs of one key at the same time")
				}
				busy[key] = true
				running++
				if most = max(most, running); running == workers {
					once.Do(func() { close(together) })
				}
				seen[key] = append(seen[key], i)
				mu.Unlock()
				<-together
				mu.Lock()
				busy[key] = false
				running--
				mu.Unlock()
			})
		}
	}
	l.wait()
	if most != workers {
		t.Errorf("%d at the same time, want %d", most, workers)
	}
	for key, order := range seen {
		for i, n := range order {
			if i != n {
				t.Fatalf("key %s ran in the order %v", key, order)
			}
		}
	}
}
