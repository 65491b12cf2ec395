package payments

import (
	"bytes"
	"strconv"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Codes that begin the reason of a parked payment or refund.
const (
	// ParkedImpossible: the provider will never accept the request.
	ParkedImpossible = "provider_refuses"
	// ParkedUnknown: no definite answer for longer than the provider keeps keys.
	ParkedUnknown = "unknown_after_key_lifetime"
	// ParkedAmount: the provider moved another amount than was asked for.
	ParkedAmount = "amount_differs"
	// reasonLate is why a capture is given back that was declined before.
	reasonLate = "captured_after_decline"
	// reasonUnwanted is why a capture is given back that was parked before.
	reasonUnwanted = "unwanted"
)

// result applies what the provider said. A definite answer counts whenever it
// comes, in whatever order and however often: money that moved has moved.
func (c Config) result(state *pb.Payment, m *transition.Message, r *pb.GatewayResult) (transition.Effect, error) {
	if state == nil {
		return transition.Effect{}, transition.Poisoned("unknown_payment", "the provider answers for payment %s, which was never asked for", m.Key)
	}
	if bytes.Equal(r.IdempotencyKey, state.PaymentId) {
		if state.Attempts == 0 {
			return transition.Effect{}, transition.Poisoned("never_asked", "the provider answers a charge of payment %s, which was never made", m.Key)
		}
		return c.chargeResult(state, m, r)
	}
	refund := findRefund(state, r.IdempotencyKey)
	if refund == nil || refund.Attempts == 0 {
		return transition.Effect{}, transition.Poisoned("never_asked", "the provider answers refund %s of payment %s, which was never asked for",
			topology.UUID(r.IdempotencyKey), m.Key)
	}
	return c.refundResult(state, refund, m, r)
}

func (c Config) chargeResult(state *pb.Payment, m *transition.Message, r *pb.GatewayResult) (transition.Effect, error) {
	pending := state.Status == pb.PaymentStatus_PAYMENT_STATUS_PENDING
	switch r.Outcome {
	case pb.GatewayOutcome_GATEWAY_OUTCOME_CAPTURED:
		return c.captured(state, m, r)
	case pb.GatewayOutcome_GATEWAY_OUTCOME_DECLINED:
		return c.declined(state, m, r)
	case pb.GatewayOutcome_GATEWAY_OUTCOME_IMPOSSIBLE:
		// A later attempt has, or gets, an answer of its own: a person may have
		// taken the payment up again.
		if !pending || r.Attempt != state.Attempts {
			return replayed, nil
		}
		ch := c.begin(state, m)
		ch.park(because(ParkedImpossible, r))
		return ch.effect(transition.Applied), nil
	case pb.GatewayOutcome_GATEWAY_OUTCOME_UNKNOWN:
		if !pending || r.Attempt != state.Attempts {
			return replayed, nil
		}
		ch := c.begin(state, m)
		if c.hopeless(r, state.RequestedAtUnixMs, state.AskedAtUnixMs) {
			ch.park(because(ParkedUnknown, r))
		} else if !ch.unknown(state.Attempts) {
			return replayed, nil
		}
		return ch.effect(transition.Applied), nil
	}
	return transition.Effect{}, contradicts(m, r)
}

func (c Config) captured(state *pb.Payment, m *transition.Message, r *pb.GatewayResult) (transition.Effect, error) {
	if err := checkMoved(r); err != nil {
		return transition.Effect{}, err
	}
	if state.CapturedMinor > 0 {
		// I3: one capture per payment id.
		if state.ProviderReference != r.ProviderReference {
			return transition.Effect{}, transition.Poisoned("second_capture", "payment %s is captured as %s, the provider speaks of %s as well",
				m.Key, state.ProviderReference, r.ProviderReference)
		}
		return replayed, nil
	}
	ch := c.begin(state, m)
	p := ch.p
	if r.AmountMinor != p.AmountMinor { // I4
		if p.Status == pb.PaymentStatus_PAYMENT_STATUS_PARKED {
			return replayed, nil
		}
		ch.park(amountDiffers(p.AmountMinor, r))
		return ch.effect(transition.Applied), nil
	}
	ch.unpark()
	if p.Status == pb.PaymentStatus_PAYMENT_STATUS_DECLINED && !p.Unwanted {
		p.Unwanted, p.Reason = true, reasonLate
	}
	p.Status, p.DeclineCode = pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, ""
	p.CapturedMinor, p.FeeMinor = r.AmountMinor, r.FeeMinor
	p.ProviderReference, p.CapturedAtUnixMs = r.ProviderReference, r.ProviderTimeUnixMs
	p.Provider, p.BookedAtUnixMs = r.Provider, ch.nowMs
	ch.raise()
	ch.ask() // the refunds that waited for it
	if p.Unwanted {
		ch.giveBack() // I3
	}
	return ch.effect(transition.Applied), nil
}

func (c Config) declined(state *pb.Payment, m *transition.Message, r *pb.GatewayResult) (transition.Effect, error) {
	switch state.Status {
	case pb.PaymentStatus_PAYMENT_STATUS_DECLINED:
		return replayed, nil
	case pb.PaymentStatus_PAYMENT_STATUS_PENDING, pb.PaymentStatus_PAYMENT_STATUS_PARKED:
		ch := c.begin(state, m)
		p := ch.p
		ch.unpark()
		p.Status, p.DeclineCode, p.Provider = pb.PaymentStatus_PAYMENT_STATUS_DECLINED, r.DeclineCode, r.Provider
		p.DeadlineUnixMs = 0
		p.Refunds = nil // nothing moved, so nothing goes back
		ch.raise()
		return ch.effect(transition.Applied), nil
	}
	return transition.Effect{}, contradicts(m, r)
}

// park stops the asking; what the provider may still say is listened to.
func (ch *change) park(reason string) {
	ch.p.Status, ch.p.Reason, ch.p.DeadlineUnixMs = pb.PaymentStatus_PAYMENT_STATUS_PARKED, reason, 0
	ch.raise()
}

// unpark drops the reason for which a person had to look.
func (ch *change) unpark() {
	if ch.p.Status != pb.PaymentStatus_PAYMENT_STATUS_PARKED {
		return
	}
	ch.p.Reason = ""
	if ch.p.Unwanted {
		ch.p.Reason = reasonUnwanted
	}
}

func (c Config) refundResult(state *pb.Payment, refund *pb.Refund, m *transition.Message, r *pb.GatewayResult) (transition.Effect, error) {
	pending := refund.Status == pb.RefundStatus_REFUND_STATUS_PENDING
	switch r.Outcome {
	case pb.GatewayOutcome_GATEWAY_OUTCOME_REFUNDED:
		return c.refunded(state, refund, m, r)
	case pb.GatewayOutcome_GATEWAY_OUTCOME_DECLINED:
		return c.notRefunded(state, refund, m, r)
	case pb.GatewayOutcome_GATEWAY_OUTCOME_IMPOSSIBLE:
		if !pending || r.Attempt != refund.Attempts {
			return replayed, nil
		}
		ch := c.begin(state, m)
		ch.parkRefund(findRefund(ch.p, refund.RefundId), because(ParkedImpossible, r))
		return ch.effect(transition.Applied), nil
	case pb.GatewayOutcome_GATEWAY_OUTCOME_UNKNOWN:
		if !pending || r.Attempt != refund.Attempts {
			return replayed, nil
		}
		ch := c.begin(state, m)
		if c.hopeless(r, refund.RequestedAtUnixMs, state.AskedAtUnixMs) {
			ch.parkRefund(findRefund(ch.p, refund.RefundId), because(ParkedUnknown, r))
		} else if !ch.unknown(refund.Attempts) {
			return replayed, nil
		}
		return ch.effect(transition.Applied), nil
	}
	return transition.Effect{}, contradicts(m, r)
}

func (c Config) refunded(state *pb.Payment, refund *pb.Refund, m *transition.Message, r *pb.GatewayResult) (transition.Effect, error) {
	if err := checkMoved(r); err != nil {
		return transition.Effect{}, err
	}
	if refund.Status == pb.RefundStatus_REFUND_STATUS_DONE {
		if refund.ProviderReference != r.ProviderReference {
			return transition.Effect{}, transition.Poisoned("second_refund", "refund %s of payment %s is done as %s, the provider speaks of %s as well",
				topology.UUID(refund.RefundId), m.Key, refund.ProviderReference, r.ProviderReference)
		}
		return replayed, nil
	}
	differs := r.AmountMinor != refund.AmountMinor // I4
	if differs && refund.Status == pb.RefundStatus_REFUND_STATUS_PARKED {
		return replayed, nil
	}
	ch := c.begin(state, m)
	done := findRefund(ch.p, refund.RefundId)
	if differs {
		ch.parkRefund(done, amountDiffers(refund.AmountMinor, r))
		return ch.effect(transition.Applied), nil
	}
	ch.endRefund(done, pb.RefundStatus_REFUND_STATUS_DONE)
	done.ProviderReference, done.RefundedAtUnixMs = r.ProviderReference, r.ProviderTimeUnixMs
	done.BookedAtUnixMs = ch.nowMs
	ch.p.RefundedMinor += r.AmountMinor
	if ch.p.RefundedMinor == ch.p.CapturedMinor {
		ch.p.Status = pb.PaymentStatus_PAYMENT_STATUS_REFUNDED
	}
	return ch.effect(transition.Applied), nil
}

func (ch *change) parkRefund(refund *pb.Refund, reason string) {
	refund.Reason = reason
	ch.endRefund(refund, pb.RefundStatus_REFUND_STATUS_PARKED)
}

// endRefund ends the wait for one refund and turns to the next one, unless it
// was not the one that the payment waited for.
func (ch *change) endRefund(refund *pb.Refund, status pb.RefundStatus) {
	turn := nextRefund(ch.p) == refund
	refund.Status = status
	ch.raise()
	if turn {
		ch.ask()
	}
}

// checkMoved asserts what every answer about moved money carries; the gateway
// has compared the currency, which is not repeated here.
func checkMoved(r *pb.GatewayResult) error {
	if r.ProviderReference == "" || r.ProviderTimeUnixMs <= 0 || r.AmountMinor <= 0 || r.FeeMinor < 0 {
		return transition.Poisoned("incomplete_result", "%v of %d, fee %d, without the provider's reference or time",
			r.Outcome, r.AmountMinor, r.FeeMinor)
	}
	return nil
}

func contradicts(m *transition.Message, r *pb.GatewayResult) error {
	return transition.Poisoned("contradicting_result", "%v for %s of payment %s, whose state does not allow it: compare it with the provider's ledger",
		r.Outcome, topology.UUID(r.IdempotencyKey), m.Key)
}

func because(code string, r *pb.GatewayResult) string {
	for _, said := range []string{r.DeclineCode, r.Detail} {
		if said != "" {
			code += ": " + said
		}
	}
	return code
}

func amountDiffers(asked int64, r *pb.GatewayResult) string {
	return ParkedAmount + ": asked for " + strconv.FormatInt(asked, 10) + ", the provider says " +
		strconv.FormatInt(r.AmountMinor, 10) + " as " + r.ProviderReference
}
