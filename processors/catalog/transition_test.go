package catalog

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	isApplied   = pb.CommandVerdict_COMMAND_VERDICT_APPLIED
	isDuplicate = pb.CommandVerdict_COMMAND_VERDICT_DUPLICATE
	isConflict  = pb.CommandVerdict_COMMAND_VERDICT_CONFLICT
	isRejected  = pb.CommandVerdict_COMMAND_VERDICT_REJECTED

	isOpening   = pb.EventStatus_EVENT_STATUS_OPENING
	isOnSale    = pb.EventStatus_EVENT_STATUS_ON_SALE
	isCancelled = pb.EventStatus_EVENT_STATUS_CANCELLED

	opened = pb.BlockEventKind_BLOCK_EVENT_KIND_OPENED
	closed = pb.BlockEventKind_BLOCK_EVENT_KIND_CLOSED
)

var eventID = topology.EventID("acme", "conference")

// story drives one event, and applies every message twice.
type story struct {
	t      *testing.T
	e      *pb.Event
	offset int64
	last   transition.Effect
}

func clone(e *pb.Event) *pb.Event {
	if e == nil {
		return nil
	}
	return proto.CloneOf(e)
}

func (s *story) send(topic string, value proto.Message) *story {
	s.t.Helper()
	s.offset++
	m := &transition.Message{
		Topic: topic, Offset: s.offset, Key: eventID.String(),
		Time: time.UnixMilli(1_700_000_000_000 + s.offset), Value: value,
	}
	effect, err := Apply(clone(s.e), m)
	if err != nil {
		s.t.Fatalf("%v: %v", value, err)
	}
	before := s.e.GetVersion()
	if after, ok := effect.State.(*pb.Event); ok {
		s.e = clone(after)
	}
	snapshot := slices.ContainsFunc(effect.Outputs, func(o transition.Output) bool {
		return o.Topic == topology.CatalogEvents.Name
	})
	if (s.e.GetVersion() == before+1) != snapshot {
		s.t.Errorf("version %d, then %d; snapshot %v", before, s.e.GetVersion(), snapshot)
	}
	s.last = effect
	s.again(m)
	return s
}

// again is the law of repetition (I5).
func (s *story) again(m *transition.Message) {
	s.t.Helper()
	effect, err := Apply(clone(s.e), m)
	if err != nil {
		s.t.Fatalf("%T again: %v", m.Value, err)
	}
	if after, ok := effect.State.(*pb.Event); ok && !proto.Equal(after, s.e) {
		s.t.Errorf("%T again changed the state\nfrom %v\nto   %v", m.Value, s.e, after)
	}
	waiting := Outstanding(s.e)
	for _, o := range effect.Outputs {
		if !slices.ContainsFunc(waiting, func(w transition.Output) bool {
			return w.Topic == o.Topic && w.Key == o.Key && proto.Equal(w.Value, o.Value)
		}) {
			s.t.Errorf("%T again sent what nobody waits for: %v", m.Value, o)
		}
	}
}

func conference() *pb.CreateEvent {
	return &pb.CreateEvent{
		Name: "Conference", Currency: "EUR", SaleStartsUnixMs: 1, SaleEndsUnixMs: 2,
		TicketTypes: []*pb.NewTicketType{
			{
				Id: "regular", Name: "Regular", PriceMinor: 4900, TaxRateBp: 1900, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED,
				Capacity: 110,
			},
			{Id: "vip", Name: "VIP", PriceMinor: 9900, TaxMode: pb.TaxMode_TAX_MODE_EXEMPT, Capacity: 8, BlockSize: 4},
		},
	}
}

func (s *story) command(c *pb.CatalogCommand) *story {
	s.t.Helper()
	c.EventId = eventID[:]
	if c.Organiser == "" {
		c.Organiser = "acme"
	}
	if c.BodyDigest == nil {
		c.BodyDigest = []byte("body")
	}
	return s.send(topology.CatalogCommands.Name, c)
}

