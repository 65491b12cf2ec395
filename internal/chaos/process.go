package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"
)

// look is how often something is looked for that is about to happen.
const look = 20 * time.Millisecond

// await polls until done says so, or returns why not when patience is over.
func await(ctx context.Context, patience time.Duration, done func() error) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		err := done()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("not within %v: %w", patience, err)
		case <-tick.C:
		}
	}
}

// pid is the role's process, 0 when none runs.
func (r *Role) pid() int { return r.Process.State().PID }

// gone waits until the process that was pid has ended and returns how.
func (r *Role) gone(ctx context.Context, pid int, patience time.Duration) (how string, err error) {
	err = await(ctx, patience, func() error {
		if now := r.Process.State(); now.PID != pid {
			how = now.LastExit
			return nil
		}
		return fmt.Errorf("%s still runs as pid %d", r.Name, pid)
	})
	return how, err
}

// started returns the process that runs now, which must not be the one before.
func (r *Role) started(before int) (string, error) {
	now := r.pid()
	if now == 0 || now == before {
		return "", fmt.Errorf("%s does not run as another process: pid %d", r.Name, now)
	}
	return fmt.Sprintf("pid %d runs", now), nil
}

// stopped says whether a process is stopped by a signal. It is known where there
// is /proc.
func stopped(pid int) error {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return fmt.Errorf("the state of pid %d is not known: %w", pid, err)
	}
	// pid (comm) state ...
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) == 0 || string(fields[0]) != "T" {
		return fmt.Errorf("pid %d is not stopped: %s", pid, fields[0])
	}
	return nil
}

// told is what a process said about itself when it was ready.
type told struct {
	Metrics    []string `json:"metrics"`
	ClockAhead []string `json:"clock_ahead"`
}

func (r *Role) told() (t told) {
	// A process that is not ready has said nothing.
	_ = json.Unmarshal(r.Process.State().Addresses, &t)
	return t
}

// metricsURL is where the role serves metrics and health; empty when it has not
// said so.
func (r *Role) metricsURL() string {
	if t := r.told(); len(t.Metrics) == 1 {
		return "http://" + t.Metrics[0]
	}
	return ""
}

// clockAhead is how far the role says that its clock is ahead of this one's.
func (r *Role) clockAhead() (time.Duration, error) {
	t := r.told()
	if len(t.ClockAhead) != 1 {
		return 0, fmt.Errorf("%s has not said what its clock shows", r.Name)
	}
	return time.ParseDuration(t.ClockAhead[0])
}
