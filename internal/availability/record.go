package availability

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// The field numbers of boxoffice.v1.Block that the index reads.
const (
	fieldFree       = 1
	fieldSize       = 3
	fieldVersion    = 4
	fieldSeats      = 7
	fieldSold       = 8
	fieldEventID    = 9
	fieldTicketType = 10
	fieldNumber     = 11
	fieldWithdrawn  = 12
)

var errNoBlock = errors.New("availability: a record of inventory-table names no block")

// Apply takes over the figures of a block.
func (x *Index) Apply(b *pb.Block) {
	owned := uint64(0)
	for _, seats := range b.Seats {
		owned |= seats
	}
	x.Update(b.EventId, b.TicketType, b.Number, figures(b.Version, b.Size, b.Free, b.Withdrawn, owned, b.Sold))
}

func figures(version uint64, size, free, withdrawn uint32, owned, sold uint64) Figures {
	s := uint32(bits.OnesCount64(sold))
	return Figures{
		Version: version, Size: size, Free: free, Withdrawn: withdrawn,
		Sold: s, Held: uint32(bits.OnesCount64(owned)) - s,
	}
}

// ApplyRecord takes over the figures of a block from the value of its
// inventory-table record, without decoding the owners. It fails for bytes that are
// no Block.
func (x *Index) ApplyRecord(value []byte) error {
	r, err := parse(value)
	if err != nil {
		return err
	}
	f := figures(r.version, r.size, r.free, r.withdrawn, r.owned, r.sold)
	// A known pool is found without copying the ticket type.
	if p := x.poolOf(r.event, r.ticketType); p != nil {
		p.update(r.number, f)
		return nil
	}
	x.Update(r.event, string(r.ticketType), r.number, f)
	return nil
}

func (x *Index) poolOf(event, ticketType []byte) *pool {
	s := x.shard(eventID(event))
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.events[eventID(event)][string(ticketType)]
}

// record is what the index reads of a block.
type record struct {
	free, size, withdrawn, number uint32
	version, owned, sold          uint64
	event, ticketType             []byte
}

func parse(value []byte) (record, error) {
	var r record
	for len(value) > 0 {
		number, kind, n := protowire.ConsumeTag(value)
		if n < 0 {
			return r, fmt.Errorf("availability: a record of inventory-table: %w", protowire.ParseError(n))
		}
		value = value[n:]
		if n = r.field(number, kind, value); n < 0 {
			return r, fmt.Errorf("availability: field %d of a record of inventory-table: %w", number, protowire.ParseError(n))
		}
		value = value[n:]
	}
	if len(r.event) != idSize || len(r.ticketType) == 0 || r.number == 0 {
		return r, errNoBlock
	}
	return r, nil
}

// field reads one field and returns its length, negative as protowire's errors
// are. Fields of other types than expected are skipped, like unknown ones.
func (r *record) field(number protowire.Number, kind protowire.Type, value []byte) int {
	switch kind {
	case protowire.VarintType:
		v, n := protowire.ConsumeVarint(value)
		r.varint(number, v)
		return n
	case protowire.Fixed64Type:
		v, n := protowire.ConsumeFixed64(value)
		switch number {
		case fieldSold:
			r.sold = v
		case fieldSeats:
			r.owned |= v
		}
		return n
	case protowire.BytesType:
		v, n := protowire.ConsumeBytes(value)
		r.bytes(number, v)
		return n
	}
	return protowire.ConsumeFieldValue(number, kind, value)
}

func (r *record) varint(number protowire.Number, v uint64) {
	switch number {
	case fieldFree:
		r.free = uint32(v)
	case fieldSize:
		r.size = uint32(v)
	case fieldVersion:
		r.version = v
	case fieldNumber:
		r.number = uint32(v)
	case fieldWithdrawn:
		r.withdrawn = uint32(v)
	}
}

func (r *record) bytes(number protowire.Number, v []byte) {
	switch number {
	case fieldEventID:
		r.event = v
	case fieldTicketType:
		r.ticketType = v
	case fieldSeats:
		for ; len(v) >= 8; v = v[8:] {
			r.owned |= binary.LittleEndian.Uint64(v)
		}
	}
}
