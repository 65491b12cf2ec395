package payments

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	pending   = pb.PaymentStatus_PAYMENT_STATUS_PENDING
	paid      = pb.PaymentStatus_PAYMENT_STATUS_CAPTURED
	refused   = pb.PaymentStatus_PAYMENT_STATUS_DECLINED
	cancelled = pb.PaymentStatus_PAYMENT_STATUS_CANCELLED
	returned  = pb.PaymentStatus_PAYMENT_STATUS_REFUNDED
	parked    = pb.PaymentStatus_PAYMENT_STATUS_PARKED

	opCharge = pb.GatewayOperation_GATEWAY_OPERATION_CHARGE
	opRefund = pb.GatewayOperation_GATEWAY_OPERATION_REFUND
	opQuery  = pb.GatewayOperation_GATEWAY_OPERATION_QUERY
)

// A charge is asked for, captured, and in the books with the provider's fee and time.
func TestChargeIsCaptured(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.wantStatus(pending)
	s.now = s.now.Add(40 * time.Millisecond)
	s.reply(captured)
	s.wantStatus(paid)
	p := s.state
	if p.FeeMinor != 206 || p.CapturedAtUnixMs != s.now.UnixMilli() || p.Version != 2 || len(s.events) != 2 {
		t.Fatalf("the books say %v", p)
	}
}

// The saga, its deadline and a redrive all ask for the same charge: it is asked for once.
func TestDuplicateChargeIsAskedForOnce(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	for range 3 {
		s.now = s.now.Add(time.Minute)
		s.wantReplayed(charge())
	}
	s.wantLast(opCharge, 1)
	s.reply(captured)
	s.wantReplayed(charge())
	s.wantLast(opCharge, 1)
}

// Two charges of one payment over different money cannot both be meant: the second one is poison.
func TestOtherChargeIsPoison(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	other := charge()
	other.GetCharge().AmountMinor++
	other.GetCharge().Lines[0].TotalMinor++
	s.wantPoison(other, "charge_conflict")
	other = charge()
	other.GetCharge().Currency = "USD"
	s.wantPoison(other, "charge_conflict")
	other = charge()
	other.RegistrationId = event[:]
	s.wantPoison(other, "other_registration")
}

// A declined card moves no money, and the same refusal coming again changes nothing.
func TestDeclinedOnceAndAgain(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(declined)
	s.wantStatus(refused)
	if s.state.DeclineCode != "insufficient_funds" || s.state.Provider != "simulated" {
		t.Fatalf("decline code %q of %q", s.state.DeclineCode, s.state.Provider)
	}
	s.now = s.now.Add(time.Hour)
	s.wantReplayed(s.answer(s.last(), declined))
	s.wantReplayed(cancel())
	s.wantRejected(refund(0, 100), ReasonNothingCaptured)
}

// The provider's refusal is followed by a capture under the same key: nobody
// waits for that money any more, so it goes back (I3).
func TestCaptureAfterDeclineGoesBack(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	asked := s.last()
	s.reply(declined)
	s.apply(s.answer(asked, captured))
	s.wantLast(opRefund, 2)
	s.reply(refunded)
	s.wantStatus(returned)
}

// Trace 5: the charge is still travelling, the saga gives up, the provider
// captures after all. The same charge was repeated, not believed lost, and the
// money goes back once.
func TestLateCaptureAfterCancelIsRefunded(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(unknown)
	s.apply(cancel())
	s.wantStatus(pending)
	s.wantReplayed(cancel())
	first := s.requests[0]
	for range 4 {
		s.sleep()
		again := proto.CloneOf(s.last())
		if again.Attempt++; again.Attempt != s.state.Attempts+1 {
			t.Fatalf("attempt %d after %d", again.Attempt, s.state.Attempts)
		}
		if again.Attempt = first.Attempt; !proto.Equal(first, again) {
			t.Fatalf("the repeated charge is another one:\n%v\n%v", first, again)
		}
		s.reply(unknown)
	}
	s.sleep()
	s.reply(captured)
	s.wantLast(opRefund, 7)
	if r := s.last(); r.AmountMinor != price || r.ProviderReference != s.state.ProviderReference {
		t.Fatalf("the refund is %v", r)
	}
	s.reply(refunded)
	s.wantStatus(returned)
	if s.state.RefundedMinor != price || s.state.Refunds[0].Reason != "expired" {
		t.Fatalf("the books say %v", s.state)
	}
	s.wantReplayed(s.answer(first, captured))
}