func (s *story) create(q *pb.CreateEvent) *story {
	s.t.Helper()
	return s.command(&pb.CatalogCommand{Command: &pb.CatalogCommand_CreateEvent{CreateEvent: q}})
}

func (s *story) setCapacity(ticketType string, capacity uint32) *story {
	s.t.Helper()
	return s.command(&pb.CatalogCommand{Command: &pb.CatalogCommand_SetCapacity{
		SetCapacity: &pb.SetCapacity{TicketType: ticketType, Capacity: capacity},
	}})
}

func (s *story) cancel() *story {
	s.t.Helper()
	return s.command(&pb.CatalogCommand{Command: &pb.CatalogCommand_CancelEvent{CancelEvent: &pb.CancelEvent{Reason: "storm"}}})
}

func (s *story) block(kind pb.BlockEventKind, ticketType string, block, size uint32) *story {
	s.t.Helper()
	return s.send(topology.BlockEvents.Name, &pb.BlockEvent{
		Kind: kind, EventId: eventID[:],
		TicketType: ticketType, Block: block, BlockSize: size,
	})
}

// onSale is an event whose five blocks are open.
func onSale(t *testing.T) *story {
	t.Helper()
	s := (&story{t: t}).create(conference())
	s.block(opened, "regular", 1, 50).block(opened, "regular", 2, 50).block(opened, "regular", 3, 10)
	return s.block(opened, "vip", 1, 4).block(opened, "vip", 2, 4).stands(isOnSale, 2)
}

func (s *story) stands(status pb.EventStatus, version uint64) *story {
	s.t.Helper()
	if s.e.GetStatus() != status || s.e.GetVersion() != version {
		s.t.Fatalf("status %v in version %d, want %v in %d", s.e.GetStatus(), s.e.GetVersion(), status, version)
	}
	return s
}

func (s *story) result(verdict pb.CommandVerdict, reason string) *story {
	s.t.Helper()
	last := s.e.GetLastCommand()
	if last.GetVerdict() != verdict || last.GetReason() != reason || last.GetOffset() != s.offset {
		s.t.Fatalf("the last command left %v", last)
	}
	return s
}

// sent checks the seat commands that the last message sent, as short words.
func (s *story) sent(want ...string) *story {
	s.t.Helper()
	var have []string
	for _, o := range s.last.Outputs {
		c, ok := o.Value.(*pb.SeatCommand)
		if !ok {
			continue
		}
		word := strings.TrimPrefix(o.Key, eventID.String()+"/")
		switch command := c.Command.(type) {
		case *pb.SeatCommand_Open:
			word = "open " + word
		case *pb.SeatCommand_Close:
			word = "close " + word
			if command.Close.Revoke {
				word = "revoke" + strings.TrimPrefix(word, "close")
			}
		}
		have = append(have, word)
	}
	if !slices.Equal(have, want) {
		s.t.Fatalf("sent %q, want %q", have, want)
	}
	return s
}

// An event's capacity is cut into blocks; it is on sale when the last of them has
// answered, and not before. Answers in between are no versions.
func TestAnEventComesOnSale(t *testing.T) {
	t.Parallel()
	s := (&story{t: t}).create(conference()).stands(isOpening, 1).result(isApplied, "")
	s.sent("open regular/0001", "open regular/0002", "open regular/0003", "open vip/0001", "open vip/0002")
	if sizes := s.e.TicketTypes[0].BlockSizes; !slices.Equal(sizes, []uint32{50, 50, 10}) {
		t.Errorf("sizes: %v", sizes)
	}
	s.block(opened, "regular", 3, 10).block(opened, "vip", 1, 4).block(opened, "vip", 2, 4).block(opened, "regular", 1, 50)
	s.stands(isOpening, 1).block(opened, "regular", 2, 50).stands(isOnSale, 2)
}

