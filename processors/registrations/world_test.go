package registrations_test

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	"github.com/eventpro/boxoffice/processors/attendees"
	"github.com/eventpro/boxoffice/processors/catalog"
	"github.com/eventpro/boxoffice/processors/inventory"
	"github.com/eventpro/boxoffice/processors/payments"
	"github.com/eventpro/boxoffice/processors/registrations"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// world runs the groups of a sale in memory: every stateful group as it is wired,
// an availability index, and a provider. Records of one topic and key come in
// order; everything else comes in the order that the test chooses.
type world struct {
	t      fataler
	now    time.Time
	offset int64
	groups map[string]*group // by input topic
	queues []*queue
	byName map[string]*queue
	// past is what was delivered, for those who repeat themselves.
	past     []record
	index    *availability.Index
	provider *provider
	// rebuilt is registrations-table from its events alone (I9).
	rebuilt map[string]*pb.Registration
	// event is the last version of the event.
	event *pb.Event
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

type group struct {
	stream.Processor
	table map[string]proto.Message
}

type record struct {
	topic, key string
	value      proto.Message
}

type queue struct {
	topic, key string
	records    []proto.Message
}

// viewOfInventory carries the table's records to the index.
const viewOfInventory = "view of inventory-table"

var (
	eventID   = topology.EventID("acme", "conference")
	beginning = time.UnixMilli(1_700_000_000_000)
)

func newWorld(t fataler, seed uint64, rules registrations.Rules) *world {
	w := &world{
		t: t, now: beginning, groups: map[string]*group{}, byName: map[string]*queue{},
		index: availability.New(availability.Options{Seed: seed}), rebuilt: map[string]*pb.Registration{},
		provider: newProvider(),
	}
	w.index.SetRecovered(true)
	for _, p := range []stream.Processor{
		inventory.New(inventory.Config{}), catalog.New(catalog.Config{}), attendees.New(attendees.Config{}),
		payments.New(payments.Config{}),
		registrations.New(registrations.Config{Rules: rules, Availability: w.index, Clock: func() time.Time { return w.now }}),
	} {
		g := &group{Processor: p, table: map[string]proto.Message{}}
		for _, input := range p.Group.Inputs {
			w.groups[input.Name] = g
		}
	}
	return w
}

// put appends a record to its topic. Values are copied, as the log does.
func (w *world) put(topic, key string, value proto.Message) {
	name := topic + " " + key
	q := w.byName[name]
	if q == nil {
		q = &queue{topic: topic, key: key}
		w.byName[name] = q
		w.queues = append(w.queues, q)
	}
	q.records = append(q.records, proto.Clone(value))
}

// waiting lists the queues that are not empty.
func (w *world) waiting() []*queue {
	var waiting []*queue
	for _, q := range w.queues {
		if len(q.records) > 0 {
			waiting = append(waiting, q)
		}
	}
	return waiting
}

// deliver takes the next record of a queue. When aborted, a first run of it is
// thrown away, as after a transaction that did not commit.
func (w *world) deliver(q *queue, aborted bool) {
	value := q.records[0]
	q.records = q.records[1:]
	w.past = append(w.past, record{q.topic, q.key, value})
	w.now = w.now.Add(time.Millisecond)
	switch q.topic {
	case viewOfInventory:
		w.index.Apply(value.(*pb.Block))
	case topology.CatalogEvents.Name:
		w.event = value.(*pb.Event)
	case topology.RegistrationEvents.Name:
		w.follow(value.(*pb.Registration))
	default:
		if g := w.groups[q.topic]; g != nil {
			if aborted {
				w.handle(g, q, proto.Clone(value))
			}
			w.commit(g, q.key, w.handle(g, q, proto.Clone(value)))
		}
	}
}

func (w *world) handle(g *group, q *queue, value proto.Message) transition.Effect {
	w.t.Helper()
	w.offset++
	var state proto.Message
	if stored := g.table[q.key]; stored != nil {
		state = proto.Clone(stored)
	}
	effect, err := g.Handle(state, &transition.Message{Topic: q.topic, Offset: w.offset, Key: q.key, Time: w.now, Value: value})
	if err != nil {
		w.t.Fatalf("%s of %s: %v\n%v", q.topic, q.key, err, value)
	}
	return effect
}

func (w *world) commit(g *group, key string, effect transition.Effect) {
	if r, ok := effect.State.(*pb.Registration); ok {
		before, _ := g.table[key].(*pb.Registration)
		w.checkVersion(before, r)
	}
	if effect.State != nil {
		g.table[key] = proto.Clone(effect.State)
		if g.Group.Name == topology.Inventory.Name {
			w.put(viewOfInventory, key, effect.State)
		}
	}
	for _, o := range effect.Outputs {
		if r, ok := o.Value.(*pb.Registration); ok {
			w.decided(r)
		}
		w.put(o.Topic, o.Key, o.Value)
	}
}

// checkVersion: whatever changes raises the version, or the events could not rebuild
// the table (I9).
func (w *world) checkVersion(before, after *pb.Registration) {
	w.t.Helper()
	if same := proto.Equal(historyOf(before), historyOf(after)); same != (before.GetVersion() == after.Version) {
		w.t.Fatalf("I9: from version %d to %d, changed: %v\nfrom %v\nto %v",
			before.GetVersion(), after.Version, !same, before, after)
	}
}

// historyOf is a registration without what is no part of its history: the last
// command, and when it is asked again.
func historyOf(r *pb.Registration) *pb.Registration {
	if r.GetStep() == pb.Step_STEP_UNSPECIFIED {
		return nil
	}
	r = proto.CloneOf(r)
	r.LastCommand, r.Redrives, r.DeadlineUnixMs = nil, 0, 0
	return r
}

// decided checks I3 at the moment of the decision, before anything else happens:
// no confirmed registration without its captured payment.
func (w *world) decided(r *pb.Registration) {
	w.t.Helper()
	if r.Outcome == pb.Outcome_OUTCOME_CONFIRMED && r.TotalMinor > 0 &&
		w.provider.captured[string(r.Payment.PaymentId)] != r.TotalMinor {
		w.t.Fatalf("I3: confirmed, and the provider captured %d of %d",
			w.provider.captured[string(r.Payment.PaymentId)], r.TotalMinor)
	}
}

// follow rebuilds the table from the events, and checks that the versions are
// gapless and that the outcome is decided once (I2, I9).
func (w *world) follow(r *pb.Registration) {
	w.t.Helper()
	key := topology.KeyOf(r.RegistrationId)
	before := w.rebuilt[key]
	if r.Version != before.GetVersion()+1 {
		w.t.Fatalf("I9: version %d after %d", r.Version, before.GetVersion())
	}
	second := before.GetOutcome() == pb.Outcome_OUTCOME_CONFIRMED && r.Outcome == pb.Outcome_OUTCOME_CANCELLED
	if before.GetOutcome() != pb.Outcome_OUTCOME_UNSPECIFIED && before.GetOutcome() != r.Outcome && !second {
		w.t.Fatalf("I2: %v after %v", r.Outcome, before.GetOutcome())
	}
	w.rebuilt[key] = r
}

// fire sends a timer to every key whose deadline is due.
func (w *world) fire() {
	for _, name := range []string{topology.RegistrationTimers.Name, topology.PaymentTimers.Name} {
		g := w.groups[name]
		for _, key := range sortedKeys(g.table) {
			raw, err := proto.Marshal(g.table[key])
			if err != nil {
				w.t.Fatalf("%v", err)
			}
			if at, open := g.Deadline(raw); open && at <= w.now.UnixMilli() {
				w.put(name, key, g.Timer(key, w.now))
			}
		}
	}
}

// settle lets everything come to rest: records are delivered, time passes and
// timers fire, until nobody waits for anything.
func (w *world) settle() {
	w.t.Helper()
	for round := range 140 {
		for n := 0; len(w.waiting()) > 0; n++ {
			if n > 100_000 {
				w.t.Fatalf("the groups keep each other busy")
			}
			q := w.waiting()[0]
			if q.topic == topology.GatewayRequests.Name {
				w.gateway(q, answerHonestly)
				continue
			}
			w.deliver(q, false)
		}
		if w.atRest() {
			return
		}
		// First in small steps, within which whoever answers is in time.
		pause := 2 * time.Second
		if round >= 40 {
			pause = 6 * time.Minute
		}
		w.now = w.now.Add(pause)
		w.fire()
	}
	w.t.Fatalf("I2: not settled after ten hours: %v", w.unsettled())
}

func (w *world) atRest() bool {
	for _, p := range w.table(topology.PaymentCommands) {
		if p.(*pb.Payment).DeadlineUnixMs != 0 {
			return false
		}
	}
	return len(w.unsettled()) == 0
}

func (w *world) unsettled() []*pb.Registration {
	var open []*pb.Registration
	for _, r := range w.registrations() {
		if !r.Settled {
			open = append(open, r)
		}
	}
	return open
}

// table is that of the group that consumes the topic.
func (w *world) table(input topology.Topic) map[string]proto.Message {
	return w.groups[input.Name].table
}

// registrations lists those that were registered.
func (w *world) registrations() []*pb.Registration {
	table := w.table(topology.RegistrationCommands)
	var all []*pb.Registration
	for _, key := range sortedKeys(table) {
		if r := table[key].(*pb.Registration); r.Step != pb.Step_STEP_UNSPECIFIED {
			all = append(all, r)
		}
	}
	return all
}

func (w *world) confirmed() []*pb.Registration {
	return slices.DeleteFunc(w.registrations(), func(r *pb.Registration) bool {
		return r.Outcome != pb.Outcome_OUTCOME_CONFIRMED
	})
}

func (w *world) blocks() []*pb.Block {
	table := w.table(topology.SeatCommands)
	var all []*pb.Block
	for _, key := range sortedKeys(table) {
		all = append(all, table[key].(*pb.Block))
	}
	return all
}

func sortedKeys(table map[string]proto.Message) []string {
	keys := make([]string, 0, len(table))
	for key := range table {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// checkOwners is I1 as the sagas see it, at every moment: no two registrations keep
// the same seat, and what a registration keeps its block knows to be its own.
func (w *world) checkOwners() {
	w.t.Helper()
	blocks := w.table(topology.SeatCommands)
	taken := map[string]uint64{}
	for _, r := range w.registrations() {
		for _, h := range r.Holds {
			if !keeps(h) {
				continue
			}
			key := topology.BlockKey(r.EventId, lineOf(r, h.Line).TicketType, h.Block)
			if taken[key]&h.Seats != 0 {
				w.t.Fatalf("I1: seats %#x of block %s have two owners", taken[key]&h.Seats, key)
			}
			taken[key] |= h.Seats
			b, _ := blocks[key].(*pb.Block)
			if owned := ownedBy(b, h.HoldId); owned != h.Seats {
				w.t.Fatalf("I1: hold %x keeps %#x, its block says %#x", h.HoldId, h.Seats, owned)
			}
		}
	}
}

func keeps(h *pb.Hold) bool {
	return h.Status == pb.HoldStatus_HOLD_STATUS_KEPT || h.Status == pb.HoldStatus_HOLD_STATUS_CONFIRMING ||
		h.Status == pb.HoldStatus_HOLD_STATUS_SOLD
}

func lineOf(r *pb.Registration, number uint32) *pb.Line {
	return r.Lines[slices.IndexFunc(r.Lines, func(l *pb.Line) bool { return l.Line == number })]
}

func ownedBy(b *pb.Block, hold []byte) uint64 {
	for i, seats := range b.GetSeats() {
		if bytes.Equal(b.HoldIds[i*16:(i+1)*16], hold) {
			return seats
		}
	}
	return 0
}

// checkAtRest is what must hold when nobody waits for anything any more.
func (w *world) checkAtRest() {
	w.t.Helper()
	w.checkOwners()
	w.checkSeats()
	w.checkMoney()
	w.checkAllowances()
	w.checkRebuilt()
	if w.event.GetStatus() == pb.EventStatus_EVENT_STATUS_CANCELLED && len(w.confirmed()) > 0 {
		w.t.Fatalf("the event is cancelled, and %d registrations stand", len(w.confirmed()))
	}
}

// checkSeats: every seat that has an owner is sold, to a confirmed registration,
// and every confirmed line has its seats (I1).
func (w *world) checkSeats() {
	w.t.Helper()
	inBlocks, inSagas := 0, 0
	for _, b := range w.blocks() {
		owned := uint64(0)
		for _, seats := range b.Seats {
			owned |= seats
		}
		if owned != b.Sold {
			w.t.Fatalf("I2: block %d of %s holds seats %#x for nobody", b.Number, b.TicketType, owned&^b.Sold)
		}
		if b.Free+b.Withdrawn+uint32(bits.OnesCount64(b.Sold)) != b.Size {
			w.t.Fatalf("I1: block %v", b)
		}
		inBlocks += bits.OnesCount64(b.Sold)
	}
	for _, r := range w.registrations() {
		for _, l := range r.Lines {
			seats := 0
			for _, h := range r.Holds {
				if h.Line == l.Line && keeps(h) {
					seats += bits.OnesCount64(h.Seats)
				}
			}
			want := 0
			if r.Outcome == pb.Outcome_OUTCOME_CONFIRMED && !l.Cancelled {
				want = int(l.Quantity)
			}
			if seats != want {
				w.t.Fatalf("I1: line %d of a %v registration has %d seats of %d", l.Line, r.Outcome, seats, want)
			}
			inSagas += seats
		}
	}
	if inBlocks != inSagas {
		w.t.Fatalf("I1: %d seats sold by blocks, %d bought", inBlocks, inSagas)
	}
}

// checkMoney: the provider keeps exactly what confirmed lines cost, per payment
// (I3, I4).
func (w *world) checkMoney() {
	w.t.Helper()
	for _, r := range w.registrations() {
		want := int64(0)
		for _, l := range r.Lines {
			if r.Outcome == pb.Outcome_OUTCOME_CONFIRMED && !l.Cancelled {
				want += l.TotalMinor
			}
		}
		id := topology.PaymentID(topology.UUID(r.RegistrationId))
		have := w.provider.captured[string(id[:])] - w.provider.refunded[string(id[:])]
		if have != want {
			w.t.Fatalf("I3: the provider keeps %d of a %v registration of %d: %v", have, r.Outcome, want, r)
		}
		if known := r.GetPayment(); known.GetCapturedMinor()-known.GetRefundedMinor() != want {
			w.t.Fatalf("I4: the saga believes that %d - %d were kept of %d",
				known.GetCapturedMinor(), known.GetRefundedMinor(), want)
		}
	}
}

// checkAllowances: what counts for an attendee are the tickets that stand.
func (w *world) checkAllowances() {
	w.t.Helper()
	standing := map[string]uint32{}
	limit := uint32(0)
	for _, r := range w.confirmed() {
		for _, l := range r.Lines {
			if !l.Cancelled {
				standing[topology.KeyOf(r.AttendeeId)] += l.Quantity
			}
		}
		limit = r.MaxPerAttendee
	}
	if limit == 0 {
		return
	}
	for key, value := range w.table(topology.AttendeeUpdates) {
		counted := uint32(0)
		for _, e := range value.(*pb.Attendee).Registrations {
			if !e.Released && !e.Refused {
				counted += e.Quantity
			}
		}
		if counted != standing[key] || counted > limit {
			w.t.Fatalf("attendee %s has %d tickets, %d count, the limit is %d", key, standing[key], counted, limit)
		}
	}
}

// checkRebuilt is I9 for the sagas: the events alone make the table, but for the
// last command and the times of asking again.
func (w *world) checkRebuilt() {
	w.t.Helper()
	for _, r := range w.registrations() {
		live, rebuilt := historyOf(r), historyOf(w.rebuilt[topology.KeyOf(r.RegistrationId)])
		if !proto.Equal(live, rebuilt) {
			w.t.Fatalf("I9: the table has\n%v\nits events make\n%v", live, rebuilt)
		}
	}
}

// outcomes counts the registrations by outcome, for messages.
func (w *world) outcomes() string {
	count := map[string]int{}
	for _, r := range w.registrations() {
		count[strings.TrimPrefix(r.Outcome.String(), "OUTCOME_")]++
	}
	return fmt.Sprint(count)
}

// provider is a payment provider in memory: it decides once per key.
type provider struct {
	results            map[string]*pb.GatewayResult
	captured, refunded map[string]int64 // by payment id
	// declines makes it decline that share of the payments, in sixteenths.
	declines byte
}

func newProvider() *provider {
	return &provider{results: map[string]*pb.GatewayResult{}, captured: map[string]int64{}, refunded: map[string]int64{}}
}

// manner is how the gateway answers one request.
type manner int

const (
	answerHonestly manner = iota
	// answerNothing: the request never reached the provider.
	answerNothing
	// answerLate: the provider did it, and the caller had given up.
	answerLate
	manners
)

// gateway takes a request to the provider and brings back what it said.
func (w *world) gateway(q *queue, how manner) {
	request := q.records[0].(*pb.GatewayRequest)
	q.records = q.records[1:]
	w.past = append(w.past, record{q.topic, q.key, request})
	w.now = w.now.Add(time.Millisecond)
	result := &pb.GatewayResult{Outcome: pb.GatewayOutcome_GATEWAY_OUTCOME_UNKNOWN}
	if how != answerNothing {
		done := w.provider.apply(request, w.now)
		if how == answerHonestly {
			result = proto.CloneOf(done)
		}
	}
	result.PaymentId, result.Operation = request.PaymentId, request.Operation
	result.IdempotencyKey, result.Attempt = request.IdempotencyKey, request.Attempt
	w.put(topology.GatewayResults.Name, q.key, result)
}

func (p *provider) apply(request *pb.GatewayRequest, now time.Time) *pb.GatewayResult {
	key := string(request.IdempotencyKey)
	if known := p.results[key]; known != nil {
		return known
	}
	result := &pb.GatewayResult{
		ProviderReference: topology.KeyOf(request.IdempotencyKey), AmountMinor: request.AmountMinor,
		FeeMinor: request.AmountMinor / 50, ProviderTimeUnixMs: now.UnixMilli(),
	}
	payment := string(request.PaymentId)
	switch {
	case request.Operation == pb.GatewayOperation_GATEWAY_OPERATION_REFUND:
		result.Outcome = pb.GatewayOutcome_GATEWAY_OUTCOME_REFUNDED
		p.refunded[payment] += request.AmountMinor
	case request.PaymentId[0]%16 < p.declines:
		result.Outcome, result.DeclineCode = pb.GatewayOutcome_GATEWAY_OUTCOME_DECLINED, "card_declined"
	default:
		result.Outcome = pb.GatewayOutcome_GATEWAY_OUTCOME_CAPTURED
		p.captured[payment] += request.AmountMinor
	}
	p.results[key] = result
	return result
}
