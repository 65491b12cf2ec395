package clickhouse

import (
	"github.com/google/uuid"
)

// blockID is the key of a seat block.
type blockID struct {
	event      uuid.UUID
	ticketType string
	number     uint32
}

// blockState is a seat block as one answer of it shows it; seat-events and
// block-events carry the same figures.
type blockState struct {
	version                           uint64
	size, held, sold, free, withdrawn uint32
	// timeMs is the record's timestamp.
	timeMs int64
	at     position
}

// blockRows is the table seat_blocks.
type blockRows struct {
	table
	event                             *plain[uuid.UUID]
	ticketType                        *plain[string]
	block                             *plain[uint32]
	size, held, sold, free, withdrawn *plain[uint32]
	changed                           *plain[int64]
	version                           *plain[uint64]
	source                            source
}

func newBlockRows() *blockRows {
	r := &blockRows{table: table{name: "seat_blocks"}}
	t := &r.table
	r.event = field[uuid.UUID](t, "event_id", wireUUID)
	r.ticketType = field[string](t, "ticket_type", "String")
	r.block = field[uint32](t, "block", "UInt32")
	r.size = field[uint32](t, "size", "UInt32")
	r.held = field[uint32](t, "held", "UInt32")
	r.sold = field[uint32](t, "sold", "UInt32")
	r.free = field[uint32](t, "free", "UInt32")
	r.withdrawn = field[uint32](t, "withdrawn", "UInt32")
	r.changed = field[int64](t, "changed_at", wireTime)
	r.version = field[uint64](t, "version", "UInt64")
	r.source = sourceColumns(t)
	return r
}

func (r *blockRows) add(id blockID, s *blockState) {
	r.event.add(id.event)
	r.ticketType.add(id.ticketType)
	r.block.add(id.number)
	r.size.add(s.size)
	r.held.add(s.held)
	r.sold.add(s.sold)
	r.free.add(s.free)
	r.withdrawn.add(s.withdrawn)
	r.changed.add(instant(s.timeMs))
	r.version.add(s.version)
	r.source.add(s.at)
}
