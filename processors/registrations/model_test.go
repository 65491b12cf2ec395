package registrations_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/processors/registrations"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

func (w *world) catalog(c *pb.CatalogCommand) {
	c.EventId, c.Organiser, c.BodyDigest = eventID[:], "acme", []byte("body")
	w.put(topology.CatalogCommands.Name, eventID.String(), c)
}

func (w *world) create(limit uint32, types ...*pb.NewTicketType) {
	w.catalog(&pb.CatalogCommand{Command: &pb.CatalogCommand_CreateEvent{CreateEvent: &pb.CreateEvent{
		Name: "Conference", Currency: "EUR", MaxPerAttendee: limit, TicketTypes: types,
	}}})
}

func ticketType(id string, price int64, capacity, blockSize uint32) *pb.NewTicketType {
	return &pb.NewTicketType{
		Id: id, Name: id, PriceMinor: price, TaxMode: pb.TaxMode_TAX_MODE_EXEMPT,
		Capacity: capacity, BlockSize: blockSize,
	}
}

// order is what a client asks for: quantities per ticket type, one line each.
type order struct {
	number   int
	attendee string
	limit    uint32
	types    []string
	numbers  []uint32
	body     string
}

var prices = map[string]int64{"regular": 4900, "vip": 9900, "free": 0}

func (w *world) register(o order) {
	id, attendee := topology.RegistrationID("acme", fmt.Sprint(o.number)), topology.RegistrationID("acme", o.attendee)
	q := &pb.Register{
		EventId: eventID[:], AttendeeId: attendee[:], AttendeeSealed: []byte(o.attendee), KeyId: "k1",
		Currency: "EUR", MaxPerAttendee: o.limit, PaymentMethod: "tok_visa",
	}
	for i, ticketType := range o.types {
		q.Lines = append(q.Lines, &pb.Line{
			Line: uint32(i + 1), TicketType: ticketType, Quantity: o.numbers[i],
			UnitPriceMinor: prices[ticketType], TotalMinor: prices[ticketType] * int64(o.numbers[i]),
			TaxMode: pb.TaxMode_TAX_MODE_EXEMPT,
		})
	}
	w.put(topology.RegistrationCommands.Name, id.String(), &pb.RegistrationCommand{
		RegistrationId: id[:], RequestTimeUnixMs: w.now.UnixMilli(), BodyDigest: []byte("body" + o.body), Organiser: "acme",
		Command: &pb.RegistrationCommand_Register{Register: q},
	})
}

func (w *world) cancel(number int, lines ...uint32) {
	id := topology.RegistrationID("acme", fmt.Sprint(number))
	w.put(topology.RegistrationCommands.Name, id.String(), &pb.RegistrationCommand{
		RegistrationId: id[:], RequestTimeUnixMs: w.now.UnixMilli(), Organiser: "acme",
		Command: &pb.RegistrationCommand_Cancel{Cancel: &pb.CancelRegistration{Lines: lines}},
	})
}

// clerk draws what happens next in a world.
type clerk struct {
	t     *rapid.T
	w     *world
	limit uint32
	// orders are those that were registered.
	orders []order
}

func (c *clerk) newOrder() {
	o := order{
		number: len(c.orders), limit: c.limit,
		attendee: fmt.Sprint("attendee-", rapid.IntRange(0, 2).Draw(c.t, "attendee")),
	}
	for range rapid.IntRange(1, 3).Draw(c.t, "lines") {
		o.types = append(o.types, rapid.SampledFrom([]string{"regular", "vip", "free"}).Draw(c.t, "type"))
		o.numbers = append(o.numbers, rapid.Uint32Range(1, 3).Draw(c.t, "quantity"))
	}
	c.orders = append(c.orders, o)
	c.w.register(o)
}

func (c *clerk) repeatOrder() {
	if len(c.orders) == 0 {
		return
	}
	o := rapid.SampledFrom(c.orders).Draw(c.t, "order")
	if rapid.IntRange(0, 3).Draw(c.t, "another body") == 0 {
		o.body, o.types, o.numbers = "other", []string{"vip"}, []uint32{3}
	}
	c.w.register(o)
}

func (c *clerk) cancelOrder() {
	number := rapid.IntRange(0, max(0, len(c.orders))).Draw(c.t, "order") // maybe unknown
	var lines []uint32
	if rapid.Bool().Draw(c.t, "by line") {
		lines = append(lines, rapid.Uint32Range(1, 3).Draw(c.t, "line"))
	}
	c.w.cancel(number, lines...)
}

func (c *clerk) deliver() {
	waiting := c.w.waiting()
	if len(waiting) == 0 {
		return
	}
	q := waiting[rapid.IntRange(0, len(waiting)-1).Draw(c.t, "queue")]
	if q.topic == topology.GatewayRequests.Name {
		c.w.gateway(q, manner(rapid.IntRange(0, int(manners)-1).Draw(c.t, "manner")))
		return
	}
	c.w.deliver(q, rapid.IntRange(0, 9).Draw(c.t, "aborted") == 0)
}

// repeat puts a record into its topic again that was delivered before. Timers and
// what the index sees are repeated by nature; events of a table's history are not
// repeated, since only the group itself writes them.
func (c *clerk) repeat() {
	if len(c.w.past) == 0 {
		return
	}
	r := c.w.past[rapid.IntRange(0, len(c.w.past)-1).Draw(c.t, "past")]
	if r.topic != topology.RegistrationEvents.Name {
		c.w.put(r.topic, r.key, r.value)
	}
}

