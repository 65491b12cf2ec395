package availability

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	idSize = 16
	// shardCount spreads the events; a power of two.
	shardCount = 64
	// DefaultPendingAge is when a hold that was never answered is forgotten.
	DefaultPendingAge = 10 * time.Second
)

type eventID [idSize]byte

// Options configure an index.
type Options struct {
	// Seed makes the picks repeatable. Processes that share a sale should have
	// different seeds.
	Seed uint64
	// PendingAge is how long a hold that was not answered is subtracted;
	// DefaultPendingAge when 0.
	PendingAge time.Duration
}

// Index knows the room of every seat block that it was told of.
type Index struct {
	seed       uint64
	pendingAge time.Duration
	recovered  atomic.Bool
	shards     [shardCount]shard
}

type shard struct {
	mu     sync.RWMutex
	events map[eventID]map[string]*pool
}

// New returns an index that knows no block.
func New(o Options) *Index {
	if o.PendingAge <= 0 {
		o.PendingAge = DefaultPendingAge
	}
	x := &Index{seed: o.Seed, pendingAge: o.PendingAge}
	for i := range x.shards {
		x.shards[i].events = make(map[eventID]map[string]*pool)
	}
	return x
}

// SetRecovered says whether what feeds the index has caught up with the table.
// Until it has, Known answers no.
func (x *Index) SetRecovered(recovered bool) { x.recovered.Store(recovered) }

// Recovered reports what SetRecovered was told last.
func (x *Index) Recovered() bool { return x.recovered.Load() }

// Known reports whether the index has caught up and knows blocks of the ticket
// type: only then does a Pick that finds none mean that there is no room.
func (x *Index) Known(event []byte, ticketType string) bool {
	return x.recovered.Load() && x.pool(event, ticketType) != nil
}

// Pick returns a block with room, none of exclude: at random among those that fit
// the whole quantity, else one that has the most room. Where all room is
// subtracted for unanswered holds it still returns a block that has seats, since
// those holds may come to nothing.
func (x *Index) Pick(event []byte, ticketType string, quantity uint32, exclude []uint32) (block uint32, ok bool) {
	p := x.pool(event, ticketType)
	if p == nil {
		return 0, false
	}
	return p.pick(quantity, exclude)
}

// Figures are the counts of one block.
type Figures struct {
	// Version is the block's; older figures than those known are ignored.
	Version uint64
	Size    uint32
	// Free is 0 in a closed block.
	Free      uint32
	Held      uint32
	Sold      uint32
	Withdrawn uint32
}

// Update takes over the figures of one block, unless newer ones are known. Event
// ids that are no UUIDs are ignored.
func (x *Index) Update(event []byte, ticketType string, block uint32, f Figures) {
	if len(event) != idSize {
		return
	}
	p := x.pool(event, ticketType)
	if p == nil {
		p = x.addPool(eventID(event), ticketType)
	}
	p.update(block, f)
}

// Observe takes over what a block answered to a hold: its figures, and that the
// hold is answered.
func (x *Index) Observe(e *pb.SeatEvent) {
	// An unknown block has no version, and no room that could be picked.
	if e.BlockVersion > 0 {
		x.Update(e.EventId, e.TicketType, e.Block, Figures{
			Version: e.BlockVersion, Size: e.BlockSize,
			Free: e.Free, Held: e.Held, Sold: e.Sold, Withdrawn: e.Withdrawn,
		})
	}
	x.Answered(e.EventId, e.TicketType, e.HoldId)
}

// Asked subtracts a hold from a block's room until it is answered or too old.
func (x *Index) Asked(event []byte, ticketType string, block uint32, hold []byte, quantity uint32, now time.Time) {
	if p := x.pool(event, ticketType); p != nil && len(hold) == idSize {
		p.asked(holdID(hold), block, quantity, now, now.Add(-x.pendingAge))
	}
}

// Answered ends the subtraction of a hold.
func (x *Index) Answered(event []byte, ticketType string, hold []byte) {
	if p := x.pool(event, ticketType); p != nil && len(hold) == idSize {
		p.answered(holdID(hold))
	}
}

// Room is what is left of one ticket type.
type Room struct {
	TicketType string
	Blocks     int
	// Size = Free + Held + Sold + Withdrawn (I1), in seats.
	Size, Free, Held, Sold, Withdrawn uint64
}

// Capacity is the number of seats that are, were or can be had.
func (r Room) Capacity() uint64 { return r.Size - r.Withdrawn }

// Summary returns the room of every ticket type of an event, sorted by ticket
// type; nil for an unknown event.
func (x *Index) Summary(event []byte) []Room {
	if len(event) != idSize {
		return nil
	}
	s := x.shard(eventID(event))
	s.mu.RLock()
	defer s.mu.RUnlock()
	var rooms []Room
	for ticketType, p := range s.events[eventID(event)] {
		r := p.room()
		r.TicketType = ticketType
		rooms = append(rooms, r)
	}
	slices.SortFunc(rooms, func(a, b Room) int { return strings.Compare(a.TicketType, b.TicketType) })
	return rooms
}

func (x *Index) shard(event eventID) *shard {
	// The last byte of a UUID is as random as any.
	return &x.shards[event[idSize-1]%shardCount]
}

// pool returns the ticket type's pool, nil when no block of it is known.
func (x *Index) pool(event []byte, ticketType string) *pool {
	if len(event) != idSize {
		return nil
	}
	s := x.shard(eventID(event))
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.events[eventID(event)][ticketType]
}

func (x *Index) addPool(event eventID, ticketType string) *pool {
	s := x.shard(event)
	s.mu.Lock()
	defer s.mu.Unlock()
	pools := s.events[event]
	if pools == nil {
		pools = make(map[string]*pool)
		s.events[event] = pools
	}
	p := pools[ticketType]
	if p == nil {
		p = newPool(x.seed, event)
		pools[strings.Clone(ticketType)] = p
	}
	return p
}
