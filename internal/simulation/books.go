package simulation

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// books watch what is committed, from outside: they know the truth and no part of
// the system knows them. Here are the invariants that hold at every prefix; those
// at rest are in rest.go.
type books struct {
	w *world
	// tables are the committed values by group.
	tables map[string]*[partitions]map[string]*row
	// consumed is up to where the records of an input were handled in committed
	// transactions.
	consumed map[*partitionLog]int64
	versions map[string]uint64 // last snapshot by topic and key
	done     map[stageRecord]bool
	verdicts [4]int            // of committed records; 0 are dead letters
	retried  int               // records that were put off
	putOff   map[position]bool // those that went to the retries
	commands []position
	asks     map[string][]int64          // the last times at which a payment was asked
	held     map[string]*pb.Registration // by key
	checked  int
}

// row is a committed value.
type row struct {
	value
	message proto.Message
}

type stageRecord struct {
	group string
	position
}

func newBooks(w *world) *books {
	b := &books{
		w: w, tables: map[string]*[partitions]map[string]*row{}, consumed: map[*partitionLog]int64{},
		versions: map[string]uint64{}, done: map[stageRecord]bool{}, putOff: map[position]bool{}, asks: map[string][]int64{}, held: map[string]*pb.Registration{},
	}
	for _, g := range topology.Groups() {
		b.tables[g.Name] = &[partitions]map[string]*row{{}, {}}
	}
	return b
}

// committed checks a transaction at the moment of its commit.
func (b *books) committed(tx *transaction) {
	for _, h := range tx.handled {
		b.record(h)
		if b.w.violation != nil {
			return
		}
	}
	b.published(tx.events)
	for _, o := range tx.offsets {
		b.offset(o)
	}
}

// record checks one record of a committed transaction: it is the next of its
// partition (I5, I6), has one verdict (I7), and its state was the committed one
// (I5).
func (b *books) record(h *handled) {
	at, where := b.consumed[h.log], describe(h.log, h.record)
	switch next := h.log.next(at); {
	case !h.record.committed():
		b.w.fail("I5", "%s handled %s, which is not committed", h.p.name, where)
	case h.record.offset < at:
		b.w.fail("I5", "%s handled %s, which was handled before", h.p.name, where)
	case next != nil && next.offset < h.record.offset:
		b.w.fail("I6", "%s handled %s, and nobody %s", h.p.name, where, describe(h.log, next))
	case h.verdict != 0 && (h.dead != "" || h.retried), h.verdict == 0 && (h.dead == "") == !h.retried:
		b.w.fail("I7", "%s has the verdict %v and the dead letter %q; put off: %v", where, h.verdict, h.dead, h.retried)
	}
	b.consumed[h.log] = h.record.offset + 1
	if h.retried {
		b.retried++
	} else {
		b.verdicts[h.verdict]++
	}
	if h.copied {
		b.putOff[position{h.log, h.record.offset}] = true
	}
	table := b.tables[h.p.group.name][h.log.number]
	known := table[h.record.key]
	basis := int64(-1)
	if known != nil {
		basis = known.offset
	}
	if h.dead == "" && h.basis != basis {
		b.w.fail("I5", "%s decided on %s by the state of table record %d; the committed one is %d", h.p.name, where, h.basis, basis)
	}
	if b.w.violation != nil {
		return
	}
	if h.wrote != nil {
		after := &row{h.value, h.wrote}
		table[h.record.key] = after
		b.wrote(h, known, after)
	}
	b.traced(h, table[h.record.key])
	if b.checked++; b.checked%8 == 0 && h.verdict != 0 && b.w.violation == nil {
		b.again(h, table[h.record.key])
	}
}

// offset checks a committed offset: every record below it was handled (I6), and
// none above.
func (b *books) offset(o offset) {
	at := b.consumed[o.log]
	if r := o.log.next(at); r != nil && r.offset < o.next {
		invariant := "I6"
		if b.w.broken.skipsUndecodable {
			invariant = "I7"
		}
		b.w.fail(invariant, "%s is below the committed offset %d, and ended in no verdict", describe(o.log, r), o.next)
	}
	if o.next > at {
		b.consumed[o.log] = o.next
	}
	if at > o.next {
		b.w.fail("I6", "offset %d of %s is committed, although %d were handled", o.next, o.log.topic.def.Name, at)
	}
}

// again is the law of repetition (I5): the same message once more leaves the same
// state, but for the last command.
func (b *books) again(h *handled, now *row) {
	if now == nil || h.verdict == 0 || h.p.def.Group.Name == groupRegistrations && h.p.index == nil {
		return
	}
	m := h.message
	m.Value = proto.Clone(h.message.Value)
	result, err := h.p.decider.Decide(proto.Clone(now.message), &m, nil)
	if err != nil {
		if _, poison := transition.AsPoison(err); !poison {
			b.w.fail("I5", "%s again: %v", describeMessage(m.Value, m.Key), err)
		}
		return
	}
	if result.State == nil {
		return
	}
	if after, before := withoutCommand(result.Effect.State), withoutCommand(now.message); !proto.Equal(after, before) {
		b.w.fail("I5", "%s again made\n%v\nof\n%v", describeMessage(m.Value, m.Key), after, before)
	}
}

