package backfill

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/imported"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Targets say where orders go.
type Targets struct {
	Organiser string
	// Mapping is what events and ticket types are here; nil for nothing.
	Mapping *Mapping
	// EventID takes every order that the mapping does not place; zero for none.
	EventID uuid.UUID
	// CreateEvents makes the events that nothing else places.
	CreateEvents bool
	// Events are the events that exist, by id.
	Events map[uuid.UUID]*pb.Event
}

// Plan is what an import is going to do.
type Plan struct {
	Reading *Reading
	// Events are those that orders go to, by their key.
	Events []*PlannedEvent
	// Orders can be sent; Problems are of those that cannot.
	Orders   []*PlannedOrder
	Problems []Problem

	targets Targets
}

// PlannedEvent is an event that orders go to.
type PlannedEvent struct {
	Key string
	ID  uuid.UUID
	// Event is the event as it is, or as it is going to be.
	Event *pb.Event
	// Create makes it; nil when it exists.
	Create *pb.CreateEvent
	// Ours: it was made by an import, which may make it larger.
	Ours bool
	// Need is how many seats the orders take, by ticket type.
	Need map[string]uint32
	// Grow is the capacity that a ticket type is to get.
	Grow map[string]uint32

	rule Rule
}

// PlannedOrder is an order that can be sent.
type PlannedOrder struct {
	Order *Order
	ID    uuid.UUID
	Event *PlannedEvent
	Lines []*pb.Line
	Money *pb.ImportedMoney
}

// NewPlan finds out where orders go. An error is one of what was asked for as a
// whole; what is wrong with single orders is in the plan.
func NewPlan(r *Reading, t Targets) (*Plan, error) {
	if !imported.IsName(r.Source) {
		return nil, fmt.Errorf("the source is called %q: it must be made of a-z, 0-9 and -; name it with --source", r.Source)
	}
	p := &Plan{Reading: r, Problems: r.Problems, targets: t}
	byEvent := map[string][]*Order{}
	for _, o := range r.Orders {
		byEvent[o.Event] = append(byEvent[o.Event], o)
	}
	events := map[string]*PlannedEvent{}
	for _, key := range slices.Sorted(maps.Keys(byEvent)) {
		e, err := p.event(key, byEvent[key])
		if err != nil {
			first := byEvent[key][0].place
			p.Problems = append(p.Problems, Problem{File: first.file, Line: first.line, Reason: fmt.Sprintf("event %q: %v", key, err)})
			continue
		}
		events[key] = e
		p.Events = append(p.Events, e)
	}
	for _, o := range r.Orders {
		if e := events[o.Event]; e != nil {
			p.order(o, e)
		}
	}
	for _, e := range p.Events {
		e.finish()
	}
	return p, nil
}

// event places the orders of one event.
func (p *Plan) event(key string, orders []*Order) (*PlannedEvent, error) {
	rule := Rule{}
	if p.targets.Mapping != nil {
		rule = p.targets.Mapping.Events[key]
	}
	described := p.Reading.Events[key]
	e := &PlannedEvent{Key: key, rule: rule, Need: map[string]uint32{}, Grow: map[string]uint32{}}
	switch {
	case rule.EventID != nil:
		return p.existing(e, *rule.EventID)
	case rule.Create == nil && p.targets.EventID != (uuid.UUID{}):
		return p.existing(e, p.targets.EventID)
	case rule.Create != nil:
		described = rule.Create
	case !p.targets.CreateEvents:
		return nil, fmt.Errorf("nothing says which event it is here: name it with --event-id or in the event map, or make it with --create-events")
	}
	e.ID, e.Ours = topology.EventID(p.targets.Organiser, "import:"+p.Reading.Source+":"+key), true
	if p.targets.Events[e.ID] != nil {
		return p.existing(e, e.ID)
	}
	create, err := newEvent(key, described, rule, orders)
	if err != nil {
		return nil, err
	}
	e.Create = create
	e.Event = &pb.Event{EventId: e.ID[:], Currency: create.Currency, Region: create.Region}
	for _, t := range create.TicketTypes {
		e.Event.TicketTypes = append(e.Event.TicketTypes, &pb.TicketType{Id: t.Id, Name: t.Name, PriceMinor: t.PriceMinor, TaxRateBp: t.TaxRateBp, TaxMode: t.TaxMode})
	}
	return e, nil
}

func (p *Plan) existing(e *PlannedEvent, id uuid.UUID) (*PlannedEvent, error) {
	e.ID, e.Event = id, p.targets.Events[id]
	switch {
	case e.Event == nil || e.Event.Organiser != p.targets.Organiser:
		return nil, fmt.Errorf("organiser %q has no event %s", p.targets.Organiser, id)
	case e.Event.Status == pb.EventStatus_EVENT_STATUS_CANCELLED:
		return nil, fmt.Errorf("event %s was cancelled here", id)
	}
	return e, nil
}

// order prices an order for its event.
func (p *Plan) order(o *Order, e *PlannedEvent) {
	lines, money, err := o.price(e.ticketType)
	if err == nil && o.Currency != e.Event.Currency {
		err = fmt.Errorf("it is in %s, its event in %s", o.Currency, e.Event.Currency)
	}
	if err != nil {
		p.Problems = append(p.Problems, Problem{File: o.place.file, Line: o.place.line, Order: o.ID, Reason: err.Error()})
		return
	}
	id := topology.RegistrationID(p.targets.Organiser, "import:"+p.Reading.Source+":"+o.ID)
	p.Orders = append(p.Orders, &PlannedOrder{Order: o, ID: id, Event: e, Lines: lines, Money: money})
	for _, l := range lines {
		if !l.Cancelled {
			e.Need[l.TicketType] += l.Quantity
		}
	}
}

