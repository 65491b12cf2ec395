package simulation

import (
	"fmt"
	"io"
)

// Stats count what schedules exercised.
type Stats struct {
	Schedules, Steps                             int
	records, batches, commits, recovered, timers int
	crashes                                      [len(phaseNames)]int
	faults                                       [faultCount]int
}

// add adds up.
func (s *Stats) add(o *Stats) {
	s.Schedules += o.Schedules
	s.Steps += o.Steps
	s.records += o.records
	s.batches += o.batches
	s.commits += o.commits
	s.recovered += o.recovered
	s.timers += o.timers
	for i, n := range o.crashes {
		s.crashes[i] += n
	}
	for i, n := range o.faults {
		s.faults[i] += n
	}
}

// Missing names what no schedule exercised: a simulation that has stopped
// testing something says so.
func (s *Stats) Missing() []string {
	var missing []string
	for i, n := range s.crashes {
		if n == 0 {
			missing = append(missing, "crash while "+phaseNames[i])
		}
	}
	for i, n := range s.faults {
		if n == 0 && faultNames[i] != "" {
			missing = append(missing, faultNames[i])
		}
	}
	return missing
}

// WriteTo writes the counts for people.
func (s *Stats) WriteTo(out io.Writer) (int64, error) {
	n, err := fmt.Fprintf(out, "%d schedules, %d steps, %d records handled in %d batches, %d commits, %d values recovered, %d timers\n",
		s.Schedules, s.Steps, s.records, s.batches, s.commits, s.recovered, s.timers)
	for i, count := range s.crashes {
		if err == nil {
			var m int
			m, err = fmt.Fprintf(out, "%9d  crash while %s\n", count, phaseNames[i])
			n += m
		}
	}
	for i, count := range s.faults {
		if err == nil && faultNames[i] != "" {
			var m int
			m, err = fmt.Fprintf(out, "%9d  %s\n", count, faultNames[i])
			n += m
		}
	}
	return int64(n), err
}
