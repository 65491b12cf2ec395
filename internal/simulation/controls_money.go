package simulation

import (
	"bytes"
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// moneyControls break payments and the gateway.
func moneyControls() []Control {
	return []Control{
		{
			Name: "unknown-is-a-decline", Breaks: "trace 5, I3", Invariants: []string{"I3"}, broken: before(topology.Payments, takesUnknownForDeclined),
			How: "A charge without an answer is taken for declined.",
		},
		{
			Name: "not-found-is-a-decline", Breaks: "trace 5, I3", Invariants: []string{"I3"}, broken: variant{call: trustsNotFound},
			How: "When a charge has no answer and the provider finds nothing, it is taken for declined, while it still travels.",
		},
		{
			Name: "charge-under-a-new-key", Breaks: "I3", Invariants: []string{"I3"}, broken: variant{freshKeys: "/v1/charges"},
			How: "Each attempt of a charge has its own idempotency key.",
		},
		{
			Name: "refund-under-a-new-key", Breaks: "I3, I4", Invariants: []string{"I2", "I3", "I4"}, broken: variant{freshKeys: "/refunds"},
			How: "Each attempt of a refund has its own idempotency key, so that a line is refunded twice.",
		},
		{
			Name: "unwanted-capture-kept", Breaks: "trace 5, I3", Invariants: []string{"I2", "I3"}, broken: after(topology.Payments, keepsUnwantedCapture),
			How: "Money that was captured after nobody wanted it any more is not given back.",
		},
		{
			Name: "refund-forgotten", Breaks: "I3", Invariants: []string{"I3"}, broken: after(topology.Registrations, forgetsRefund),
			How: "A confirmed order that is cancelled does not ask for its refund.",
		},
		{
			Name: "capture-counted-twice", Breaks: "I4", Invariants: []string{"I4", "I5"}, broken: after(topology.Payments, countsTwice),
			How: "A payment adds up what it is told was captured.",
		},
		{
			Name: "refund-of-the-whole-order", Breaks: "I4", Invariants: []string{"I2", "I3", "I4"}, broken: after(topology.Registrations, refundsTheWholeOrder),
			How: "When one line of an order is cancelled, all of its money goes back.",
		},
		{
			Name: "import-charged-again", Breaks: "I3", Invariants: []string{"I2", "I3", "I4"}, broken: before(topology.Payments, chargesImports),
			How: "The money of an order that was paid for elsewhere is asked for once more.",
		},
		{
			Name: "asked-in-a-loop", Breaks: "I2", Invariants: []string{"I2"}, broken: before(topology.Payments, forgetsWhenItAsked),
			How: "The pause before an unknown outcome is asked again counts from the gateway's clock alone, and ends by another that is ahead of it.",
		},
	}
}

func takesUnknownForDeclined(_ proto.Message, m *transition.Message) {
	if r, ok := m.Value.(*pb.GatewayResult); ok && r.Outcome == pb.GatewayOutcome_GATEWAY_OUTCOME_UNKNOWN && bytes.Equal(r.IdempotencyKey, r.PaymentId) {
		r.Outcome = pb.GatewayOutcome_GATEWAY_OUTCOME_DECLINED
	}
}

func chargesImports(_ proto.Message, m *transition.Message) {
	if c, ok := m.Value.(*pb.PaymentCommand); ok && c.GetCharge() != nil {
		c.GetCharge().Imported, c.GetCharge().ImportedMoney = false, nil
	}
}

func forgetsWhenItAsked(state proto.Message, _ *transition.Message) {
	if p, ok := state.(*pb.Payment); ok {
		p.AskedAtUnixMs = 0
	}
}

func trustsNotFound(w *world, next gatewayHandler) gatewayHandler {
	return func(ctx context.Context, m *transition.Message) ([]transition.Output, error) {
		outputs, err := next(ctx, m)
		for _, o := range outputs {
			if r := o.Value.(*pb.GatewayResult); w.provider.byKey[topology.KeyOf(r.IdempotencyKey)] == nil {
				o.Value = r
				takesUnknownForDeclined(nil, &transition.Message{Value: r})
			}
		}
		return outputs, err
	}
}

func keepsUnwantedCapture(_ proto.Message, m *transition.Message, e *transition.Effect) {
	r, _ := m.Value.(*pb.GatewayResult)
	p, ok := e.State.(*pb.Payment)
	if !ok || r.GetOutcome() != pb.GatewayOutcome_GATEWAY_OUTCOME_CAPTURED || !p.Unwanted {
		return
	}
	p.Refunds, p.DeadlineUnixMs = nil, 0
	without(e, func(m proto.Message) bool { _, ok := m.(*pb.GatewayRequest); return ok })
}

func forgetsRefund(_ proto.Message, _ *transition.Message, e *transition.Effect) {
	r, ok := e.State.(*pb.Registration)
	if !ok {
		return
	}
	without(e, func(m proto.Message) bool { c, ok := m.(*pb.PaymentCommand); return ok && c.GetRefund() != nil })
	for _, refund := range r.GetPayment().GetRefunds() {
		refund.Done = true
	}
}

func countsTwice(was proto.Message, _ *transition.Message, e *transition.Effect) {
	p, ok := e.State.(*pb.Payment)
	if known, _ := was.(*pb.Payment); ok && p.CapturedMinor > 0 && known.GetCapturedMinor() > 0 {
		p.CapturedMinor = known.GetCapturedMinor() + p.AmountMinor
	}
}

func refundsTheWholeOrder(_ proto.Message, _ *transition.Message, e *transition.Effect) {
	r, ok := e.State.(*pb.Registration)
	if !ok {
		return
	}
	for _, o := range e.Outputs {
		if c, ok := o.Value.(*pb.PaymentCommand); ok && c.GetRefund() != nil {
			c.GetRefund().AmountMinor = r.TotalMinor
		}
	}
}
