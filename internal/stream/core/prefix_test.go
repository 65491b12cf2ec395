package core_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/eventpro/boxoffice/internal/stream/core"
)

// I6: whatever order records finish in, what is offered for committing is below
// every unfinished one, and in the end everything is committed once.
func TestPrefixIsBelowEveryUnfinishedRecord(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "records")
		var p core.Prefix[string]
		entries := make([]*core.Entry[string], n)
		offsets := make([]int64, n)
		offset := int64(0)
		for i := range entries {
			offset += rapid.Int64Range(1, 3).Draw(t, "gap") // markers and compaction leave gaps
			offsets[i] = offset
			entries[i] = p.Add(offset, 0)
		}
		done := make([]bool, n)
		committed := 0
		for _, i := range rapid.Permutation(indexes(n)).Draw(t, "order") {
			p.Finish(entries[i], nil)
			done[i] = true
			e := p.Offer()
			if e == nil {
				continue
			}
			for j := range done {
				if !done[j] && offsets[j] < e.Next {
					t.Fatalf("offered %d, but %d is unfinished", e.Next, offsets[j])
				}
			}
			if rapid.Bool().Draw(t, "the commit succeeds") {
				committed += len(p.Accept())
			}
		}
		if p.Offer() != nil {
			committed += len(p.Accept())
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
