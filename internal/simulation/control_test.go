package simulation

import (
	"flag"
	"slices"
	"testing"
)

// controlSeeds bounds the schedules that a control may take to be noticed.
var controlSeeds = flag.Int("control-schedules", 20_000, "how many schedules a negative control may take")

// Each system that is broken on purpose is noticed, by the invariant that it
// breaks. If one is not, the simulation has stopped seeing something.
func TestControls(t *testing.T) {
	t.Parallel()
	for _, c := range Controls() {
		if c.Test != "" {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			r, err := newRunner()
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(*controlSeeds) {
				f := r.seeded(seed, &c.broken)
				if f == nil {
					continue
				}
				if !slices.Contains(c.Invariants, f.Violation.Invariant) {
					t.Fatalf("seed %d: noticed as %v, want one of %v", seed, f.Violation, c.Invariants)
				}
				t.Logf("noticed after %d schedules: %.200s", seed+1, f.Violation.Error())
				return
			}
			t.Fatalf("not noticed in %d schedules", *controlSeeds)
		})
	}
}