func (c *clerk) pass() {
	c.w.now = c.w.now.Add(rapid.SampledFrom([]time.Duration{
		time.Second, time.Second, 2 * time.Second, 5 * time.Second, time.Minute, 10 * time.Minute,
	}).Draw(c.t, "time"))
	c.w.fire()
}

func (c *clerk) setCapacity() {
	c.w.catalog(&pb.CatalogCommand{Command: &pb.CatalogCommand_SetCapacity{SetCapacity: &pb.SetCapacity{
		TicketType: rapid.SampledFrom([]string{"regular", "vip"}).Draw(c.t, "type"),
		Capacity:   rapid.Uint32Range(0, 15).Draw(c.t, "capacity"),
	}}})
}

func (c *clerk) step() {
	switch n := rapid.IntRange(0, 99).Draw(c.t, "step"); {
	case n < 68:
		for range rapid.IntRange(1, 5).Draw(c.t, "records") {
			c.deliver()
		}
	case n < 78:
		if len(c.orders) < 14 {
			c.newOrder()
		}
	case n < 84:
		c.repeat()
	case n < 88:
		c.repeatOrder()
	case n < 92:
		c.cancelOrder()
	case n < 97:
		c.pass()
	case n < 99:
		c.setCapacity()
	default:
		if rapid.IntRange(0, 2).Draw(c.t, "storm") == 0 {
			c.w.catalog(&pb.CatalogCommand{Command: &pb.CatalogCommand_CancelEvent{CancelEvent: &pb.CancelEvent{}}})
		}
	}
	c.w.checkOwners()
}

// Clients, providers, operators and time do what they like, records cross each
// other, come twice, and transactions are aborted: no seat ever has two owners and
// nothing is confirmed without its money (I1, I3); when all is quiet every request
// has one decision, every seat and cent is where it belongs, every allowance counts
// what stands, and the events rebuild the table (I1 to I5, I9; traces 2, 3, 5 to 11).
func TestAnyInterleavingSettles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rules := registrations.DefaultRules()
		rules.MaxAttempts = rapid.Uint32Range(2, 8).Draw(t, "attempts")
		w := newWorld(t, rapid.Uint64().Draw(t, "seed"), rules)
		w.provider.declines = byte(rapid.IntRange(0, 8).Draw(t, "declines"))
		c := &clerk{t: t, w: w, limit: rapid.SampledFrom([]uint32{0, 0, 5}).Draw(t, "limit")}
		w.create(c.limit, ticketType("regular", 4900, 12, 5), ticketType("vip", 9900, 7, 2), ticketType("free", 0, 8, 4))
		if rapid.Bool().Draw(t, "on sale first") {
			w.settle()
		}
		for range rapid.IntRange(10, 300).Draw(t, "steps") {
			c.step()
		}
		w.settle()
		w.checkAtRest()
	})
}

// A rush for N places with more than N single-ticket requests, whose records cross
// each other at random: exactly N are confirmed, everyone else is told that it is
// sold out, and nothing is left over (I1).
func TestExactlyAllPlacesAreSold(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			places := 1 + random.IntN(40)
			requests := places + 1 + random.IntN(40)
			w := newWorld(t, seed, registrations.DefaultRules())
			w.create(0, ticketType("regular", 4900, uint32(places), 1+uint32(random.IntN(7))))
			w.settle()
			for n := range requests {
				w.register(order{number: n, attendee: fmt.Sprint("attendee-", n), types: []string{"regular"}, numbers: []uint32{1}})
			}
			for len(w.waiting()) > 0 {
				waiting := w.waiting()
				q := waiting[random.IntN(len(waiting))]
				if q.topic == topology.GatewayRequests.Name {
					w.gateway(q, manner(random.IntN(int(manners))))
					continue
				}
				w.deliver(q, random.IntN(10) == 0)
				w.checkOwners()
				if random.IntN(50) == 0 {
					w.now = w.now.Add(time.Second)
					w.fire()
				}
			}
			w.settle()
			w.checkAtRest()
			if sold := len(w.confirmed()); sold != places || len(w.registrations()) != requests {
				t.Fatalf("%d of %d places sold to %d requests: %s", sold, places, requests, w.outcomes())
			}
		})
	}
}

// Trace 2 and 3: everything that the registrations group has consumed comes again,
// from the first record on, after all is settled (an offset was lost). Not one
// registration, seat or cent changes.
func TestTheWholeLogAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t, seed, registrations.DefaultRules())
		w.provider.declines = 4
		w.create(4, ticketType("regular", 4900, 6, 3), ticketType("vip", 9900, 3, 2))
		w.settle()
		for n := range 12 {
			w.register(order{
				number: n, attendee: fmt.Sprint("attendee-", n%5), limit: 4,
				types: []string{"regular", "vip"}, numbers: []uint32{1 + uint32(random.IntN(2)), 1},
			})
		}
		w.settle()
		w.cancel(0)
		w.cancel(1, 2)
		w.settle()
		before := w.registrations()
		log := w.past
		for _, r := range log {
			if r.topic != topology.RegistrationEvents.Name {
				w.put(r.topic, r.key, r.value)
			}
		}
		w.settle()
		w.checkAtRest()
		for i, r := range w.registrations() {
			r, was := proto.CloneOf(r), proto.CloneOf(before[i])
			r.LastCommand, was.LastCommand = nil, nil
			if !proto.Equal(r, was) {
				t.Fatalf("seed %d: the log again made\n%v\nof\n%v", seed, r, was)
			}
		}
	}
}
