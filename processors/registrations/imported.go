package registrations

import (
	"github.com/eventpro/boxoffice/internal/imported"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// An imported registration was decided and paid for in another system. It goes the
// way of every other one, with three differences: lines that were cancelled there
// take no seats, the charge carries what has moved already, and no deadline ends
// it, since nobody waits for it and the sale has taken place: it is driven on
// until it has its seats or there are none.

// ReasonCancelledAtSource is why a registration was cancelled that came here so.
const ReasonCancelledAtSource = "cancelled_at_source"

// conclude decides an order that has its seats and its money.
func (s *saga) conclude() {
	if !endedElsewhere(s.r) {
		s.confirm()
		return
	}
	s.decided(pb.Outcome_OUTCOME_CANCELLED, ReasonCancelledAtSource)
	s.r.DecidedAtUnixMs = s.r.ImportedOrder.ConfirmedAtUnixMs
	s.r.CancelledAtUnixMs = s.r.ImportedOrder.CancelledAtUnixMs
}

// endedElsewhere reports whether the order was cancelled before it came here. What
// was given back of its money, and what was kept, was decided there too.
func endedElsewhere(r *pb.Registration) bool { return r.ImportedOrder.GetCancelledAtUnixMs() != 0 }

// refundedElsewhere lists what was given back before the order came here, under
// the ids that the payment gives them.
func refundedElsewhere(payment []byte, m *pb.ImportedMoney) []*pb.RefundState {
	var refunds []*pb.RefundState
	for i, r := range m.GetRefunds() {
		id := topology.RefundID(topology.UUID(payment), uint32(i))
		refunds = append(refunds, &pb.RefundState{RefundId: id[:], AmountMinor: r.AmountMinor, Line: r.Line, Done: true})
	}
	return refunds
}

// driveOn is the deadline of an undecided import: it asks again for what it waits
// for, and goes on looking for seats.
func (s *saga) driveOn() {
	if s.r.Step == pb.Step_STEP_CHARGING {
		s.redrive()
		return
	}
	s.rises = true
	s.r.ExpiresAtUnixMs = s.now + s.rules.HoldTimeout.Milliseconds()
	s.r.DeadlineUnixMs = s.r.ExpiresAtUnixMs
	s.emit(Outstanding(s.r)...)
	s.searchAll()
}

// validateImport refuses, as poison, an import that no correct importer sends.
func validateImport(q *pb.Register) error {
	o := q.ImportedOrder
	if q.Imported != (o != nil) {
		return transition.Poisoned("invalid_import", "a registration that is imported: %v, with its order: %v", q.Imported, o != nil)
	}
	if o == nil {
		return nil
	}
	if !imported.IsName(o.Source) || o.Reference == "" || len(o.Reference) > imported.ReferenceBytesMax || o.ConfirmedAtUnixMs <= 0 {
		return transition.Poisoned("invalid_import", "source %.80q, a reference of %d bytes, confirmed at %d",
			o.Source, len(o.Reference), o.ConfirmedAtUnixMs)
	}
	totals, total := make(map[uint32]int64, len(q.Lines)), int64(0)
	for _, l := range q.Lines {
		totals[l.Line] = l.TotalMinor
		total += l.TotalMinor
	}
	if o.Money == nil && total == 0 {
		return nil
	}
	if err := imported.Check(o.Money, totals); err != nil {
		return transition.Poisoned("invalid_import", "imported money: %v", err)
	}
	return nil
}

// validateEnd: the order has ended where all its lines are cancelled, and only
// there. It holds of the first command alone: what an operator repeats has the
// lines as they are by then.
func validateEnd(q *pb.Register) error {
	stands := false
	for _, l := range q.Lines {
		stands = stands || !l.Cancelled
	}
	if o := q.ImportedOrder; o != nil && (stands != (o.CancelledAtUnixMs == 0) || !stands && o.CancelledAtUnixMs < o.ConfirmedAtUnixMs) {
		return transition.Poisoned("invalid_import", "cancelled at %d and confirmed at %d, with lines that stand: %v",
			o.CancelledAtUnixMs, o.ConfirmedAtUnixMs, stands)
	}
	return nil
}
