package simulation

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// sale puts so many places of one kind on sale.
func (c *client) sale(places, blockSize uint32) {
	c.event = &pb.CreateEvent{Name: "Conference", Currency: "EUR", TicketTypes: []*pb.NewTicketType{{
		Id: "regular", Name: "regular", PriceMinor: prices["regular"], TaxMode: pb.TaxMode_TAX_MODE_EXEMPT,
		Capacity: places, BlockSize: blockSize,
	}}}
	c.catalog(&pb.CatalogCommand{Command: &pb.CatalogCommand_CreateEvent{CreateEvent: c.event}})
}

// unhurried takes the faults away after which an order may rightly fail.
func (p *plan) unhurried() {
	kept := p.between[:0]
	for _, f := range p.between {
		switch f {
		case pass, passLong, passDay, skew, awayOrBack:
		default:
			kept = append(kept, f)
		}
	}
	p.between = kept
}

func scripted(t *testing.T, seed uint64) *world {
	t.Helper()
	caller, err := newCaller()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(seed, newChoices(seed), sound, caller, &Stats{}, nil)
	w.client.left, w.provider.declines = 0, 0
	w.rules.MaxAttempts = 32
	w.plan.unhurried()
	for _, s := range w.slots {
		s.current.crash() // they start again with these rules
	}
	for _, s := range w.stages {
		s.skew = 0
	}
	return w
}

// untilOnSale lets things happen and go wrong until every block is open: before
// that the front door takes no orders.
func (w *world) untilOnSale(t *testing.T) {
	t.Helper()
	for range 50 {
		w.disturbed(1 + w.choices.pick(20))
		e, _ := w.books.row(topology.Catalog.Name, eventID.String()).(*pb.Event)
		if e.GetStatus() == pb.EventStatus_EVENT_STATUS_ON_SALE {
			return
		}
	}
	w.settle(t)
}

// settle comes to rest and goes on.
func (w *world) settle(t *testing.T) {
	t.Helper()
	if w.quietly(); w.violation != nil {
		t.Fatalf("seed %d: %v", w.seed, w.violation)
	}
	w.choices.quiet = false
}

func (w *world) outcomes() map[pb.Outcome]int {
	count := map[pb.Outcome]int{}
	w.books.each(topology.Registrations.Name, func(_ string, m proto.Message) { count[m.(*pb.Registration).Outcome]++ })
	return count
}

// A rush for N places with more than N single-ticket requests, while processes
// crash, pause and change places: exactly N are confirmed, everyone else is told
// that it is sold out, and nothing is left over (I1).
func TestExactlyAllPlacesAreSold(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		w := scripted(t, seed)
		places := 1 + w.choices.pick(ordersMax-1)
		requests := places + 1 + w.choices.pick(ordersMax-places)
		w.client.sale(uint32(places), uint32(1+w.choices.pick(4)))
		w.untilOnSale(t)
		for n := range requests {
			w.client.register(order{number: n, types: []string{"regular"}, quantities: []uint32{1}})
			w.disturbed(w.choices.pick(60))
		}
		w.disturbed(300)
		w.settle(t)
		count := w.outcomes()
		if count[pb.Outcome_OUTCOME_CONFIRMED] != places || count[pb.Outcome_OUTCOME_SOLD_OUT] != requests-places {
			t.Fatalf("seed %d: %d places, %d requests: %v", seed, places, requests, count)
		}
	}
}

// Traces 2 and 3: all that the groups and the gateway have consumed comes again, from
// the first record on, after everything was settled (an offset was lost, a topic was
// copied). Not one registration, seat or cent changes.
func TestTheWholeLogAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		w := scripted(t, seed)
		w.provider.declines = 4
		w.client.limit = 4
		w.client.create()
		w.settle(t)
		for range ordersMax {
			w.client.register(w.client.newOrder())
			w.disturbed(w.choices.pick(60))
		}
		w.settle(t)
		w.client.cancel()
		w.client.cancel()
		w.settle(t)
		before := map[string]proto.Message{}
		w.books.each(topology.Registrations.Name, func(key string, m proto.Message) { before[key] = withoutCommand(m) })
		w.again()
		w.settle(t)
		w.books.each(topology.Registrations.Name, func(key string, m proto.Message) {
			if after := withoutCommand(m); !proto.Equal(after, before[key]) {
				t.Errorf("seed %d: the log again made\n%v\nof\n%v", seed, after, before[key])
			}
		})
	}
}

// again writes every record of every input once more.
func (w *world) again() {
	for _, g := range topology.Groups() {
		if g.Name == topology.ClickHouseSink.Name || g.Name == topology.Retrier.Name {
			continue
		}
		for _, input := range g.Inputs {
			for _, l := range w.broker.topics[input.Name].partitions {
				for _, r := range l.records[:len(l.records):len(l.records)] {
					if r.committed() {
						l.append(&record{key: r.key, value: r.value, at: r.at, repeat: true})
					}
				}
			}
		}
	}
}
