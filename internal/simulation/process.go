package simulation

import (
	"fmt"
	"slices"

	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/stream/core"
)

// slot is a place for a process of a stateful group: a member id with its
// transactional id and its directory.
type slot struct {
	w        *world
	name     string
	group    *group
	build    func(*process) stream.Processor
	def      stream.Processor
	producer *producer
	disk     *disk
	current  *process
	skew     int64 // of its clock, milliseconds
}

// phase is what a process does next.
type phase uint8

const (
	fencing    phase = iota // take the producer id: what a dead predecessor left open is aborted
	joining                 // take the place in the group
	assigning               // learn the assignment, fetch the committed offsets
	recovering              // read the tables from the log
	polling                 // take a batch, or look for due deadlines
	handling                // hand one record after the other to the handler
	offering                // add the offsets to the transaction
	ending                  // end the transaction
	storing                 // write the overlay to the local tables
)

var phaseNames = [...]string{"fencing", "joining", "assigning", "recovering", "polling", "handling", "offering", "ending", "storing"}

// process is one incarnation of a slot: what is in memory of one member of a
// stateful group, as internal/stream runs it. Each step is one that a crash, a
// pause or a rebalance can come before.
type process struct {
	*slot
	member     *member
	decider    core.Decider
	phase      phase
	epoch      int
	generation int
	owned      []int32
	paused     bool
	dead       bool
	replaced   bool // another one runs under its name
	tables     *disk

	positions map[*partitionLog]int64
	cursors   [partitions]int64 // of the recovery
	overlay   [partitions]map[string]value
	ends      [partitions]int64 // last table record of the transaction
	batch     [][]*record       // by input partition
	logs      []*partitionLog   // of the queues of batch
	handled   []*handled
	refused   bool  // a record of the transaction was refused by the broker
	oldest    int64 // time of the oldest record of the last batch

	alarms  core.Alarms
	looked  int64 // when it looked for deadlines
	lookedV int   // at which version of the tables

	index    *availability.Index // of registrations
	followed [partitions]int64
}

// start makes the next incarnation.
func (s *slot) start() {
	p := &process{
		slot: s, tables: s.disk, positions: map[*partitionLog]int64{}, lookedV: -1,
		alarms: core.Alarms{Min: timerBackoffMin, Max: timerBackoffMax},
	}
	p.member = &member{name: s.name, heard: s.w.now, process: p}
	s.def = s.build(p)
	p.decider = core.Decider{
		Handle: s.w.broken.handler(s.w, s.def), Group: s.def.Group.Name, Outputs: s.w.outputs[s.def.Group.Name],
		Partition: func(key string) int32 { return stream.Partition(key, partitions) },
	}
	if s.w.broken.noIndexAfterRestart {
		s.disk.forgetDeadlines()
	}
	s.current = p
	s.w.actors = append(s.w.actors, p)
	s.w.tell(s.name, "starts")
}

// clock is the process's own.
func (p *process) clock() int64 { return p.w.now + p.skew }

// ready implements actor.
func (p *process) ready() bool {
	if p.paused || p.dead {
		return false
	}
	switch p.phase {
	case fencing:
		return true
	case assigning:
		return p.generation != p.group.generation && p.canAssign()
	case recovering:
		return p.stale() || p.canRecover()
	case polling:
		return p.stale() || p.producer.ending == nil && (p.waiting() || p.due())
	}
	return true
}

// stale reports whether the group has moved on.
func (p *process) stale() bool {
	return !p.group.valid(p.member, p.generation)
}

// canAssign reports whether the committed offsets of what it will own are told.
func (p *process) canAssign() bool {
	if !slices.Contains(p.group.members, p.member) {
		return true // it has to join anew
	}
	return p.w.broken.unstableOffsets || p.group.stable(p.group.owned(p.member))
}

// step implements actor.
func (p *process) step() {
	switch p.phase {
	case fencing:
		p.fence()
	case joining:
		if p.replaced { // the group refuses a member id that another one has taken
			p.endAsZombie()
			return
		}
		p.w.tell(p.name, "joins its group")
		p.group.join(p.member, p.w.choices.pick(2))
		p.phase = assigning
	case assigning:
		p.assign()
	default:
		// Who has lost its place may hear of it now, or go on for a while.
		if p.stale() && (p.phase < handling || p.w.choices.pick(4) == 0 && p.phase < ending) {
			p.revoked()
			return
		}
		p.work()
	}
}

