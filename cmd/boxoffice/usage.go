package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/eventpro/boxoffice/internal/embedded/child"
)

// usage is what a sale has cost.
type usage struct {
	// cpu is the CPU time by role. Roles that share a process are told apart by
	// samples; "runtime" is their garbage collection and scheduling.
	cpu map[string]time.Duration
	// processes are the processes' memory at the end, by role.
	processes map[string]child.Usage
	elapsed   time.Duration
	profile   []byte
}

// meter measures a sale's cost.
type meter struct {
	system  *system
	cpu     *cpuMeter
	before  map[string]child.Usage
	started time.Time
}

func (s *system) startMeter() (*meter, error) {
	cpu, err := startCPUMeter()
	if err != nil {
		return nil, err
	}
	return &meter{system: s, cpu: cpu, before: s.usage(), started: time.Now()}, nil
}

func (m *meter) stop() (usage, error) {
	after := m.system.usage()
	elapsed := time.Since(m.started)
	byRole, profile, err := m.cpu.stop()
	if err != nil {
		return usage{}, err
	}
	for role, u := range after {
		if role != ownProcess {
			byRole[role] += u.CPU - m.before[role].CPU
		}
	}
	return usage{cpu: byRole, processes: after, elapsed: elapsed, profile: profile}, nil
}

// loadRole is the profile label of the load generator.
const loadRole = "load generator"

func (u usage) perConfirmed(confirmed int64) map[string]float64 {
	figures := map[string]float64{}
	if confirmed == 0 {
		return figures
	}
	for role, cpu := range u.cpu {
		figures[role] = float64(cpu.Microseconds()) / float64(confirmed)
	}
	return figures
}

func (u usage) residentMB() map[string]float64 {
	figures := map[string]float64{}
	for role, p := range u.processes {
		figures[role] = float64(p.RSSBytes) / (1 << 20)
	}
	return figures
}

// write tells people what the sale has cost.
func (u usage) write(w io.Writer, confirmed int64) {
	heading(w, "Cost")
	if confirmed == 0 {
		return
	}
	roles := slices.SortedFunc(maps.Keys(u.cpu), func(a, b string) int { return int(u.cpu[b] - u.cpu[a]) })
	var sum time.Duration
	for _, role := range roles {
		sum += u.cpu[role]
	}
	fmt.Fprintf(w, "  CPU time               %.0f µs per confirmed registration (%.2f cores busy)\n",
		float64(sum.Microseconds())/float64(confirmed), sum.Seconds()/u.elapsed.Seconds())
	for _, role := range roles {
		fmt.Fprintf(w, "    %-26s %7.1f µs  %4.1f %%\n", role,
			float64(u.cpu[role].Microseconds())/float64(confirmed), 100*u.cpu[role].Seconds()/sum.Seconds())
	}
	var resident uint64
	for _, p := range u.processes {
		resident += p.RSSBytes
	}
	fmt.Fprintf(w, "  resident memory        %s MB in all processes\n", grouped(int64(resident>>20)))
	for _, role := range slices.Sorted(maps.Keys(u.processes)) {
		p := u.processes[role]
		fmt.Fprintf(w, "    %-26s %7s MB  (most: %s MB)\n", role, grouped(int64(p.RSSBytes>>20)), grouped(int64(p.PeakRSSBytes>>20)))
	}
}
