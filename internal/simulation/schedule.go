package simulation

import "slices"

// Bounds of a schedule, in steps.
const (
	stepsMin      = 200
	stepsMore     = 800
	quietStepsMax = 20_000
	// settledWithin is how long the quiet may take, milliseconds: longer than a
	// payment is asked about before it is parked.
	settledWithin = 30 * 60 * 60 * 1000
)

// run runs the schedule: disturbed first, then quiet until everything is settled.
func (w *world) run() *Violation {
	w.client.create()
	w.disturbed(stepsMin + w.choices.pick(stepsMore))
	w.quietly()
	return w.violation
}

// disturbed lets things happen and go wrong for some steps.
func (w *world) disturbed(steps int) {
	for i := 0; i < steps && w.violation == nil; i++ {
		w.disturb()
		w.act(w.choices.pick(7))
	}
}

// quietly lets everything come to rest, and checks what must hold then.
func (w *world) quietly() {
	w.choices.quiet = true
	w.calm()
	for calmed := w.now; w.violation == nil; {
		for n := 0; w.act(0) && w.violation == nil; n++ {
			if n > quietStepsMax {
				w.fail("I2", "the groups keep each other busy")
			}
		}
		if w.violation == nil && w.settled() {
			w.books.atRest()
			break
		}
		if w.now-calmed > settledWithin {
			w.fail("I2", "not settled after %s: %s", clockTime(w.now), w.books.unsettled())
		}
		w.pass(w.untilDue())
	}
}

// act lets one who can do a step do it: the one who waits longest, or, skipping
// some, another. It reports whether there was one.
func (w *world) act(skip int) bool {
	var chosen actor
	at := w.cursor
	for i := range w.actors {
		n := (w.cursor + i) % len(w.actors)
		if !w.actors[n].ready() {
			continue
		}
		chosen, at = w.actors[n], n
		if skip--; skip < 0 {
			break
		}
	}
	if chosen == nil {
		return false
	}
	w.cursor = at + 1
	w.now++
	w.steps++
	w.stats.Steps++
	chosen.step()
	if len(w.actors) > 64 {
		w.bury()
	}
	return true
}

// bury forgets the dead.
func (w *world) bury() {
	w.actors = slices.DeleteFunc(w.actors, func(a actor) bool {
		switch p := a.(type) {
		case *process:
			return p.dead
		case *stage:
			return p.dead
		}
		return false
	})
	w.cursor = 0
}

// calm ends all faults: who is paused goes on, the provider is there and decides
// what is still travelling.
func (w *world) calm() {
	w.tell("world", "becomes quiet")
	w.provider.away = false
	w.provider.arrive()
	for w.resume() {
	}
	w.expire()
}

// settled reports whether nobody waits for anything.
func (w *world) settled() bool {
	for _, s := range w.slots {
		if p := s.current; p == nil || p.phase != polling {
			return false
		}
	}
	return w.allBack() && w.books.unsettled() == ""
}

// untilDue is how long it takes until the next deadline is due.
func (w *world) untilDue() int64 {
	wait := w.comesBack()
	for _, s := range w.slots {
		p := s.current
		if p == nil {
			continue
		}
		if first := p.tables.earliest(p.owned); first > p.clock() && (wait == 0 || first-p.clock() < wait) {
			wait = first - p.clock()
		} else if first > 0 && first <= p.clock() {
			return 1000 // it was sent lately
		}
	}
	return max(wait, 1000)
}

// supervisor starts what is not running.
type supervisor struct{ w *world }

func (s supervisor) ready() bool {
	for _, slot := range s.w.slots {
		if slot.current == nil {
			return true
		}
	}
	for _, slot := range s.w.stages {
		if slot.current == nil {
			return true
		}
	}
	return false
}

func (s supervisor) step() {
	for _, slot := range s.w.slots {
		if slot.current == nil {
			slot.start()
			return
		}
	}
	for _, slot := range s.w.stages {
		if slot.current == nil {
			slot.start()
			return
		}
	}
}

// markers writes the markers of transactions that were decided.
type markers struct{ w *world }

func (m markers) ready() bool { return len(m.w.broker.endings) > 0 }

func (m markers) step() {
	endings := m.w.broker.endings
	tx := endings[m.w.choices.pick(len(endings))]
	m.w.broker.mark(tx, m.w.choices.pick(len(tx.touched)+1))
}
