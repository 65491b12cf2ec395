package registrations

import (
	"bytes"
	"fmt"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Apply runs one message against its registration; r is nil when the
// registration is unknown, and may be changed in place. It returns a
// *transition.Poison for a message that no correct peer sends, and a plain error
// when the saga would break I2 or I3: then nothing must be stored.
func Apply(r *pb.Registration, m *transition.Message, rules *Rules, picker Picker) (transition.Effect, error) {
	s := &saga{r: r, m: m, rules: rules, picker: picker, now: m.Time.UnixMilli(), before: r.GetOutcome()}
	switch value := m.Value.(type) {
	case *pb.RegistrationCommand:
		if err := s.addressed(value.RegistrationId); err != nil {
			return transition.Effect{}, err
		}
		return s.onCommand(value)
	case *pb.SeatEvent:
		if err := s.addressed(value.RegistrationId); err != nil {
			return transition.Effect{}, err
		}
		return s.onSeats(value)
	case *pb.Payment:
		if err := s.addressed(value.RegistrationId); err != nil {
			return transition.Effect{}, err
		}
		return s.onPayment(value)
	case *pb.AttendeeEvent:
		if err := s.addressed(value.RegistrationId); err != nil {
			return transition.Effect{}, err
		}
		return s.onAllowance(value)
	case *pb.Timer:
		return s.onTimer(value)
	}
	return transition.Effect{}, transition.Poisoned("unexpected_message", "%T on %s", m.Value, m.Topic)
}

// saga is one run of Apply: the state, the message, and what comes of it.
type saga struct {
	r      *pb.Registration
	m      *transition.Message
	rules  *Rules
	picker Picker
	// id is the registration's id; zero for timers until the state is known.
	id uuid.UUID
	// now is the time of the record, in Unix milliseconds.
	now int64
	// before is the outcome that the message found.
	before pb.Outcome
	// rises: something visible changed, so the version rises and a snapshot is
	// published.
	rises bool
	// writes: the state must be stored, visibly changed or not.
	writes  bool
	outputs []transition.Output
}

// known reports whether the registration has been registered. A refused command
// for an unknown id leaves a value that only carries its result.
func (s *saga) known() bool { return s.r.GetStep() != pb.Step_STEP_UNSPECIFIED }

// open reports whether the outcome is still to be decided.
func (s *saga) open() bool { return s.r.Outcome == pb.Outcome_OUTCOME_UNSPECIFIED }

func (s *saga) emit(outputs ...transition.Output) { s.outputs = append(s.outputs, outputs...) }

// addressed checks that the payload's id is the record's key.
func (s *saga) addressed(id []byte) error {
	s.id = topology.UUID(id)
	if len(id) != len(s.id) || s.id == (uuid.UUID{}) {
		return transition.Poisoned("invalid_id", "registration id of %d bytes", len(id))
	}
	if key := s.id.String(); key != s.m.Key {
		return transition.Poisoned("wrong_key", "a record about registration %s has the key %q", key, s.m.Key)
	}
	return nil
}

// applied ends the run of a message that was worked in.
func (s *saga) applied() (transition.Effect, error) {
	return s.finish(transition.Effect{Verdict: transition.Applied})
}

// replayed ends the run of a message that was known already.
func (s *saga) replayed() (transition.Effect, error) {
	return s.finish(transition.Effect{Verdict: transition.Replayed})
}

// rejected ends the run of a message that was refused.
func (s *saga) rejected(reason string) (transition.Effect, error) {
	return s.finish(transition.Effect{Verdict: transition.Rejected, Reason: reason})
}

func (s *saga) finish(effect transition.Effect) (transition.Effect, error) {
	if s.rises {
		s.settle()
		if err := s.check(); err != nil {
			return transition.Effect{}, err
		}
		s.r.Version++
		s.r.ChangedAtUnixMs = s.now
		s.emit(transition.Output{Topic: topology.RegistrationEvents.Name, Key: s.m.Key, Value: s.r})
	}
	if s.rises || s.writes {
		effect.State = s.r
	}
	effect.Outputs = s.outputs
	return effect, nil
}

// check is what must hold of every state that is stored.
func (s *saga) check() error {
	r := s.r
	// I2: decided once; a confirmed registration may be cancelled later.
	secondDecision := s.before == pb.Outcome_OUTCOME_CONFIRMED && r.Outcome == pb.Outcome_OUTCOME_CANCELLED
	if s.before != pb.Outcome_OUTCOME_UNSPECIFIED && r.Outcome != s.before && !secondDecision {
		return fmt.Errorf("I2: registration %s was decided %v and would become %v", s.m.Key, s.before, r.Outcome)
	}
	if r.Outcome != pb.Outcome_OUTCOME_CONFIRMED {
		return nil
	}
	// I3: no confirmed registration without its money.
	if r.TotalMinor > 0 && r.GetPayment().GetCapturedMinor() < r.TotalMinor {
		return fmt.Errorf("I3: registration %s would be confirmed with %d of %d captured",
			s.m.Key, r.GetPayment().GetCapturedMinor(), r.TotalMinor)
	}
	// I1: nor without its seats.
	for _, l := range r.Lines {
		if !l.Cancelled && seatsOf(r, l.Line) != l.Quantity {
			return fmt.Errorf("I1: registration %s would be confirmed with %d of %d seats in line %d",
				s.m.Key, seatsOf(r, l.Line), l.Quantity, l.Line)
		}
	}
	return nil
}

// lineOf returns the line of that number, nil when there is none.
func lineOf(r *pb.Registration, number uint32) *pb.Line {
	for _, l := range r.Lines {
		if l.Line == number {
			return l
		}
	}
	return nil
}

// holdOf returns the hold of that id, nil when the state does not list it.
func holdOf(r *pb.Registration, id []byte) *pb.Hold {
	for _, h := range r.GetHolds() {
		if bytes.Equal(h.HoldId, id) {
			return h
		}
	}
	return nil
}
