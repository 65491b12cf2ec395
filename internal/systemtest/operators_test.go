package systemtest

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// tool runs an operators' tool of the binary against this system.
func (s *system) tool(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(bounded(t), binary, append(args, "--kafka-brokers", strings.Join(s.brokers(), ","))...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// The provider is away and an order hangs. Its operator sees what it waits for,
// retries it, is refused when taking it for captured, and finds all of that in
// its history; the order is confirmed as if nothing had been, and the tables are
// what their log makes of them. A row that is lost in ClickHouse is found and put
// back.
func TestOperatorsTools(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t), "--charge-timeout", "10m")
	event := s.newEvent(t, "operators", 20)
	s.behave(t, provider.Behaviour{Seed: 1, Away: true})
	id := s.register(t, order(event, "hangs"))
	s.awaitRegistration(t, id, "waiting for its money", func(r *client.Registration) bool { return r.Payment != nil })
	for _, c := range []struct {
		says string
		code int
		args []string
	}{
		{"the provider: charge of", 0, []string{"sagas", "list"}},
		{`"registration_id":"` + id, 0, []string{"sagas", "list", "--json", "--event", event}},
		{"0 open and stuck", 0, []string{"sagas", "list", "--stuck"}},
		{"name the ids to retry", 2, []string{"sagas", "retry"}},
		{"the provider is asked for the charge", 0, []string{"sagas", "retry", id, "--operator", "ana", "--note", "a call"}},
		{"only a parked charge is resolved", 1, []string{"sagas", "resolve", id, "--as", "captured", "--note", "a call", "--provider-url", url(s.provider)}},
		{"retry by ana", 0, []string{"sagas", "show", id}},
	} {
		if out, code := s.tool(t, c.args...); code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%v ended with %d, want %d and %q:\n%s", c.args, code, c.code, c.says, out)
		}
	}
	s.behave(t, provider.Behaviour{Seed: 1})
	if out, code := s.tool(t, "sagas", "retry", id, "--operator", "ana", "--note", "it is back"); code != 0 {
		t.Errorf("the last retry ended with %d:\n%s", code, out)
	}
	if r := s.awaitSettled(t, id); r.Status != "confirmed" {
		t.Errorf("it is %+v", *r)
	}
	for _, group := range []string{"catalog", "registrations", "inventory", "payments", "attendees"} {
		if out, code := s.tool(t, "rebuild", "table", group); code != 0 || !strings.Contains(out, "0 differ") {
			t.Errorf("rebuild table %s ended with %d:\n%s", group, code, out)
		}
	}
	s.checkBooks(t, []string{id})
	s.loseAndMend(t, id)
	s.checkBooks(t, []string{id})
}

// loseAndMend deletes a registration's row in ClickHouse and has it mended.
func (s *system) loseAndMend(t *testing.T, id string) {
	t.Helper()
	s.awaitLoaded(t, id)
	db, err := clickhouse.OpenDB(url(s.clickhouse), clickhouse.DefaultDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE registrations DELETE WHERE registration_id = '"+id+"' SETTINGS mutations_sync = 1"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		says string
		code int
		args []string
	}{
		{id + " is missing", 1, nil},
		{`"missing": 1`, 1, []string{"--json"}},
		{"--keep-old keeps what --swap exchanges", 2, []string{"--keep-old"}},
		{"the recomputed tables are in place", 0, []string{"--swap", "--operator", "ana", "--note", "a deleted row"}},
		{"0 rows differ", 0, nil},
	} {
		args := append([]string{"rebuild", "clickhouse", "--clickhouse-url", url(s.clickhouse)}, c.args...)
		if out, code := s.tool(t, args...); code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%v ended with %d, want %d and %q:\n%s", args, code, c.code, c.says, out)
		}
	}
	s.awaitLoaded(t, id)
}
