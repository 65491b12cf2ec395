package simulation

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// sagaControls break the saga of a registration.
func sagaControls() []Control {
	broken := func(breaks func(proto.Message, *transition.Message, *transition.Effect)) variant {
		return after(topology.Registrations, breaks)
	}
	return []Control{
		{
			Name: "lost-compensation", Breaks: "I2", Invariants: []string{"I2"}, broken: broken(losesCompensation),
			How: "An order that expires does not give its seats back.",
		},
		{
			Name: "decided-twice", Breaks: "trace 3, I2", Invariants: []string{"I1", "I2", "I3", "I5"}, broken: broken(decidesTwice),
			How: "Money that comes after an order has expired confirms it after all.",
		},
		{
			Name: "confirmed-before-captured", Breaks: "I3", Invariants: []string{"I3"}, broken: broken(confirmsEarly),
			How: "An order is confirmed when its seats are held, before the money has come.",
		},
		{
			Name: "early-timer-decides", Breaks: "trace 9, I2", Invariants: []string{"I2", "I5"}, broken: before(topology.Registrations, decidesEarly),
			How: "A timer decides whatever the time in it: a fast clock expires orders before their deadline.",
		},
		{
			Name: "redrive-raises-the-version", Breaks: "I9", Invariants: []string{"I9", "I5"}, broken: broken(redriveRaises),
			How: "Asking again for what an order waits for makes a new version of it.",
		},
		{
			Name: "snapshot-lost", Breaks: "I9", Invariants: []string{"I9"}, broken: broken(losesSnapshot),
			How: "The last version of an order is in the table and in no event.",
		},
		{
			Name: "refused-command-leaves-no-trace", Breaks: "trace 11, I2", Invariants: []string{"I2"}, broken: broken(leavesNoTrace),
			How: "A command that is refused, or known already, does not leave its position and result.",
		},
		{
			Name: "allowance-not-given-back", Breaks: "I2", Invariants: []string{"I2"}, broken: broken(keepsAllowance),
			How: "An order that failed still counts for its attendee's limit.",
		},
	}
}

// without drops outputs.
func without(e *transition.Effect, drop func(m proto.Message) bool) {
	e.Outputs = slices.DeleteFunc(e.Outputs, func(o transition.Output) bool { return drop(o.Value) })
}

func losesCompensation(_ proto.Message, _ *transition.Message, e *transition.Effect) {
	if r, ok := e.State.(*pb.Registration); ok && r.Outcome == pb.Outcome_OUTCOME_EXPIRED {
		without(e, func(m proto.Message) bool { c, ok := m.(*pb.SeatCommand); return ok && c.GetRelease() != nil })
	}
}

func decidesTwice(_ proto.Message, m *transition.Message, e *transition.Effect) {
	p, _ := m.Value.(*pb.Payment)
	if r, ok := e.State.(*pb.Registration); ok && r.Outcome == pb.Outcome_OUTCOME_EXPIRED && p.GetStatus() == pb.PaymentStatus_PAYMENT_STATUS_CAPTURED {
		r.Outcome = pb.Outcome_OUTCOME_CONFIRMED
	}
}

func confirmsEarly(_ proto.Message, _ *transition.Message, e *transition.Effect) {
	if r, ok := e.State.(*pb.Registration); ok && r.Step == pb.Step_STEP_CHARGING {
		r.Outcome = pb.Outcome_OUTCOME_CONFIRMED
	}
}

func decidesEarly(state proto.Message, m *transition.Message) {
	t, _ := m.Value.(*pb.Timer)
	if r, ok := state.(*pb.Registration); ok && t != nil && r.DeadlineUnixMs > t.NowUnixMs {
		// As if due meant that the message is there. What it says stays as it was.
		r.DeadlineUnixMs, r.ExpiresAtUnixMs = t.NowUnixMs, min(r.ExpiresAtUnixMs, t.NowUnixMs)
	}
}

func redriveRaises(was proto.Message, m *transition.Message, e *transition.Effect) {
	r, ok := e.State.(*pb.Registration)
	known, _ := was.(*pb.Registration)
	if _, timer := m.Value.(*pb.Timer); ok && timer && r.Version == known.GetVersion() {
		r.Version++
		e.Outputs = append(e.Outputs, transition.Output{Topic: topology.RegistrationEvents.Name, Key: m.Key, Value: r})
	}
}

func losesSnapshot(_ proto.Message, _ *transition.Message, e *transition.Effect) {
	if r, ok := e.State.(*pb.Registration); ok && r.Settled {
		without(e, func(m proto.Message) bool { _, ok := m.(*pb.Registration); return ok })
	}
}

func leavesNoTrace(_ proto.Message, m *transition.Message, e *transition.Effect) {
	if _, ok := m.Value.(*pb.RegistrationCommand); ok && e.Verdict != transition.Applied {
		e.State = nil
		without(e, func(m proto.Message) bool { _, ok := m.(*pb.Registration); return ok })
	}
}

func keepsAllowance(_ proto.Message, _ *transition.Message, e *transition.Effect) {
	r, ok := e.State.(*pb.Registration)
	if !ok || r.Outcome == pb.Outcome_OUTCOME_CONFIRMED {
		return
	}
	without(e, func(m proto.Message) bool {
		u, ok := m.(*pb.AttendeeUpdate)
		if !ok || !u.Release {
			return false
		}
		r.Allowance = 5 // given back, it believes
		return true
	})
}
