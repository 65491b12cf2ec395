package inventory

import (
	"bytes"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// hold grants as many of the wanted seats as are free, the lowest first.
func hold(b *pb.Block, c *pb.SeatCommand, wanted *pb.HoldSeats) (transition.Effect, error) {
	i, err := ownHold(b, c)
	if err != nil {
		return transition.Effect{}, err
	}
	// I5: a hold that owns any seat is never topped up: the same question gets
	// the same answer, however often it comes.
	if i >= 0 {
		return answer(b, c, seatAnswer{kind: pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED, seats: b.Seats[i]}), nil
	}
	reason := ""
	switch {
	case b == nil:
		reason = ReasonUnknownBlock
	case b.Status == pb.BlockStatus_BLOCK_STATUS_CLOSED:
		reason = ReasonClosed
	case b.Free == 0:
		reason = ReasonFull
	}
	if reason != "" {
		return answer(b, c, seatAnswer{kind: pb.SeatEventKind_SEAT_EVENT_KIND_REFUSED, reason: reason}), nil
	}
	seats := lowest(all(b.Size)&^owned(b), wanted.GetQuantity())
	add(b, c.HoldId, c.RegistrationId, seats)
	recount(b)
	return answer(b, c, seatAnswer{kind: pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED, seats: seats, changed: true}), nil
}

// release frees the seats of a hold, sold ones too; in a closed block they
// become withdrawn. A hold that owns nothing has been released already, or never
// got anything.
func release(b *pb.Block, c *pb.SeatCommand) (transition.Effect, error) {
	i, err := ownHold(b, c)
	if err != nil {
		return transition.Effect{}, err
	}
	a := seatAnswer{kind: pb.SeatEventKind_SEAT_EVENT_KIND_RELEASED}
	if i >= 0 {
		a.seats, a.changed = b.Seats[i], true
		remove(b, i)
		recount(b)
	}
	return answer(b, c, a), nil
}

// confirm marks the seats of a hold as sold.
func confirm(b *pb.Block, c *pb.SeatCommand) (transition.Effect, error) {
	i, err := ownHold(b, c)
	if err != nil {
		return transition.Effect{}, err
	}
	if i < 0 {
		return answer(b, c, seatAnswer{kind: pb.SeatEventKind_SEAT_EVENT_KIND_MISSING, reason: ReasonMissing}), nil
	}
	a := seatAnswer{kind: pb.SeatEventKind_SEAT_EVENT_KIND_SOLD, seats: b.Seats[i]}
	if b.Sold&a.seats != a.seats {
		a.changed = true
		b.Sold |= a.seats
		recount(b)
	}
	return answer(b, c, a), nil
}

// ownHold finds the command's hold, -1 when it owns nothing. Hold ids are
// derived from their registration, so that another owner is no correct peer's.
func ownHold(b *pb.Block, c *pb.SeatCommand) (int, error) {
	i := find(b, c.HoldId)
	if i >= 0 && !bytes.Equal(registrationOf(b, i), c.RegistrationId) {
		return 0, transition.Poisoned("foreign_hold", "hold %s belongs to registration %s, not to %s",
			topology.UUID(c.HoldId), topology.UUID(registrationOf(b, i)), topology.UUID(c.RegistrationId))
	}
	return i, nil
}

// seatAnswer is what one command did to one hold.
type seatAnswer struct {
	kind    pb.SeatEventKind
	seats   uint64
	reason  string
	changed bool
}

// answer is the effect of a command about one hold: the block when it changed,
// and the event for its registration.
func answer(b *pb.Block, c *pb.SeatCommand, a seatAnswer) transition.Effect {
	e := seatEvent(b, c, a)
	e.RegistrationId, e.HoldId = c.RegistrationId, c.HoldId
	effect := transition.Effect{Verdict: transition.Replayed, Outputs: []transition.Output{seatOutput(e)}}
	switch {
	case a.changed:
		effect.Verdict, effect.State = transition.Applied, b
	case a.reason != "":
		effect.Verdict, effect.Reason = transition.Rejected, a.reason
	}
	return effect
}

// seatEvent carries the block's figures after the command, without the hold.
func seatEvent(b *pb.Block, c *pb.SeatCommand, a seatAnswer) *pb.SeatEvent {
	f := count(b)
	return &pb.SeatEvent{
		Kind: a.kind, EventId: c.EventId, TicketType: c.TicketType, Block: c.Block,
		Seats: a.seats, Reason: a.reason, Changed: a.changed,
		BlockVersion: b.GetVersion(), BlockSize: b.GetSize(),
		Held: f.held, Sold: f.sold, Free: b.GetFree(), Withdrawn: b.GetWithdrawn(),
	}
}

func seatOutput(e *pb.SeatEvent) transition.Output {
	return transition.Output{Topic: topology.SeatEvents.Name, Key: topology.KeyOf(e.RegistrationId), Value: e}
}
