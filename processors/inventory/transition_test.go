package inventory

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

var event = topology.EventID("acme", "conference")

func registration(n int) []byte {
	id := topology.RegistrationID("acme", fmt.Sprint(n))
	return id[:]
}

// holdID is the id of registration n's first hold.
func holdID(n int) []byte {
	id := topology.HoldID(topology.UUID(registration(n)), 1, 1, 1)
	return id[:]
}

func command(n int, c *pb.SeatCommand) *pb.SeatCommand {
	c.EventId, c.TicketType, c.Block = event[:], "regular", 1
	if n > 0 {
		c.RegistrationId, c.HoldId = registration(n), holdID(n)
	}
	return c
}

func openOf(size uint32) *pb.SeatCommand {
	return command(0, &pb.SeatCommand{Command: &pb.SeatCommand_Open{Open: &pb.OpenBlock{Size: size}}})
}

func closeOf(revoke bool) *pb.SeatCommand {
	return command(0, &pb.SeatCommand{Command: &pb.SeatCommand_Close{Close: &pb.CloseBlock{Revoke: revoke}}})
}

func holdOfN(n int, quantity uint32) *pb.SeatCommand {
	return command(n, &pb.SeatCommand{Command: &pb.SeatCommand_Hold{Hold: &pb.HoldSeats{Quantity: quantity}}})
}

func releaseOf(n int) *pb.SeatCommand {
	return command(n, &pb.SeatCommand{Command: &pb.SeatCommand_Release{Release: &pb.ReleaseSeats{}}})
}

func confirmOf(n int) *pb.SeatCommand {
	return command(n, &pb.SeatCommand{Command: &pb.SeatCommand_Confirm{Confirm: &pb.ConfirmSeats{}}})
}

func message(c *pb.SeatCommand, offset int64) *transition.Message {
	return &transition.Message{
		Topic: topology.SeatCommands.Name, Offset: offset, Key: topology.BlockKey(c.EventId, c.TicketType, c.Block),
		Time: time.UnixMilli(1_700_000_000_000 + offset), Value: c,
	}
}

// story applies the commands in order. Each is applied a second time to the state
// that it left, and must neither change it nor answer otherwise than with the
// figures of that state (the law of repetition, I5).
func story(t *testing.T, commands ...*pb.SeatCommand) (*pb.Block, []transition.Effect) {
	t.Helper()
	var b *pb.Block
	var effects []transition.Effect
	for i, c := range commands {
		m := message(c, int64(i))
		effect, err := Apply(clone(b), m)
		if err != nil {
			t.Fatalf("command %d: %v", i, err)
		}
		if after, ok := effect.State.(*pb.Block); ok {
			b = clone(after)
		}
		effects = append(effects, effect)
		again, err := Apply(clone(b), m)
		if err != nil {
			t.Fatalf("command %d again: %v", i, err)
		}
		if again.State != nil {
			t.Errorf("command %d again changed the block: %v", i, again.State)
		}
		if again.Verdict == transition.Applied || len(again.Outputs) != len(effect.Outputs) {
			t.Errorf("command %d again: %v with %d outputs", i, again.Verdict, len(again.Outputs))
		}
	}
	return b, effects
}

func clone(b *pb.Block) *pb.Block {
	if b == nil {
		return nil
	}
	return proto.CloneOf(b)
}

func seatEventOf(t *testing.T, e transition.Effect, i int) *pb.SeatEvent {
	t.Helper()
	if i >= len(e.Outputs) {
		t.Fatalf("want output %d, have %d", i, len(e.Outputs))
	}
	seats, ok := e.Outputs[i].Value.(*pb.SeatEvent)
	if !ok {
		t.Fatalf("output %d is %T", i, e.Outputs[i].Value)
	}
	return seats
}

func blockEventOf(t *testing.T, e transition.Effect) *pb.BlockEvent {
	t.Helper()
	last := e.Outputs[len(e.Outputs)-1]
	answer, ok := last.Value.(*pb.BlockEvent)
	if !ok || last.Topic != topology.BlockEvents.Name || last.Key != event.String() {
		t.Fatalf("the last output is %T to %s under %s", last.Value, last.Topic, last.Key)
	}
	return answer
}