// Cancelled while pending and then declined: nothing moved, nothing goes back.
func TestCancelledThenDeclined(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.apply(cancel())
	s.reply(declined)
	s.wantStatus(refused)
	s.wantLast(opCharge, 1)
}

// Trace 8: the cancel overtakes the charge. The charge that comes late is
// refused and written down, and the gateway is never asked.
func TestCancelBeforeCharge(t *testing.T) {
	s := stories(t)
	s.apply(cancel())
	s.wantStatus(cancelled)
	s.wantReplayed(cancel())
	s.wantRejected(charge(), ReasonCancelled)
	s.wantStatus(cancelled)
	if s.state.AmountMinor != price || len(s.events) != 2 || len(s.requests) != 0 {
		t.Fatalf("%v after %d events and %d requests", s.state, len(s.events), len(s.requests))
	}
	s.wantReplayed(charge())
	s.wantPoison(&pb.GatewayResult{PaymentId: payment[:], IdempotencyKey: payment[:], Outcome: captured}, "never_asked")
}

// Two lines are given back one after the other: the second waits for its turn,
// each is asked for once, a repeated command adds nothing, and no more than was
// captured goes back.
func TestRefundsByLine(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(captured)
	s.apply(refund(0, 4_000))
	s.apply(refund(1, 5_000))
	s.wantLast(opRefund, 2)
	s.wantReplayed(refund(0, 4_000))
	s.wantReplayed(refund(1, 5_000))
	s.wantPoison(refund(1, 5_001), "refund_conflict")
	s.wantRejected(refund(2, 3_901), ReasonExceedsCaptured)
	first := s.last()
	early, second := s.answer(first, refunded), refundID(1)
	early.IdempotencyKey = second[:]
	s.wantPoison(early, "never_asked")
	s.reply(refunded)
	s.wantLast(opRefund, 3)
	s.reply(refunded)
	s.wantReplayed(s.answer(first, refunded))
	s.wantStatus(paid)
	if s.state.RefundedMinor != 9_000 || s.state.DeadlineUnixMs != 0 {
		t.Fatalf("the books say %v", s.state)
	}
	s.apply(refund(2, 3_900))
	s.reply(refunded)
	s.wantStatus(returned)
	s.wantRejected(refund(3, 1), ReasonExceedsCaptured)
}

// A refund that comes before the capture waits for it.
func TestRefundWhilePending(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.apply(refund(0, 4_000))
	s.wantLast(opCharge, 1)
	s.now = s.now.Add(time.Hour)
	s.reply(captured)
	s.wantLast(opRefund, 2)
	if s.state.Refunds[0].RequestedAtUnixMs != s.now.UnixMilli() {
		t.Fatal("the refund's key lives from its first request")
	}
	s.reply(refunded)
	s.wantStatus(paid)
}

