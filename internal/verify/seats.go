package verify

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/wire"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// blockID names a seat block.
type blockID struct {
	event, ticketType symbol
	number            uint32
}

// ticketType names a ticket type of an event.
type ticketType struct{ event, id symbol }

// deed is one change of a block, as its answer tells it.
type deed struct {
	hold    uuid.UUID
	seats   uint64
	version uint32
	kind    deedKind
	after   occupancy
}

type deedKind uint8

const (
	granted deedKind = iota + 1
	released
	sold
	opened
	closed
)

// The kinds of answers that may change a block.
var (
	seatDeeds = map[pb.SeatEventKind]deedKind{
		pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED:  granted,
		pb.SeatEventKind_SEAT_EVENT_KIND_RELEASED: released,
		pb.SeatEventKind_SEAT_EVENT_KIND_SOLD:     sold,
	}
	blockDeeds = map[pb.BlockEventKind]deedKind{
		pb.BlockEventKind_BLOCK_EVENT_KIND_OPENED: opened,
		pb.BlockEventKind_BLOCK_EVENT_KIND_CLOSED: closed,
	}
)

// occupancy is of the seats of a block. A block has at most 64.
type occupancy struct{ size, held, sold, free, withdrawn uint8 }

func (f occupancy) balanced() bool {
	return int(f.held)+int(f.sold)+int(f.free)+int(f.withdrawn) == int(f.size)
}

// block is what is kept of one: all its changes, and its table value.
type block struct {
	deeds []deed
	// inCut is the highest version below the loaded cut.
	inCut uint64
	table []byte // pb.Block
	row   row
}

type blocks struct {
	mu   sync.Mutex
	byID map[blockID]*block
}

func (b *blocks) update(id blockID, fn func(*block)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.byID[id]
	if v == nil {
		v = &block{}
		b.byID[id] = v
	}
	fn(v)
}

// name is the block's key, for people.
func (w *world) blockName(id blockID) string {
	return topology.BlockKey([]byte(w.symbols.name(id.event)), w.symbols.name(id.ticketType), id.number)
}

// answer is a seat event or a block event.
type answer struct {
	id      blockID
	kind    uint64
	hold    uuid.UUID
	seats   uint64
	changed bool
	version uint64
	after   [5]uint64 // size, held, sold, free, withdrawn
}

// onSeatEvent takes a record of seat-events.
func (w *world) onSeatEvent(r *kgo.Record) error {
	var a answer
	whole := 0 // ids of 16 bytes, of which there are two
	err := wire.Scan(r.Value, func(f wire.Field) {
		switch f.ID {
		case 1:
			a.kind = f.Number
		case 2:
			a.id.event = w.symbols.of(f.Bytes)
			whole += len(f.Bytes)
		case 3:
			a.id.ticketType = w.symbols.of(f.Bytes)
		case 4:
			a.id.number = uint32(f.Number)
		case 5:
			whole += len(f.Bytes)
		case 6:
			a.hold = idOf(f.Bytes)
		case 7:
			a.seats = f.Number
		case 9:
			a.version = f.Number
		case 10, 11, 12, 13:
			a.after[f.ID-10] = f.Number
		case 14:
			a.changed = f.Number != 0
		case 15:
			a.after[4] = f.Number
		}
	})
	if err == nil && whole != 32 {
		err = errNoID
	}
	if err != nil {
		return w.undecodable(r, err)
	}
	if pb.SeatEventKind(a.kind) == pb.SeatEventKind_SEAT_EVENT_KIND_MISSING {
		w.found.fail("I1", "block %s: hold %s was to be sold and owns nothing", w.blockName(a.id), a.hold)
	}
	return w.onAnswer(r, a, seatDeeds[pb.SeatEventKind(a.kind)])
}

// onBlockEvent takes a record of block-events.
func (w *world) onBlockEvent(r *kgo.Record) error {
	var a answer
	err := wire.Scan(r.Value, func(f wire.Field) {
		switch f.ID {
		case 1:
			a.kind = f.Number
		case 2:
			a.id.event = w.symbols.of(f.Bytes)
		case 3:
			a.id.ticketType = w.symbols.of(f.Bytes)
		case 4:
			a.id.number = uint32(f.Number)
		case 5:
			a.version = f.Number
		case 6, 7, 8, 9:
			a.after[f.ID-6] = f.Number
		case 10:
			a.changed = f.Number != 0
		case 11:
			a.after[4] = f.Number
		}
	})
	if err == nil && len(w.symbols.name(a.id.event)) != 16 {
		err = errNoID
	}
	if err != nil {
		return w.undecodable(r, err)
	}
	return w.onAnswer(r, a, blockDeeds[pb.BlockEventKind(a.kind)])
}