// ticketType finds a ticket type of the event by the other system's name of it.
func (e *PlannedEvent) ticketType(name string) (*pb.TicketType, error) {
	id, named := e.rule.typeOf(name)
	for _, t := range e.Event.TicketTypes {
		if t.Id == id || !named && (t.Id == name || slug(t.Name) == id) {
			return t, nil
		}
	}
	return nil, fmt.Errorf("the event has no ticket type %q (%s): name the one that is meant in the event map", name, id)
}

// finish gives an event that is to be made the places that it needs.
func (e *PlannedEvent) finish() {
	if e.Create == nil {
		return
	}
	for _, t := range e.Create.TicketTypes {
		t.Capacity = max(t.Capacity, e.Need[t.Id], 1)
	}
}

const blockSizeDefault = 50

// newEvent makes the event that orders were sold for, from what is known of it.
func newEvent(key string, described *Event, rule Rule, orders []*Order) (*pb.CreateEvent, error) {
	e := Event{Name: key}
	if described != nil {
		e = *described
	}
	first, last := orders[0].OrderedAt, orders[0].OrderedAt
	for _, o := range orders {
		first, last = earlier(first, o.OrderedAt), later(last, o.OrderedAt)
		e.StartsAt = cmp.Or(e.StartsAt, o.starts)
		e.Currency = cmp.Or(e.Currency, o.Currency)
	}
	if e.StartsAt.IsZero() {
		return nil, fmt.Errorf("nothing says when it starts: say so in the event map (\"create\": {\"name\": ..., \"starts_at\": ...})")
	}
	if e.SaleStartsAt.IsZero() {
		e.SaleStartsAt = first
	}
	if e.SaleEndsAt.IsZero() {
		e.SaleEndsAt = later(e.StartsAt, last.Add(time.Millisecond))
	}
	if len(e.TicketTypes) == 0 {
		e.TicketTypes = ticketTypes(rule, orders)
	}
	c := &pb.CreateEvent{
		Name: cmp.Or(e.Name, key), Venue: e.Venue, Region: e.Region, Currency: e.Currency, StartsAtUnixMs: e.StartsAt.UnixMilli(),
		SaleStartsUnixMs: e.SaleStartsAt.UnixMilli(), SaleEndsUnixMs: e.SaleEndsAt.UnixMilli(),
	}
	for _, t := range e.TicketTypes {
		mode, known := taxModes[cmp.Or(t.TaxMode, defaultMode(t.TaxRateBp))]
		if !known || !imported.IsName(t.ID) {
			return nil, fmt.Errorf("the ticket type %q with the tax mode %q: want an id of a-z, 0-9 and -, and included, on_top or exempt", t.ID, t.TaxMode)
		}
		c.TicketTypes = append(c.TicketTypes, &pb.NewTicketType{
			Id: t.ID, Name: cmp.Or(t.Name, t.ID), PriceMinor: t.PriceMinor, TaxRateBp: t.TaxRateBp, TaxMode: mode,
			Capacity: t.Capacity, BlockSize: cmp.Or(t.BlockSize, blockSizeDefault),
		})
	}
	return c, checkEvent(c)
}

// checkEvent says what the catalogue would refuse.
func checkEvent(c *pb.CreateEvent) error {
	switch {
	case c.Name == "" || !isText(c.Name, textBytesMax) || !isText(c.Venue, textBytesMax):
		return fmt.Errorf("its name and venue must be text of at most %d bytes", textBytesMax)
	case !isCurrency(c.Currency):
		return fmt.Errorf("its currency %q is no ISO 4217 code", c.Currency)
	case c.SaleEndsUnixMs <= c.SaleStartsUnixMs:
		return fmt.Errorf("its sale ends before it starts")
	case len(c.TicketTypes) == 0 || len(c.TicketTypes) > 50:
		return fmt.Errorf("it has %d ticket types: 1 to 50 are possible", len(c.TicketTypes))
	}
	return nil
}

func defaultMode(rateBp uint32) string {
	if rateBp == 0 {
		return taxExempt
	}
	return taxIncluded
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// ticketTypes are those that were sold, each at the price that most paid.
func ticketTypes(rule Rule, orders []*Order) []TicketType {
	type kind struct {
		price int64
		rate  uint32
	}
	sold, names := map[string]map[kind]uint32{}, map[string]string{}
	for _, o := range orders {
		for _, l := range o.Lines {
			id, _ := rule.typeOf(l.TicketType)
			if sold[id] == nil {
				sold[id], names[id] = map[kind]uint32{}, l.TicketType
			}
			sold[id][kind{l.UnitPriceMinor, l.TaxRateBp}] += l.Quantity
		}
	}
	var types []TicketType
	for _, id := range slices.Sorted(maps.Keys(sold)) {
		var best kind
		most := uint32(0)
		for k, n := range sold[id] {
			if n > most || n == most && k.price > best.price {
				best, most = k, n
			}
		}
		types = append(types, TicketType{ID: id, Name: names[id], PriceMinor: best.price, TaxRateBp: best.rate})
	}
	return types
}
