package clickhouse

import (
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/wire"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// answerFields are the field numbers of a seat block's answer and the names of its
// kinds: SeatEvent and BlockEvent carry the same figures under other numbers.
type answerFields struct {
	kinds                             enumNames
	event, ticketType, block          int32
	registration                      int32 // 0 where the record is keyed by event
	version                           int32
	size, held, sold, free, withdrawn int32
}

var (
	seatFields = answerFields{
		kinds: namesOf(pb.SeatEventKind(0).Descriptor()),
		event: 2, ticketType: 3, block: 4, registration: 5, version: 9,
		size: 10, held: 11, sold: 12, free: 13, withdrawn: 15,
	}
	blockFields = answerFields{
		kinds: namesOf(pb.BlockEventKind(0).Descriptor()),
		event: 2, ticketType: 3, block: 4, version: 5,
		size: 6, held: 7, sold: 8, free: 9, withdrawn: 11,
	}
)

// takeSeats keeps a block's figures if they are the latest. Answers of one block
// lie in as many partitions as it has registrations, so they come in any order
// and the version decides. Block version 0 is the answer of a block that does
// not exist.
func (b *batch) takeSeats(r *kgo.Record, fields answerFields) (key uuid.UUID, kind string, version uint64, err error) {
	var event, ticketType, registration []byte
	var kindNumber, block uint64
	var s blockState
	err = wire.Scan(r.Value, func(f wire.Field) {
		switch int32(f.ID) {
		case 1:
			kindNumber = f.Number
		case fields.event:
			event = f.Bytes
		case fields.ticketType:
			ticketType = f.Bytes
		case fields.block:
			block = f.Number
		case fields.registration:
			registration = f.Bytes
		case fields.version:
			s.version = f.Number
		case fields.size:
			s.size = uint32(f.Number)
		case fields.held:
			s.held = uint32(f.Number)
		case fields.sold:
			s.sold = uint32(f.Number)
		case fields.free:
			s.free = uint32(f.Number)
		case fields.withdrawn:
			s.withdrawn = uint32(f.Number)
		}
	})
	if err != nil {
		return key, "", 0, err
	}
	eventID, err := id(event)
	if err != nil {
		return key, "", 0, err
	}
	key = eventID
	if fields.registration != 0 {
		if key, err = id(registration); err != nil {
			return key, "", 0, err
		}
	}
	if s.version > 0 {
		s.timeMs, s.at = r.Timestamp.UnixMilli(), positionOf(r)
		b.keepBlock(blockID{event: eventID, ticketType: b.intern(ticketType), number: uint32(block)}, &s)
	}
	return key, fields.kinds.name(kindNumber), s.version, nil
}

func (b *batch) keepBlock(id blockID, s *blockState) {
	if last, ok := b.blocks[id]; !ok || s.version > last.version {
		b.blocks[id] = *s
	}
}

// intern returns one string for equal bytes; there are few ticket types.
func (b *batch) intern(v []byte) string {
	if s, ok := b.ticketTypes[string(v)]; ok {
		return s
	}
	s := string(v)
	b.ticketTypes[s] = s
	return s
}