func (w *world) onAnswer(r *kgo.Record, a answer, kind deedKind) error {
	w.countAudit(r, a.version)
	if copied(r) {
		return nil
	}
	for _, n := range a.after {
		if n > 64 {
			w.found.fail("I1", "block %s: an answer speaks of %d seats, a block has at most 64", w.blockName(a.id), n)
			return nil
		}
	}
	after := occupancy{uint8(a.after[0]), uint8(a.after[1]), uint8(a.after[2]), uint8(a.after[3]), uint8(a.after[4])}
	if !after.balanced() {
		w.found.fail("I1", "block %s, version %d: held %d + sold %d + free %d + withdrawn %d is not %d",
			w.blockName(a.id), a.version, after.held, after.sold, after.free, after.withdrawn, after.size)
	}
	if a.version == 0 {
		return nil // the answer of a block that does not exist
	}
	early := r.Offset < w.loaded[part{r.Topic, r.Partition}]
	w.blocks.update(a.id, func(b *block) {
		if early {
			b.inCut = max(b.inCut, a.version)
		}
		if !a.changed {
			return
		}
		if kind == 0 {
			w.found.fail("I1", "block %s, version %d: an answer of kind %d changed it", w.blockName(a.id), a.version, a.kind)
			return
		}
		b.deeds = append(b.deeds, deed{hold: a.hold, seats: a.seats, version: uint32(a.version), kind: kind, after: after})
	})
	return nil
}

// onTableBlock takes a record of inventory-table; the last one of a key counts.
func (w *world) onTableBlock(r *kgo.Record) error {
	var id blockID
	err := wire.Scan(r.Value, func(f wire.Field) {
		switch f.ID {
		case 9:
			id.event = w.symbols.of(f.Bytes)
		case 10:
			id.ticketType = w.symbols.of(f.Bytes)
		case 11:
			id.number = uint32(f.Number)
		}
	})
	if err != nil {
		return w.undecodable(r, err)
	}
	w.blocks.update(id, func(b *block) { b.table = append(b.table[:0], r.Value...) })
	return nil
}

// seating is a block: who owns which seats.
type seating struct {
	size    uint32
	version uint64
	open    bool
	owners  []owner
	sold    uint64
	figures occupancy
}

type owner struct {
	hold, registration uuid.UUID
	seats              uint64
}

func (s *seating) owned() (mask uint64) {
	for _, o := range s.owners {
		mask |= o.seats
	}
	return mask
}

func (s *seating) find(hold uuid.UUID) int {
	return slices.IndexFunc(s.owners, func(o owner) bool { return o.hold == hold })
}

// checkBlocks checks I1 and I9 of every block, marks the holds of registrations
// as owned, and then holds ticket types together.
func (w *world) checkBlocks() {
	totals := map[ticketType]*typeTotals{}
	for id, b := range w.blocks.byID {
		final := w.checkBlock(id, b)
		w.found.checked("I1", int(final.size))
		w.found.checked("I9", 1)
		w.markOwners(id, final)
		t := totals[ticketType{id.event, id.ticketType}]
		if t == nil {
			t = &typeTotals{}
			totals[ticketType{id.event, id.ticketType}] = t
		}
		t.add(final)
	}
	w.seats = totals
}

type typeTotals struct{ blocks, capacity, held, sold, free, withdrawn int64 }

func (t *typeTotals) add(s *seating) {
	taken := int64(bits.OnesCount64(s.owned()))
	t.blocks++
	t.capacity += int64(s.size)
	t.sold += int64(bits.OnesCount64(s.sold))
	t.held += taken - int64(bits.OnesCount64(s.sold))
	if s.open {
		t.free += int64(s.size) - taken
	} else {
		t.withdrawn += int64(s.size) - taken
	}
}

