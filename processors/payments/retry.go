package payments

import (
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// ReasonOtherInProgress refuses to take up a parked refund while the provider
// is asked about another one of the payment.
const ReasonOtherInProgress = "other_refund_in_progress"

// retry asks the provider at once, because a person wants it: for what is waited
// for anyway, or for what was parked. The attempt that the person saw must be
// the last one, so that a repeated command asks once (I5).
//
// request decides what may be asked: once the provider may have forgotten the
// key, it is a query and nothing else (I3).
func (c Config) retry(state *pb.Payment, m *transition.Message, retry *pb.RetryPayment) (transition.Effect, error) {
	if state == nil {
		return transition.Effect{}, transition.Poisoned("unknown_payment", "a retry of payment %s, which was never asked for", m.Key)
	}
	if retry.Attempt == 0 {
		return replayed, nil // never asked, so that there is nothing to ask again
	}
	if len(retry.RefundId) == 0 {
		return c.retryCharge(state, m, retry.Attempt)
	}
	refund := findRefund(state, retry.RefundId)
	if refund == nil {
		return transition.Effect{}, transition.Poisoned("unknown_refund", "a retry of refund %s, which payment %s does not list",
			topology.UUID(retry.RefundId), m.Key)
	}
	return c.retryRefund(state, m, refund, retry.Attempt)
}

func (c Config) retryCharge(state *pb.Payment, m *transition.Message, attempt uint32) (transition.Effect, error) {
	if attempt != state.Attempts {
		return replayed, nil
	}
	ch := c.begin(state, m)
	switch state.Status {
	case pb.PaymentStatus_PAYMENT_STATUS_PENDING:
	case pb.PaymentStatus_PAYMENT_STATUS_PARKED:
		ch.unpark()
		ch.p.Status = pb.PaymentStatus_PAYMENT_STATUS_PENDING
		ch.raise()
	default:
		return replayed, nil
	}
	ch.ask()
	return ch.effect(transition.Applied), nil
}

func (c Config) retryRefund(state *pb.Payment, m *transition.Message, refund *pb.Refund, attempt uint32) (transition.Effect, error) {
	if attempt != refund.Attempts {
		return replayed, nil
	}
	switch refund.Status {
	case pb.RefundStatus_REFUND_STATUS_PENDING:
		if nextRefund(state) != refund {
			return replayed, nil // its turn has not come
		}
		ch := c.begin(state, m)
		ch.ask()
		return ch.effect(transition.Applied), nil
	case pb.RefundStatus_REFUND_STATUS_PARKED:
		return c.askAgain(state, m, refund)
	}
	return replayed, nil
}

// notRefunded applies a person's word that a parked refund has not happened and
// cannot happen any more: it is asked for anew, with a key whose life begins now.
// A word about an earlier attempt comes too late, since a later one may have
// moved the money.
func (c Config) notRefunded(state *pb.Payment, refund *pb.Refund, m *transition.Message, r *pb.GatewayResult) (transition.Effect, error) {
	if r.Attempt != refund.Attempts || refund.Status == pb.RefundStatus_REFUND_STATUS_DONE {
		return replayed, nil
	}
	if refund.Status != pb.RefundStatus_REFUND_STATUS_PARKED {
		return transition.Effect{}, contradicts(m, r) // the provider never says so
	}
	state = c.begin(state, m).p
	refund = findRefund(state, refund.RefundId)
	refund.RequestedAtUnixMs = m.Time.UnixMilli()
	return c.askAgain(state, m, refund)
}

// askAgain takes up a parked refund. At most one request of a payment is under
// way, so it is refused while another refund has its turn.
func (c Config) askAgain(state *pb.Payment, m *transition.Message, refund *pb.Refund) (transition.Effect, error) {
	if state.Imported {
		return rejected(ReasonImported), nil // our provider has never heard of it
	}
	if nextRefund(state) != nil {
		return rejected(ReasonOtherInProgress), nil
	}
	ch := c.begin(state, m)
	again := findRefund(ch.p, refund.RefundId)
	again.Status, again.Reason = pb.RefundStatus_REFUND_STATUS_PENDING, reasonTakenUp
	ch.raise()
	ch.ask()
	return ch.effect(transition.Applied), nil
}

// reasonTakenUp stands for why money goes back once its refund was parked:
// parking has replaced the first reason.
const reasonTakenUp = "taken_up_again"
