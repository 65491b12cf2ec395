package registrations

import (
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// The values of Registration.allowance.
const (
	allowanceNone uint32 = iota
	allowanceAsked
	allowanceGranted
	allowanceRefused
	allowanceAskedBack
	allowanceGivenBack
)

// ReasonLimitReached rejects a registration whose attendee has all the tickets
// of the event that one person may have.
const ReasonLimitReached = "limit_reached"

// requestAllowance tells the attendee's own record of the registration. Only
// where the event has a limit does the saga wait for the answer.
func (s *saga) requestAllowance(q *pb.Register) {
	if q.MaxPerAttendee > 0 {
		s.r.Allowance = allowanceAsked
	}
	u := attendeeUpdate(s.r)
	if q.Imported {
		s.countImport(u)
	}
	u.AttendeeSealed, u.KeyId = q.AttendeeSealed, q.KeyId
	s.emit(attendeeOutput(u))
}

// countImport: no limit refuses what was sold already, but it counts for what the
// attendee may have besides. Where no line stands it only leaves its trace.
func (s *saga) countImport(u *pb.AttendeeUpdate) {
	u.Limit = 0
	s.r.Allowance = allowanceNone
	switch {
	case u.Quantity == 0:
		u.Release = true
	case s.r.MaxPerAttendee > 0:
		s.r.Allowance = allowanceGranted
	}
}

func (s *saga) onAllowance(e *pb.AttendeeEvent) (transition.Effect, error) {
	if len(e.AttendeeId) != idSize {
		return transition.Effect{}, transition.Poisoned("invalid_id", "attendee id of %d bytes", len(e.AttendeeId))
	}
	if !s.known() {
		return s.unwantedAllowance(e)
	}
	switch {
	case e.Released && s.r.Allowance == allowanceAskedBack:
		s.r.Allowance = allowanceGivenBack
		if s.r.Outcome == pb.Outcome_OUTCOME_CONFIRMED {
			s.r.Allowance = allowanceGranted // only some lines were given back
		}
	case e.Released || s.r.Allowance != allowanceAsked:
		return s.replayed()
	case e.Granted:
		s.r.Allowance = allowanceGranted
		s.hold()
	default:
		s.r.Allowance = allowanceRefused
		s.decide(pb.Outcome_OUTCOME_REJECTED, ReasonLimitReached)
	}
	s.rises = true
	return s.applied()
}

// unwantedAllowance gives back what a registration that nobody knows was granted.
func (s *saga) unwantedAllowance(e *pb.AttendeeEvent) (transition.Effect, error) {
	if !e.Granted {
		return s.replayed()
	}
	s.emit(attendeeOutput(&pb.AttendeeUpdate{
		AttendeeId: e.AttendeeId, RegistrationId: e.RegistrationId, Release: true,
	}))
	return s.rejected(ReasonUnknownRegistration)
}

// giveBackAllowance asks back what is no longer needed: all of it, or, while
// the registration is confirmed, what its cancelled lines had.
func (s *saga) giveBackAllowance() {
	switch s.r.Allowance {
	case allowanceAsked, allowanceGranted, allowanceAskedBack:
		s.r.Allowance = allowanceAskedBack
		s.emit(attendeeOutput(attendeeUpdate(s.r)))
	}
}
