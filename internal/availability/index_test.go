package availability

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

var (
	event = topology.EventID("acme", "conference")
	start = time.UnixMilli(1_700_000_000_000)
)

func hold(n int) []byte {
	id := make([]byte, idSize)
	binary.BigEndian.PutUint64(id, uint64(n))
	return id
}

// full sets a block of 50 seats with that many free.
func (x *Index) full(block, free uint32, version uint64) {
	x.Update(event[:], "regular", block, Figures{Version: version, Size: 50, Free: free, Sold: 50 - free})
}

func (x *Index) pick(quantity uint32, exclude ...uint32) (uint32, bool) {
	return x.Pick(event[:], "regular", quantity, exclude)
}

// A request is sent to a block that fits it whole, if any does; else to the one
// with the most room; and to none that has nothing or was asked already.
func TestPickPrefersAWholeFit(t *testing.T) {
	t.Parallel()
	x := New(Options{Seed: 1})
	x.full(1, 1, 1)
	x.full(2, 3, 1)
	x.full(3, 2, 1)
	x.full(4, 0, 1)
	for range 50 {
		if b, ok := x.pick(3); !ok || b != 2 {
			t.Fatalf("for 3: block %d, %v", b, ok)
		}
		if b, ok := x.pick(3, 2); !ok || b != 3 {
			t.Fatalf("for 3 without block 2: block %d, %v", b, ok)
		}
		if b, ok := x.pick(10); !ok || b != 2 {
			t.Fatalf("for 10: block %d, %v", b, ok)
		}
		if b, ok := x.pick(1, 1, 2, 3); ok {
			t.Fatalf("without room: block %d", b)
		}
	}
}

// A rush is spread over all blocks that fit, not sent to the first.
func TestPicksAreSpread(t *testing.T) {
	t.Parallel()
	x := New(Options{Seed: 1})
	for b := range uint32(10) {
		x.full(b+1, 10+b, 1)
	}
	seen := map[uint32]int{}
	for range 1000 {
		b, _ := x.pick(2)
		seen[b]++
	}
	for b := range uint32(10) {
		if seen[b+1] < 50 {
			t.Errorf("block %d was picked %d of 1000 times", b+1, seen[b+1])
		}
	}
}

// Holds that are on their way are subtracted, so that the next request goes
// elsewhere; where nothing else is left the block is tried all the same, because
// they may come to nothing.
func TestUnansweredHoldsAreSubtracted(t *testing.T) {
	t.Parallel()
	x := New(Options{Seed: 1})
	x.full(1, 2, 1)
	x.full(2, 1, 1)
	x.Asked(event[:], "regular", 1, hold(1), 2, start)
	x.Asked(event[:], "regular", 1, hold(1), 2, start) // the same hold, asked again
	for range 20 {
		if b, _ := x.pick(1); b != 2 {
			t.Fatalf("block %d has no room left", b)
		}
	}
	if b, ok := x.pick(1, 2); !ok || b != 1 {
		t.Errorf("the last resort: block %d, %v", b, ok)
	}
	x.Answered(event[:], "regular", hold(1))
	x.Answered(event[:], "regular", hold(1))
	if b, _ := x.pick(2); b != 1 {
		t.Errorf("after the answer: block %d", b)
	}
}

// A transaction was aborted, so its hold was never asked and is never answered: it
// ages out by the caller's clock, and the block has its room again.
func TestUnansweredHoldsAgeOut(t *testing.T) {
	t.Parallel()
	x := New(Options{Seed: 1, PendingAge: 5 * time.Second})
	x.full(1, 3, 1)
	x.full(2, 2, 1)
	x.Asked(event[:], "regular", 1, hold(1), 2, start)
	x.Asked(event[:], "regular", 2, hold(2), 1, start.Add(4*time.Second))
	if b, ok := x.pick(3); !ok || x.room(t, 1) != 1 || x.room(t, 2) != 1 {
		t.Fatalf("block %d, %v", b, ok)
	}
	x.Asked(event[:], "regular", 2, hold(3), 1, start.Add(6*time.Second))
	if x.room(t, 1) != 3 || x.room(t, 2) != 0 {
		t.Errorf("room %d and %d", x.room(t, 1), x.room(t, 2))
	}
}

// room is what the index takes a block to have left.
func (x *Index) room(t *testing.T, number uint32) int {
	t.Helper()
	p := x.pool(event[:], "regular")
	return p.blocks[number].bucket
}

