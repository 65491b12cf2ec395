package stream

import "sync"

// prefix follows the records of one partition that a stage works on at the
// same time, and knows how far they are finished without a gap.
//
// I6: what it offers for committing is below every unfinished record, and every
// record below it was handed to a handler.
type prefix struct {
	mu      sync.Mutex
	entries []*entry // in log order, from the first that is not committed
	offered int      // entries that a commit under way covers
	running int      // handed out, not finished
}

// entry is one record on its way.
type entry struct {
	next     int64 // the offset to commit when it and all before it are finished
	epoch    int32
	finished bool
	dead     *letter // why it went to the dead letters, nil: it was handled
}

// add takes up a record. Records must be added in log order.
func (p *prefix) add(offset int64, epoch int32) *entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &entry{next: offset + 1, epoch: epoch}
	p.entries = append(p.entries, e)
	p.running++
	return e
}

// finish notes that a record needs no more work.
func (p *prefix) finish(e *entry, dead *letter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.finished, e.dead = true, dead
	p.running--
}

// offer returns the last entry of the finished prefix, nil if nothing new is
// finished. accept or offer again must follow.
func (p *prefix) offer() *entry {
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

// accept returns what the last offer covered, which is committed now.
func (p *prefix) accept() []*entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := p.entries[:p.offered]
	p.entries = append([]*entry(nil), p.entries[p.offered:]...)
	p.offered = 0
	return done
}