func (p *process) work() {
	switch p.phase {
	case recovering:
		p.recover()
	case polling:
		if p.due() && (!p.waiting() || p.w.choices.pick(4) == 3) {
			p.look()
			return
		}
		p.poll()
	case handling:
		p.handleOne()
	case offering:
		p.offer()
	case ending:
		p.end()
	case storing:
		p.store()
	}
}

// fence takes the producer id (rule 2).
func (p *process) fence() {
	if p.w.broken.noFence {
		p.epoch, p.phase = p.producer.epoch, joining
		return
	}
	epoch, ok := p.w.broker.fence(p.producer)
	p.epoch = epoch
	if !ok {
		return // an earlier transaction is still being ended: again
	}
	p.w.tell(p.name, "takes its producer id, epoch %d", epoch)
	p.phase = joining
}

// assign learns what it owns and where to go on.
func (p *process) assign() {
	if !slices.Contains(p.group.members, p.member) {
		p.phase = joining
		return
	}
	before := p.owned
	p.generation, p.owned = p.group.generation, p.group.owned(p.member)
	clear(p.positions)
	for _, input := range p.def.Group.Inputs {
		for _, part := range p.owned {
			l := p.w.broker.topics[input.Name].partitions[part]
			p.positions[l] = p.group.offsets[l]
			if _, known := p.group.offsets[l]; !known && p.w.broken.startsAtTheEnd {
				p.positions[l] = l.end
			}
		}
	}
	p.w.tell(p.name, "owns partitions %v in generation %d", p.owned, p.generation)
	if p.w.broken.keepsSession && before != nil {
		p.phase = polling
		return
	}
	p.dropOverlay()
	for _, part := range p.owned {
		p.cursors[part] = p.tables.parts[part].offset + 1
	}
	p.phase = recovering
	p.alarms = core.Alarms{Min: timerBackoffMin, Max: timerBackoffMax}
}

// revoked ends the session because the group has moved on (rule 5).
func (p *process) revoked() {
	p.w.tell(p.name, "hears that the group has moved on")
	p.w.count(revocation)
	if p.w.broken.keepsSession && p.phase == polling {
		p.phase = assigning // rule 5 broken: the old session goes on with the new partitions
		return
	}
	p.endSession()
}

// endSession drops what is dirty and sets back to what is committed (rule 3).
func (p *process) endSession() {
	if p.w.broken.keepsDirtyTables {
		p.storeOverlay()
	}
	p.dropOverlay()
	p.batch, p.logs, p.handled = nil, nil, nil
	p.phase = assigning
	if p.group.valid(p.member, p.generation) {
		p.generation = -1 // the same assignment again
	}
	if err := p.w.broker.end(p.producer, p.epoch, aborted); err != nil {
		p.spent("its producer is fenced")
	}
}

// spent ends the client: a new one takes a new producer id.
func (p *process) spent(why string) {
	p.w.tell(p.name, "needs a new client: %s", why)
	p.w.count(newClient)
	if p.w.broken.keepsDirtyTables {
		p.storeOverlay()
	}
	p.dropOverlay()
	p.batch, p.logs, p.handled = nil, nil, nil
	p.generation, p.phase = -1, fencing
	if p.replaced {
		p.endAsZombie()
	}
}

func (p *process) endAsZombie() {
	p.w.tell(p.name, "sees that it was replaced, and ends")
	p.w.count(zombieEnds)
	p.dead = true
}

func (p *process) dropOverlay() {
	for i := range p.overlay {
		p.overlay[i] = nil
		p.ends[i] = -1
	}
	p.refused = false
}

// crash ends the process where it stands.
func (p *process) crash() {
	p.dead, p.member.silent = true, true
	p.w.tell(p.name, "crashes while %s", phaseNames[p.phase])
	p.w.crashes[p.phase]++
	if p.current == p {
		p.current = nil
	}
}

// String names it in failures.
func (p *process) String() string { return fmt.Sprintf("%s (epoch %d)", p.name, p.epoch) }
