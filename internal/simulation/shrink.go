package simulation

import "slices"

// shrinkRunsMax bounds how many schedules a shrink may run.
const shrinkRunsMax = 3_000

// shrink looks for a shorter and quieter tape that breaks the same invariant.
func (f *Failure) shrink(r *runner) []uint16 {
	best := f.tape
	runs := 0
	breaks := func(tape []uint16) bool {
		runs++
		if runs > shrinkRunsMax {
			return false
		}
		v := r.run(f.Seed, replayed(tape), f.broken, nil)
		return v != nil && v.Invariant == f.Violation.Invariant
	}
	for improved := true; improved && runs < shrinkRunsMax; {
		improved = false
		for size := len(best) / 2; size > 0; size /= 2 {
			for at := 0; at+size <= len(best); {
				if tape := slices.Delete(slices.Clone(best), at, at+size); breaks(tape) {
					best, improved = tape, true
					continue
				}
				if tape := zeroed(best, at, size); tape != nil && breaks(tape) {
					best, improved = tape, true
				}
				at += size
			}
		}
	}
	for len(best) > 0 && best[len(best)-1] == 0 {
		best = best[:len(best)-1]
	}
	return best
}

// loud counts the decisions that are not quiet.
func loud(tape []uint16) int {
	n := 0
	for _, v := range tape {
		if v != 0 {
			n++
		}
	}
	return n
}

// zeroed is the tape with quiet decisions in a range; nil when they are quiet
// already.
func zeroed(tape []uint16, at, size int) []uint16 {
	if !slices.ContainsFunc(tape[at:at+size], func(v uint16) bool { return v != 0 }) {
		return nil
	}
	tape = slices.Clone(tape)
	clear(tape[at : at+size])
	return tape
}
