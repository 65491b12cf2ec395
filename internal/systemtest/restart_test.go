package systemtest

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// The system is stopped and started again in the same place, in one process,
// then as one process a role, then on other ports: what was sold is still
// there, a repeated order is known, and the sale goes on.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	event := s.newEvent(t, "restart", 40)
	first := s.buy(t, event, "restart-first")
	moved := newLayout(t)
	moved.dir = s.dir
	for i, next := range []struct {
		layout layout
		more   []string
	}{{s.layout, nil}, {s.layout, []string{"--processes"}}, {moved, nil}} {
		key := s.key
		s.stop(t)
		s = start(t, next.layout, next.more...)
		if s.key != key {
			t.Errorf("the API key changed from %s to %s", key, s.key)
		}
		again := s.awaitSettled(t, s.register(t, order(event, "restart-first")))
		if again.RegistrationID != first.RegistrationID || again.Status != "confirmed" || again.Tickets[0] != first.Tickets[0] {
			t.Errorf("it was %+v, is %+v after a restart", *first, *again)
		}
		s.buy(t, event, fmt.Sprintf("restart-%d", i))
		s.awaitSeats(t, event, i+2, 40-i-2)
	}
	s.checkBooks(t, []string{first.RegistrationID})
}

// A second start on the same data directory, and one whose ports are taken, end
// at once and say by whom and what to do; the first one is not disturbed.
func TestSecondStarter(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	event := s.newEvent(t, "second starter", 20)

	elsewhere := newLayout(t)
	elsewhere.dir = s.dir
	refused(t, elsewhere, s.dir, fmt.Sprintf("in use by pid %d (boxoffice up)", s.cmd.Process.Pid), "choose another directory")

	taken := map[string]func(*layout, int){
		"kafka":      func(l *layout, port int) { l.kafka[1] = port },
		"clickhouse": func(l *layout, port int) { l.clickhouse = port },
		"provider":   func(l *layout, port int) { l.provider = port },
		"ingest":     func(l *layout, port int) { l.ingest = port },
	}
	held, err := net.Listen("tcp", loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	port := held.Addr().(*net.TCPAddr).Port
	for what, take := range taken {
		t.Run(what, func(t *testing.T) {
			l := newLayout(t)
			take(&l, port)
			refused(t, l, "port "+strconv.Itoa(port), "is held by pid", "choose")
		})
	}
	s.buy(t, event, "undisturbed")
}

// refused starts a system that cannot start, and wants its last words to say
// all of it.
func refused(t *testing.T, l layout, says ...string) {
	t.Helper()
	s := launchCommand(t, l, exec.Command(binary, l.args()...), nil)
	s.awaitEnd(t)
	if code := s.cmd.ProcessState.ExitCode(); code != 1 && code != 2 {
		t.Errorf("ended with %v", s.cmd.ProcessState)
	}
	for _, want := range says {
		if !strings.Contains(s.output.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, s.output)
		}
	}
}
