package simulation

import (
	"bytes"
	"math/bits"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream/core"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	"github.com/eventpro/boxoffice/processors/inventory"
	"github.com/eventpro/boxoffice/processors/registrations"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// atRest checks what must hold when nobody waits for anything any more.
func (b *books) atRest() {
	for _, check := range []func(){
		b.everythingConsumed, b.tried, b.seats, b.money, b.allowances, b.loaded, b.rebuiltFromEvents, b.rebuiltByCommands,
		b.localTables, b.lookUps,
	} {
		if b.w.violation == nil {
			check()
		}
	}
}

// everythingConsumed: no record of any input is left, and the verdicts are as
// many as the records (I7).
func (b *books) everythingConsumed() {
	records := 0
	for _, s := range topology.Groups() {
		if s.Kind != topology.Stateful {
			continue
		}
		for _, input := range s.Inputs {
			for _, l := range b.w.broker.topics[input.Name].partitions {
				if r := l.next(b.consumed[l]); r != nil {
					b.w.fail("I2", "%s has not been handled by %s", describe(l, r), s.Name)
				}
				for _, r := range l.records {
					if r.committed() {
						records++
					}
				}
			}
		}
	}
	letters := 0
	for _, l := range b.w.broker.topics[topology.DeadLetters.Name].partitions {
		for _, r := range l.records {
			if r.committed() {
				letters++
			}
		}
	}
	sum := b.verdicts[0] + b.verdicts[1] + b.verdicts[2] + b.verdicts[3]
	if sum+b.retried != records || letters != b.verdicts[0] {
		b.w.fail("I7", "%d records ended in %d verdicts, %d were put off; %d dead letters, %d are in the log",
			records, sum, b.retried, b.verdicts[0], letters)
	}
}

// seats: every seat that has an owner is sold, to a confirmed registration, and
// every confirmed line has its seats (I1, I2).
func (b *books) seats() {
	inBlocks, inSagas := 0, 0
	b.each(topology.Inventory.Name, func(key string, m proto.Message) {
		block := m.(*pb.Block)
		owned := uint64(0)
		for i, seats := range block.Seats {
			owned |= seats
			r, _ := b.row(topology.Registrations.Name, topology.KeyOf(block.RegistrationIds[i*16:(i+1)*16])).(*pb.Registration)
			if seats&block.Sold == 0 && r != nil && b.isParked(r) {
				owned &^= seats
			}
		}
		if owned != block.Sold {
			b.w.fail("I2", "%s holds the seats %b for nobody", nick(key), owned&^block.Sold)
		}
		inBlocks += bits.OnesCount64(block.Sold)
	})
	b.each(topology.Registrations.Name, func(key string, m proto.Message) {
		r := m.(*pb.Registration)
		for _, l := range r.Lines {
			want := uint32(0)
			if r.Outcome == pb.Outcome_OUTCOME_CONFIRMED && !l.Cancelled {
				want = l.Quantity
			}
			n := seatsOf(r, l.Line)
			if n != want {
				b.w.fail("I1", "line %d of %s, %v, has %d seats of %d", l.Line, nick(key), r.Outcome, n, want)
			}
			inSagas += int(n)
		}
	})
	if inBlocks != inSagas {
		b.w.fail("I1", "%d seats are sold by blocks, %d bought", inBlocks, inSagas)
	}
	e, _ := b.row(topology.Catalog.Name, eventID.String()).(*pb.Event)
	if e.GetStatus() == pb.EventStatus_EVENT_STATUS_CANCELLED && inSagas > 0 {
		b.w.fail("I2", "the event is cancelled, and %d seats are sold", inSagas)
	}
}

// money: the provider keeps exactly what confirmed lines cost (I3), and the books
// say the same as its ledger (I4). Parked payments are with a person.
func (b *books) money() {
	b.each(topology.Registrations.Name, func(key string, m proto.Message) {
		r := m.(*pb.Registration)
		if r.Step == pb.Step_STEP_UNSPECIFIED {
			return
		}
		if r.Imported {
			b.importedMoney(key, r)
			return
		}
		if b.isParked(r) {
			b.w.count(parked)
			return
		}
		want := int64(0)
		for _, l := range r.Lines {
			if r.Outcome == pb.Outcome_OUTCOME_CONFIRMED && !l.Cancelled {
				want += l.TotalMinor
			}
		}
		id := topology.PaymentID(topology.UUID(r.RegistrationId)).String()
		if have := b.w.provider.captured[id] - b.w.provider.refunded[id]; have != want {
			b.w.fail("I3", "the provider keeps %d of %s, %v: %d are due", have, nick(key), r.Outcome, want)
			return
		}
		p, _ := b.row(topology.Payments.Name, id).(*pb.Payment)
		known := r.GetPayment()
		if p.GetCapturedMinor()-p.GetRefundedMinor() != want || known.GetCapturedMinor()-known.GetRefundedMinor() != want {
			b.w.fail("I4", "%s: the payment says %d - %d, the saga %d - %d, %d are due", nick(key), p.GetCapturedMinor(),
				p.GetRefundedMinor(), known.GetCapturedMinor(), known.GetRefundedMinor(), want)
		}
	})
}

// importedMoney: the books have exactly what the import brought along, and what is
// owed besides waits for a person; our provider has nothing of it (I3, I4). Who got
// no seats brought no money.
func (b *books) importedMoney(key string, r *pb.Registration) {
	id := topology.PaymentID(topology.UUID(r.RegistrationId)).String()
	p, _ := b.row(topology.Payments.Name, id).(*pb.Payment)
	back := int64(0)
	for _, refund := range r.ImportedOrder.GetMoney().GetRefunds() {
		back += refund.AmountMinor
	}
	owed := int64(0)
	for _, refund := range p.GetRefunds() {
		if refund.Status == pb.RefundStatus_REFUND_STATUS_PARKED {
			b.w.count(importOwed)
			owed += refund.AmountMinor
		}
	}
	decided := r.Outcome == pb.Outcome_OUTCOME_CONFIRMED || r.Reason == registrations.ReasonCancelledAtSource
	switch {
	case b.w.provider.captured[id] != 0:
		b.w.fail("I3", "%s was imported, and our provider captured %d", nick(key), b.w.provider.captured[id])
	case p == nil && decided && r.TotalMinor > 0, p != nil && (p.CapturedMinor != r.TotalMinor || p.RefundedMinor != back):
		b.w.fail("I4", "%s was imported over %d with %d given back; the books have %v", nick(key), r.TotalMinor, back, p)
		return
	}
	// Owed is what was cancelled here; what was not given back there, was kept.
	due := int64(0)
	for i, l := range r.Lines {
		if l.Cancelled && !b.w.client.cancelledThere(r, i) {
			due += l.TotalMinor
		}
	}
	if r.GetPayment().GetCancelling() {
		due = p.GetCapturedMinor() - back
	}
	if p != nil && owed != min(due, p.CapturedMinor-back) {
		b.w.fail("I3", "%s is %v: of %d, %d went back, %d are owed and %d are due", nick(key), r.Outcome, p.CapturedMinor, back, owed, due)
	}
}

// allowances: what counts for an attendee are the tickets that stand.
func (b *books) allowances() {
	standing := map[string]uint32{}
	waits := false
	b.each(topology.Registrations.Name, func(_ string, m proto.Message) {
		r := m.(*pb.Registration)
		waits = waits || r.Step == pb.Step_STEP_SETTLING
		for _, l := range r.Lines {
			if r.Outcome == pb.Outcome_OUTCOME_CONFIRMED && !l.Cancelled {
				standing[topology.KeyOf(r.AttendeeId)] += l.Quantity
			}
		}
	})
	if b.w.client.limit == 0 || waits {
		return
	}
	b.each(topology.Attendees.Name, func(key string, m proto.Message) {
		counted := uint32(0)
		for _, e := range m.(*pb.Attendee).Registrations {
			if !e.Released && !e.Refused {
				counted += e.Quantity
			}
		}
		if counted != standing[key] {
			b.w.fail("I2", "%s has %d tickets, %d count", nick(key), standing[key], counted)
		}
	})
}

// loaded: the warehouse has the last version of everything, and has seen every
// record (I8).
func (b *books) loaded() {
	h := b.w.warehouse
	facts := 0
	for _, input := range topology.ClickHouseSink.Inputs {
		for _, l := range b.w.broker.topics[input.Name].partitions {
			for _, r := range l.records {
				if !r.committed() {
					continue
				}
				if h.trail[position{l, r.offset}] == 0 {
					b.w.fail("I8", "%s was never loaded", describe(l, r))
				}
				if isSnapshot(input.Name) {
					facts++
				}
			}
		}
	}
	for key, version := range b.versions {
		if h.rows[key].version != version {
			what, id, _ := strings.Cut(key, " ")
			b.w.fail("I8", "the warehouse has version %d of %s %s, the last one is %d", h.rows[key].version, what, nick(topology.KeyOf([]byte(id))), version)
		}
	}
	if b.w.broken.sumsRows && h.sums != facts {
		b.w.fail("I8", "the warehouse counts %d versions, the log has %d", h.sums, facts)
	}
}

// rebuiltFromEvents: the snapshots alone make the tables of the catalog, the
// registrations and the payments, but for the last command and the times of asking
// again (I9).
func (b *books) rebuiltFromEvents() {
	last := map[string]proto.Message{}
	for _, t := range []topology.Topic{topology.CatalogEvents, topology.RegistrationEvents, topology.PaymentEvents} {
		for _, l := range b.w.broker.topics[t.Name].partitions {
			for _, r := range l.records {
				if m, bad := core.Decode(t.New, r.value); r.committed() && bad == nil {
					key, version := versioned(m)
					if _, known := versioned(last[key]); version >= known { // one that was put off comes again, later
						last[key] = m
					}
				}
			}
		}
	}
	for _, group := range []string{topology.Catalog.Name, topology.Registrations.Name, topology.Payments.Name} {
		b.each(group, func(key string, m proto.Message) {
			name, version := versioned(m)
			if version == 0 {
				return // it only carries the result of a command for an unknown id
			}
			if !proto.Equal(visible(m), visible(last[name])) {
				b.w.fail("I9", "the table has\n%v\nof %s, its events make\n%v", m, nick(key), last[name])
			}
		})
	}
}

// visible is what a snapshot has to tell.
func visible(m proto.Message) proto.Message {
	switch v := m.(type) {
	case *pb.Registration:
		v = proto.CloneOf(v)
		v.LastCommand, v.Redrives, v.DeadlineUnixMs = nil, 0, 0
		return v
	case *pb.Event:
		v = proto.CloneOf(v)
		v.LastCommand = nil
		for _, t := range v.TicketTypes {
			t.BlockStates = nil // which blocks have answered is visible only when all have
		}
		return v
	case *pb.Payment:
		v = proto.CloneOf(v)
		v.DeadlineUnixMs, v.AskedAtUnixMs, v.Attempts = 0, 0, 0
		for _, r := range v.Refunds {
			r.Attempts, r.RequestedAtUnixMs = 0, 0
		}
		return v
	}
	return m
}

// rebuiltByCommands: the commands alone make the blocks, but for those that were
// put off, which came again (I9).
func (b *books) rebuiltByCommands() {
	for part, l := range b.w.broker.topics[topology.SeatCommands.Name].partitions {
		made := map[string]*pb.Block{}
		for _, r := range l.records {
			var c pb.SeatCommand
			if !r.committed() || r.value == nil || b.putOff[position{l, r.offset}] || proto.Unmarshal(r.value, &c) != nil {
				continue
			}
			m := transition.Message{Topic: l.topic.def.Name, Partition: l.number, Offset: r.offset, Key: r.key, Time: millis(r.at), Value: &c}
			effect, err := inventory.Apply(made[r.key], &m)
			if err == nil && effect.State != nil {
				made[r.key] = effect.State.(*pb.Block)
			}
		}
		table := b.tables[topology.Inventory.Name][part]
		for key, r := range table {
			if !proto.Equal(r.message, made[key]) {
				b.w.fail("I9", "the table has\n%v\nof %s, its commands make\n%v", r.message, nick(key), made[key])
			}
		}
	}
}

// localTables: what owners have on their disks is what was committed (I5).
func (b *books) localTables() {
	for _, s := range b.w.slots {
		p := s.current
		if p == nil {
			continue
		}
		for _, part := range p.owned {
			for key, r := range b.tables[s.group.name][part] {
				if v := p.tables.parts[part].values[key]; !bytes.Equal(v.bytes, r.bytes) {
					b.w.fail("I5", "%s has another value of %s on its disk than was committed last", s.name, nick(key))
				}
			}
		}
	}
}

// lookUps: whoever waits for a command's position is answered by the view (I2,
// trace 11).
func (b *books) lookUps() {
	for _, at := range b.commands {
		if at.log.topic.def.Name != topology.RegistrationCommands.Name {
			continue
		}
		r := at.log.records[at.log.index(at.offset)]
		var seen pb.Registration
		if err := proto.Unmarshal(b.w.view.registrations[r.key], &seen); err != nil || seen.GetLastCommand().GetOffset() < at.offset {
			b.w.fail("I2", "the view never answers who waits for %s", describe(at.log, r))
		}
	}
}
