package systemtest

import (
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
)

// everything and parent are victims besides the roles: all processes at once,
// as a loss of power takes them, and the parent alone, whose children end by
// themselves while the next start already begins.
const (
	everything = "everything"
	parent     = "parent"
)

// victims are the processes of `up --processes`.
var victims = []string{
	"kafka", "clickhouse", "provider", "registrations", "inventory", "payments", "catalog", "attendees",
	"gateway", "sink", "views", "ingest", everything, parent,
}

// Processes are killed with -9 at moments and in an order drawn from the seed,
// one at a time or all at once, while attendees order, repeat and cancel:
// afterwards each order that was accepted is decided and settled, and seats and
// money are exact.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(*seed, 0))
	var current atomic.Pointer[system]
	current.Store(start(t, newLayout(t), "--processes"))
	event := current.Load().newEvent(t, "killed", 100_000)
	l := startLoad(t, current.Load, event, "killed", 4)
	var order []string
	for moment := range *moments {
		if len(order) == 0 {
			order = append(order, victims...)
			random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		}
		victim := order[0]
		order = order[1:]
		// Progress, not time, says when: the same seed kills in the middle of
		// much the same work on any machine.
		after := 20 + random.Int64N(200)
		l.awaitAnswered(t, after)
		t.Logf("moment %d: %s after %d more orders", moment, victim, after)
		current.Store(current.Load().lose(t, victim))
	}
	l.awaitAnswered(t, 50)
	accepted := l.finish(t)
	s := current.Load()
	for _, id := range accepted {
		s.awaitSettled(t, id)
	}
	report := s.checkBooks(t, accepted)
	t.Logf("%d orders accepted, %d confirmed", len(accepted), report.Confirmed)
}

// lose kills a victim and returns the system that runs afterwards.
func (s *system) lose(t *testing.T, victim string) *system {
	t.Helper()
	switch victim {
	case everything:
		s.killAll()
		return s.restart(t)
	case parent:
		_ = s.cmd.Process.Kill() // it has not been waited for: no error
		s.awaitEnd(t)
		return s.restart(t)
	}
	was := s.pid(t, victim)
	s.signal(t, victim, syscall.SIGKILL)
	eventually(t, victim+" is started again", func() error { return s.replaced(victim, was) })
	return s
}
