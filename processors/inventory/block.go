package inventory

import (
	"bytes"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// open makes a block. An existing block keeps its own size, and a closed one
// stays closed: capacity grows by new blocks, and nothing re-cuts them.
func open(b *pb.Block, c *pb.SeatCommand, command *pb.OpenBlock) transition.Effect {
	if b != nil {
		return answerCatalog(b, c, nil, false)
	}
	b = &pb.Block{
		Status: pb.BlockStatus_BLOCK_STATUS_OPEN, Size: command.GetSize(),
		EventId: bytes.Clone(c.EventId), TicketType: c.TicketType, Number: c.Block,
	}
	recount(b)
	return answerCatalog(b, c, nil, true)
}

// closeBlock withdraws the free seats. Owned seats stay owned until their saga
// releases them; with revoke every owner is told to do so, each time anew,
// because sagas ignore what they know.
func closeBlock(b *pb.Block, c *pb.SeatCommand, command *pb.CloseBlock) transition.Effect {
	closes := b.GetStatus() != pb.BlockStatus_BLOCK_STATUS_CLOSED
	if b == nil {
		// A closed block without seats, so that an OpenBlock that comes after
		// its CloseBlock opens nothing.
		b = &pb.Block{EventId: bytes.Clone(c.EventId), TicketType: c.TicketType, Number: c.Block}
	}
	if closes {
		b.Status = pb.BlockStatus_BLOCK_STATUS_CLOSED
		recount(b)
	}
	var outputs []transition.Output
	if command.GetRevoke() {
		outputs = revoke(b, c)
	}
	return answerCatalog(b, c, outputs, closes)
}

func revoke(b *pb.Block, c *pb.SeatCommand) []transition.Output {
	outputs := make([]transition.Output, 0, len(b.Seats)+1)
	for i, seats := range b.Seats {
		e := seatEvent(b, c, seatAnswer{kind: pb.SeatEventKind_SEAT_EVENT_KIND_REVOKED, seats: seats})
		e.RegistrationId, e.HoldId = bytes.Clone(registrationOf(b, i)), bytes.Clone(holdOf(b, i))
		outputs = append(outputs, seatOutput(e))
	}
	return outputs
}

// answerCatalog tells the catalog how the block stands now, whatever was asked.
func answerCatalog(b *pb.Block, c *pb.SeatCommand, outputs []transition.Output, didChange bool) transition.Effect {
	f := count(b)
	e := &pb.BlockEvent{
		Kind: pb.BlockEventKind_BLOCK_EVENT_KIND_OPENED, EventId: c.EventId, TicketType: c.TicketType, Block: c.Block,
		BlockVersion: b.Version, BlockSize: b.Size, Changed: didChange,
		Held: f.held, Sold: f.sold, Free: b.Free, Withdrawn: b.Withdrawn,
	}
	if b.Status == pb.BlockStatus_BLOCK_STATUS_CLOSED {
		e.Kind = pb.BlockEventKind_BLOCK_EVENT_KIND_CLOSED
	}
	effect := transition.Effect{Verdict: transition.Replayed, Outputs: append(outputs,
		transition.Output{Topic: topology.BlockEvents.Name, Key: topology.KeyOf(c.EventId), Value: e})}
	if didChange {
		effect.Verdict, effect.State = transition.Applied, b
	}
	return effect
}
