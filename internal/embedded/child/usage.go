package child

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process uses.
type Usage struct {
	// RSSBytes is its resident memory now, PeakRSSBytes the most it ever had.
	RSSBytes, PeakRSSBytes uint64
	// CPU is user and system time since its start.
	CPU time.Duration
}

// ticksPerSecond is USER_HZ, which Linux fixes for its interface.
const ticksPerSecond = 100

// UsageOf reads a process's usage from /proc. It returns errors.ErrUnsupported
// where there is none.
func UsageOf(pid int) (Usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat("/proc/self/stat"); err != nil {
			return Usage{}, fmt.Errorf("usage of process %d: %w", pid, errors.ErrUnsupported)
		}
	}
	if err != nil {
		return Usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return Usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	cpu, err := cpuTime(stat)
	if err != nil {
		return Usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	u := Usage{CPU: cpu}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "VmRSS":
			u.RSSBytes = kilobytes(value)
		case "VmHWM":
			u.PeakRSSBytes = kilobytes(value)
		}
	}
	return u, nil
}

// cpuTime reads fields 14 and 15 of /proc/pid/stat. They are counted after the
// command, which is in parentheses and may hold anything.
func cpuTime(stat []byte) (time.Duration, error) {
	const user, system = 14 - 3, 15 - 3
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc stat has %d fields", len(fields))
	}
	u, uerr := strconv.ParseInt(fields[user], 10, 64)
	s, serr := strconv.ParseInt(fields[system], 10, 64)
	if err := errors.Join(uerr, serr); err != nil {
		return 0, err
	}
	return time.Duration(u+s) * time.Second / ticksPerSecond, nil
}

// kilobytes reads "  1234 kB"; 0 for what it does not understand.
func kilobytes(value string) uint64 {
	number, _ := strings.CutSuffix(strings.TrimSpace(value), " kB")
	kb, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}