// The provider captured before midnight and its answer came after: the money is
// of the old day, the booking of the new one, and neither moves afterwards.
func TestMoneyKnowsItsTwoDates(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	moved := s.now
	answer := s.answer(s.last(), captured)
	s.now = s.now.Add(24 * time.Hour)
	booked := s.now
	s.apply(answer)
	s.now = s.now.Add(time.Hour)
	s.apply(refund(0, 4_000))
	s.reply(refunded)
	if p := s.state; p.CapturedAtUnixMs != moved.UnixMilli() || p.BookedAtUnixMs != booked.UnixMilli() {
		t.Errorf("captured at %d, booked at %d; want %d and %d", p.CapturedAtUnixMs, p.BookedAtUnixMs, moved.UnixMilli(), booked.UnixMilli())
	}
	if r := s.state.Refunds[0]; r.BookedAtUnixMs != s.now.UnixMilli() || r.Line != 1 {
		t.Errorf("the refund is booked at %d for line %d", r.BookedAtUnixMs, r.Line)
	}
	if p := s.state; len(p.Lines) != 2 || p.Channel != "web" || p.Region != "eu" || p.Provider != "simulated" {
		t.Errorf("what the money was for is not kept: %v", p)
	}
}

// A charge whose lines do not add up would make the books differ from the money.
func TestChargeOfOtherLinesIsPoison(t *testing.T) {
	s := stories(t)
	c := charge()
	c.GetCharge().Lines[0].TotalMinor++
	s.wantPoison(c, "lines_differ")
}

// A refund waits for the capture, the capture is declined: nothing goes back.
func TestRefundOfADeclinedCharge(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.apply(refund(0, 4_000))
	s.reply(declined)
	if len(s.state.Refunds) != 0 || len(s.requests) != 1 {
		t.Fatalf("%v", s.state)
	}
}

// Every line is on its way back, then the event is cancelled: nothing is left to ask for.
func TestCancelWhenAllIsOnItsWayBack(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(captured)
	s.apply(refund(0, price))
	s.wantReplayed(cancel())
	s.reply(refunded)
	s.wantStatus(returned)
}

// A line was given back, then the event is cancelled: only the rest goes back,
// under an id that is none of the saga's own.
func TestCancelAfterPartialRefund(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(captured)
	s.apply(refund(0, 4_000))
	s.apply(cancel())
	s.wantReplayed(cancel())
	s.reply(refunded)
	rest := topology.RefundID(payment, 0xffffffff) // for ever: the provider knows it by that
	if s.last().AmountMinor != price-4_000 || !bytes.Equal(s.last().IdempotencyKey, rest[:]) {
		t.Fatalf("the rest is %v", s.last())
	}
	s.reply(refunded)
	s.wantStatus(returned)
}

// A refund's answer gets lost: the same refund is asked again until it is done.
func TestRefundUnknownThenDone(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(captured)
	s.apply(refund(0, 4_000))
	version := s.state.Version
	for range 3 {
		stale := s.answer(s.last(), unknown)
		s.apply(stale)
		s.sleep()
		s.wantReplayed(stale)
	}
	if s.state.Version != version || s.last().Attempt != 4 {
		t.Fatalf("asking again is no visible change: version %d, attempt %d", s.state.Version, s.last().Attempt)
	}
	s.reply(refunded)
	if s.state.Refunds[0].Status != pb.RefundStatus_REFUND_STATUS_DONE {
		t.Fatalf("%v", s.state.Refunds[0])
	}
}

// The provider will never accept one refund: it is parked with the reason, and the next one gets its turn.
func TestImpossibleRefundIsParked(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(captured)
	s.apply(refund(0, 4_000))
	s.apply(refund(1, 5_000))
	first := s.last()
	no := s.answer(first, impossible)
	no.DeclineCode, no.Detail = "charge_not_captured", "there is nothing to refund"
	s.apply(no)
	if r := s.state.Refunds[0]; r.Status != pb.RefundStatus_REFUND_STATUS_PARKED || r.Reason != "provider_refuses: charge_not_captured: there is nothing to refund" {
		t.Fatalf("%v", r)
	}
	if topRefund := refundID(1); string(s.last().IdempotencyKey) != string(topRefund[:]) {
		t.Fatalf("the next refund is %v", s.last())
	}
	waiting := proto.CloneOf(s.last())
	s.apply(s.answer(first, refunded)) // a person made the provider do it
	if !proto.Equal(waiting, s.last()) || s.state.RefundedMinor != 4_000 {
		t.Fatalf("%v", s.state)
	}
	s.reply(refunded)
	if s.state.RefundedMinor != 9_000 {
		t.Fatalf("%v", s.state)
	}
}

