package registrations

import (
	"bytes"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Reasons of PAYMENT_FAILED, and of payment events that were refused.
const (
	ReasonDeclined         = "declined"
	ReasonPaymentCancelled = "payment_cancelled"
	ReasonAmountDiffers    = "captured_amount_differs"
	ReasonUnwantedMoney    = "unwanted_money"
)

// pay concludes a free order, and asks for the money of any other.
func (s *saga) pay() {
	if s.r.TotalMinor == 0 {
		s.conclude()
		return
	}
	id := topology.PaymentID(s.id)
	s.r.Payment = &pb.PaymentState{
		PaymentId: id[:], AmountMinor: s.r.TotalMinor, Status: pb.PaymentStatus_PAYMENT_STATUS_PENDING,
		Refunds: refundedElsewhere(id[:], s.r.ImportedOrder.GetMoney()),
	}
	s.r.Step = pb.Step_STEP_CHARGING
	s.r.DeadlineUnixMs = s.now + s.rules.ChargeTimeout.Milliseconds()
	s.emit(chargeOutput(s.r))
}

func (s *saga) onPayment(p *pb.Payment) (transition.Effect, error) {
	if len(p.PaymentId) != idSize {
		return transition.Effect{}, transition.Poisoned("invalid_id", "payment id of %d bytes", len(p.PaymentId))
	}
	known := s.r.GetPayment()
	if known == nil || !bytes.Equal(p.PaymentId, known.PaymentId) {
		return s.onUnlistedMoney(p)
	}
	if p.Version <= known.Version {
		return s.replayed()
	}
	if !learn(known, p) {
		return s.applied() // nothing that the saga keeps has changed
	}
	s.rises = true
	known.Version = p.Version
	switch {
	case s.r.Step == pb.Step_STEP_CHARGING:
		s.onChargeAnswered(p)
	case s.r.Outcome != pb.Outcome_OUTCOME_CONFIRMED && len(known.Refunds) == 0 && !s.r.Imported:
		// Money may have come although it was reported as refused before.
		s.abandonMoney()
	}
	return s.applied()
}

// onUnlistedMoney gives back money that no state waits for (I3).
func (s *saga) onUnlistedMoney(p *pb.Payment) (transition.Effect, error) {
	if p.Unwanted || !atLarge(p.Status) {
		return s.replayed()
	}
	s.emit(cancelOutput(p.PaymentId, p.RegistrationId, p.EventId, p.Organiser, ReasonUnwantedMoney))
	return s.rejected(ReasonUnwantedMoney)
}

func (s *saga) onChargeAnswered(p *pb.Payment) {
	switch {
	case p.Status == pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, p.Imported && p.Status == pb.PaymentStatus_PAYMENT_STATUS_REFUNDED:
		if p.CapturedMinor != s.r.TotalMinor || p.Currency != s.r.Currency {
			s.decide(pb.Outcome_OUTCOME_PAYMENT_FAILED, ReasonAmountDiffers)
			return
		}
		s.conclude()
	case p.Status == pb.PaymentStatus_PAYMENT_STATUS_DECLINED:
		s.decide(pb.Outcome_OUTCOME_PAYMENT_FAILED, ReasonDeclined)
	case p.Status == pb.PaymentStatus_PAYMENT_STATUS_CANCELLED, p.Status == pb.PaymentStatus_PAYMENT_STATUS_REFUNDED:
		s.decide(pb.Outcome_OUTCOME_PAYMENT_FAILED, ReasonPaymentCancelled)
	}
}

// learn takes over what the saga keeps of its payment and reports whether any of
// it changed. That the payment was started is no news.
func learn(known *pb.PaymentState, p *pb.Payment) bool {
	news := known.Status != p.Status || known.CapturedMinor != p.CapturedMinor ||
		known.RefundedMinor != p.RefundedMinor || known.FeeMinor != p.FeeMinor ||
		known.ProviderReference != p.ProviderReference || known.DeclineCode != p.DeclineCode
	known.Status = p.Status
	known.CapturedMinor, known.CapturedAtUnixMs = p.CapturedMinor, p.CapturedAtUnixMs
	known.RefundedMinor, known.FeeMinor = p.RefundedMinor, p.FeeMinor
	known.ProviderReference, known.DeclineCode = p.ProviderReference, p.DeclineCode
	for _, refund := range known.Refunds {
		if !refund.Done && refunded(p, refund.RefundId) {
			refund.Done, news = true, true
		}
	}
	return news
}

func refunded(p *pb.Payment, id []byte) bool {
	for _, refund := range p.Refunds {
		if bytes.Equal(refund.RefundId, id) {
			return refund.Status == pb.RefundStatus_REFUND_STATUS_DONE
		}
	}
	return false
}

// atLarge reports whether a payment in this status has moved money, or may.
func atLarge(status pb.PaymentStatus) bool {
	switch status {
	case pb.PaymentStatus_PAYMENT_STATUS_DECLINED, pb.PaymentStatus_PAYMENT_STATUS_CANCELLED,
		pb.PaymentStatus_PAYMENT_STATUS_REFUNDED:
		return false
	}
	return true
}

// abandonMoney says that nobody wants the charge any more. An unknown outcome is
// no refusal: the payment itself finds out, and gives back what was captured.
func (s *saga) abandonMoney() {
	p := s.r.Payment
	if p == nil || p.Cancelling || !atLarge(p.Status) {
		return
	}
	p.Cancelling = true
	s.emit(abandonOutput(s.r))
}

// refund gives back the whole of one line, or what is left of it where an import
// had given back some already (I4).
func (s *saga) refund(l *pb.Line) {
	if l.TotalMinor == 0 {
		return
	}
	p := s.r.Payment
	amount, line := l.TotalMinor, l.Line
	if left := p.AmountMinor - givenBack(p); left < amount {
		amount, line = left, 0
	}
	if amount == 0 {
		return
	}
	id := topology.RefundID(topology.UUID(p.PaymentId), uint32(len(p.Refunds)))
	p.Refunds = append(p.Refunds, &pb.RefundState{RefundId: id[:], AmountMinor: amount, Line: line})
	s.emit(refundOutput(s.r, p.Refunds[len(p.Refunds)-1]))
}

// givenBack is all that was given back or is to be.
func givenBack(p *pb.PaymentState) (sum int64) {
	for _, refund := range p.Refunds {
		sum += refund.AmountMinor
	}
	return sum
}

// paid reports whether the money is where the outcome wants it.
func paid(r *pb.Registration) bool {
	p := r.Payment
	if p == nil {
		return true
	}
	for _, refund := range p.Refunds {
		if !refund.Done {
			return false
		}
	}
	if p.Cancelling {
		return !atLarge(p.Status)
	}
	// Money of an import that nobody calls off is where it belongs: what was kept of
	// cancelled lines was decided elsewhere.
	if len(p.Refunds) > 0 || r.Outcome == pb.Outcome_OUTCOME_CONFIRMED || r.Imported {
		return true
	}
	return !atLarge(p.Status)
}
