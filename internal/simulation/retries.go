package simulation

import (
	"time"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
)

// retryPauses are those of the runtime.
var retryPauses = stream.Backoff{Min: time.Second, Max: time.Minute}

// retry is what the headers of a record say that was put off, or came back.
type retry struct {
	original position // where it was written first
	attempt  int      // how many have failed
	due      int64
	// put is where it was put, of a record that came back.
	put position
}

// attempts are how many have failed.
func (r *record) attempts() int {
	if r.retry == nil {
		return 0
	}
	return r.retry.attempt
}

// putOff writes a record whose handler failed to the retries, in the transaction.
// A timer needs no retry: its deadline stands.
func (p *process) putOff(h *handled) {
	first := position{h.log, h.record.offset}
	if h.record.retry != nil {
		first = h.record.retry.original
	}
	attempt := h.record.attempts() + 1
	id := stream.DeadLetterID(stream.Position{Topic: first.log.topic.def.Name, Partition: first.log.number, Offset: first.offset})
	pause := retryPauses.Pause(attempt, id)
	p.w.tell(p.name, "fails with %s, attempt %d: again in %v", describe(h.log, h.record), attempt, pause.Round(time.Millisecond))
	h.retried, h.copied = true, h.log.topic.def.Name != p.def.Group.Timers.Name
	if h.copied {
		l := p.w.broker.partitionOf(topology.Retries.Name, h.record.key)
		again := &record{
			key: h.record.key, value: h.record.value, at: p.clock(),
			retry: &retry{original: first, attempt: attempt, due: p.clock() + pause.Milliseconds()},
		}
		switch {
		case p.w.broken.putsOffNowhere:
		case p.w.broken.putsOffAtOnce:
			l.append(again)
		default:
			if err := p.produce(l, again); err != nil {
				p.spent("its producer is fenced")
				return
			}
		}
	}
	if !p.w.broken.retriesUncounted {
		p.handled = append(p.handled, h)
	}
}

// retrier is the stage that brings records back.
func (w *world) retrier() stageSlot {
	return stageSlot{
		due: func(r *record) int64 { return r.retry.due },
		work: func(s *stage, items []*item) bool {
			if w.broken.commitsBeforeBack {
				s.prefixes[items[0].log].Finish(items[0].entry, nil)
				s.finished++
			}
			return true
		},
		publish: (*stage).bringBack,
	}
}

// bringBack sends a record that is due to the topic that it was written to first.
func (s *stage) bringBack(it *item) {
	first := it.record.retry.original.log.topic
	back := &record{key: it.record.key, value: it.record.value, at: s.clock(), retry: &retry{}}
	*back.retry = *it.record.retry
	back.retry.put = position{it.log, it.record.offset}
	l := s.w.broker.partitionOf(first.def.Name, back.key)
	s.countBack(l, back)
	l.append(back)
	s.w.tell(s.name, "brings back %s as %s", it.record.retry.original, describe(l, back))
}

// countBack counts what comes back, what did so before, and what later records of
// its key have overtaken.
func (s *stage) countBack(l *partitionLog, back *record) {
	again, late := false, false
	for _, r := range l.records[l.index(back.retry.original.offset+1):] {
		if r.committed() && r.key == back.key {
			again = again || r.retry != nil && r.retry.put == back.retry.put
			late = late || r.retry == nil
		}
	}
	s.w.count(cameBack)
	if again {
		s.w.count(cameBackTwice)
	}
	if late {
		s.w.count(overtaken)
	}
}

// comesBack is how long it takes until the first record that waits in a stage is
// due; 0: none waits.
func (w *world) comesBack() int64 {
	wait := int64(0)
	for _, slot := range w.stages {
		if slot.due == nil || slot.current == nil {
			continue
		}
		for _, it := range slot.current.items {
			if ms := max(slot.due(it.record)-slot.current.clock(), 1); wait == 0 || ms < wait {
				wait = ms
			}
		}
	}
	return wait
}

// allBack reports whether the retries are empty.
func (w *world) allBack() bool {
	for _, slot := range w.stages {
		if slot.due == nil {
			continue
		}
		for _, t := range slot.inputs {
			for _, l := range t.partitions {
				if l.next(slot.group.offsets[l]) != nil {
					return false
				}
			}
		}
	}
	return true
}

// tried checks that what was put off is in the retries once, and came back (I7).
// What came back has a verdict as any record has.
func (b *books) tried() {
	back := map[position]bool{}
	for _, t := range b.w.broker.topics {
		for _, l := range t.partitions {
			for _, r := range l.records {
				if r.retry != nil && t.def.Name != topology.Retries.Name {
					back[r.retry.put] = true
				}
			}
		}
	}
	waited := 0
	for _, l := range b.w.broker.topics[topology.Retries.Name].partitions {
		for _, r := range l.records {
			if !r.committed() {
				continue
			}
			waited++
			if !back[position{l, r.offset}] {
				b.w.fail("I7", "%s was put off as %s, and never came back", r.retry.original, describe(l, r))
			}
		}
	}
	if waited != len(b.putOff) {
		b.w.fail("I7", "%d records were put off, %d are in the retries", len(b.putOff), waited)
	}
}