// Nobody knows for longer than the provider keeps the key: from then on it is
// only queried, and when that says nothing either, the payment is parked. The
// truth still counts when it comes.
func TestParkedAfterTheKeysLife(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.apply(cancel())
	expires := time.UnixMilli(s.last().KeyExpiresUnixMs)
	if want := start.Add(24*time.Hour - 10*time.Minute); !expires.Equal(want) {
		t.Fatalf("the key expires at %v, want %v", expires, want)
	}
	for s.state.Status == pending {
		if before := s.now.Before(expires); before != (s.last().Operation == opCharge) {
			t.Fatalf("%v at %v, the key expires at %v", s.last().Operation, s.now, expires)
		}
		s.reply(unknown)
		if s.state.Status == pending {
			s.sleep()
		}
	}
	s.wantStatus(parked)
	if s.now.Before(start.Add(25*time.Hour)) || !strings.HasPrefix(s.state.Reason, ParkedUnknown) || s.state.Version != 3 {
		t.Fatalf("parked at %v: %v", s.now, s.state)
	}
	s.reply(captured)
	if s.state.Reason != reasonUnwanted {
		t.Fatalf("captured, and still to be looked at for %q", s.state.Reason)
	}
	s.reply(refunded)
	s.wantStatus(returned)
}

// The gateway's clock is three minutes ahead, so that every answer which says
// nothing seems to come after the alarm for it. The payment, and a refund, are
// parked nevertheless, instead of being queried for ever.
func TestParkedByAFastGateway(t *testing.T) {
	ahead := func(s *story) {
		s.now = s.now.Add(3 * time.Minute)
		s.reply(unknown)
		s.now = s.now.Add(-3 * time.Minute)
	}
	s := stories(t)
	s.apply(charge())
	for n := 0; s.state.Status == pending; n++ {
		if n > 10_000 {
			t.Fatalf("still pending at %v", s.now)
		}
		ahead(s)
		if s.state.DeadlineUnixMs != 0 {
			s.sleep()
		}
	}
	s.wantStatus(parked)

	s = newStory(t)
	s.apply(charge())
	s.reply(captured)
	s.apply(refund(0, 4_000))
	for n := 0; s.state.Refunds[0].Status == pb.RefundStatus_REFUND_STATUS_PENDING; n++ {
		if n > 10_000 {
			t.Fatalf("the refund is still pending at %v", s.now)
		}
		ahead(s)
		if s.state.DeadlineUnixMs != 0 {
			s.sleep()
		}
	}
	if s.state.Refunds[0].Status != pb.RefundStatus_REFUND_STATUS_PARKED {
		t.Fatalf("the refund is %v", s.state.Refunds[0])
	}
}

// The timers were away for a week: the payment is queried before it is parked.
func TestParkingNeedsAQuery(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	stale := s.last()
	s.now = s.now.Add(7 * 24 * time.Hour)
	s.sleep()
	s.wantLast(opQuery, 2)
	s.wantReplayed(s.answer(stale, unknown))
	s.wantStatus(pending)
	s.reply(captured)
	s.wantStatus(paid)
}

// A refund whose key has expired is queried by its own id, and parked when nobody knows.
func TestRefundParkedAfterTheKeysLife(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(captured)
	s.apply(refund(0, 4_000))
	id := refundID(0)
	s.now = s.now.Add(26 * time.Hour)
	s.sleep()
	s.wantLast(opQuery, 3)
	if string(s.last().IdempotencyKey) != string(id[:]) {
		t.Fatalf("%v", s.last())
	}
	s.reply(unknown)
	s.wantStatus(paid)
	if s.state.Refunds[0].Status != pb.RefundStatus_REFUND_STATUS_PARKED {
		t.Fatalf("%v", s.state.Refunds[0])
	}
}

