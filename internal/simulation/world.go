package simulation

import (
	"fmt"
	"time"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	"github.com/eventpro/boxoffice/processors/attendees"
	"github.com/eventpro/boxoffice/processors/catalog"
	"github.com/eventpro/boxoffice/processors/inventory"
	"github.com/eventpro/boxoffice/processors/payments"
	"github.com/eventpro/boxoffice/processors/registrations"
)

// world is one system under one schedule.
type world struct {
	seed    uint64
	choices *choices
	plan    plan
	broken  *variant
	now     int64
	broker  *broker
	groups  []*group
	slots   []*slot
	stages  []*stageSlot
	actors  []actor
	cursor  int
	steps   int

	client    *client
	provider  *provider
	caller    *caller
	warehouse *warehouse
	view      *view
	books     *books
	rules     registrations.Rules
	outputs   map[string]map[string]bool

	stats     *Stats
	crashes   *[len(phaseNames)]int
	story     *story
	violation *Violation
}

// actor is somebody who can do a step.
type actor interface {
	ready() bool
	step()
}

// Violation is an invariant that a schedule broke.
type Violation struct {
	// Invariant is I1 to I10, or "error" for a handler that gave up.
	Invariant string
	Detail    string
}

func (v *Violation) Error() string { return v.Invariant + ": " + v.Detail }

// fail notes the first violation.
func (w *world) fail(invariant, format string, args ...any) {
	if w.violation == nil {
		w.violation = &Violation{invariant, fmt.Sprintf(format, args...)}
		w.tell("books", "%s is broken: %s", invariant, w.violation.Detail)
	}
}

// outputsOf lists the topics that each group may write to.
var outputsOf = func() map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, g := range topology.Groups() {
		all[g.Name] = map[string]bool{}
		for _, t := range g.Outputs {
			all[g.Name][t.Name] = true
		}
	}
	return all
}()

// newWorld builds a system: of each group one to three members.
func newWorld(seed uint64, c *choices, broken *variant, caller *caller, stats *Stats, s *story) *world {
	w := &world{
		seed: seed, choices: c, broken: broken, now: beginning, caller: caller, outputs: outputsOf,
		stats: stats, crashes: &stats.crashes, story: s,
	}
	w.rules = registrations.DefaultRules()
	w.plan = newPlan(c)
	w.rules.MaxAttempts = uint32(8 - c.pick(6))
	w.broker, w.provider, w.books = newBroker(w), newProvider(w), newBooks(w)
	w.provider.declines = max(0, c.pick(8)-3) * 2
	w.warehouse = &warehouse{w: w, rows: map[string]fact{}, trail: map[position]int{}}
	w.client = &client{w: w, left: 3 + c.pick(14), gap: []int{90, 30, 200}[c.pick(3)]}
	w.view = newView(w)
	w.actors = append(w.actors, w.client, w.view, markers{w}, supervisor{w})
	for _, build := range []func(*process) stream.Processor{
		func(*process) stream.Processor { return catalog.New(catalog.Config{}) },
		func(*process) stream.Processor { return inventory.New(inventory.Config{}) },
		func(*process) stream.Processor { return attendees.New(attendees.Config{}) },
		func(*process) stream.Processor { return payments.New(payments.Config{}) },
		w.registrations,
	} {
		w.addGroup(build)
	}
	w.addStage(topology.Gateway, stageSlot{work: w.call, publish: (*stage).publishResults})
	w.addStage(topology.ClickHouseSink, stageSlot{work: w.warehouse.load, batch: true})
	w.addStage(topology.Retrier, w.retrier())
	for _, s := range w.slots {
		s.start()
	}
	for _, s := range w.stages {
		s.start()
	}
	return w
}

// registrations wires the saga with the index of its process.
func (w *world) registrations(p *process) stream.Processor {
	return registrations.New(registrations.Config{Rules: w.rules, Availability: hints{p}, Clock: func() time.Time { return millis(p.clock()) }})
}

func (w *world) addGroup(build func(*process) stream.Processor) {
	def := build(&process{slot: &slot{w: w}})
	g := newGroup(def.Group.Name)
	w.groups = append(w.groups, g)
	for i := range 1 + w.choices.pick(3) {
		name := fmt.Sprintf("%s/%c", g.name, 'a'+i)
		w.slots = append(w.slots, &slot{
			w: w, name: name, group: g, build: build, def: def, producer: w.broker.producer(name), disk: newDisk(def.Deadline),
		})
	}
}

func (w *world) addStage(def topology.Group, s stageSlot) {
	s.w, s.group = w, newGroup(def.Name)
	w.groups = append(w.groups, s.group)
	for _, t := range def.Inputs {
		s.inputs = append(s.inputs, w.broker.topics[t.Name])
	}
	for i := range 1 + w.choices.pick(2) {
		one := s
		one.name, one.skew = fmt.Sprintf("%s/%c", def.Name, 'a'+i), w.drawSkew()
		w.stages = append(w.stages, &one)
	}
}

// tellHandled tells of a record that was handled.
func (w *world) tellHandled(h *handled, e *transition.Effect) {
	if w.story != nil {
		w.tell(h.p.name, "handles %s at %s: %s", describeMessage(h.message.Value, h.record.key), describe(h.log, h.record), describeEffect(e))
	}
}