// checkBlock replays a block's changes and compares the result with its table
// value, which it returns when there is one.
func (w *world) checkBlock(id blockID, b *block) *seating {
	slices.SortFunc(b.deeds, func(x, y deed) int { return int(x.version) - int(y.version) })
	table, ok := w.decodeBlock(id, b.table)
	replayed := &seating{}
	compared := !ok
	for i, d := range b.deeds {
		if ok && !compared && uint64(d.version) > table.version {
			compared = true
			w.compareSeating(id, table, replayed)
		}
		if int(d.version) != i+1 && (i == 0 || d.version != b.deeds[i-1].version+1) {
			w.found.fail("I9", "block %s: version %d comes after version %d in its log", w.blockName(id), d.version, replayed.version)
		}
		w.do(id, replayed, d)
	}
	if !compared {
		w.compareSeating(id, table, replayed)
	}
	switch {
	case !ok && !w.report.Moving:
		w.found.fail("I9", "block %s has answers and no table value", w.blockName(id))
	case ok && replayed.version > table.version && !w.report.Moving:
		w.found.fail("I9", "block %s: the table has version %d, its log version %d", w.blockName(id), table.version, replayed.version)
	}
	if ok {
		return table
	}
	return replayed
}

// do applies one change. I1 holds after each: at every prefix of the log.
func (w *world) do(id blockID, s *seating, d deed) {
	at := s.find(d.hold)
	fail := func(what string) {
		w.found.fail("I1", "block %s, version %d: hold %s %s (seats %#x)", w.blockName(id), d.version, d.hold, what, d.seats)
	}
	switch d.kind {
	case opened:
		s.open, s.size = true, uint32(d.after.size)
	case closed:
		s.open, s.size = false, uint32(d.after.size)
	case granted:
		switch {
		case at >= 0:
			fail("is granted seats and owns some already")
		case s.owned()&d.seats != 0:
			fail("is granted seats that another hold owns")
		case s.size < 64 && d.seats>>s.size != 0:
			fail("is granted seats outside the block")
		}
		s.owners = append(s.owners, owner{hold: d.hold, seats: d.seats})
	case released:
		if at < 0 || s.owners[at].seats != d.seats {
			fail("gives back seats that it does not own")
			break
		}
		s.sold &^= d.seats
		s.owners = slices.Delete(s.owners, at, at+1)
	case sold:
		if at < 0 || s.owners[at].seats != d.seats {
			fail("is sold seats that it does not own")
			break
		}
		s.sold |= d.seats
	}
	s.version, s.figures = uint64(d.version), d.after
	if got := s.count(); got != d.after {
		w.found.fail("I1", "block %s, version %d: it says %+v, its log adds up to %+v", w.blockName(id), d.version, d.after, got)
	}
}

func (s *seating) count() occupancy {
	taken := uint8(bits.OnesCount64(s.owned()))
	f := occupancy{size: uint8(s.size), sold: uint8(bits.OnesCount64(s.sold))}
	f.held = taken - f.sold
	if s.open {
		f.free = f.size - taken
	} else {
		f.withdrawn = f.size - taken
	}
	return f
}

// compareSeating: I9, the table's block is what its log adds up to.
func (w *world) compareSeating(id blockID, table, log *seating) {
	if table.version != log.version {
		w.found.fail("I9", "block %s: the table has version %d, its log ends at version %d", w.blockName(id), table.version, log.version)
		return
	}
	same := table.size == log.size && table.open == log.open && table.sold == log.sold && len(table.owners) == len(log.owners)
	for _, o := range table.owners {
		at := log.find(o.hold)
		same = same && at >= 0 && log.owners[at].seats == o.seats
	}
	if !same {
		w.found.fail("I9", "block %s, version %d: the table differs from what its log adds up to", w.blockName(id), table.version)
	}
}

