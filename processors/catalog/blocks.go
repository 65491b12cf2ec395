package catalog

import (
	"bytes"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// The values of TicketType.block_states.
const (
	blockOpening byte = iota
	blockOpen
	blockClosing
	blockClosed
)

// blocksOf is how many blocks of the size the capacity is cut into.
func blocksOf(capacity, size uint32) int { return int((capacity + size - 1) / size) }

// cut cuts a capacity into blocks; the last one takes the rest.
func cut(capacity, size uint32) []uint32 {
	sizes := make([]uint32, 0, blocksOf(capacity, size))
	for ; capacity > size; capacity -= size {
		sizes = append(sizes, size)
	}
	return append(sizes, capacity)
}

// capacityOf is what the blocks that are open, or asked to open, can hold.
func capacityOf(t *pb.TicketType) uint32 {
	capacity := uint32(0)
	for i, size := range t.BlockSizes {
		if stands(t.BlockStates[i]) {
			capacity += size
		}
	}
	return capacity
}

func stands(state byte) bool { return state == blockOpening || state == blockOpen }

// setCapacity grows a ticket type by new blocks, or lowers it by closing whole
// blocks from the end of the list, as long as that leaves no less than is asked
// for. Where that changes nothing, the command is a duplicate. The newest request
// wins, in whatever order they come.
func (d *desk) setCapacity(c *pb.CatalogCommand, q *pb.SetCapacity) (transition.Effect, error) {
	var t *pb.TicketType
	for _, candidate := range d.e.TicketTypes {
		if candidate.Id == q.GetTicketType() {
			t = candidate
		}
	}
	switch {
	case d.e.Status == pb.EventStatus_EVENT_STATUS_CANCELLED:
		return d.refuse(ReasonEventCancelled)
	case t == nil:
		return d.refuse(ReasonUnknownTicketType)
	case q.Capacity > maxCapacity:
		return d.refuse(ReasonInvalidCapacity)
	case c.RequestTimeUnixMs < t.CapacityAskedUnixMs:
		return d.refuse(ReasonSuperseded)
	}
	have, first := capacityOf(t), len(t.BlockSizes)
	if q.Capacity > have {
		if d.blocks()+blocksOf(q.Capacity-have, t.BlockSizes[0]) > maxBlocks {
			return d.refuse(ReasonInvalidCapacity)
		}
		d.grow(t, q.Capacity-have)
	} else if first = d.lower(t, have-q.Capacity); first < 0 {
		d.rises = c.RequestTimeUnixMs > t.CapacityAskedUnixMs // it supersedes older ones
		t.CapacityAskedUnixMs = c.RequestTimeUnixMs
		return d.duplicate()
	}
	t.CapacityAskedUnixMs = c.RequestTimeUnixMs
	d.e.BlockListVersion++
	d.rises = true
	for i := first; i < len(t.BlockSizes); i++ {
		d.outputs = appendOutstanding(d.outputs, d.e, t, i)
	}
	return d.applied()
}

// blocks counts the blocks of all ticket types.
func (d *desk) blocks() int {
	n := 0
	for _, t := range d.e.TicketTypes {
		n += len(t.BlockSizes)
	}
	return n
}

// grow appends blocks of the size of the first one.
func (d *desk) grow(t *pb.TicketType, seats uint32) {
	sizes := cut(seats, t.BlockSizes[0])
	t.BlockSizes = append(t.BlockSizes, sizes...)
	t.BlockStates = append(t.BlockStates, make([]byte, len(sizes))...)
}

// lower closes blocks of no more than that many seats together, and returns the
// index of the first one closed, -1 for none.
func (d *desk) lower(t *pb.TicketType, seats uint32) int {
	first := -1
	for i := len(t.BlockSizes) - 1; i >= 0 && t.BlockSizes[i] <= seats; i-- {
		if stands(t.BlockStates[i]) {
			t.BlockStates[i] = blockClosing
			seats -= t.BlockSizes[i]
			first = i
		}
	}
	return first
}

// onBlock notes a block's answer. With the last one the event comes on sale.
func (d *desk) onBlock(b *pb.BlockEvent) (transition.Effect, error) {
	t, i := d.find(b)
	if t == nil {
		return transition.Effect{}, transition.Poisoned("unknown_block", "block %d of ticket type %q is not in the list",
			b.Block, b.TicketType)
	}
	state := t.BlockStates[i]
	switch {
	case b.Kind == pb.BlockEventKind_BLOCK_EVENT_KIND_OPENED && state == blockOpening:
		t.BlockStates[i] = blockOpen
		if b.BlockSize != t.BlockSizes[i] {
			// I1: the block's own size wins.
			t.BlockSizes[i] = b.BlockSize
			d.rises = true
		}
	case b.Kind == pb.BlockEventKind_BLOCK_EVENT_KIND_CLOSED && state != blockClosed:
		t.BlockStates[i] = blockClosed
	case b.Kind == pb.BlockEventKind_BLOCK_EVENT_KIND_UNSPECIFIED:
		return transition.Effect{}, transition.Poisoned("unknown_kind", "block event of kind %v", b.Kind)
	default:
		return d.finish(transition.Replayed, "")
	}
	d.writes = true
	if d.e.Status == pb.EventStatus_EVENT_STATUS_OPENING && !d.opening() {
		d.e.Status = pb.EventStatus_EVENT_STATUS_ON_SALE
		d.rises = true
	}
	return d.finish(transition.Applied, "")
}

// find returns the ticket type of a block and its index in the list, nil when the
// list has none.
func (d *desk) find(b *pb.BlockEvent) (*pb.TicketType, int) {
	for _, t := range d.e.GetTicketTypes() {
		if t.Id == b.TicketType && b.Block >= 1 && int(b.Block) <= len(t.BlockSizes) {
			return t, int(b.Block) - 1
		}
	}
	return nil, 0
}

// opening reports whether a block has not answered yet.
func (d *desk) opening() bool {
	for _, t := range d.e.TicketTypes {
		if bytes.IndexByte(t.BlockStates, blockOpening) >= 0 {
			return true
		}
	}
	return false
}

// Outstanding returns the commands that blocks have not answered. It is all that
// is ever sent again (I5).
func Outstanding(e *pb.Event) []transition.Output {
	var outputs []transition.Output
	for _, t := range e.TicketTypes {
		for i := range t.BlockSizes {
			outputs = appendOutstanding(outputs, e, t, i)
		}
	}
	return outputs
}

func appendOutstanding(outputs []transition.Output, e *pb.Event, t *pb.TicketType, i int) []transition.Output {
	c := &pb.SeatCommand{EventId: e.EventId, TicketType: t.Id, Block: uint32(i) + 1}
	switch t.BlockStates[i] {
	case blockOpening:
		c.Command = &pb.SeatCommand_Open{Open: &pb.OpenBlock{Size: t.BlockSizes[i]}}
	case blockClosing:
		revoke := e.Status == pb.EventStatus_EVENT_STATUS_CANCELLED
		c.Command = &pb.SeatCommand_Close{Close: &pb.CloseBlock{Revoke: revoke}}
	default:
		return outputs
	}
	return append(outputs, transition.Output{
		Topic: topology.SeatCommands.Name, Key: topology.BlockKey(e.EventId, t.Id, c.Block), Value: c,
	})
}
