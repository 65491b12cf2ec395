package payments

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// failer is what *testing.T and *rapid.T have in common here.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// story is one payment and the messages that it meets. Every step of every story
// is held against the laws of the transition.
type story struct {
	t        failer
	cfg      Config
	now      time.Time
	state    *pb.Payment
	requests []*pb.GatewayRequest
	events   []*pb.Payment
}

var (
	registration = topology.RegistrationID("organiser", "key")
	payment      = topology.PaymentID(registration)
	event        = topology.EventID("organiser", "conference")
	start        = time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
)

const price = 12_900

func newStory(t failer) *story { return &story{t: t, now: start} }

// apply applies a message and checks what holds for every message.
func (s *story) apply(value proto.Message) transition.Effect {
	s.t.Helper()
	effect, err := s.try(value)
	if err != nil {
		s.t.Fatalf("%v: %v", value, err)
	}
	return effect
}

func (s *story) try(value proto.Message) (transition.Effect, error) {
	s.t.Helper()
	m := &transition.Message{Topic: "t", Key: payment.String(), Time: s.now, Value: value}
	before := proto.CloneOf(s.state)
	effect, err := s.cfg.Apply(s.state, m)
	if !proto.Equal(before, s.state) {
		s.t.Fatalf("%v changed the state it was given", value)
	}
	if err != nil {
		if _, poison := transition.AsPoison(err); !poison {
			s.t.Fatalf("%v: an error that is no poison: %v", value, err)
		}
		return effect, err
	}
	after := s.state
	if effect.State != nil {
		after = effect.State.(*pb.Payment)
	}
	s.checkOutputs(before, after, effect)
	s.checkRepetition(after, m)
	s.checkState(after)
	s.state = after
	return effect, nil
}

// checkOutputs: an event exactly when the version rises, at most one request, and
// that the one which the payment waits for.
func (s *story) checkOutputs(before, after *pb.Payment, effect transition.Effect) {
	s.t.Helper()
	rise := after.GetVersion() - before.GetVersion()
	events, requests := uint64(0), 0
	for _, o := range effect.Outputs {
		switch v := o.Value.(type) {
		case *pb.Payment:
			events++
			if o.Topic != topology.PaymentEvents.Name || o.Key != registration.String() || !proto.Equal(v, after) {
				s.t.Fatalf("the event is no snapshot under the registration's key: %v", o)
			}
			s.events = append(s.events, v)
		case *pb.GatewayRequest:
			requests++
			if o.Topic != topology.GatewayRequests.Name || o.Key != payment.String() {
				s.t.Fatalf("the request goes to %s under %s", o.Topic, o.Key)
			}
			s.checkWaitedFor(after, o)
			s.requests = append(s.requests, v)
		default:
			s.t.Fatalf("unexpected output %v", o)
		}
	}
	if rise > 1 || events != rise || requests > 1 {
		s.t.Fatalf("version +%d with %d events and %d requests", rise, events, requests)
	}
	if effect.Verdict == transition.Replayed && (effect.State != nil || len(effect.Outputs) > 0) {
		s.t.Fatalf("a replayed message moved something: %v", effect)
	}
}

func (s *story) checkWaitedFor(after *pb.Payment, o transition.Output) {
	s.t.Helper()
	for _, waited := range s.cfg.Outstanding(after, s.now) {
		if waited.Topic == o.Topic && waited.Key == o.Key && proto.Equal(waited.Value, o.Value) {
			return
		}
	}
	s.t.Fatalf("%v was sent, but the state waits for %v", o.Value, s.cfg.Outstanding(after, s.now))
}

