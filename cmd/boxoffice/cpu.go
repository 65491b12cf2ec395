package main

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// cpuMeter samples this process's CPU time and attributes it to roles by the
// profile label that every service runs under.
type cpuMeter struct{ samples bytes.Buffer }

func startCPUMeter() (*cpuMeter, error) {
	m := &cpuMeter{}
	if err := pprof.StartCPUProfile(&m.samples); err != nil {
		return nil, fmt.Errorf("start the CPU profile: %w", err)
	}
	return m, nil
}

// stop ends the sampling and returns the CPU time by role and the raw profile
// (gzipped protobuf, for go tool pprof).
func (m *cpuMeter) stop() (map[string]time.Duration, []byte, error) {
	pprof.StopCPUProfile()
	raw := m.samples.Bytes()
	parsed, err := profile.ParseData(raw)
	if err != nil {
		return nil, raw, fmt.Errorf("read the CPU profile: %w", err)
	}
	return cpuByRole(parsed), raw, nil
}

// cpuByRole sums the samples' CPU time by their role label; what the runtime
// does for all of them (garbage collection, scheduling) is "runtime".
func cpuByRole(p *profile.Profile) map[string]time.Duration {
	byRole := map[string]time.Duration{}
	value := len(p.SampleType) - 1 // the last one is CPU nanoseconds
	for _, sample := range p.Sample {
		role := strings.Join(sample.Label["role"], ",")
		if role == "" {
			role = "runtime"
		}
		byRole[role] += time.Duration(sample.Value[value])
	}
	return byRole
}
