package core

import "sync"

// Prefix follows the records of one partition that a stage works on at the
// same time, and knows how far they are finished without a gap. D says why a
// record went to the dead letters.
//
// I6: what it offers for committing is below every unfinished record, and every
// record below it was handed to a handler.
type Prefix[D any] struct {
	mu      sync.Mutex
	entries []*Entry[D] // in log order, from the first that is not committed
	offered int         // entries that a commit under way covers
}

// Entry is one record on its way.
type Entry[D any] struct {
	Next     int64 // the offset to commit when it and all before it are finished
	Epoch    int32
	Dead     *D // why it went to the dead letters, nil: it was handled
	finished bool
}

// Add takes up a record. Records must be added in log order.
func (p *Prefix[D]) Add(offset int64, epoch int32) *Entry[D] {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &Entry[D]{Next: offset + 1, Epoch: epoch}
	p.entries = append(p.entries, e)
	return e
}

// Finish notes that a record needs no more work.
func (p *Prefix[D]) Finish(e *Entry[D], dead *D) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.finished, e.Dead = true, dead
}

// Offer returns the last entry of the finished prefix, nil if nothing new is
// finished. Accept or Offer again must follow.
func (p *Prefix[D]) Offer() *Entry[D] {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offered = 0
	for p.offered < len(p.entries) && p.entries[p.offered].finished {
		p.offered++
	}
	if p.offered == 0 {
		return nil
	}
	return p.entries[p.offered-1]
}

// Accept returns what the last offer covered, which is committed now.
func (p *Prefix[D]) Accept() []*Entry[D] {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := p.entries[:p.offered]
	p.entries = append([]*Entry[D](nil), p.entries[p.offered:]...)
	p.offered = 0
	return done
}
