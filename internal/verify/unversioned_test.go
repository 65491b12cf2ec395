package verify

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	"github.com/eventpro/boxoffice/processors/payments"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// A payment whose provider is asked again has another table value of the same
// version, which no event tells of: on a running system that is no difference
// between table and log (I9).
func TestAskingAgainIsNoDifference(t *testing.T) {
	t.Parallel()
	registration := topology.RegistrationID("organiser", "key")
	payment := topology.PaymentID(registration)
	refund := topology.RefundID(payment, 1)
	command := &pb.PaymentCommand{PaymentId: payment[:], RegistrationId: registration[:], EventId: fair[:], Organiser: "organiser"}
	charge, back := proto.CloneOf(command), proto.CloneOf(command)
	charge.Command = &pb.PaymentCommand_Charge{Charge: &pb.Charge{AmountMinor: 12_900, Currency: "EUR", Method: "card"}}
	back.Command = &pb.PaymentCommand_Refund{Refund: &pb.RefundPayment{RefundId: refund[:], AmountMinor: 12_900, Reason: "cancelled"}}
	now := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	result := func(key []byte, outcome pb.GatewayOutcome, attempt uint32) *pb.GatewayResult {
		r := &pb.GatewayResult{
			PaymentId: payment[:], IdempotencyKey: key, Attempt: attempt, Outcome: outcome,
			Operation: pb.GatewayOperation_GATEWAY_OPERATION_CHARGE,
		}
		if outcome == pb.GatewayOutcome_GATEWAY_OUTCOME_CAPTURED {
			r.AmountMinor, r.ProviderReference, r.ProviderTimeUnixMs = 12_900, "ch_1", now.UnixMilli()
		}
		return r
	}
	var state *pb.Payment
	unseen := 0
	apply := func(value proto.Message) {
		t.Helper()
		effect, err := payments.Config{}.Apply(state, &transition.Message{Topic: "t", Key: payment.String(), Time: now, Value: value})
		if err != nil {
			t.Fatal(err)
		}
		next, changed := effect.State.(*pb.Payment)
		if !changed {
			t.Fatalf("%v changed nothing", value)
		}
		if state.GetVersion() == next.Version {
			unseen++
			if a, b := paymentDigest(t, state), paymentDigest(t, next); a != b {
				t.Errorf("%v\nmoved %v\nto    %v\nin version %d, and they are told apart", value, state, next, next.Version)
			}
		}
		state = next
	}
	due := func() {
		now = time.UnixMilli(state.DeadlineUnixMs)
		apply(&pb.Timer{NowUnixMs: state.DeadlineUnixMs})
	}
	apply(charge)
	for attempt := range uint32(2) {
		apply(result(payment[:], pb.GatewayOutcome_GATEWAY_OUTCOME_UNKNOWN, attempt+1))
		due()
	}
	apply(result(payment[:], pb.GatewayOutcome_GATEWAY_OUTCOME_CAPTURED, 3))
	apply(back)
	apply(result(refund[:], pb.GatewayOutcome_GATEWAY_OUTCOME_UNKNOWN, 1))
	due()
	if unseen != 6 {
		t.Errorf("%d changes without a new version, want 6", unseen)
	}
}

func paymentDigest(t *testing.T, p *pb.Payment) uint64 {
	t.Helper()
	value, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := digest(value, unversionedOfPayment, unversionedOfRefund)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