// The provider will never accept the charge, and it is not sure that nothing
// happened before: a person must look.
func TestImpossibleChargeIsParked(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(unknown)
	s.sleep()
	s.reply(impossible)
	s.wantStatus(parked)
	s.wantReplayed(s.answer(s.last(), unknown))
	s.wantReplayed(charge())
	s.apply(cancel())
	s.reply(declined)
	s.wantStatus(refused)
}

// The provider captured another amount than was asked for: that is never booked, a person must look (I4).
func TestOtherAmountIsParked(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	a := s.answer(s.last(), captured)
	a.AmountMinor--
	s.apply(a)
	s.wantStatus(parked)
	if s.state.CapturedMinor != 0 || !strings.HasPrefix(s.state.Reason, ParkedAmount) {
		t.Fatalf("%v", s.state)
	}
}

// The provider refunded another amount than was asked for: a person must look (I4).
func TestOtherRefundAmountIsParked(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(captured)
	s.apply(refund(0, 4_000))
	a := s.answer(s.last(), refunded)
	a.AmountMinor++
	s.apply(a)
	if r := s.state.Refunds[0]; r.Status != pb.RefundStatus_REFUND_STATUS_PARKED || s.state.RefundedMinor != 0 {
		t.Fatalf("%v", s.state)
	}
}

// A capture under a second reference is money taken twice: never booked as the
// same, never lost in silence (I3).
func TestSecondCaptureIsPoison(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(captured)
	second := s.answer(s.last(), captured)
	second.ProviderReference = "another"
	s.wantPoison(second, "second_capture")
	s.wantPoison(s.answer(s.last(), declined), "contradicting_result")
	s.apply(refund(0, 1))
	again := s.answer(s.last(), refunded)
	s.apply(again)
	again = proto.CloneOf(again)
	again.ProviderReference = "another"
	s.wantPoison(again, "second_refund")
}

// The pause doubles up to its cap, differs between payments, and a repeated
// UNKNOWN or one of an earlier attempt moves nothing.
func TestBackoff(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	var pauses []time.Duration
	for range 9 {
		answer := s.answer(s.last(), unknown)
		s.apply(answer)
		pauses = append(pauses, time.UnixMilli(s.state.DeadlineUnixMs).Sub(s.now))
		s.now = s.now.Add(time.Millisecond)
		s.wantReplayed(answer)
		s.sleep()
		s.wantReplayed(answer)
	}
	want := time.Second
	for i, pause := range pauses {
		if pause > want || pause < want/2 {
			t.Fatalf("pause %d is %v, want %v to %v", i, pause, want/2, want)
		}
		want = min(2*want, time.Minute)
	}
	var cfg Config
	cfg = cfg.withDefaults()
	if cfg.backoff(payment[:], 7) == cfg.backoff(event[:], 7) {
		t.Fatal("all payments come back in the same moment")
	}
}

// No answer comes at all: the request is sent again, once per alarm, and an early timer does nothing.
func TestSilenceIsAskedAgain(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.wantReplayed(&pb.Timer{NowUnixMs: s.state.DeadlineUnixMs - 1})
	due := s.state.DeadlineUnixMs
	s.sleep()
	s.wantReplayed(&pb.Timer{NowUnixMs: due})
	s.wantLast(opCharge, 2)
}

// A timer of a clock that runs an hour ahead asks once, not again and again.
func TestFastClockAsksOnce(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.apply(&pb.Timer{NowUnixMs: s.now.Add(time.Hour).UnixMilli()})
	s.wantReplayed(&pb.Timer{NowUnixMs: s.now.Add(time.Hour).UnixMilli()})
	s.wantLast(opCharge, 2)
}

