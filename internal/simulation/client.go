package simulation

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// client is everybody at the edges: organisers, and attendees behind the front
// door, which resolves prices and repeats what it got no answer for.
type client struct {
	w      *world
	left   int // requests to come
	next   int // step of the next one
	gap    int
	limit  uint32
	orders []order
	past   []sent
	event  *pb.CreateEvent
}

// order is what a registration asked for.
type order struct {
	number, attendee int
	types            []string
	quantities       []uint32
	body             string
	// imported orders were sold elsewhere; of those, the lines in cancelled were
	// cancelled there, and given back unless kept.
	imported, kept bool
	cancelled      map[int]bool
}

// sent is a request that may be repeated.
type sent struct {
	topic, key string
	value      []byte
}

var (
	eventID  = topology.EventID("acme", "conference")
	prices   = map[string]int64{"regular": 4900, "vip": 9900, "free": 0}
	ticketAs = []string{"regular", "vip", "free"}
)

// ordersMax bounds the registrations of a schedule.
const ordersMax = 10

func (c *client) ready() bool { return c.left > 0 && c.w.steps >= c.next && !c.w.choices.quiet }

// step is one request.
func (c *client) step() {
	c.left--
	c.next = c.w.steps + c.w.choices.pick(c.gap)
	switch n := c.w.choices.pick(20); {
	case n < 10 && len(c.orders) < ordersMax:
		c.register(c.newOrder())
	case n < 13:
		c.repeat()
	case n < 14:
		c.conflict()
	case n < 18:
		c.cancel()
	case n < 19:
		c.setCapacity()
	default:
		if c.w.choices.pick(4) == 3 {
			c.w.count(eventCancelled)
			c.catalog(&pb.CatalogCommand{Command: &pb.CatalogCommand_CancelEvent{CancelEvent: &pb.CancelEvent{}}})
		}
	}
}

// create puts the event on sale: few places, in small blocks.
func (c *client) create() {
	pick := c.w.choices.pick
	if c.event != nil {
		return // it was
	}
	if pick(3) == 2 {
		c.limit = 3
	}
	c.event = &pb.CreateEvent{Name: "Conference", Currency: "EUR", MaxPerAttendee: c.limit}
	for i, id := range ticketAs[:1+pick(3)] {
		c.event.TicketTypes = append(c.event.TicketTypes, &pb.NewTicketType{
			Id: id, Name: id, PriceMinor: prices[id], TaxMode: pb.TaxMode_TAX_MODE_EXEMPT,
			Capacity: uint32(1 + pick(6) + i), BlockSize: uint32(1 + pick(4)),
		})
	}
	c.catalog(&pb.CatalogCommand{Command: &pb.CatalogCommand_CreateEvent{CreateEvent: c.event}})
}

func (c *client) catalog(command *pb.CatalogCommand) {
	command.EventId, command.Organiser, command.BodyDigest = eventID[:], "acme", []byte("body")
	c.send(topology.CatalogCommands.Name, eventID.String(), command)
}

func (c *client) send(topic, key string, m proto.Message) {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	c.past = append(c.past, sent{topic, key, value})
	r := c.w.broker.plain(topic, key, value, c.w.now)
	if c.w.story != nil {
		c.w.tell("client", "sends %s as %s", describeMessage(m, key), describe(c.w.broker.partitionOf(topic, key), r))
	}
	// The front door's answer was lost: it sends the same again.
	if c.w.choices.pick(12) == 11 {
		c.w.count(repeatedRequest)
		c.w.broker.plain(topic, key, value, c.w.now).repeat = true
	}
}

func (c *client) newOrder() order {
	pick := c.w.choices.pick
	o := order{number: len(c.orders), attendee: pick(len(attendeeNames))}
	for range 1 + max(0, pick(5)-2) {
		o.types = append(o.types, c.event.TicketTypes[pick(len(c.event.TicketTypes))].Id)
		o.quantities = append(o.quantities, uint32(1+max(0, pick(5)-2)))
	}
	if pick(5) == 4 {
		o.imported, o.kept, o.cancelled = true, pick(3) == 2, map[int]bool{}
		for i := range o.types {
			o.cancelled[i] = pick(3) == 2
		}
	}
	c.orders = append(c.orders, o)
	return o
}

