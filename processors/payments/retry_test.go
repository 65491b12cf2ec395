package payments

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

func retryCharge(attempt uint32) *pb.PaymentCommand {
	c := command()
	c.Command = &pb.PaymentCommand_Retry{Retry: &pb.RetryPayment{Attempt: attempt}}
	return c
}

func retryRefund(index, attempt uint32) *pb.PaymentCommand {
	c, id := command(), refundID(index)
	c.Command = &pb.PaymentCommand_Retry{Retry: &pb.RetryPayment{RefundId: id[:], Attempt: attempt}}
	return c
}

// notRefunded is a person's word about a refund that was parked.
func (s *story) notRefunded(index uint32) *pb.GatewayResult {
	id := refundID(index)
	return &pb.GatewayResult{
		PaymentId: payment[:], IdempotencyKey: id[:], Operation: opQuery, Outcome: declined,
		Attempt: findRefund(s.state, id[:]).Attempts, DeclineCode: "resolved_by_operator",
	}
}

// parkedCharge is a payment of which nobody knew for longer than the key lives.
func parkedCharge(t *testing.T) *story {
	s := stories(t)
	s.apply(charge())
	s.now = s.now.Add(26 * time.Hour)
	s.sleep()
	s.reply(unknown)
	s.wantStatus(parked)
	return s
}

// The provider was silent for longer than it keeps keys, and a person has the
// payment asked again: by a query and nothing else, since a charge might capture
// a second time (I3). Silence parks it again; the truth counts.
func TestRetryOfAParkedChargeOnlyQueries(t *testing.T) {
	s := parkedCharge(t)
	for range 2 {
		before := len(s.requests)
		command := retryCharge(s.state.Attempts)
		s.apply(command)
		s.wantStatus(pending)
		s.wantLast(opQuery, before+1)
		s.wantReplayed(command) // it was sent twice, and asks once
		s.reply(unknown)
		s.wantStatus(parked)
		s.wantReplayed(command) // even now: its attempt is over
	}
	s.apply(retryCharge(s.state.Attempts))
	s.reply(captured)
	s.wantStatus(paid)
	if s.state.Reason != "" {
		t.Fatalf("captured, and still to be looked at for %q", s.state.Reason)
	}
}

// The provider refused a charge that it had taken before; within the key's life
// the very same charge is made again, which it may take or not. Its first refusal
// comes again meanwhile and does not count.
func TestRetryOfARefusedCharge(t *testing.T) {
	s := stories(t)
	s.apply(charge())
	s.reply(unknown)
	s.sleep()
	first, refusal := s.last(), s.answer(s.last(), impossible)
	s.apply(refusal)
	s.wantStatus(parked)
	s.apply(cancel())
	s.apply(retryCharge(2))
	again := proto.CloneOf(s.last())
	again.Attempt = first.Attempt
	if !proto.Equal(first, again) {
		t.Fatalf("%v was asked, before it was %v", s.last(), first)
	}
	s.wantReplayed(refusal)
	s.reply(impossible)
	s.wantStatus(parked)
	s.apply(retryCharge(3))
	s.reply(captured)
	s.reply(refunded) // nobody wanted it any more
	s.wantStatus(returned)
}

// What waits for its answer anyway is asked at once, and only once by each command.
func TestRetryHurriesWhatIsWaitedFor(t *testing.T) {
	s := stories(t)
	s.wantPoison(retryCharge(1), "unknown_payment")
	s.apply(charge())
	s.reply(unknown)
	s.now = s.now.Add(time.Millisecond)
	s.apply(retryCharge(1))
	s.wantLast(opCharge, 2)
	s.wantReplayed(retryCharge(1))
	s.reply(captured)
	s.wantReplayed(retryCharge(2)) // there is nothing to ask
	s.apply(refund(0, 4_000))
	s.apply(refund(1, 5_000))
	s.wantReplayed(retryRefund(1, 0)) // its turn has not come
	s.apply(retryRefund(0, 1))
	s.wantLast(opRefund, 4)
	s.wantReplayed(retryRefund(0, 1))
	s.wantPoison(retryRefund(7, 1), "unknown_refund")
}