// The owner's clock is ten minutes ahead of the gateway's, and the provider is
// away for a quarter of an hour: it is asked again with growing pauses, of the
// charge as of a refund, and not in a loop.
func TestFastOwnerAsksWithPauses(t *testing.T) {
	const ahead = 10 * time.Minute
	outage := func(s *story) {
		t.Helper()
		before := len(s.requests)
		for end := s.now.Add(15 * time.Minute); s.now.Before(end); {
			s.reply(unknown)
			due := time.UnixMilli(s.state.DeadlineUnixMs).Add(-ahead) // by the gateway's clock
			s.now = later(s.now, due)
			s.apply(&pb.Timer{NowUnixMs: s.now.Add(ahead).UnixMilli()})
			if asked := len(s.requests) - before; asked > 40 {
				t.Fatalf("asked %d times until %v", asked, s.now)
			}
		}
	}
	s := stories(t)
	s.apply(charge())
	outage(s)
	s.reply(captured)
	s.apply(refund(0, 4_000))
	outage(s)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// A payment from before its time of asking was kept goes on: its pauses count
// from the records, as they did.
func TestPaymentWithoutTimeOfAsking(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.state.AskedAtUnixMs = 0
	s.reply(unknown)
	if pause := time.UnixMilli(s.state.DeadlineUnixMs).Sub(s.now); pause < time.Second/2 || pause > time.Second {
		t.Fatalf("it is asked again after %v", pause)
	}
	s.sleep()
	s.wantLast(opCharge, 2)
	if s.state.AskedAtUnixMs != s.now.UnixMilli() {
		t.Fatalf("asked at %d, the clock says %d", s.state.AskedAtUnixMs, s.now.UnixMilli())
	}
}

// What no correct peer sends goes to the dead letters and leaves the payment alone.
func TestPoison(t *testing.T) {
	t.Parallel()
	noMoney := charge()
	noMoney.GetCharge().AmountMinor = 0
	noCurrency := charge()
	noCurrency.GetCharge().Currency = "eur"
	noRegistration := charge()
	noRegistration.RegistrationId = nil
	blindCancel := cancel()
	blindCancel.RegistrationId = nil
	otherKey := charge()
	otherKey.PaymentId = event[:]
	for _, c := range []struct {
		name    string
		message proto.Message
		reason  string
	}{
		{"a charge of nothing", noMoney, "amount_not_positive"},
		{"a charge without a currency", noCurrency, "invalid_currency"},
		{"a charge for nobody", noRegistration, "incomplete_command"},
		{"a cancel for nobody", blindCancel, "incomplete_command"},
		{"a record under another key", otherKey, "wrong_key"},
		{"an empty command", command(), "unexpected_message"},
		{"a message of another topic", &pb.Event{}, "unexpected_message"},
		{"a refund of an unknown payment", refund(0, 1), "unknown_payment"},
		{"an answer for an unknown payment", &pb.GatewayResult{PaymentId: payment[:], IdempotencyKey: payment[:], Outcome: captured}, "unknown_payment"},
	} {
		t.Run(c.name, func(t *testing.T) { stories(t).wantPoison(c.message, c.reason) })
	}
	for _, c := range []struct {
		name   string
		spoil  func(*pb.GatewayResult)
		reason string
	}{
		{"a capture without reference", func(r *pb.GatewayResult) { r.ProviderReference = "" }, "incomplete_result"},
		{"a capture without time", func(r *pb.GatewayResult) { r.ProviderTimeUnixMs = 0 }, "incomplete_result"},
		{"an answer to a refund that was never asked for", func(r *pb.GatewayResult) { r.IdempotencyKey = event[:] }, "never_asked"},
		{"no outcome", func(r *pb.GatewayResult) { r.Outcome = 0 }, "contradicting_result"},
		{"a refund of the charge's key", func(r *pb.GatewayResult) { r.Outcome = refunded }, "contradicting_result"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := stories(t)
			s.apply(charge())
			answer := s.answer(s.last(), captured)
			c.spoil(answer)
			s.wantPoison(answer, c.reason)
		})
	}
	t.Run("a declined refund", func(t *testing.T) {
		s := stories(t)
		s.apply(charge())
		s.reply(captured)
		s.wantPoison(refund(0, 0), "amount_not_positive")
		s.apply(refund(0, 1))
		s.wantPoison(s.answer(s.last(), declined), "contradicting_result")
	})
}

