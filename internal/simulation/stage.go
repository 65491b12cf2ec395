package simulation

import (
	"slices"

	"github.com/eventpro/boxoffice/internal/stream/core"
	"github.com/eventpro/boxoffice/internal/transition"
)

// stageSlot is a place for a member of a group with effects outside Kafka.
type stageSlot struct {
	w       *world
	name    string
	group   *group
	inputs  []*topicLog
	current *stage
	skew    int64
	// work handles items; batch says that it wants many at a time.
	work  func(s *stage, items []*item) bool
	batch bool
	// publish sends what came of an item; due says when a record may be handled
	// (nil: at once).
	publish func(s *stage, it *item)
	due     func(r *record) int64
}

// stage is one incarnation of a stageSlot, as internal/stream runs it: at least
// once, in order for each key, and it commits the finished prefix only.
type stage struct {
	*stageSlot
	member     *member
	generation int
	owned      []int32
	paused     bool
	dead       bool
	replaced   bool // another one runs under its name
	positions  map[*partitionLog]int64
	prefixes   map[*partitionLog]*core.Prefix[string]
	items      []*item
	finished   int  // since the last commit
	flying     bool // what it did when it was paused is yet to be done
}

// item is one record on its way through a stage.
type item struct {
	log     *partitionLog
	record  *record
	message transition.Message
	bad     *core.Undecodable
	entry   *core.Entry[string]
	// called: the effect outside has happened; outputs wait to be published.
	called  bool
	outputs []transition.Output
	done    bool
}

// inFlightMax bounds the records that a stage works on at a time.
const inFlightMax = 6

func (s *stageSlot) start() {
	st := &stage{stageSlot: s, positions: map[*partitionLog]int64{}}
	st.member = &member{name: s.name, heard: s.w.now, process: st}
	s.current = st
	s.w.actors = append(s.w.actors, st)
	s.w.tell(s.name, "starts")
}

// clock is the process's own.
func (s *stageSlot) clock() int64 { return s.w.now + s.skew }

func (s *stage) stale() bool { return !s.group.valid(s.member, s.generation) }

// ready implements actor.
func (s *stage) ready() bool {
	if s.paused || s.dead {
		return false
	}
	return s.stale() || s.finished > 0 || s.waiting() && len(s.items) < inFlightMax || s.busy()
}

// busy reports whether an item in flight can be worked on.
func (s *stage) busy() bool {
	if s.due == nil {
		return len(s.items) > 0
	}
	return len(s.startable()) > 0
}

func (s *stage) waiting() bool {
	for _, t := range s.inputs {
		for _, part := range s.owned {
			if l := t.partitions[part]; l.next(s.positions[l]) != nil {
				return true
			}
		}
	}
	return false
}

// step implements actor.
func (s *stage) step() {
	switch {
	case s.stale() && !s.flying && (len(s.items)+s.finished == 0 || s.w.choices.pick(3) != 2):
		s.rejoin() // else what is in flight goes on for a while
	case !s.flying && len(s.items) < inFlightMax && s.waiting() && (!s.busy() || s.w.choices.pick(2) == 1):
		s.take()
	case !s.flying && s.finished > 0 && (!s.busy() || s.w.choices.pick(3) == 2):
		s.commit()
	case s.batch && len(s.items) > 0:
		s.flying = false
		if s.work(s, s.items) {
			for _, it := range slices.Clone(s.items) {
				s.finish(it)
			}
		}
	default:
		s.flying = false
		if it := s.choose(); it != nil {
			s.advance(it)
		}
	}
}

// rejoin takes the place in the group, or learns the new assignment.
func (s *stage) rejoin() {
	switch {
	case slices.Contains(s.group.members, s.member):
		s.assign()
	case s.replaced:
		s.w.tell(s.name, "sees that it was replaced, and ends")
		s.dead = true
	default:
		s.group.join(s.member, s.w.choices.pick(2))
	}
}

// assign begins a tenure: what the last one has not committed comes again.
func (s *stage) assign() {
	s.generation, s.owned = s.group.generation, s.group.owned(s.member)
	s.w.tell(s.name, "owns partitions %v in generation %d", s.owned, s.generation)
	clear(s.positions)
	s.prefixes = map[*partitionLog]*core.Prefix[string]{}
	s.items, s.finished = nil, 0
	for _, t := range s.inputs {
		for _, part := range s.owned {
			l := t.partitions[part]
			s.positions[l] = s.group.offsets[l]
			s.prefixes[l] = &core.Prefix[string]{}
		}
	}
}

// take takes over what was polled.
func (s *stage) take() {
	n := 1 + s.w.choices.pick(3)
	if s.batch {
		n = 8
	}
	for _, t := range s.inputs {
		for _, part := range s.owned {
			l := t.partitions[part]
			for ; n > 0; n-- {
				r := l.next(s.positions[l])
				if r == nil {
					break
				}
				s.positions[l] = r.offset + 1
				it := &item{log: l, record: r, entry: s.prefixes[l].Add(r.offset, 0)}
				it.message = transition.Message{Topic: t.def.Name, Partition: l.number, Offset: r.offset, Key: r.key, Time: millis(r.at)}
				if t.def.New != nil { // else it is brought on as it is
					it.message.Value, it.bad = core.Decode(t.def.New, r.value)
				}
				s.items = append(s.items, it)
			}
		}
	}
}

// startable lists the items that are due, and none of whose key's predecessors is
// in flight.
func (s *stage) startable() (free []*item) {
	for i, it := range s.items {
		if s.due != nil && s.due(it.record) > s.clock() {
			continue
		}
		if !slices.ContainsFunc(s.items[:i], func(o *item) bool { return o.record.key == it.record.key }) {
			free = append(free, it)
		}
	}
	return free
}

// choose picks one of them; nil: there is none.
func (s *stage) choose() *item {
	free := s.startable()
	if len(free) == 0 {
		return nil
	}
	return free[s.w.choices.pick(len(free))]
}

// advance does the next thing for an item: the call, or the publishing.
func (s *stage) advance(it *item) {
	if !it.called {
		it.called = s.work(s, []*item{it})
		return
	}
	s.publish(s, it)
	s.finish(it)
}

func (s *stage) finish(it *item) {
	s.prefixes[it.log].Finish(it.entry, nil)
	s.w.books.finished(s.group.name, it.log, it.record.offset)
	s.items = slices.DeleteFunc(s.items, func(o *item) bool { return o == it })
	s.finished++
	it.done = true
}

// commit commits the finished prefixes (I6).
func (s *stage) commit() {
	s.finished = 0
	for _, t := range s.inputs {
		for _, part := range s.owned {
			l := t.partitions[part]
			next := int64(-1)
			if e := s.prefixes[l].Offer(); e != nil {
				next = e.Next
			}
			if s.w.broken.commitsPastUnfinished && s.positions[l] > s.group.offsets[l] {
				next = s.positions[l]
			}
			if next < 0 {
				continue
			}
			if s.stale() {
				s.w.count(refusedStageCommit)
				s.w.tell(s.name, "has its commit refused: the group has moved on")
				return
			}
			s.prefixes[l].Accept()
			s.group.offsets[l] = next
			s.w.books.stageCommitted(s.group.name, l, next)
		}
	}
}

func (s *stage) crash() {
	s.dead, s.member.silent = true, true
	s.w.tell(s.name, "crashes with %d records in flight", len(s.items))
	s.w.count(stageCrash)
	if s.current == s {
		s.current = nil
	}
}