// checkRepetition is the law of repetition (I5), now and when the repeated
// message comes with a later record.
func (s *story) checkRepetition(after *pb.Payment, m *transition.Message) {
	s.t.Helper()
	for _, later := range []time.Duration{0, time.Millisecond, 5 * time.Second} {
		again := *m
		again.Time = m.Time.Add(later)
		effect, err := s.cfg.Apply(after, &again)
		if err != nil {
			s.t.Fatalf("repeated %v: %v", m.Value, err)
		}
		if effect.State != nil && !proto.Equal(effect.State, after) {
			s.t.Fatalf("repeated %v\nmoved %v\nto    %v", m.Value, after, effect.State)
		}
		for _, o := range effect.Outputs {
			s.checkWaitedFor(after, o)
		}
		if effect.Verdict == transition.Applied {
			s.t.Fatalf("repeated %v was applied again", m.Value)
		}
	}
}

// checkState is what holds for a payment at every moment (I3, I4).
func (s *story) checkState(p *pb.Payment) {
	s.t.Helper()
	if p == nil {
		return
	}
	var listed, done int64
	for _, r := range p.Refunds {
		listed += r.AmountMinor
		if r.Status == pb.RefundStatus_REFUND_STATUS_DONE {
			done += r.AmountMinor
		}
		if (r.Status == pb.RefundStatus_REFUND_STATUS_DONE) != (r.BookedAtUnixMs > 0) {
			s.t.Fatalf("I4: a refund that is %v is booked at %d", r.Status, r.BookedAtUnixMs)
		}
	}
	captured := p.Status == pb.PaymentStatus_PAYMENT_STATUS_CAPTURED || p.Status == pb.PaymentStatus_PAYMENT_STATUS_REFUNDED
	switch {
	case captured != (p.CapturedMinor > 0), captured && p.CapturedMinor != p.AmountMinor:
		s.t.Fatalf("I4: %v with %d captured of %d", p.Status, p.CapturedMinor, p.AmountMinor)
	case done != p.RefundedMinor, listed > p.AmountMinor:
		s.t.Fatalf("I4: refunds of %d listed, %d done, %d in the books, %d captured", listed, done, p.RefundedMinor, p.CapturedMinor)
	case captured && p.Unwanted && listed != p.CapturedMinor:
		s.t.Fatalf("I3: an unwanted capture of %d with refunds of %d", p.CapturedMinor, listed)
	case (p.Status == pb.PaymentStatus_PAYMENT_STATUS_REFUNDED) != (captured && p.RefundedMinor == p.CapturedMinor):
		s.t.Fatalf("%v with %d of %d refunded", p.Status, p.RefundedMinor, p.CapturedMinor)
	case (p.DeadlineUnixMs != 0) != (len(s.cfg.Outstanding(p, s.now)) > 0):
		s.t.Fatalf("deadline %d while it waits for %v", p.DeadlineUnixMs, s.cfg.Outstanding(p, s.now))
	case p.CapturedMinor > 0 && (p.CapturedAtUnixMs == 0 || p.ProviderReference == "" || p.Provider == ""):
		s.t.Fatalf("I4: captured without day, reference or provider")
	case captured != (p.BookedAtUnixMs > 0):
		s.t.Fatalf("I4: %v and booked at %d", p.Status, p.BookedAtUnixMs)
	}
}

func command() *pb.PaymentCommand {
	return &pb.PaymentCommand{PaymentId: payment[:], RegistrationId: registration[:], EventId: event[:], Organiser: "organiser"}
}

func charge() *pb.PaymentCommand {
	c := command()
	c.Command = &pb.PaymentCommand_Charge{Charge: &pb.Charge{
		AmountMinor: price, Currency: "EUR", Method: "card_1", Channel: "web", Region: "eu", Lines: []*pb.ChargeLine{
			{Line: 1, TicketType: "standard", Quantity: 1, UnitPriceMinor: 4_000, TotalMinor: 4_000},
			{Line: 2, TicketType: "premium", Quantity: 1, UnitPriceMinor: price - 4_000, TotalMinor: price - 4_000},
		},
	}}
	return c
}

func cancel() *pb.PaymentCommand {
	c := command()
	c.Command = &pb.PaymentCommand_Cancel{Cancel: &pb.CancelPayment{Reason: "expired"}}
	return c
}

func refundID(index uint32) uuid.UUID { return topology.RefundID(payment, index) }