// Records come again and in any order (a view restarts, an answer overtakes the
// table): the newest version of each block stands.
func TestOldFiguresAreIgnored(t *testing.T) {
	t.Parallel()
	x := New(Options{})
	x.full(1, 0, 7)
	x.full(1, 20, 6)
	if b, ok := x.pick(1); ok {
		t.Errorf("block %d", b)
	}
	x.Observe(&pb.SeatEvent{
		EventId: event[:], TicketType: "regular", Block: 1, HoldId: hold(1),
		BlockVersion: 8, BlockSize: 50, Free: 1, Sold: 49,
	})
	if _, ok := x.pick(1); !ok {
		t.Error("the answer of a block was not taken over")
	}
	x.Observe(&pb.SeatEvent{EventId: event[:], TicketType: "regular", Block: 9, HoldId: hold(1)})
	if rooms := x.Summary(event[:]); len(rooms) != 1 || rooms[0].Blocks != 1 || rooms[0].Free != 1 {
		t.Errorf("%+v", rooms)
	}
}

// Until the index has caught up with the table, and for ticket types that it has
// never heard of, that it finds no block means nothing.
func TestKnown(t *testing.T) {
	t.Parallel()
	x := New(Options{})
	x.full(1, 0, 1)
	if x.Known(event[:], "regular") {
		t.Error("known before it caught up")
	}
	x.SetRecovered(true)
	if !x.Known(event[:], "regular") || x.Known(event[:], "vip") || x.Known([]byte{1}, "regular") || !x.Recovered() {
		t.Error("known and unknown are mixed up")
	}
	if _, ok := x.Pick(event[:], "vip", 1, nil); ok {
		t.Error("an unknown ticket type has room")
	}
	if x.Summary([]byte{1}) != nil || x.Summary(hold(1)) != nil {
		t.Error("an unknown event has rooms")
	}
	x.Update([]byte{1}, "regular", 1, Figures{Version: 1, Free: 1})
}

func aBlock(number uint32) *pb.Block {
	return &pb.Block{
		Free: 44, Status: pb.BlockStatus_BLOCK_STATUS_OPEN, Size: 50, Version: 9,
		HoldIds: make([]byte, 3*idSize), RegistrationIds: make([]byte, 3*idSize), Seats: []uint64{0b111, 0b1000, 0b110000},
		Sold: 0b1111, EventId: event[:], TicketType: "regular", Number: number,
	}
}

// A record is read without decoding its owners and gives the same figures as the
// decoded block.
func TestApplyRecord(t *testing.T) {
	t.Parallel()
	closed := aBlock(2)
	closed.Status, closed.Free, closed.Withdrawn = pb.BlockStatus_BLOCK_STATUS_CLOSED, 0, 44
	decoded, read := New(Options{}), New(Options{})
	for _, b := range []*pb.Block{aBlock(1), closed, aBlock(1)} {
		raw, err := proto.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := read.ApplyRecord(raw); err != nil {
			t.Fatal(err)
		}
		decoded.Apply(b)
	}
	want := []Room{{TicketType: "regular", Blocks: 2, Size: 100, Free: 44, Held: 4, Sold: 8, Withdrawn: 44}}
	if have := read.Summary(event[:]); !slices.Equal(have, want) {
		t.Errorf("from records: %+v", have)
	}
	if have := decoded.Summary(event[:]); !slices.Equal(have, want) {
		t.Errorf("from blocks: %+v", have)
	}
	if want[0].Capacity() != 56 {
		t.Errorf("capacity %d", want[0].Capacity())
	}
}

