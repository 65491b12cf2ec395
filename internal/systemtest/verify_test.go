package systemtest

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/verify"
)

// verifyRunning runs `boxoffice verify` on a running system.
func (s *system) verifyRunning(t *testing.T, more ...string) (verify.Report, int) {
	t.Helper()
	args := append([]string{
		"verify", "--json", "--kafka-brokers", strings.Join(s.brokers(), ","),
		"--provider-url", url(s.provider), "--clickhouse-url", url(s.clickhouse),
	}, more...)
	var errs strings.Builder
	cmd := exec.CommandContext(bounded(t), binary, args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var report verify.Report
	if parse := json.Unmarshal(out, &report); parse != nil {
		t.Fatalf("verify: %v, %v\n%s%s", err, parse, out, errs.String())
	}
	return report, cmd.ProcessState.ExitCode()
}

// The books are checked again and again while attendees order, repeat and cancel
// and the provider loses answers: each time every invariant holds, and what is
// under way is listed instead of being taken for lost. Checked as if all were at
// rest, the same moments are told apart from rest. The directory cannot be
// verified behind the back of the running system.
func TestVerifyUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	event := s.newEvent(t, "verified", 100_000)
	s.behave(t, provider.Behaviour{Seed: 3, LatencyMS: 100, ErrorRate: 0.2, DeclineRate: 0.1})
	l := startLoad(t, func() *system { return s }, event, "verified", 4)
	var open, registrations int64
	moving := false
	for i := range 3 {
		l.awaitAnswered(t, 20)
		report, status := s.verifyRunning(t)
		if status != 0 {
			t.Errorf("check %d under load: exit status %d\n%s", i, status, describe(report))
		}
		if report.Registrations < registrations {
			t.Errorf("check %d found %d registrations, the one before %d", i, report.Registrations, registrations)
		}
		registrations = report.Registrations
		open, moving = open+report.Open, moving || report.Moving
	}
	if report, status := s.verifyRunning(t, "--at-rest"); status != 1 || report.OK() {
		t.Errorf("a system under load is said to be at rest: exit status %d\n%s", status, describe(report))
	}
	if open == 0 || !moving {
		t.Errorf("%d open sagas were listed, moving %t: the load made no difference", open, moving)
	}
	out, err := exec.CommandContext(bounded(t), binary, "verify", "--data-dir", s.dir).CombinedOutput()
	if want := fmt.Sprintf("in use by pid %d (boxoffice up)", s.cmd.Process.Pid); err == nil || !strings.Contains(string(out), want) ||
		!strings.Contains(string(out), "without --data-dir") {
		t.Errorf("the directory of a running system: %v, it does not say %q and what to do:\n%s", err, want, out)
	}
	s.checkBooks(t, l.finish(t))
}