// decodeBlock reads a table value and checks I1 of it.
func (w *world) decodeBlock(id blockID, b []byte) (*seating, bool) {
	if b == nil {
		return nil, false
	}
	s := &seating{}
	var free, withdrawn uint64
	var holds, registrations []byte
	var seats []uint64
	err := wire.Scan(b, func(f wire.Field) {
		switch f.ID {
		case 1:
			free = f.Number
		case 2:
			s.open = f.Number == uint64(pb.BlockStatus_BLOCK_STATUS_OPEN)
		case 3:
			s.size = uint32(f.Number)
		case 4:
			s.version = f.Number
		case 5:
			holds = f.Bytes
		case 6:
			registrations = f.Bytes
		case 7:
			for packed := f.Bytes; len(packed) >= 8; packed = packed[8:] {
				seats = append(seats, binary.LittleEndian.Uint64(packed))
			}
			if f.Bytes == nil {
				seats = append(seats, f.Number)
			}
		case 8:
			s.sold = f.Number
		case 12:
			withdrawn = f.Number
		}
	})
	if err != nil || len(holds) != 16*len(seats) || len(registrations) != 16*len(seats) {
		w.found.fail("I9", "block %s: its table value cannot be read", w.blockName(id))
		return nil, false
	}
	var union uint64
	for i, mask := range seats {
		o := owner{hold: idOf(holds[16*i : 16*i+16]), registration: idOf(registrations[16*i : 16*i+16]), seats: mask}
		if union&mask != 0 {
			w.found.fail("I1", "block %s: seats %#x of hold %s have another owner too", w.blockName(id), union&mask, o.hold)
		}
		union |= mask
		s.owners = append(s.owners, o)
	}
	if s.sold&^union != 0 {
		w.found.fail("I1", "block %s: seats %#x are sold and have no owner", w.blockName(id), s.sold&^union)
	}
	if s.size < 64 && union>>s.size != 0 {
		w.found.fail("I1", "block %s: seats %#x lie outside its %d seats", w.blockName(id), union, s.size)
	}
	if total := free + withdrawn + uint64(bits.OnesCount64(union)); total != uint64(s.size) {
		w.found.fail("I1", "block %s: free %d + withdrawn %d + owned %d is not its size %d", w.blockName(id), free, withdrawn, bits.OnesCount64(union), s.size)
	}
	return s, true
}

// markOwners marks the holds that a block knows in their registrations. I1: a
// seat belongs to nobody whom its registration does not list; unsettled
// registrations may still be giving it back.
func (w *world) markOwners(id blockID, s *seating) {
	for _, o := range s.owners {
		if o.registration == (uuid.UUID{}) {
			continue // replayed only; it has no table value
		}
		r := w.registrations.get(o.registration)
		if r == nil || r.version == 0 {
			if !w.report.Moving {
				w.found.fail("I1", "block %s: seats %#x belong to registration %s, which does not exist", w.blockName(id), o.seats, o.registration)
			}
			continue
		}
		at := slices.IndexFunc(r.holds, func(h hold) bool { return bytes.Equal(h.id[:], o.hold[:]) })
		switch {
		case at >= 0 && r.holds[at].live() && r.holds[at].seats == o.seats:
			r.holds[at].owned = true
		case r.settled && !w.report.Moving:
			w.found.fail("I1", "block %s: seats %#x belong to hold %s, which registration %s does not keep", w.blockName(id), o.seats, o.hold, o.registration)
		}
	}
}

// checkTypes: I1 for each ticket type: its seats add up, and no more tickets are
// confirmed than there are, nor others than are sold.
func (w *world) checkTypes() {
	var all typeTotals
	for t, n := range w.tickets {
		s := w.seats[t]
		if s == nil {
			s = &typeTotals{}
		}
		if n > s.capacity {
			w.found.fail("I1", "event %s, %s: %d tickets are confirmed of %d places", w.symbols.event(t.event), w.symbols.name(t.id), n, s.capacity)
		}
	}
	for t, s := range w.seats {
		if s.sold+s.held+s.free+s.withdrawn != s.capacity {
			w.found.fail("I1", "event %s, %s: sold %d + held %d + free %d + withdrawn %d is not the capacity %d",
				w.symbols.event(t.event), w.symbols.name(t.id), s.sold, s.held, s.free, s.withdrawn, s.capacity)
		}
		if n := w.tickets[t]; n != s.sold && w.report.Open == 0 && !w.report.Moving {
			w.found.fail("I1", "event %s, %s: %d tickets are confirmed and %d seats sold", w.symbols.event(t.event), w.symbols.name(t.id), n, s.sold)
		}
		all.blocks += s.blocks
		all.capacity += s.capacity
		all.sold += s.sold
		all.held += s.held
		all.free += s.free
		all.withdrawn += s.withdrawn
	}
	w.found.detail("I1", "%v ticket types, %v blocks, %v places = %v sold + %v held + %v free + %v withdrawn",
		len(w.seats), all.blocks, all.capacity, all.sold, all.held, all.free, all.withdrawn)
}
