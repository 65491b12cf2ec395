package registrations

import (
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Reasons of EXPIRED.
const (
	ReasonNotHeldInTime = "not_held_in_time"
	ReasonNotPaidInTime = "not_paid_in_time"
)

// onTimer handles a deadline. A deadline is due when the time in the message has
// reached the one in the state: a clock that runs ahead of the state's time
// changes nothing, and comes again.
func (s *saga) onTimer(t *pb.Timer) (transition.Effect, error) {
	if !s.known() || s.r.DeadlineUnixMs == 0 || t.NowUnixMs < s.r.DeadlineUnixMs {
		return s.replayed()
	}
	s.id = topology.UUID(s.r.RegistrationId)
	// Times that follow count from the later clock, or the same message would
	// find the next deadline due as well.
	s.now = max(s.now, t.NowUnixMs)
	switch {
	case !s.open():
		s.redrive()
	case s.r.Imported && (s.r.Step == pb.Step_STEP_CHARGING || t.NowUnixMs >= s.r.ExpiresAtUnixMs):
		s.driveOn()
	case s.r.Step == pb.Step_STEP_CHARGING:
		s.decide(pb.Outcome_OUTCOME_EXPIRED, ReasonNotPaidInTime)
	case t.NowUnixMs >= s.r.ExpiresAtUnixMs:
		s.decide(pb.Outcome_OUTCOME_EXPIRED, ReasonNotHeldInTime)
	default:
		s.lookAgain()
	}
	return s.applied()
}

// redrive asks again for what a decided saga waits for, with backoff. It is no
// part of the history: neither the version nor an event tells of it.
func (s *saga) redrive() {
	s.writes = true
	s.r.Redrives++
	s.r.DeadlineUnixMs = s.now + s.rules.backoff(s.r.Redrives).Milliseconds()
	s.emit(Outstanding(s.r)...)
}

// lookAgain is the look for seats that a line waited for.
func (s *saga) lookAgain() {
	s.writes = true
	holds := len(s.r.Holds)
	s.r.DeadlineUnixMs = s.r.ExpiresAtUnixMs
	s.searchAll()
	s.rises = s.rises || len(s.r.Holds) > holds
}
