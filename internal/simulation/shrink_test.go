package simulation

import (
	"strings"
	"testing"
)

// A failing schedule of two thousand decisions is no story. Shrunk, it still breaks
// the same invariant, with a small part of them, and is told to its end.
func TestAFailureIsToldShortly(t *testing.T) {
	t.Parallel()
	r, err := newRunner()
	if err != nil {
		t.Fatal(err)
	}
	broken := &variant{keepsDirtyTables: true}
	for seed := range uint64(1000) {
		f := r.seeded(seed, broken)
		if f == nil || len(f.tape) < 1000 {
			continue
		}
		tape := f.shrink(r)
		if len(tape) > len(f.tape)/4 || loud(tape) > 30 {
			t.Errorf("seed %d is shrunk from %d decisions to %d, of which %d are not quiet", seed, len(f.tape), len(tape), loud(tape))
		}
		var out strings.Builder
		if err := f.Tell(&out, 400); err != nil {
			t.Fatal(err)
		}
		if story := out.String(); !strings.Contains(story, f.Violation.Invariant+" is broken") || !strings.Contains(story, "make simulate SEED=") {
			t.Errorf("the story does not say what is broken:\n%s", story)
		}
		return
	}
	t.Fatal("no schedule failed")
}