// A hold takes the lowest free seats and its answer carries the block's figures;
// a second owner gets what is left, and a third one nothing (I1).
func TestHoldsAreGrantedAsFarAsSeatsGo(t *testing.T) {
	t.Parallel()
	b, effects := story(t, openOf(3), holdOfN(1, 2), holdOfN(2, 2), holdOfN(3, 1))

	first := seatEventOf(t, effects[1], 0)
	if first.Kind != pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED || first.Seats != 0b011 || !first.Changed ||
		first.Held != 2 || first.Free != 1 || first.BlockSize != 3 || first.BlockVersion != 2 {
		t.Errorf("first hold: %v", first)
	}
	if key := effects[1].Outputs[0].Key; key != topology.KeyOf(registration(1)) {
		t.Errorf("answered to %s", key)
	}
	if second := seatEventOf(t, effects[2], 0); second.Seats != 0b100 || second.Free != 0 {
		t.Errorf("second hold, in part: %v", second)
	}
	third := seatEventOf(t, effects[3], 0)
	if third.Kind != pb.SeatEventKind_SEAT_EVENT_KIND_REFUSED || third.Reason != ReasonFull || third.Changed {
		t.Errorf("third hold: %v", third)
	}
	if effects[3].Verdict != transition.Rejected || effects[3].Reason != ReasonFull || effects[3].State != nil {
		t.Errorf("third hold: %+v", effects[3])
	}
	if b.Free != 0 || b.Version != 3 {
		t.Errorf("the block: %v", b)
	}
}

// A hold that was granted in part is asked again after seats came back: it gets
// the same answer and not one seat more, or the saga would own seats that it
// does not know of (I5).
func TestAHoldIsNeverToppedUp(t *testing.T) {
	t.Parallel()
	b, effects := story(t, openOf(2), holdOfN(1, 1), holdOfN(2, 2), releaseOf(1), holdOfN(2, 2))
	again := seatEventOf(t, effects[4], 0)
	if again.Kind != pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED || again.Seats != 0b10 || again.Changed {
		t.Errorf("asked again: %v", again)
	}
	if b.Free != 1 {
		t.Errorf("free seats: %d", b.Free)
	}
}

// Sold seats come back when their line is cancelled, and are told apart from held
// ones meanwhile.
func TestConfirmAndRelease(t *testing.T) {
	t.Parallel()
	b, effects := story(t, openOf(4), holdOfN(1, 2), holdOfN(2, 1), confirmOf(1), releaseOf(1))
	sold := seatEventOf(t, effects[3], 0)
	if sold.Kind != pb.SeatEventKind_SEAT_EVENT_KIND_SOLD || sold.Sold != 2 || sold.Held != 1 || sold.Free != 1 {
		t.Errorf("confirmed: %v", sold)
	}
	released := seatEventOf(t, effects[4], 0)
	if released.Kind != pb.SeatEventKind_SEAT_EVENT_KIND_RELEASED || released.Seats != 0b11 || released.Free != 3 ||
		released.Sold != 0 || released.Held != 1 {
		t.Errorf("released: %v", released)
	}
	if b.Sold != 0 || len(b.Seats) != 1 || b.Free != 3 {
		t.Errorf("the block: %v", b)
	}
}

// Releases and confirms for holds that own nothing change nothing; the confirm is
// told so, because a correct saga never sends it.
func TestHoldsThatOwnNothing(t *testing.T) {
	t.Parallel()
	_, effects := story(t, openOf(1), releaseOf(1), confirmOf(1))
	if released := seatEventOf(t, effects[1], 0); released.Kind != pb.SeatEventKind_SEAT_EVENT_KIND_RELEASED ||
		released.Changed || effects[1].Verdict != transition.Replayed {
		t.Errorf("released: %v", released)
	}
	if missing := seatEventOf(t, effects[2], 0); missing.Kind != pb.SeatEventKind_SEAT_EVENT_KIND_MISSING ||
		effects[2].Verdict != transition.Rejected {
		t.Errorf("confirmed: %v", missing)
	}
}

