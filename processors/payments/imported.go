package payments

import (
	"fmt"

	"github.com/eventpro/boxoffice/internal/imported"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// An imported payment was captured by a provider that is not asked from here. So
// it is captured from the start, has no attempt, and no request ever goes out for
// it (I3): what it still has to give back is parked for a person, who gives it
// back where it was captured and says so.

const (
	// ParkedImported begins the reason of a refund that is to be made elsewhere.
	ParkedImported = "imported_payment"
	// ReasonImported refuses to have our provider asked about such a refund.
	ReasonImported = "imported_payment"
	// reasonAtSource is why money went back before it came here.
	reasonAtSource = "refunded_at_source"
)

// bringIn writes down money that moved elsewhere.
func (c Config) bringIn(state *pb.Payment, m *transition.Message, cmd *pb.PaymentCommand, charge *pb.Charge) (transition.Effect, error) {
	var ch *change
	switch {
	case state == nil:
		ch = c.open(cmd, pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, m)
	case state.Status == pb.PaymentStatus_PAYMENT_STATUS_CANCELLED && state.AmountMinor == 0:
		// The cancel came first. That does not undo what happened elsewhere: the
		// money is there, and is owed.
		ch = c.begin(state, m)
	default:
		return sameCharge(state, m, charge)
	}
	ch.record(charge)
	ch.take(charge.ImportedMoney)
	if ch.p.Unwanted {
		ch.giveBack()
	}
	ch.raise()
	return ch.effect(transition.Applied), nil
}

// take takes the figures and times of the source over. An import brings the books
// of the past along, so what it books has the date of the money: it is in no month
// of ours yet, and in its own month of the source's books already.
func (ch *change) take(money *pb.ImportedMoney) {
	p := ch.p
	p.Status = pb.PaymentStatus_PAYMENT_STATUS_CAPTURED
	p.Provider, p.ProviderReference = money.Provider, money.Reference
	p.CapturedMinor, p.FeeMinor = money.CapturedMinor, money.FeeMinor
	p.RequestedAtUnixMs, p.CapturedAtUnixMs, p.BookedAtUnixMs = money.CapturedAtUnixMs, money.CapturedAtUnixMs, money.CapturedAtUnixMs
	for i, r := range money.Refunds {
		id := topology.RefundID(topology.UUID(p.PaymentId), uint32(i))
		p.Refunds = append(p.Refunds, &pb.Refund{
			RefundId: id[:], AmountMinor: r.AmountMinor, Line: r.Line, Status: pb.RefundStatus_REFUND_STATUS_DONE,
			ProviderReference: r.Reference, Reason: reasonAtSource,
			RequestedAtUnixMs: r.RefundedAtUnixMs, RefundedAtUnixMs: r.RefundedAtUnixMs, BookedAtUnixMs: r.RefundedAtUnixMs,
		})
		p.RefundedMinor += r.AmountMinor
	}
	if p.RefundedMinor == p.CapturedMinor {
		p.Status = pb.PaymentStatus_PAYMENT_STATUS_REFUNDED
	}
}

// parkImported leaves a refund to a person. Its attempt is the one that the
// person's word answers.
func parkImported(p *pb.Payment, r *pb.Refund) {
	r.Status, r.Attempts = pb.RefundStatus_REFUND_STATUS_PARKED, 1
	r.Reason = fmt.Sprintf("%s: give it back at %s, where it was captured as %s, then resolve it here", ParkedImported, p.Provider, p.ProviderReference)
}

// checkImport: whatever says that it was imported says what moved, and the other
// way round.
func checkImport(charge *pb.Charge) error {
	if charge.Imported != (charge.ImportedMoney != nil) {
		return transition.Poisoned("invalid_import", "a charge that is imported: %v, with money that moved elsewhere: %v",
			charge.Imported, charge.ImportedMoney != nil)
	}
	if !charge.Imported {
		return nil
	}
	totals := make(map[uint32]int64, len(charge.Lines))
	for _, l := range charge.Lines {
		totals[l.Line] = l.TotalMinor
	}
	if err := imported.Check(charge.ImportedMoney, totals); err != nil {
		return transition.Poisoned("invalid_import", "imported money: %v", err)
	}
	return nil
}