func withoutCommand(m proto.Message) proto.Message {
	switch v := m.(type) {
	case *pb.Registration:
		v = proto.CloneOf(v)
		v.LastCommand = nil
		return v
	case *pb.Event:
		v = proto.CloneOf(v)
		v.LastCommand = nil
		return v
	}
	return m
}

// traced: every accepted command leaves its position and result (I2, trace 11).
func (b *books) traced(h *handled, now *row) {
	if h.verdict == 0 {
		return
	}
	var last *pb.CommandResult
	switch h.message.Value.(type) {
	case *pb.RegistrationCommand:
		if now != nil {
			last = now.message.(*pb.Registration).LastCommand
		}
	case *pb.CatalogCommand:
		if now != nil {
			last = now.message.(*pb.Event).LastCommand
		}
	default:
		return
	}
	if last == nil || last.Offset != h.record.offset || last.Partition != h.log.number || last.Verdict == 0 {
		b.w.fail("I2", "%s left the trace %v at %s", describeMessage(h.message.Value, h.record.key), last, describe(h.log, h.record))
	}
	b.commands = append(b.commands, position{h.log, h.record.offset})
}

// published checks snapshots as they become visible: their versions have no gap
// and no fork (I9).
func (b *books) published(events []event) {
	for _, e := range events {
		if !isSnapshot(e.topic) {
			continue
		}
		key, version := versioned(e.value)
		if last := b.versions[key]; version != last+1 {
			b.w.fail("I9", "version %d of %s is published after version %d", version, nick(e.key), last)
			return
		}
		b.versions[key] = version
	}
}

// recovered checks the tables of a process that is about to consume: they are
// what was committed (I9).
func (b *books) recovered(p *process) {
	for _, part := range p.owned {
		table, local := b.tables[p.group.name][part], p.tables.parts[part].values
		for key, r := range table {
			if v := local[key]; !bytes.Equal(v.bytes, r.bytes) {
				b.w.fail("I9", "%s starts with another value of %s than was committed last", p.name, nick(key))
				return
			}
		}
		if len(local) != len(table) {
			b.w.fail("I9", "%s starts with %d values of %d", p.name, len(local), len(table))
			return
		}
	}
}

// finished notes that a stage has done with a record.
func (b *books) finished(group string, l *partitionLog, offset int64) {
	b.done[stageRecord{group, position{l, offset}}] = true
}

// stageCommitted: below a committed offset everything is finished (I6).
func (b *books) stageCommitted(group string, l *partitionLog, next int64) {
	for _, r := range l.records[:l.index(next)] {
		if r.committed() && !b.done[stageRecord{group, position{l, r.offset}}] {
			b.w.fail("I6", "%s committed offset %d, and %s is unfinished", group, next, describe(l, r))
			return
		}
	}
}

// captured: one capture per payment (I3).
func (b *books) captured(e *entry, captures int) {
	if captures > 1 {
		b.w.fail("I3", "%s is captured %d times", nick(e.reference), captures)
	}
}

func (b *books) row(group, key string) proto.Message {
	for _, part := range b.tables[group] {
		if r := part[key]; r != nil {
			return r.message
		}
	}
	return nil
}

// each visits the committed values of a group, in no order.
func (b *books) each(group string, visit func(key string, m proto.Message)) {
	for _, part := range b.tables[group] {
		for key, r := range part {
			visit(key, r.message)
		}
	}
}

// unsettled says what still waits; "" when nothing does. A payment that is parked
// waits for a person, and so does its registration.
func (b *books) unsettled() string {
	waits := ""
	b.each(topology.Registrations.Name, func(key string, m proto.Message) {
		r := m.(*pb.Registration)
		if r.Step == pb.Step_STEP_UNSPECIFIED || r.Settled {
			return
		}
		if r.Outcome != pb.Outcome_OUTCOME_UNSPECIFIED && b.isParked(r) {
			return
		}
		waits += fmt.Sprintf("%s is %v; ", nick(key), r.Step)
	})
	b.each(topology.Payments.Name, func(key string, m proto.Message) {
		if m.(*pb.Payment).DeadlineUnixMs != 0 {
			waits += nick(key) + "; "
		}
	})
	return waits
}

// isParked reports whether a person has to look after the registration's money.
func (b *books) isParked(r *pb.Registration) bool {
	p, _ := b.row(topology.Payments.Name, topology.KeyOf(r.GetPayment().GetPaymentId())).(*pb.Payment)
	if p.GetStatus() == pb.PaymentStatus_PAYMENT_STATUS_PARKED {
		return true
	}
	for _, refund := range p.GetRefunds() {
		if refund.Status == pb.RefundStatus_REFUND_STATUS_PARKED {
			return true
		}
	}
	return false
}