// A hold, a release and a confirm reach a block that was never opened: none of
// them makes one.
func TestUnknownBlock(t *testing.T) {
	t.Parallel()
	b, effects := story(t, holdOfN(1, 1), releaseOf(1), confirmOf(1))
	if b != nil {
		t.Errorf("a block came to be: %v", b)
	}
	if refused := seatEventOf(t, effects[0], 0); refused.Reason != ReasonUnknownBlock {
		t.Errorf("refused: %v", refused)
	}
}

// Trace 10: a second OpenBlock with another size re-cuts nothing; the block's own
// size wins and is what the catalog is told.
func TestABlocksOwnSizeWins(t *testing.T) {
	t.Parallel()
	b, effects := story(t, openOf(3), openOf(5))
	if answer := blockEventOf(t, effects[1]); answer.BlockSize != 3 || answer.Changed ||
		answer.Kind != pb.BlockEventKind_BLOCK_EVENT_KIND_OPENED {
		t.Errorf("opened again: %v", answer)
	}
	if b.Size != 3 || b.Version != 1 {
		t.Errorf("the block: %v", b)
	}
}

// Trace 10: closing withdraws free seats only. What an owner gives back later
// becomes withdrawn, never free again, and no hold gets any of it.
func TestAClosedBlockGrantsNothing(t *testing.T) {
	t.Parallel()
	b, effects := story(t, openOf(3), holdOfN(1, 1), holdOfN(2, 1), closeOf(false), holdOfN(3, 1), releaseOf(1),
		confirmOf(2), openOf(3))
	closed := blockEventOf(t, effects[3])
	if closed.Kind != pb.BlockEventKind_BLOCK_EVENT_KIND_CLOSED || closed.Withdrawn != 1 || closed.Free != 0 ||
		closed.Held != 2 || len(effects[3].Outputs) != 1 {
		t.Errorf("closed: %v", closed)
	}
	if refused := seatEventOf(t, effects[4], 0); refused.Reason != ReasonClosed {
		t.Errorf("held after closing: %v", refused)
	}
	if released := seatEventOf(t, effects[5], 0); released.Withdrawn != 2 || released.Free != 0 {
		t.Errorf("released after closing: %v", released)
	}
	if reopened := blockEventOf(t, effects[7]); reopened.Kind != pb.BlockEventKind_BLOCK_EVENT_KIND_CLOSED {
		t.Errorf("opened after closing: %v", reopened)
	}
	if b.Sold != 0b10 || b.Withdrawn != 2 || b.Free != 0 {
		t.Errorf("the block: %v", b)
	}
}

// An event is cancelled: every owner of a seat is told, under its own key, and
// owns the seats until it releases them. A repeated command tells them again.
func TestRevokeTellsEveryOwner(t *testing.T) {
	t.Parallel()
	b, effects := story(t, openOf(3), holdOfN(1, 1), holdOfN(2, 1), confirmOf(2), closeOf(true), closeOf(true))
	for _, effect := range effects[4:] {
		if len(effect.Outputs) != 3 {
			t.Fatalf("%d outputs", len(effect.Outputs))
		}
		for i := range 2 {
			e := seatEventOf(t, effect, i)
			if e.Kind != pb.SeatEventKind_SEAT_EVENT_KIND_REVOKED || string(e.HoldId) != string(holdID(i+1)) ||
				effect.Outputs[i].Key != topology.KeyOf(registration(i+1)) {
				t.Errorf("owner %d: %v", i+1, e)
			}
		}
		blockEventOf(t, effect)
	}
	if len(b.Seats) != 2 || b.Sold != 0b10 {
		t.Errorf("the block: %v", b)
	}
}

// A CloseBlock that comes before its OpenBlock leaves a closed block, so that the
// late one opens nothing.
func TestCloseBeforeOpen(t *testing.T) {
	t.Parallel()
	b, effects := story(t, closeOf(true), openOf(5), holdOfN(1, 1))
	if b.Size != 0 || b.Status != pb.BlockStatus_BLOCK_STATUS_CLOSED {
		t.Errorf("the block: %v", b)
	}
	if answer := blockEventOf(t, effects[1]); answer.Kind != pb.BlockEventKind_BLOCK_EVENT_KIND_CLOSED {
		t.Errorf("opened: %v", answer)
	}
}