// importOf is where an imported order was sold: a day ago, at another system.
func (c *client) importOf(o order, lines []*pb.Line) *pb.ImportedOrder {
	at := c.w.now - keyLifetime
	from := &pb.ImportedOrder{Source: "monolith", Reference: fmt.Sprint("order-", o.number), ConfirmedAtUnixMs: at, CancelledAtUnixMs: at + 1}
	money := &pb.ImportedMoney{Provider: "monolith", Reference: from.Reference, FeeMinor: 1, CapturedAtUnixMs: at}
	for i, l := range lines {
		l.Cancelled = o.cancelled[i]
		money.CapturedMinor += l.TotalMinor
		if !l.Cancelled {
			from.CancelledAtUnixMs = 0
		} else if l.TotalMinor > 0 && !o.kept {
			money.Refunds = append(money.Refunds, &pb.ImportedRefund{AmountMinor: l.TotalMinor, Line: l.Line, RefundedAtUnixMs: at + 1})
		}
	}
	if money.CapturedMinor > 0 {
		from.Money = money
	}
	return from
}

// imports reports whether a registration is one that was sold elsewhere.
func (c *client) imports(id []byte) bool {
	for _, o := range c.orders {
		if o.imported && bytes.Equal(registrationIDs[o.number][:], id) {
			return true
		}
	}
	return false
}

func (c *client) register(o order) {
	id, attendee := registrationIDs[o.number], attendeeIDs[o.attendee]
	q := &pb.Register{
		EventId: eventID[:], AttendeeId: attendee[:], AttendeeSealed: []byte("sealed"), KeyId: "k1",
		Currency: "EUR", MaxPerAttendee: c.limit, PaymentMethod: "tok_visa",
	}
	for i, ticketType := range o.types {
		q.Lines = append(q.Lines, &pb.Line{
			Line: uint32(i + 1), TicketType: ticketType, Quantity: o.quantities[i],
			UnitPriceMinor: prices[ticketType], TotalMinor: prices[ticketType] * int64(o.quantities[i]),
			TaxMode: pb.TaxMode_TAX_MODE_EXEMPT,
		})
	}
	if o.imported {
		q.Imported, q.ImportedOrder = true, c.importOf(o, q.Lines)
	}
	c.send(topology.RegistrationCommands.Name, id.String(), &pb.RegistrationCommand{
		RegistrationId: id[:], RequestTimeUnixMs: c.w.now, BodyDigest: []byte("body" + o.body), Organiser: "acme",
		Command: &pb.RegistrationCommand_Register{Register: q},
	})
}

// cancelledThere reports whether line i of an import was cancelled where it was
// sold.
func (c *client) cancelledThere(r *pb.Registration, i int) bool {
	for _, o := range c.orders {
		if bytes.Equal(registrationIDs[o.number][:], r.RegistrationId) {
			return o.cancelled[i] && string(r.BodyDigest) == "body"
		}
	}
	return false
}

// repeat sends some earlier request once more, byte for byte.
func (c *client) repeat() {
	s := c.past[c.w.choices.pick(len(c.past))]
	c.w.count(repeatedRequest)
	c.w.tell("client", "repeats a request for %s", nick(s.key))
	c.w.broker.plain(s.topic, s.key, s.value, c.w.now).repeat = true
}

// conflict sends another body under an id that is known.
func (c *client) conflict() {
	if len(c.orders) == 0 {
		return
	}
	o := c.orders[c.w.choices.pick(len(c.orders))]
	o.body, o.types, o.quantities, o.cancelled = "other", []string{c.event.TicketTypes[0].Id}, []uint32{2}, nil
	c.w.count(conflictingBody)
	c.register(o)
}

// cancel cancels a registration, a line of it, or one that nobody knows yet.
func (c *client) cancel() {
	number := c.w.choices.pick(min(len(c.orders)+1, ordersMax))
	if number == len(c.orders) {
		c.w.count(cancelUnknown)
	}
	var lines []uint32
	if c.w.choices.pick(3) == 2 {
		lines = []uint32{uint32(1 + c.w.choices.pick(3))}
		c.w.count(cancelLine)
	}
	id := registrationIDs[number]
	c.send(topology.RegistrationCommands.Name, id.String(), &pb.RegistrationCommand{
		RegistrationId: id[:], RequestTimeUnixMs: c.w.now, Organiser: "acme",
		Command: &pb.RegistrationCommand_Cancel{Cancel: &pb.CancelRegistration{Lines: lines}},
	})
}

func (c *client) setCapacity() {
	t := c.event.TicketTypes[c.w.choices.pick(len(c.event.TicketTypes))].Id
	c.w.count(capacityChanged)
	c.catalog(&pb.CatalogCommand{Command: &pb.CatalogCommand_SetCapacity{SetCapacity: &pb.SetCapacity{
		TicketType: t, Capacity: uint32(c.w.choices.pick(10)),
	}}})
}

// Names of the registrations and attendees of every schedule.
var (
	attendeeNames   = []string{"ann", "bob", "eve"}
	attendeeIDs     = idsOf(len(attendeeNames), func(i int) string { return attendeeNames[i] })
	registrationIDs = idsOf(ordersMax+1, func(i int) string { return fmt.Sprint("r", i) })
)