// Bytes that are no block are an error and change nothing.
func TestApplyRecordOfRubbish(t *testing.T) {
	t.Parallel()
	x := New(Options{})
	raw, err := proto.Marshal(aBlock(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][]byte{
		"nothing": nil, "cut short": raw[:len(raw)-3], "a cut tag": {0x80}, "another message": {0x08, 0x01},
		"a cut group": {0x0b, 0x80}, "a 32-bit field": {0x0d, 1, 0, 0, 0},
	} {
		if err := x.ApplyRecord(value); err == nil {
			t.Errorf("%s was taken for a block", name)
		}
	}
	if x.Summary(event[:]) != nil {
		t.Error("rubbish changed the index")
	}
}

// Whatever comes in whatever order: the sums are those of the blocks, a pick is
// never of a block without seats or of an excluded one, and it finds a block
// whenever there is one.
func TestIndexAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := New(Options{Seed: rapid.Uint64().Draw(t, "seed")})
		type known struct {
			Figures
			pending map[int]uint32
		}
		model := map[uint32]*known{}
		now := start
		block := rapid.Uint32Range(1, 6)
		t.Repeat(map[string]func(*rapid.T){
			"update": func(t *rapid.T) {
				n, free := block.Draw(t, "block"), rapid.Uint32Range(0, 4).Draw(t, "free")
				f := Figures{Version: rapid.Uint64Range(1, 20).Draw(t, "version"), Size: 4, Free: free, Sold: 4 - free}
				x.Update(event[:], "regular", n, f)
				if model[n] == nil {
					model[n] = &known{pending: map[int]uint32{}}
				}
				if f.Version >= model[n].Version {
					model[n].Figures = f
				}
			},
			"asked": func(t *rapid.T) {
				n, id, q := block.Draw(t, "block"), rapid.IntRange(0, 9).Draw(t, "hold"), rapid.Uint32Range(1, 3).Draw(t, "quantity")
				x.Asked(event[:], "regular", n, hold(id), q, now)
				for _, k := range model {
					if _, ok := k.pending[id]; ok {
						return
					}
				}
				if model[n] != nil {
					model[n].pending[id] = q
				}
			},
			"answered": func(t *rapid.T) {
				id := rapid.IntRange(0, 9).Draw(t, "hold")
				x.Answered(event[:], "regular", hold(id))
				for _, k := range model {
					delete(k.pending, id)
				}
			},
			"pick": func(t *rapid.T) {
				exclude := rapid.SliceOfN(block, 0, 5).Draw(t, "exclude")
				quantity := rapid.Uint32Range(1, 5).Draw(t, "quantity")
				best, seats := uint32(0), uint32(0)
				left := func(k *known) uint32 {
					pending := uint32(0)
					for _, q := range k.pending {
						pending += q
					}
					return k.Free - min(pending, k.Free)
				}
				for n, k := range model {
					if !slices.Contains(exclude, n) {
						best, seats = max(best, left(k)), max(seats, k.Free)
					}
				}
				n, ok := x.pick(quantity, exclude...)
				switch {
				case ok != (seats > 0):
					t.Fatalf("picked %v, the most seats are %d", ok, seats)
				case !ok:
				case slices.Contains(exclude, n) || model[n].Free == 0:
					t.Fatalf("picked block %d of %d seats", n, model[n].Free)
				case left(model[n]) < min(best, quantity):
					t.Fatalf("picked block %d with room for %d of %d, another has %d", n, left(model[n]), quantity, best)
				}
			},
			"": func(t *rapid.T) {
				var free, sold uint64
				for _, k := range model {
					free, sold = free+uint64(k.Free), sold+uint64(k.Sold)
				}
				for _, r := range x.Summary(event[:]) {
					if r.Free != free || r.Sold != sold || r.Blocks != len(model) || r.Size != free+sold {
						t.Fatalf("%+v, want %d free and %d sold in %d blocks", r, free, sold, len(model))
					}
				}
			},
		})
	})
}

// Many owners pick, ask, answer and update at once: no race, and every block's room
// comes out as it was reported.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	x := New(Options{Seed: 1})
	for b := range uint32(40) {
		x.full(b+1, 50, 1)
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 500 {
				b, ok := x.pick(uint32(i%3 + 1))
				if !ok {
					t.Error("no room")
					return
				}
				id := hold(worker*1000 + i)
				x.Asked(event[:], "regular", b, id, 1, start)
				x.full(b, 50, uint64(i+2))
				x.Answered(event[:], "regular", id)
				x.Summary(event[:])
			}
		})
	}
	wg.Wait()
	if rooms := x.Summary(event[:]); rooms[0].Free != 40*50 {
		t.Errorf("%+v", rooms)
	}
	p := x.pool(event[:], "regular")
	if len(p.pending) != 0 || len(p.buckets[50]) != 40 {
		t.Errorf("%d holds are left, %d blocks have all their room", len(p.pending), len(p.buckets[50]))
	}
}

// Picks from many goroutines in a sale of 1,600 blocks, each with the hold's way
// through the index.
func BenchmarkPick(b *testing.B) {
	x := New(Options{Seed: 1})
	for n := range uint32(1600) {
		x.full(n+1, 1+n%50, 1)
	}
	var holds atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(next *testing.PB) {
		for next.Next() {
			block, ok := x.pick(1)
			if !ok {
				b.Error("no room")
				return
			}
			id := hold(int(holds.Add(1)))
			x.Asked(event[:], "regular", block, id, 1, start)
			x.Answered(event[:], "regular", id)
		}
	})
}

// The worst pick: no block has room left but for unanswered holds.
func BenchmarkPickWhenAllIsAsked(b *testing.B) {
	x := New(Options{Seed: 1})
	for n := range uint32(1600) {
		x.full(n+1, 0, 1)
	}
	x.full(800, 1, 2)
	x.Asked(event[:], "regular", 800, hold(1), 1, start)
	b.ReportAllocs()
	for b.Loop() {
		if n, ok := x.pick(1); !ok || n != 800 {
			b.Fatal(n, ok)
		}
	}
}

// One record of inventory-table with 25 owners.
func BenchmarkApplyRecord(b *testing.B) {
	block := aBlock(1)
	block.HoldIds, block.RegistrationIds, block.Seats = make([]byte, 25*idSize), make([]byte, 25*idSize), nil
	for i := range 25 {
		block.Seats = append(block.Seats, bits.RotateLeft64(1, i))
	}
	raw, err := proto.Marshal(block)
	if err != nil {
		b.Fatal(err)
	}
	x := New(Options{})
	b.ReportAllocs()
	for b.Loop() {
		if err := x.ApplyRecord(raw); err != nil {
			b.Fatal(err)
		}
	}
}