// The organiser's client repeats itself while blocks are opening: only the blocks
// that have not answered are asked again.
func TestCreatedAgain(t *testing.T) {
	t.Parallel()
	s := (&story{t: t}).create(conference()).block(opened, "regular", 1, 50).block(opened, "vip", 2, 4)
	s.create(conference()).result(isDuplicate, "").stands(isOpening, 1)
	s.sent("open regular/0002", "open regular/0003", "open vip/0001")
}

// The same idempotency key comes with another body, or another organiser's: the
// first in the log has won, and the loser finds its own digest.
func TestAnotherBody(t *testing.T) {
	t.Parallel()
	s := onSale(t)
	q := &pb.CatalogCommand_CreateEvent{CreateEvent: conference()}
	s.command(&pb.CatalogCommand{BodyDigest: []byte("other"), Command: q}).result(isConflict, ReasonBodyDiffers).sent()
	if string(s.e.LastCommand.ConflictingDigest) != "other" || string(s.e.BodyDigest) != "body" {
		t.Errorf("%v", s.e)
	}
	s.command(&pb.CatalogCommand{Organiser: "other", Command: q}).result(isConflict, ReasonBodyDiffers).stands(isOnSale, 2)
}

// Trace 10: a block answers with another size than the list has (it was opened
// before): its own size wins.
func TestABlocksOwnSizeWins(t *testing.T) {
	t.Parallel()
	s := (&story{t: t}).create(conference()).block(opened, "regular", 3, 7).stands(isOpening, 2)
	if s.e.TicketTypes[0].BlockSizes[2] != 7 {
		t.Errorf("sizes: %v", s.e.TicketTypes[0].BlockSizes)
	}
}

// Trace 10: capacity grows by new blocks of the same size; the blocks there are
// stay as they are, and the event stays on sale.
func TestCapacityGrows(t *testing.T) {
	t.Parallel()
	s := onSale(t).setCapacity("regular", 190).result(isApplied, "").stands(isOnSale, 3)
	s.sent("open regular/0004", "open regular/0005")
	if sizes := s.e.TicketTypes[0].BlockSizes; !slices.Equal(sizes, []uint32{50, 50, 10, 50, 30}) {
		t.Errorf("sizes: %v", sizes)
	}
	s.setCapacity("regular", 190).result(isDuplicate, "").sent("open regular/0004", "open regular/0005")
	s.block(opened, "regular", 4, 50).block(opened, "regular", 5, 30).stands(isOnSale, 3)
	if s.e.BlockListVersion != 2 {
		t.Errorf("block list version %d", s.e.BlockListVersion)
	}
}

// Trace 10: capacity is lowered by closing whole blocks from the end, never below
// what is asked for.
func TestCapacityIsLowered(t *testing.T) {
	t.Parallel()
	s := onSale(t).setCapacity("regular", 60).result(isApplied, "").stands(isOnSale, 3).sent("close regular/0003")
	if capacity := capacityOf(s.e.TicketTypes[0]); capacity != 100 {
		t.Errorf("capacity %d", capacity)
	}
	s.block(closed, "regular", 3, 10).setCapacity("regular", 60).result(isDuplicate, "").sent()
	s.setCapacity("regular", 0).sent("close regular/0001", "close regular/0002")
	s.setCapacity("regular", 20).result(isApplied, "").sent("open regular/0004")
}

// The event is cancelled: every block is closed and tells the owners of its seats,
// also those that were closed before.
func TestTheEventIsCancelled(t *testing.T) {
	t.Parallel()
	s := onSale(t).setCapacity("vip", 4).block(closed, "vip", 2, 4).cancel().result(isApplied, "").stands(isCancelled, 4)
	s.sent("revoke regular/0001", "revoke regular/0002", "revoke regular/0003", "revoke vip/0001", "revoke vip/0002")
	s.block(closed, "regular", 1, 50).block(closed, "regular", 2, 50).block(closed, "regular", 3, 10)
	s.cancel().result(isDuplicate, "").sent("revoke vip/0001", "revoke vip/0002")
	s.setCapacity("vip", 50).result(isRejected, ReasonEventCancelled).sent()
	if s.e.CancelReason != "storm" {
		t.Errorf("reason %q", s.e.CancelReason)
	}
}