func refund(index uint32, amount int64) *pb.PaymentCommand {
	c, id := command(), refundID(index)
	c.Command = &pb.PaymentCommand_Refund{Refund: &pb.RefundPayment{RefundId: id[:], AmountMinor: amount, Reason: "line_cancelled", Line: index + 1}}
	return c
}

// answer is the provider's answer to a request.
func (s *story) answer(r *pb.GatewayRequest, outcome pb.GatewayOutcome) *pb.GatewayResult {
	res := &pb.GatewayResult{
		PaymentId: r.PaymentId, Operation: r.Operation, IdempotencyKey: r.IdempotencyKey, Attempt: r.Attempt, Outcome: outcome,
	}
	switch outcome {
	case captured, refunded:
		res.Provider = "simulated"
		res.AmountMinor, res.ProviderTimeUnixMs = r.AmountMinor, s.now.UnixMilli()
		res.ProviderReference = "at-provider-" + topology.KeyOf(r.IdempotencyKey)
		if outcome == captured {
			res.FeeMinor = 206
		}
	case declined:
		res.Provider, res.DeclineCode = "simulated", "insufficient_funds"
	}
	return res
}

const (
	captured   = pb.GatewayOutcome_GATEWAY_OUTCOME_CAPTURED
	declined   = pb.GatewayOutcome_GATEWAY_OUTCOME_DECLINED
	refunded   = pb.GatewayOutcome_GATEWAY_OUTCOME_REFUNDED
	unknown    = pb.GatewayOutcome_GATEWAY_OUTCOME_UNKNOWN
	impossible = pb.GatewayOutcome_GATEWAY_OUTCOME_IMPOSSIBLE
)

// reply answers the last request.
func (s *story) reply(outcome pb.GatewayOutcome) transition.Effect {
	s.t.Helper()
	return s.apply(s.answer(s.last(), outcome))
}

func (s *story) last() *pb.GatewayRequest {
	s.t.Helper()
	if len(s.requests) == 0 {
		s.t.Fatalf("nothing was asked of the gateway")
	}
	return s.requests[len(s.requests)-1]
}

// sleep lets the deadline come and delivers its timer.
func (s *story) sleep() transition.Effect {
	s.t.Helper()
	if s.state.DeadlineUnixMs == 0 {
		s.t.Fatalf("no deadline is armed in %v", s.state)
	}
	s.now = time.UnixMilli(max(s.state.DeadlineUnixMs, s.now.UnixMilli()))
	return s.apply(&pb.Timer{NowUnixMs: s.now.UnixMilli()})
}

func (s *story) wantStatus(want pb.PaymentStatus) {
	s.t.Helper()
	if s.state.Status != want {
		s.t.Fatalf("the payment is %v, want %v", s.state.Status, want)
	}
}

func (s *story) wantLast(op pb.GatewayOperation, requests int) {
	s.t.Helper()
	if len(s.requests) != requests || s.last().Operation != op {
		s.t.Fatalf("%d requests, the last %v; want %d and %v", len(s.requests), s.last().Operation, requests, op)
	}
}

func (s *story) wantPoison(value proto.Message, reason string) {
	s.t.Helper()
	_, err := s.try(value)
	p, ok := transition.AsPoison(err)
	if !ok || p.Reason != reason {
		s.t.Fatalf("%v: %v, want the poison %s", value, err, reason)
	}
}

func (s *story) wantRejected(value proto.Message, reason string) {
	s.t.Helper()
	if e := s.apply(value); e.Verdict != transition.Rejected || e.Reason != reason {
		s.t.Fatalf("%v: %v %q, want rejected for %q", value, e.Verdict, e.Reason, reason)
	}
}

func (s *story) wantReplayed(value proto.Message) {
	s.t.Helper()
	if e := s.apply(value); e.Verdict != transition.Replayed {
		s.t.Fatalf("%v: %v, want replayed", value, e.Verdict)
	}
}

func stories(t *testing.T) *story {
	t.Parallel()
	return newStory(t)
}
