package availability

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// maxRoom is the most seats that a block has; more room counts as this much.
const maxRoom = 64

type holdID [idSize]byte

// pool holds the blocks of one ticket type, in buckets by the room that is left
// when unanswered holds are subtracted.
type pool struct {
	mu      sync.Mutex
	random  *rand.Rand
	blocks  map[uint32]*block
	list    []*block
	buckets [maxRoom + 1][]*block
	pending map[holdID]*pendingHold
	// oldest lists the pending holds in the order in which they were asked;
	// answered ones stay until they come to its front.
	oldest []*pendingHold
	total  Room
}

type block struct {
	number uint32
	Figures
	// pending is the sum of the unanswered holds.
	pending uint32
	// bucket and slot are where the block lies in pool.buckets.
	bucket, slot int
}

type pendingHold struct {
	id       holdID
	block    *block
	quantity uint32
	at       time.Time
	answered bool
}

func newPool(seed uint64, event eventID) *pool {
	return &pool{
		random:  rand.New(rand.NewPCG(seed, binary.LittleEndian.Uint64(event[:]))),
		blocks:  make(map[uint32]*block),
		pending: make(map[holdID]*pendingHold),
	}
}

func (p *pool) update(number uint32, f Figures) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.blocks[number]
	if b == nil {
		b = &block{number: number, slot: len(p.buckets[0])}
		p.buckets[0] = append(p.buckets[0], b)
		p.blocks[number] = b
		p.list = append(p.list, b)
		p.total.Blocks++
	}
	if f.Version < b.Version {
		return
	}
	p.count(b.Figures, -1)
	b.Figures = f
	p.count(b.Figures, 1)
	p.place(b)
}

// count adds a block's figures to the pool's, or takes them away; unsigned
// arithmetic wraps around and back.
func (p *pool) count(f Figures, sign int64) {
	p.total.Size += uint64(sign * int64(f.Size))
	p.total.Free += uint64(sign * int64(f.Free))
	p.total.Held += uint64(sign * int64(f.Held))
	p.total.Sold += uint64(sign * int64(f.Sold))
	p.total.Withdrawn += uint64(sign * int64(f.Withdrawn))
}

// place moves a block to the bucket of its room.
func (p *pool) place(b *block) {
	room := int(min(b.Free-min(b.pending, b.Free), maxRoom))
	if room == b.bucket {
		return
	}
	from := p.buckets[b.bucket]
	last := from[len(from)-1]
	from[b.slot], last.slot = last, b.slot
	p.buckets[b.bucket] = from[:len(from)-1]
	b.bucket, b.slot = room, len(p.buckets[room])
	p.buckets[room] = append(p.buckets[room], b)
}

func (p *pool) pick(quantity uint32, exclude []uint32) (uint32, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fits := int(min(max(quantity, 1), maxRoom))
	if b := p.fitting(fits, exclude); b != nil {
		return b.number, true
	}
	for room := fits - 1; room > 0; room-- {
		if b := p.from(p.buckets[room], exclude); b != nil {
			return b.number, true
		}
	}
	if p.total.Free == 0 {
		return 0, false
	}
	// All the room that is left is subtracted for holds that may fail.
	if b := p.from(p.buckets[0], exclude, hasSeats); b != nil {
		return b.number, true
	}
	return 0, false
}

func hasSeats(b *block) bool { return b.Free > 0 }

// fitting draws from all the blocks whose room is at least fits.
func (p *pool) fitting(fits int, exclude []uint32) *block {
	candidates := 0
	for room := fits; room <= maxRoom; room++ {
		candidates += len(p.buckets[room])
	}
	if candidates == 0 {
		return nil
	}
	// A few draws find one unless most of the candidates are excluded; then
	// there are few of them.
	for range 4 {
		if b := p.nth(fits, p.random.IntN(candidates)); !slices.Contains(exclude, b.number) {
			return b
		}
	}
	for room := fits; room <= maxRoom; room++ {
		if b := p.from(p.buckets[room], exclude); b != nil {
			return b
		}
	}
	return nil
}

// nth is block number n of the buckets from fits on.
func (p *pool) nth(fits, n int) *block {
	for room := fits; ; room++ {
		if n < len(p.buckets[room]) {
			return p.buckets[room][n]
		}
		n -= len(p.buckets[room])
	}
}

// from returns a block of the bucket that is not excluded and meets every
// condition, searching from a random place on; nil when there is none.
func (p *pool) from(bucket []*block, exclude []uint32, conditions ...func(*block) bool) *block {
	if len(bucket) == 0 {
		return nil
	}
	start := p.random.IntN(len(bucket))
	for i := range bucket {
		b := bucket[(start+i)%len(bucket)]
		meets := !slices.ContainsFunc(conditions, func(c func(*block) bool) bool { return !c(b) })
		if meets && !slices.Contains(exclude, b.number) {
			return b
		}
	}
	return nil
}

func (p *pool) asked(id holdID, number, quantity uint32, now, tooOld time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.age(tooOld)
	b := p.blocks[number]
	if b == nil || p.pending[id] != nil {
		return
	}
	h := &pendingHold{id: id, block: b, quantity: quantity, at: now}
	p.pending[id] = h
	p.oldest = append(p.oldest, h)
	b.pending += quantity
	p.place(b)
}

func (p *pool) answered(id holdID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.pending[id]; h != nil {
		p.forget(h)
	}
}

func (p *pool) forget(h *pendingHold) {
	h.answered = true
	delete(p.pending, h.id)
	h.block.pending -= h.quantity
	p.place(h.block)
}

// age forgets the holds that were asked before tooOld, and drops the answered
// ones from the front of the list.
func (p *pool) age(tooOld time.Time) {
	n := 0
	for _, h := range p.oldest {
		if !h.answered && !h.at.Before(tooOld) {
			break
		}
		if !h.answered {
			p.forget(h)
		}
		n++
	}
	p.oldest = p.oldest[n:]
}

func (p *pool) room() Room {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}
