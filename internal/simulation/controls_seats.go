package simulation

import (
	"math/bits"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	"github.com/eventpro/boxoffice/processors/registrations"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// before breaks what a group's handler is given.
func before(group topology.Group, breaks func(state proto.Message, m *transition.Message)) variant {
	return variant{group: group.Name, handle: func(_ *world, next stream.Handler) stream.Handler {
		return func(state proto.Message, m *transition.Message) (transition.Effect, error) {
			breaks(state, m)
			return next(state, m)
		}
	}}
}

// after breaks what a group's handler has answered; was is the state before.
func after(group topology.Group, breaks func(was proto.Message, m *transition.Message, e *transition.Effect)) variant {
	return variant{group: group.Name, handle: func(_ *world, next stream.Handler) stream.Handler {
		return func(state proto.Message, m *transition.Message) (transition.Effect, error) {
			was := state
			if state != nil {
				was = proto.Clone(state)
			}
			e, err := next(state, m)
			if err == nil {
				breaks(was, m, &e)
			}
			return e, err
		}
	}}
}

// seatControls break seats and blocks.
func seatControls() []Control {
	return []Control{
		{
			Name: "hold-id-without-line", Breaks: "trace 6, I1", Invariants: []string{"I1", "I2"}, broken: after(topology.Registrations, holdIDWithoutLine),
			How: "Two lines of one ticket type that ask the same block share a hold id, and get the same seats.",
		},
		{
			Name: "hold-topped-up", Breaks: "I1, I5", Invariants: []string{"I1", "I5"}, broken: after(topology.Inventory, holdToppedUp),
			How: "A hold that owns seats is given one more when it is asked for again.",
		},
		{
			Name: "seats-by-the-clock", Breaks: "I1", Invariants: []string{"I1", "I2"}, broken: before(topology.Inventory, freesByItsClock),
			How: "A block takes seats back that were held for long, without their saga's command.",
		},
		{
			Name: "release-of-another-hold", Breaks: "I1", Invariants: []string{"I1", "I2", "I5"}, broken: after(topology.Inventory, releasesAnother),
			How: "A release of a hold that owns nothing frees somebody else's seats.",
		},
		{
			Name: "release-counted-twice", Breaks: "I1, I5", Invariants: []string{"I1", "I5"}, broken: after(topology.Inventory, countsReleaseTwice),
			How: "A repeated release raises the number of free seats once more.",
		},
		{
			Name: "sold-out-at-the-first-refusal", Breaks: "I1", Invariants: []string{"I1"}, broken: after(topology.Registrations, soldOutAtOnce),
			How: "An order is sold out when the first block refuses, without asking the others and a second time.",
		},
		{
			Name: "unwanted-grant-kept", Breaks: "I1, I2", Invariants: []string{"I1", "I2"}, broken: after(topology.Registrations, keepsUnwantedGrant),
			How: "Seats that are granted to nobody's hold are not given back.",
		},
		{
			Name: "limit-ignored", Breaks: "I1", Invariants: []string{"I1", "I5"}, broken: after(topology.Attendees, ignoresLimit),
			How: "An attendee is granted more tickets than the event's limit.",
		},
		{
			Name: "revocation-ignored", Breaks: "I2", Invariants: []string{"I2"}, broken: variant{group: topology.Registrations.Name, handle: ignoresRevocation},
			How: "A registration does not hear that its event was cancelled.",
		},
	}
}

func holdIDWithoutLine(_ proto.Message, _ *transition.Message, e *transition.Effect) {
	r, ok := e.State.(*pb.Registration)
	if !ok {
		return
	}
	ids := map[string][]byte{}
	for _, h := range r.Holds {
		id := topology.HoldID(topology.UUID(r.RegistrationId), 0, h.Attempt, h.Block)
		ids[string(h.HoldId)] = id[:]
		h.HoldId = id[:]
	}
	for _, o := range e.Outputs {
		if c, ok := o.Value.(*pb.SeatCommand); ok && ids[string(c.HoldId)] != nil {
			c.HoldId = ids[string(c.HoldId)]
		}
	}
}

func holdToppedUp(was proto.Message, m *transition.Message, e *transition.Effect) {
	b, _ := was.(*pb.Block)
	c, _ := m.Value.(*pb.SeatCommand)
	if c.GetHold() == nil || e.State != nil || b.GetFree() == 0 {
		return
	}
	owned := uint64(0)
	for _, seats := range b.Seats {
		owned |= seats
	}
	for i := range b.Seats {
		if string(b.HoldIds[i*16:(i+1)*16]) == string(c.HoldId) && b.Sold&b.Seats[i] == 0 {
			b.Seats[i] |= 1 << bits.TrailingZeros64(^owned)
			b.Free--
			b.Version++
			e.State, e.Verdict = b, transition.Applied
			e.Outputs[0].Value.(*pb.SeatEvent).Seats = b.Seats[i]
			return
		}
	}
}

func dropHold(b *pb.Block, i int) {
	b.Free += uint32(bits.OnesCount64(b.Seats[i]))
	b.Sold &^= b.Seats[i]
	b.HoldIds = slices.Delete(b.HoldIds, i*16, (i+1)*16)
	b.RegistrationIds = slices.Delete(b.RegistrationIds, i*16, (i+1)*16)
	b.Seats = slices.Delete(b.Seats, i, i+1)
}

func freesByItsClock(state proto.Message, m *transition.Message) {
	if b, ok := state.(*pb.Block); ok && len(b.Seats) > 0 && b.Status == pb.BlockStatus_BLOCK_STATUS_OPEN && m.Offset%5 == 4 {
		dropHold(b, 0)
	}
}

func releasesAnother(was proto.Message, m *transition.Message, e *transition.Effect) {
	b, _ := was.(*pb.Block)
	if m.Value.(*pb.SeatCommand).GetRelease() == nil || e.State != nil || b == nil || len(b.Seats) == 0 || b.Status != pb.BlockStatus_BLOCK_STATUS_OPEN {
		return
	}
	dropHold(b, 0)
	b.Version++
	e.State, e.Verdict = b, transition.Applied
}

func countsReleaseTwice(was proto.Message, m *transition.Message, e *transition.Effect) {
	b, _ := was.(*pb.Block)
	if m.Value.(*pb.SeatCommand).GetRelease() == nil || e.State != nil || b == nil {
		return
	}
	b.Free++
	b.Version++
	e.State, e.Verdict = b, transition.Applied
}

func soldOutAtOnce(was proto.Message, m *transition.Message, e *transition.Effect) {
	answer, _ := m.Value.(*pb.SeatEvent)
	r, _ := e.State.(*pb.Registration)
	if known, _ := was.(*pb.Registration); r == nil || known.GetSecondLook() ||
		answer.GetKind() != pb.SeatEventKind_SEAT_EVENT_KIND_REFUSED || r.Outcome != pb.Outcome_OUTCOME_UNSPECIFIED {
		return
	}
	r.Outcome, r.Reason, r.Step = pb.Outcome_OUTCOME_SOLD_OUT, registrations.ReasonSoldOut, pb.Step_STEP_SETTLING
	r.SecondLook = false
}

func keepsUnwantedGrant(_ proto.Message, _ *transition.Message, e *transition.Effect) {
	if e.Reason == "unwanted_grant" {
		e.Outputs = nil
	}
}

func ignoresLimit(_ proto.Message, _ *transition.Message, e *transition.Effect) {
	a, ok := e.State.(*pb.Attendee)
	if !ok {
		return
	}
	for _, r := range a.Registrations {
		r.Refused = false
	}
	for _, o := range e.Outputs {
		answer := o.Value.(*pb.AttendeeEvent)
		answer.Granted = !answer.Released
	}
}

func ignoresRevocation(_ *world, next stream.Handler) stream.Handler {
	return func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		if e, ok := m.Value.(*pb.SeatEvent); ok && e.Kind == pb.SeatEventKind_SEAT_EVENT_KIND_REVOKED {
			return transition.Effect{Verdict: transition.Replayed}, nil
		}
		return next(state, m)
	}
}
