package stream

import (
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// I6: whatever order records finish in, what is offered for committing is below
// every unfinished one, and in the end everything is committed once.
func TestPrefixIsBelowEveryUnfinishedRecord(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "records")
		var p prefix
		entries := make([]*entry, n)
		offsets := make([]int64, n)
		offset := int64(0)
		for i := range entries {
			offset += rapid.Int64Range(1, 3).Draw(t, "gap") // markers and compaction leave gaps
			offsets[i] = offset
			entries[i] = p.add(offset, 0)
		}
		done := make([]bool, n)
		committed := 0
		for _, i := range rapid.Permutation(indexes(n)).Draw(t, "order") {
			p.finish(entries[i], nil)
			done[i] = true
			e := p.offer()
			if e == nil {
				continue
			}
			for j := range done {
				if !done[j] && offsets[j] < e.next {
					t.Fatalf("offered %d, but %d is unfinished", e.next, offsets[j])
				}
			}
			if rapid.Bool().Draw(t, "the commit succeeds") {
				committed += len(p.accept())
			}
		}
		if p.offer() != nil {
			committed += len(p.accept())
		}
		if committed != n {
			t.Fatalf("%d of %d were committed", committed, n)
		}
	})
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

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
