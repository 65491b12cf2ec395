package simulation

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// Failure is a schedule that broke an invariant.
type Failure struct {
	Seed      uint64
	Violation *Violation
	tape      []uint16
	broken    *variant
}

// sound is the system as it is.
var sound = &variant{}

// runner runs schedules one after the other.
type runner struct {
	caller *caller
	stats  Stats
}

func newRunner() (*runner, error) {
	c, err := newCaller()
	return &runner{caller: c}, err
}

// run runs one schedule.
func (r *runner) run(seed uint64, c *choices, broken *variant, s *story) *Violation {
	r.stats.Schedules++
	return newWorld(seed, c, broken, r.caller, &r.stats, s).run()
}

// seeded runs the schedule of a seed.
func (r *runner) seeded(seed uint64, broken *variant) *Failure {
	c := newChoices(seed)
	if v := r.run(seed, c, broken, nil); v != nil {
		return &Failure{Seed: seed, Violation: v, tape: c.tape, broken: broken}
	}
	return nil
}

// Run runs n schedules from a seed on, on all cores. It stops at the first one
// that breaks an invariant.
func Run(from uint64, n int) (*Stats, *Failure, error) {
	return runAll(from, n, sound)
}

func runAll(from uint64, n int, broken *variant) (*Stats, *Failure, error) {
	var (
		total   Stats
		first   *Failure
		firstEr error
		mu      sync.Mutex
		next    atomic.Int64
		workers sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			r, err := newRunner()
			for err == nil {
				i := next.Add(1) - 1
				if i >= int64(n) {
					break
				}
				if f := r.seeded(from+uint64(i), broken); f != nil {
					mu.Lock()
					if first == nil || f.Seed < first.Seed {
						first = f
					}
					mu.Unlock()
					next.Store(int64(n))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				firstEr = err
				return
			}
			total.add(&r.stats)
		})
	}
	workers.Wait()
	return &total, first, firstEr
}

// Tell shrinks the failure and writes its story, with the command that replays
// it.
func (f *Failure) Tell(out io.Writer, most int) error {
	r, err := newRunner()
	if err != nil {
		return err
	}
	tape := f.shrink(r)
	s := &story{}
	if v := r.run(f.Seed, replayed(tape), f.broken, s); v == nil || v.Invariant != f.Violation.Invariant {
		return fmt.Errorf("simulation: seed %d does not fail again: a schedule depends on something else than its decisions", f.Seed)
	}
	if _, err := fmt.Fprintf(out, "seed %d: %v\nshrunk from %d decisions to %d, of which %d are not quiet:\n",
		f.Seed, f.Violation, len(f.tape), len(tape), loud(tape)); err != nil {
		return err
	}
	if err := s.write(out, most); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "again: make simulate SEED=%d\n", f.Seed)
	return err
}

// Replay runs the schedule of a seed and writes its whole story.
func Replay(out io.Writer, seed uint64) (*Failure, error) {
	r, err := newRunner()
	if err != nil {
		return nil, err
	}
	c, s := newChoices(seed), &story{}
	v := r.run(seed, c, sound, s)
	if err := s.write(out, len(s.lines)); err != nil || v == nil {
		return nil, err
	}
	return &Failure{Seed: seed, Violation: v, tape: c.tape, broken: sound}, nil
}