// The event is cancelled while it opens: late answers do not bring it on sale.
func TestCancelledWhileOpening(t *testing.T) {
	t.Parallel()
	s := (&story{t: t}).create(conference()).cancel().stands(isCancelled, 2)
	s.block(opened, "vip", 1, 4).block(closed, "vip", 1, 4).stands(isCancelled, 2)
}

// Trace 11: commands for an event that does not exist, or is somebody else's, leave
// their position and reason; creating it afterwards works.
func TestCommandsForTheUnknown(t *testing.T) {
	t.Parallel()
	s := (&story{t: t}).cancel().result(isRejected, ReasonUnknownEvent).sent()
	s.setCapacity("vip", 1).result(isRejected, ReasonUnknownEvent).stands(pb.EventStatus_EVENT_STATUS_UNKNOWN, 0)
	s.create(conference()).result(isApplied, "").stands(isOpening, 1)
	s.command(&pb.CatalogCommand{
		Organiser: "other",
		Command:   &pb.CatalogCommand_CancelEvent{CancelEvent: &pb.CancelEvent{}},
	})
	s.result(isRejected, ReasonUnknownEvent).stands(isOpening, 1)
	s.setCapacity("none", 1).result(isRejected, ReasonUnknownTicketType)
	s.setCapacity("vip", maxCapacity+1).result(isRejected, ReasonInvalidCapacity)
	s.setCapacity("vip", maxCapacity).result(isRejected, ReasonInvalidCapacity) // too many blocks of 4
}

// What the front door should have refused is refused here too, with a reason that
// a look-up finds, and a better command for the same id works.
func TestInvalidEvents(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*pb.CreateEvent){
		ReasonInvalidName:       func(q *pb.CreateEvent) { q.Name = "" },
		ReasonInvalidCurrency:   func(q *pb.CreateEvent) { q.Currency = "eur" },
		ReasonInvalidSaleWindow: func(q *pb.CreateEvent) { q.SaleEndsUnixMs = q.SaleStartsUnixMs },
		ReasonInvalidTicketType: func(q *pb.CreateEvent) { q.TicketTypes[1].Id = "regular" },
		ReasonInvalidPrice:      func(q *pb.CreateEvent) { q.TicketTypes[0].PriceMinor = -1 },
		ReasonInvalidTax:        func(q *pb.CreateEvent) { q.TicketTypes[0].TaxMode = 0 },
		ReasonInvalidCapacity:   func(q *pb.CreateEvent) { q.TicketTypes[0].Capacity = 0 },
		ReasonInvalidBlockSize:  func(q *pb.CreateEvent) { q.TicketTypes[0].BlockSize = 65 },
	} {
		q := conference()
		spoil(q)
		s := (&story{t: t}).create(q).result(isRejected, want).sent().stands(pb.EventStatus_EVENT_STATUS_UNKNOWN, 0)
		s.create(conference()).result(isApplied, "").stands(isOpening, 1)
	}
	for name, spoil := range map[string]func(*pb.CreateEvent){
		"no ticket types": func(q *pb.CreateEvent) { q.TicketTypes = nil },
		"no slug":         func(q *pb.CreateEvent) { q.TicketTypes[0].Id = "VIP/1" },
		"too many blocks": func(q *pb.CreateEvent) { q.TicketTypes[0].Capacity, q.TicketTypes[0].BlockSize = 20_000, 1 },
	} {
		q := conference()
		spoil(q)
		if s := (&story{t: t}).create(q); s.last.Verdict != transition.Rejected {
			t.Errorf("%s: %v", name, s.last.Verdict)
		}
	}
}

