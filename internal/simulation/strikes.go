package simulation

import "github.com/eventpro/boxoffice/internal/topology"

// crashOne ends a process of a stateful group where it stands.
func (w *world) crashOne(f fault) bool {
	s := w.slots[w.choices.pick(len(w.slots))]
	if s.current == nil {
		return false
	}
	s.current.crash()
	switch f {
	case crashPower:
		n := 1 + w.choices.pick(undoMax)
		w.tell(s.name, "loses up to %d batches that its disk had not synced", n)
		s.disk.losePower(n)
	case crashDisk:
		w.tell(s.name, "loses its disk")
		s.disk = newDisk(s.def.Deadline)
	}
	return true
}

func (w *world) crashGroup() bool {
	name := w.slots[w.choices.pick(len(w.slots))].group.name
	for _, s := range w.slots {
		if s.group.name == name && s.current != nil {
			s.current.crash()
		}
	}
	return true
}

func (w *world) crashStage() bool {
	s := w.stages[w.choices.pick(len(w.stages))]
	if s.current == nil {
		return false
	}
	s.current.crash()
	return true
}

// pauses stops a process, lets one that is stopped go on, or starts another in
// the place of one that is stopped: then the old one goes on as a zombie.
func (w *world) pauses(f fault) bool {
	if f == goesOn {
		return w.resume()
	}
	if w.choices.pick(3) == 2 {
		s := w.stages[w.choices.pick(len(w.stages))].current
		if s == nil || s.paused == (f == pause) {
			return false
		}
		if f == replace {
			s.replaced, s.current = true, nil
			w.tell(s.name, "is replaced by another process")
			return true
		}
		s.paused, s.member.silent = true, true
		w.tell(s.name, "is paused")
		return true
	}
	if p := w.slots[w.choices.pick(len(w.slots))].current; p != nil && p.paused == (f == replace) {
		if f == pause {
			p.paused, p.member.silent = true, true
			w.tell(p.name, "is paused while %s", phaseNames[p.phase])
			return true
		}
		// Its directory is locked, so the new one has another.
		p.replaced, p.current = true, nil
		p.disk = newDisk(p.def.Deadline)
		w.tell(p.name, "is replaced by another process with an empty disk")
		return true
	}
	return false
}

// resume lets the first one that is paused go on.
func (w *world) resume() bool {
	for _, a := range w.actors {
		switch p := a.(type) {
		case *process:
			if p.paused && !p.dead {
				p.paused, p.member.silent = false, false
				w.tell(p.name, "goes on")
				return true
			}
		case *stage:
			if p.paused && !p.dead {
				p.paused, p.member.silent, p.flying = false, false, len(p.items) > 0
				w.tell(p.name, "goes on")
				return true
			}
		}
	}
	return false
}

// compact compacts one partition of one table, up to its very end.
func (w *world) compact(markers bool) bool {
	s := w.slots[w.choices.pick(len(w.slots))]
	l := w.broker.topics[s.def.Group.Table.Name].partitions[w.choices.pick(partitions)]
	n := l.compact(markers)
	w.tell("broker", "compacts %s/%d: %d records go", l.topic.def.Name, l.number, n)
	return n > 0
}

// poison writes what no correct peer sends to an input of a stateful group.
func (w *world) poison() bool {
	s := w.slots[w.choices.pick(len(w.slots))]
	inputs := s.def.Group.Inputs
	topic := w.broker.topics[inputs[w.choices.pick(len(inputs))].Name]
	r := &record{key: "nobody", at: w.now}
	switch w.choices.pick(3) {
	case 0:
		r.value = []byte{0xff, 0xff, 0xff}
	case 1: // no value
	default:
		r.key, r.value = eventID.String(), []byte{} // an empty message, maybe in a foreign partition
	}
	l := topic.partitions[w.choices.pick(partitions)]
	l.append(r)
	w.tell("somebody", "writes %s with the key %s and %d bytes", describe(l, r), r.key, len(r.value))
	if topic.def.Name == topology.CatalogCommands.Name {
		r.repeat = true // it is nobody's command
	}
	return true
}

// pass lets time pass, and everything that depends on it happen.
func (w *world) pass(ms int64) {
	if ms > travelMax {
		w.provider.arrive()
	}
	w.now += ms
	w.tell("time", "passes: %s", clockTime(w.now))
	w.expire()
}

func (w *world) expire() {
	w.broker.expire()
	for _, g := range w.groups {
		for _, name := range g.expire(w.now) {
			w.tell("group "+g.name, "gives up %s", name)
			w.count(sessionEnds)
		}
	}
}
