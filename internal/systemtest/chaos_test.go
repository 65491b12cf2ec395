package systemtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eventpro/boxoffice/internal/chaos"
)

// runChaos runs the command at a low rate and returns what it wrote down.
func runChaos(t *testing.T, args ...string) (a chaos.Artefact, status int, output string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "chaos.json")
	cmd := exec.CommandContext(t.Context(), binary, append([]string{
		"chaos", "--seed", "5", "--rate", "40", "--warmup", "4s", "--patience", "60s", "--out", file, "--data-dir", filepath.Join(t.TempDir(), "data"),
	}, args...)...)
	cmd.WaitDelay = patience
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return a, cmd.ProcessState.ExitCode(), string(text)
}

// A short chaos run on the real processes passes, and its artefact says of each
// fault that it took effect and how long the recovery took.
func TestChaosPasses(t *testing.T) {
	t.Parallel()
	a, status, output := runChaos(t, "--rounds", "3", "--faults", "kill:registrations,pause:inventory-2,provider-errors")
	if a.Verdict != chaos.Pass || status != 0 || len(a.Rounds) != 3 {
		t.Fatalf("verdict %q, status %d\n%s", a.Verdict, status, output)
	}
	for _, r := range a.Rounds {
		if !r.TookEffect || r.Effect == "" || r.Recovery.TotalMs <= 0 || r.Accepted == 0 {
			t.Errorf("%+v", r)
		}
	}
	if a.Oracle.Accepted < 100 || a.Totals.Confirmed == 0 || a.Totals.PaymentFailed == 0 || !a.Books.OK() {
		t.Errorf("%+v, %+v", a.Oracle, a.Totals)
	}
}

// The oracle and the verdict are worth something only when they tell: of a client
// that was told of a registration that is not there, of a ledger that is lost,
// of reports that differ from it, and of faults that did nothing.
func TestChaosTells(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		control chaos.Break
		fault   string
		want    chaos.Verdict
		says    string
	}{
		{chaos.BreakAccepted, "kill:views", chaos.Fail, "1 lost"},
		{chaos.BreakLedger, "provider-kill", chaos.Fail, "I3 is broken"},
		{chaos.BreakReports, "kill:views", chaos.Fail, "I4 is broken"},
		{chaos.BreakFaults, "kill:sink", chaos.Unverified, "not known to have taken effect"},
	} {
		t.Run(string(c.control), func(t *testing.T) {
			a, status, output := runChaos(t, "--rounds", "1", "--faults", c.fault, "--break", string(c.control))
			if reasons := strings.Join(a.Reasons, "; "); a.Verdict != c.want || status != 1 || !strings.Contains(reasons, c.says) {
				t.Errorf("verdict %q, status %d, because %s; want %q because %q\n%s", a.Verdict, status, reasons, c.want, c.says, output)
			}
		})
	}
}