// Capacities are cut without losing or making a seat (I1).
func TestCut(t *testing.T) {
	t.Parallel()
	for capacity := uint32(1); capacity < 300; capacity++ {
		for _, size := range []uint32{1, 7, 50, 64} {
			total := uint32(0)
			sizes := cut(capacity, size)
			for _, s := range sizes {
				if s == 0 || s > size {
					t.Fatalf("%d by %d: %v", capacity, size, sizes)
				}
				total += s
			}
			if total != capacity || len(sizes) != blocksOf(capacity, size) {
				t.Fatalf("%d by %d: %v", capacity, size, sizes)
			}
		}
	}
}

// What no correct peer sends is poison, and leaves the state alone.
func TestPoison(t *testing.T) {
	t.Parallel()
	create := &pb.CatalogCommand_CreateEvent{CreateEvent: conference()}
	other := topology.EventID("acme", "other")
	for name, value := range map[string]proto.Message{
		"short id":               &pb.CatalogCommand{EventId: []byte{1}, Command: create},
		"another key":            &pb.CatalogCommand{EventId: other[:], Command: create},
		"no command":             &pb.CatalogCommand{EventId: eventID[:]},
		"an unlisted block":      &pb.BlockEvent{Kind: opened, EventId: eventID[:], TicketType: "vip", Block: 3},
		"block 0":                &pb.BlockEvent{Kind: opened, EventId: eventID[:], TicketType: "vip"},
		"an unknown kind":        &pb.BlockEvent{EventId: eventID[:], TicketType: "vip", Block: 1},
		"a message of elsewhere": &pb.Timer{},
		"a long reason": &pb.CatalogCommand{
			EventId: eventID[:], Organiser: "acme",
			Command: &pb.CatalogCommand_CancelEvent{CancelEvent: &pb.CancelEvent{Reason: strings.Repeat("x", 501)}},
		},
	} {
		s := onSale(t)
		effect, err := Apply(s.e, &transition.Message{Key: eventID.String(), Value: value})
		if _, ok := transition.AsPoison(err); !ok || effect.State != nil {
			t.Errorf("%s: %v, %+v", name, err, effect)
		}
	}
}

// One block's answer to an event of 1,600 blocks.
func BenchmarkApply(b *testing.B) {
	q := conference()
	q.TicketTypes[0].Capacity = 80_000
	effect, err := Apply(nil, &transition.Message{Key: eventID.String(), Value: &pb.CatalogCommand{
		EventId: eventID[:], Organiser: "acme", Command: &pb.CatalogCommand_CreateEvent{CreateEvent: q},
	}})
	if err != nil {
		b.Fatal(err)
	}
	e := effect.State.(*pb.Event)
	m := &transition.Message{
		Key:   eventID.String(),
		Value: &pb.BlockEvent{Kind: opened, EventId: eventID[:], TicketType: "regular", Block: 1600, BlockSize: 50},
	}
	b.ReportAllocs()
	for b.Loop() {
		e.TicketTypes[0].BlockStates[1599] = blockOpening
		if _, err := Apply(e, m); err != nil {
			b.Fatal(err)
		}
	}
}

// The organiser grows a ticket type and then shrinks it, and the first command comes
// late, since its handling had failed: it is refused, and what was asked for last
// stands, also where that had changed nothing when it came.
func TestALateCapacityDoesNotUndoANewerOne(t *testing.T) {
	t.Parallel()
	for _, newer := range []uint32{8, 4} { // as it is, and one block less
		s := onSale(t)
		ask := func(capacity uint32, at int64) *story {
			return s.command(&pb.CatalogCommand{RequestTimeUnixMs: at, Command: &pb.CatalogCommand_SetCapacity{
				SetCapacity: &pb.SetCapacity{TicketType: "vip", Capacity: capacity},
			}})
		}
		ask(newer, 200)
		ask(20, 100).result(isRejected, ReasonSuperseded)
		if have := capacityOf(s.e.TicketTypes[1]); have != newer {
			t.Errorf("%d places, want %d", have, newer)
		}
		ask(20, 300).result(isApplied, "")
	}
}