// parkedRefund is a captured payment of whose refund nobody knew for longer than
// the key lives.
func parkedRefund(t *testing.T) *story {
	s := stories(t)
	s.apply(charge())
	s.reply(captured)
	s.apply(refund(0, 4_000))
	s.now = s.now.Add(26 * time.Hour)
	s.sleep()
	s.reply(unknown)
	if r := s.state.Refunds[0]; r.Status != pb.RefundStatus_REFUND_STATUS_PARKED {
		t.Fatalf("%v", r)
	}
	return s
}

// A parked refund is asked about again: by a query, since another refund with a
// forgotten key would give the money back twice (I3); one at a time.
func TestRetryOfAParkedRefundOnlyQueries(t *testing.T) {
	s := parkedRefund(t)
	s.apply(refund(1, 5_000))
	s.wantRejected(retryRefund(0, 2), ReasonOtherInProgress)
	s.reply(refunded)
	s.apply(retryRefund(0, 2))
	s.wantLast(opQuery, 5)
	s.wantReplayed(retryRefund(0, 2))
	s.reply(refunded)
	if s.state.RefundedMinor != 9_000 {
		t.Fatalf("%v", s.state)
	}
}

// A person has found that a parked refund never happened: it is asked for anew,
// with a key that lives from now on. The word comes again when the money has
// moved, and when the refund is parked once more: neither asks a second time (I3).
func TestNotRefundedIsAskedAnew(t *testing.T) {
	s := parkedRefund(t)
	word := s.notRefunded(0)
	s.apply(word)
	s.wantLast(opRefund, 4)
	if want := s.now.Add(24*time.Hour - 10*time.Minute).UnixMilli(); s.last().KeyExpiresUnixMs != want {
		t.Fatalf("the key lives until %d, want %d", s.last().KeyExpiresUnixMs, want)
	}
	s.wantReplayed(word)
	s.now = s.now.Add(26 * time.Hour)
	s.sleep()
	s.reply(unknown)
	s.wantReplayed(word)
	if r := s.state.Refunds[0]; r.Status != pb.RefundStatus_REFUND_STATUS_PARKED || !strings.HasPrefix(r.Reason, ParkedUnknown) {
		t.Fatalf("%v", r)
	}
	s.apply(s.notRefunded(0))
	s.reply(refunded)
	s.wantReplayed(s.notRefunded(0))
	if s.state.RefundedMinor != 4_000 {
		t.Fatalf("%v", s.state)
	}
}

// A person says what became of a parked charge. Not captured ends it without
// money; captured ends it with, and what nobody wants goes back.
func TestAPersonEndsAParkedCharge(t *testing.T) {
	s := parkedCharge(t)
	s.reply(declined)
	s.wantStatus(refused)
	t.Run("captured", func(t *testing.T) {
		s := parkedCharge(t)
		s.apply(cancel())
		if e := s.reply(captured); e.Verdict != transition.Applied {
			t.Fatal(e)
		}
		s.reply(refunded)
		s.wantStatus(returned)
	})
}

// The provider was queried a moment before the end of the asking, and its answer
// comes twice, the second time after that end: it says the same as the first time.
// The next query, made after the end, is the last one.
func TestTheLastQueryIsOneThatWasMadeAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.apply(charge())
	s.now = start.Add(25*time.Hour - time.Second)
	s.apply(&pb.Timer{NowUnixMs: s.now.UnixMilli()})
	s.wantLast(opQuery, 2)
	s.reply(unknown) // the story repeats it five seconds later (I5)
	s.wantStatus(pending)
	s.sleep()
	s.wantLast(opQuery, 3)
	s.reply(unknown)
	s.wantStatus(pb.PaymentStatus_PAYMENT_STATUS_PARKED)
}