// A timer for a payment that waits for nothing, or is unknown, does nothing.
func TestIdleTimer(t *testing.T) {
	s := stories(t)
	s.wantReplayed(&pb.Timer{NowUnixMs: start.UnixMilli()})
	s.apply(charge())
	s.reply(captured)
	s.wantReplayed(&pb.Timer{NowUnixMs: start.Add(time.Hour).UnixMilli()})
}

// Times that contradict each other are refused before anything runs.
func TestConfigValidate(t *testing.T) {
	t.Parallel()
	if err := (Config{}).Validate(); err != nil {
		t.Fatal(err)
	}
	err := Config{RetryBase: time.Hour, AnswerWithin: time.Second, KeyLifetime: time.Minute, QueryFor: -1}.Validate()
	if err == nil {
		t.Fatal("contradictory times were accepted")
	}
	for _, part := range []string{"retry pauses", "answers are waited for", "key lifetime", "queries"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %q", part, err)
		}
	}
}

// The wired handler hands a known and an unknown key to the transition, and fails on a foreign table value.
func TestProcessor(t *testing.T) {
	t.Parallel()
	p := New(Config{})
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	m := &transition.Message{Key: payment.String(), Time: start, Value: charge()}
	e, err := p.Handle(nil, m)
	if err != nil || e.Verdict != transition.Applied {
		t.Fatalf("%v, %v", e, err)
	}
	if e, err = p.Handle(e.State, m); err != nil || e.Verdict != transition.Replayed {
		t.Fatalf("%v, %v", e, err)
	}
	if _, err = p.Handle(&pb.Event{}, m); err == nil {
		t.Fatal("a foreign table value was taken for an unknown key")
	}
}

// Storage reads the deadline from the encoded value, wherever it stands in it.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for _, want := range []int64{0, 1, start.UnixMilli()} {
		value, err := proto.Marshal(&pb.Payment{DeadlineUnixMs: want, PaymentId: payment[:], Version: 7})
		if err != nil {
			t.Fatal(err)
		}
		if got, open := Deadline(value); got != want || open != (want != 0) {
			t.Errorf("deadline %d, %v; want %d", got, open, want)
		}
		behind, err := proto.Marshal(&pb.Payment{Version: 7})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := Deadline(append(behind, value...)); got != want {
			t.Errorf("deadline %d behind other fields, want %d", got, want)
		}
	}
	if _, open := Deadline([]byte{0x08, 0xff}); open {
		t.Error("a torn value has a deadline")
	}
	if got := Timer("", start).(*pb.Timer).NowUnixMs; got != start.UnixMilli() {
		t.Errorf("the timer says %d", got)
	}
}

func BenchmarkApplyCharge(b *testing.B) {
	m := &transition.Message{Key: payment.String(), Time: start, Value: charge()}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Config{}).Apply(nil, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApplyCaptured(b *testing.B) {
	e, err := (Config{}).Apply(nil, &transition.Message{Key: payment.String(), Time: start, Value: charge()})
	if err != nil {
		b.Fatal(err)
	}
	s := newStory(b)
	p := e.State.(*pb.Payment)
	m := &transition.Message{Key: payment.String(), Time: start, Value: s.answer(e.Outputs[1].Value.(*pb.GatewayRequest), captured)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Config{}).Apply(p, m); err != nil {
			b.Fatal(err)
		}
	}
}
