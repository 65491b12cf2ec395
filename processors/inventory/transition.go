package inventory

import (
	"fmt"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Reasons of a refused hold, as they stand in SeatEvent.reason.
const (
	ReasonFull         = "full"
	ReasonClosed       = "closed"
	ReasonUnknownBlock = "unknown_block"
	// ReasonMissing rejects a confirm for a hold that owns nothing.
	ReasonMissing = "missing"
)

// Apply runs one seat command against its block; b is nil when the block is
// unknown, and may be changed in place. It returns a *transition.Poison for a
// command that no correct peer sends, and a plain error when the block breaks
// I1: then nothing must be stored.
func Apply(b *pb.Block, m *transition.Message) (transition.Effect, error) {
	c, err := accept(m)
	if err != nil {
		return transition.Effect{}, err
	}
	if err := check(b); err != nil { // I1, before
		return transition.Effect{}, fmt.Errorf("block %s before offset %d: %w", m.Key, m.Offset, err)
	}
	effect, err := run(b, c)
	if err != nil {
		return transition.Effect{}, err
	}
	if after, ok := effect.State.(*pb.Block); ok {
		if err := check(after); err != nil { // I1, after
			return transition.Effect{}, fmt.Errorf("block %s after offset %d: %w", m.Key, m.Offset, err)
		}
	}
	return effect, nil
}

func run(b *pb.Block, c *pb.SeatCommand) (transition.Effect, error) {
	switch command := c.Command.(type) {
	case *pb.SeatCommand_Open:
		return open(b, c, command.Open), nil
	case *pb.SeatCommand_Close:
		return closeBlock(b, c, command.Close), nil
	case *pb.SeatCommand_Hold:
		return hold(b, c, command.Hold)
	case *pb.SeatCommand_Release:
		return release(b, c)
	case *pb.SeatCommand_Confirm:
		return confirm(b, c)
	}
	return transition.Effect{}, transition.Poisoned("no_command", "seat command without a known command")
}

// accept reads the command of a record and refuses what no correct peer sends.
func accept(m *transition.Message) (*pb.SeatCommand, error) {
	c, ok := m.Value.(*pb.SeatCommand)
	if !ok {
		return nil, transition.Poisoned("unexpected_message", "%T on %s", m.Value, m.Topic)
	}
	if len(c.EventId) != idSize || c.TicketType == "" || c.Block == 0 {
		return nil, transition.Poisoned("invalid_block", "event id of %d bytes, ticket type %q, block %d",
			len(c.EventId), c.TicketType, c.Block)
	}
	if key := topology.BlockKey(c.EventId, c.TicketType, c.Block); key != m.Key {
		return nil, transition.Poisoned("wrong_key", "a command for block %s has the key %q", key, m.Key)
	}
	switch command := c.Command.(type) {
	case *pb.SeatCommand_Open:
		if size := command.Open.GetSize(); size == 0 || size > maxBlockSize {
			return nil, transition.Poisoned("invalid_size", "a block of %d seats: want 1 to %d", size, maxBlockSize)
		}
		return c, nil
	case *pb.SeatCommand_Close:
		return c, nil
	case *pb.SeatCommand_Hold:
		if quantity := command.Hold.GetQuantity(); quantity == 0 || quantity > maxBlockSize {
			return nil, transition.Poisoned("invalid_quantity", "a hold of %d seats: want 1 to %d", quantity, maxBlockSize)
		}
	}
	if len(c.HoldId) != idSize || len(c.RegistrationId) != idSize {
		return nil, transition.Poisoned("invalid_id", "hold id of %d bytes, registration id of %d: want %d",
			len(c.HoldId), len(c.RegistrationId), idSize)
	}
	return c, nil
}