// A block of 64 seats uses every bit of the mask.
func TestTheLargestBlock(t *testing.T) {
	t.Parallel()
	b, _ := story(t, openOf(64), holdOfN(1, 63), holdOfN(2, 5))
	if b.Free != 0 || owned(b) != ^uint64(0) {
		t.Errorf("the block: %v", b)
	}
}

// Commands that no correct peer sends are poison: they go to the dead letters and
// the block stays as it is.
func TestPoison(t *testing.T) {
	t.Parallel()
	other := holdOfN(1, 1)
	other.RegistrationId = registration(9)
	short := holdOfN(1, 1)
	short.HoldId = short.HoldId[:4]
	nowhere := holdOfN(1, 1)
	nowhere.Block = 0
	for name, c := range map[string]proto.Message{
		"no command":             command(1, &pb.SeatCommand{}),
		"quantity 0":             holdOfN(1, 0),
		"quantity 65":            holdOfN(1, 65),
		"size 0":                 openOf(0),
		"size 65":                openOf(65),
		"short hold id":          short,
		"no block":               nowhere,
		"a hold of another":      other,
		"a message of elsewhere": &pb.Timer{},
	} {
		b, _ := story(t, openOf(3), holdOfN(1, 1))
		m := message(holdOfN(1, 1), 9)
		m.Value = c
		effect, err := Apply(b, m)
		if _, ok := transition.AsPoison(err); !ok || effect.State != nil {
			t.Errorf("%s: %v, %+v", name, err, effect)
		}
	}
	m := message(holdOfN(1, 1), 9)
	m.Key = "elsewhere"
	if _, err := Apply(nil, m); err == nil {
		t.Error("a command under another block's key was taken")
	}
}

// A stored value that breaks I1 (two owners of a seat, a seat outside the block,
// figures that do not add up) stops the partition: it is neither poison, which
// would go on, nor a transition.
func TestADamagedBlockStops(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(*pb.Block){
		"two owners":       func(b *pb.Block) { b.Seats[1] = b.Seats[0] },
		"outside":          func(b *pb.Block) { b.Seats[1] = 1 << 60 },
		"owns nothing":     func(b *pb.Block) { b.Seats[1] = 0 },
		"sold to nobody":   func(b *pb.Block) { b.Sold = 0b100 },
		"sold in part":     func(b *pb.Block) { b.Sold, b.Seats[1], b.Free = 0b010, 0b110, 0 },
		"free too high":    func(b *pb.Block) { b.Free++ },
		"free in a closed": func(b *pb.Block) { b.Status = pb.BlockStatus_BLOCK_STATUS_CLOSED },
		"withdrawn in an open": func(b *pb.Block) {
			b.Free, b.Withdrawn = 0, b.Free
		},
		"ids cut short": func(b *pb.Block) { b.HoldIds = b.HoldIds[:20] },
		"no status":     func(b *pb.Block) { b.Status = 0 },
		"too large":     func(b *pb.Block) { b.Size = 65 },
	} {
		b, _ := story(t, openOf(3), holdOfN(1, 1), holdOfN(2, 1))
		damage(b)
		_, err := Apply(b, message(holdOfN(3, 1), 9))
		if _, ok := transition.AsPoison(err); err == nil || ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The hottest step: one hold, its confirm and its release in a half-full block.
func BenchmarkApply(b *testing.B) {
	effect, err := Apply(nil, message(openOf(50), 0))
	if err != nil {
		b.Fatal(err)
	}
	block := effect.State.(*pb.Block)
	for n := range 25 {
		if _, err := Apply(block, message(holdOfN(100+n, 1), 1)); err != nil {
			b.Fatal(err)
		}
	}
	steps := []*transition.Message{message(holdOfN(1, 1), 2), message(confirmOf(1), 3), message(releaseOf(1), 4)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := Apply(block, steps[i%len(steps)]); err != nil {
			b.Fatal(err)
		}
	}
}
