package payments

import (
	"bytes"
	"math"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Reasons of rejected commands.
const (
	// ReasonCancelled refuses a charge that comes after its cancellation.
	ReasonCancelled = "payment_cancelled"
	// ReasonNothingCaptured refuses a refund of money that never moved.
	ReasonNothingCaptured = "nothing_captured"
	// ReasonExceedsCaptured refuses a refund of more than is left.
	ReasonExceedsCaptured = "refund_exceeds_captured"
)

// remainderIndex is the index in the id of the one refund that a payment asks
// for itself; the saga counts its own from 0.
const remainderIndex = math.MaxUint32

func (c Config) charge(state *pb.Payment, m *transition.Message, cmd *pb.PaymentCommand, charge *pb.Charge) (transition.Effect, error) {
	if err := checkCharge(cmd, charge); err != nil {
		return transition.Effect{}, err
	}
	if charge.Imported {
		return c.bringIn(state, m, cmd, charge)
	}
	if state == nil {
		ch := c.open(cmd, pb.PaymentStatus_PAYMENT_STATUS_PENDING, m)
		ch.record(charge)
		ch.raise()
		ch.ask()
		return ch.effect(transition.Applied), nil
	}
	if state.Status == pb.PaymentStatus_PAYMENT_STATUS_CANCELLED && state.AmountMinor == 0 {
		// The cancel came first: the charge is written down and never made.
		ch := c.begin(state, m)
		ch.record(charge)
		ch.raise()
		return ch.rejected(ReasonCancelled), nil
	}
	return sameCharge(state, m, charge)
}

// sameCharge is a charge that comes again.
func sameCharge(state *pb.Payment, m *transition.Message, charge *pb.Charge) (transition.Effect, error) {
	if state.AmountMinor != charge.AmountMinor || state.Currency != charge.Currency || state.Method != charge.Method || state.Imported != charge.Imported {
		return transition.Effect{}, transition.Poisoned("charge_conflict", "payment %s is over %d %s by %q, the repeated charge says %d %s by %q",
			m.Key, state.AmountMinor, state.Currency, state.Method, charge.AmountMinor, charge.Currency, charge.Method)
	}
	// I3: asked for once; the alarm repeats what has no answer yet.
	return replayed, nil
}

func (ch *change) record(charge *pb.Charge) {
	p := ch.p
	p.AmountMinor, p.Currency, p.Method = charge.AmountMinor, charge.Currency, charge.Method
	p.TestMode, p.Imported = charge.TestMode, charge.Imported
	p.Lines, p.Channel, p.Region = charge.Lines, charge.Channel, charge.Region
	p.RequestedAtUnixMs = ch.nowMs
}

// I4: an amount is a positive number of minor units of an ISO 4217 currency.
func checkCharge(cmd *pb.PaymentCommand, charge *pb.Charge) error {
	switch {
	case len(cmd.RegistrationId) != 16 || len(cmd.EventId) != 16:
		return transition.Poisoned("incomplete_command", "a charge without registration or event")
	case charge.AmountMinor <= 0:
		return transition.Poisoned("amount_not_positive", "a charge of %d minor units", charge.AmountMinor)
	case !currency(charge.Currency):
		return transition.Poisoned("invalid_currency", "a charge in %q", charge.Currency)
	case len(charge.Lines) > 0 && totalOf(charge.Lines) != charge.AmountMinor:
		return transition.Poisoned("lines_differ", "a charge of %d for lines of %d", charge.AmountMinor, totalOf(charge.Lines))
	}
	return checkImport(charge)
}

func totalOf(lines []*pb.ChargeLine) (total int64) {
	for _, l := range lines {
		total += l.TotalMinor
	}
	return total
}

func currency(code string) bool {
	if len(code) != 3 {
		return false
	}
	for i := range len(code) {
		if code[i] < 'A' || code[i] > 'Z' {
			return false
		}
	}
	return true
}

func (c Config) refund(state *pb.Payment, m *transition.Message, refund *pb.RefundPayment) (transition.Effect, error) {
	switch {
	case state == nil:
		return transition.Effect{}, transition.Poisoned("unknown_payment", "a refund of payment %s, which was never asked for", m.Key)
	case len(refund.RefundId) != 16 || bytes.Equal(refund.RefundId, state.PaymentId):
		return transition.Effect{}, transition.Poisoned("incomplete_command", "a refund with the id %x", refund.RefundId)
	case refund.AmountMinor <= 0:
		return transition.Effect{}, transition.Poisoned("amount_not_positive", "a refund of %d minor units", refund.AmountMinor)
	}
	if known := findRefund(state, refund.RefundId); known != nil {
		if known.AmountMinor != refund.AmountMinor {
			return transition.Effect{}, transition.Poisoned("refund_conflict", "refund %s is over %d, the repeated one says %d",
				topology.UUID(refund.RefundId), known.AmountMinor, refund.AmountMinor)
		}
		return replayed, nil
	}
	if state.Status == pb.PaymentStatus_PAYMENT_STATUS_DECLINED || state.Status == pb.PaymentStatus_PAYMENT_STATUS_CANCELLED {
		return rejected(ReasonNothingCaptured), nil
	}
	if refund.AmountMinor > remainder(state) {
		return rejected(ReasonExceedsCaptured), nil
	}
	ch := c.begin(state, m)
	ch.addRefund(refund)
	ch.raise()
	return ch.effect(transition.Applied), nil
}

// addRefund lists a refund and asks for it when it is its turn. While the charge
// has no answer yet, it waits.
func (ch *change) addRefund(refund *pb.RefundPayment) {
	idle := ch.p.DeadlineUnixMs == 0
	added := &pb.Refund{
		RefundId: refund.RefundId, AmountMinor: refund.AmountMinor, Reason: refund.Reason, Line: refund.Line,
		Status: pb.RefundStatus_REFUND_STATUS_PENDING, RequestedAtUnixMs: ch.nowMs,
	}
	ch.p.Refunds = append(ch.p.Refunds, added)
	if ch.p.Imported {
		parkImported(ch.p, added)
	} else if idle {
		ch.ask()
	}
}

// remainder is what no refund was asked for yet: of what was captured, or of
// what is to be captured. I4: refunds together never exceed it.
func remainder(p *pb.Payment) int64 {
	left := p.AmountMinor
	for _, r := range p.Refunds {
		left -= r.AmountMinor
	}
	return left
}

func findRefund(p *pb.Payment, id []byte) *pb.Refund {
	for _, r := range p.Refunds {
		if bytes.Equal(r.RefundId, id) {
			return r
		}
	}
	return nil
}

func (c Config) cancel(state *pb.Payment, m *transition.Message, cmd *pb.PaymentCommand, cancel *pb.CancelPayment) (transition.Effect, error) {
	if state == nil {
		return c.cancelUnknown(m, cmd, cancel)
	}
	if state.Unwanted {
		return replayed, nil
	}
	switch state.Status {
	case pb.PaymentStatus_PAYMENT_STATUS_PENDING:
		// I3: the charge may be on its way, so it is repeated until the answer is
		// definite, and given back then.
		ch := c.begin(state, m)
		ch.p.Unwanted, ch.p.Reason = true, cancel.Reason
		ch.raise()
		return ch.effect(transition.Applied), nil
	case pb.PaymentStatus_PAYMENT_STATUS_PARKED:
		ch := c.begin(state, m)
		ch.p.Unwanted = true
		ch.raise()
		return ch.effect(transition.Applied), nil
	case pb.PaymentStatus_PAYMENT_STATUS_CAPTURED:
		if remainder(state) == 0 {
			return replayed, nil
		}
		ch := c.begin(state, m)
		ch.p.Unwanted, ch.p.Reason = true, cancel.Reason
		ch.giveBack()
		ch.raise()
		return ch.effect(transition.Applied), nil
	}
	return replayed, nil
}

// cancelUnknown remembers that nobody wants a charge that has not come yet, so
// that it is refused when it does.
func (c Config) cancelUnknown(m *transition.Message, cmd *pb.PaymentCommand, cancel *pb.CancelPayment) (transition.Effect, error) {
	if len(cmd.RegistrationId) != 16 {
		return transition.Effect{}, transition.Poisoned("incomplete_command", "a cancel without registration")
	}
	ch := c.open(cmd, pb.PaymentStatus_PAYMENT_STATUS_CANCELLED, m)
	ch.p.Unwanted, ch.p.Reason = true, cancel.Reason
	ch.raise()
	return ch.effect(transition.Applied), nil
}

// giveBack asks for the return of all that no refund was asked for yet.
func (ch *change) giveBack() {
	left := remainder(ch.p)
	if left == 0 {
		return
	}
	id := topology.RefundID(topology.UUID(ch.p.PaymentId), remainderIndex)
	ch.addRefund(&pb.RefundPayment{RefundId: id[:], AmountMinor: left, Reason: ch.p.Reason})
}
