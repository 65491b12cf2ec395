package registrations

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	requested = pb.Step_STEP_REQUESTED
	holding   = pb.Step_STEP_HOLDING
	charging  = pb.Step_STEP_CHARGING
	settling  = pb.Step_STEP_SETTLING
	settled   = pb.Step_STEP_SETTLED

	undecided     = pb.Outcome_OUTCOME_UNSPECIFIED
	confirmed     = pb.Outcome_OUTCOME_CONFIRMED
	soldOut       = pb.Outcome_OUTCOME_SOLD_OUT
	paymentFailed = pb.Outcome_OUTCOME_PAYMENT_FAILED
	expired       = pb.Outcome_OUTCOME_EXPIRED
	cancelled     = pb.Outcome_OUTCOME_CANCELLED
	rejected      = pb.Outcome_OUTCOME_REJECTED

	isApplied   = pb.CommandVerdict_COMMAND_VERDICT_APPLIED
	isDuplicate = pb.CommandVerdict_COMMAND_VERDICT_DUPLICATE
	isConflict  = pb.CommandVerdict_COMMAND_VERDICT_CONFLICT
	isRejected  = pb.CommandVerdict_COMMAND_VERDICT_REJECTED

	isPending       = pb.PaymentStatus_PAYMENT_STATUS_PENDING
	isCaptured      = pb.PaymentStatus_PAYMENT_STATUS_CAPTURED
	isDeclined      = pb.PaymentStatus_PAYMENT_STATUS_DECLINED
	isWithdrawn     = pb.PaymentStatus_PAYMENT_STATUS_CANCELLED
	isRefunded      = pb.PaymentStatus_PAYMENT_STATUS_REFUNDED
	isParked        = pb.PaymentStatus_PAYMENT_STATUS_PARKED
	ticketPrice     = int64(4900)
	oneSeat         = uint64(0b1)
	twoSeats        = uint64(0b110)
	anotherSeat     = uint64(0b1000)
	stepsOfOneSale  = 4
	overallDeadline = 10 * time.Minute
)

// sale brings a story to a confirmed and settled order of two lines.
func sale(t *testing.T) *story {
	t.Helper()
	return newStory(t).register(order(line(1, "regular", 2, ticketPrice), line(2, "vip", 1, 9900))).
		granted(0, twoSeats).granted(1, oneSeat).captured().sold(0).sold(1).
		stands(settled, confirmed, "")
}

// One ticket is paid and sold in four steps and no more, because each of them is
// a transaction's worth of work per sale.
func TestOnePaidTicket(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice)))
	s.stands(holding, undecided, "").sent("snapshot", "list", "hold 1 in regular/1").
		result(isApplied, "")
	s.granted(0, oneSeat).stands(charging, undecided, "").sent("snapshot", "charge 4900")
	s.paid(1, isPending).sent()
	if s.last.State != nil {
		t.Error("that the payment started was written down")
	}
	s.captured().stands(settling, confirmed, "").sent("snapshot", "confirm regular/1")
	s.sold(0).stands(settled, confirmed, "").sent("snapshot")
	if s.r.Version != stepsOfOneSale {
		t.Errorf("%d versions", s.r.Version)
	}
	if s.r.HeldAtUnixMs == 0 || s.r.DecidedAtUnixMs <= s.r.HeldAtUnixMs || s.r.SettledAtUnixMs <= s.r.DecidedAtUnixMs {
		t.Errorf("times: %v", s.r)
	}
	p := s.r.Payment
	if p.CapturedMinor != ticketPrice || p.ProviderReference != "ch_1" || p.CapturedAtUnixMs == 0 {
		t.Errorf("payment: %v", p)
	}
}

// The first update that an attendee's record gets carries the sealed personal
// data, and the registration itself never does.
func TestPersonalDataStaysApart(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, 0)))
	u, ok := s.last.Outputs[0].Value.(*pb.AttendeeUpdate)
	if !ok || string(u.AttendeeSealed) != "sealed" || u.KeyId != "k1" || u.Limit != 0 || u.Quantity != 1 {
		t.Errorf("update: %v", s.last.Outputs[0])
	}
	raw, err := proto.Marshal(s.r)
	if err != nil || bytes.Contains(raw, []byte("sealed")) {
		t.Errorf("%v: the registration carries the sealed data", err)
	}
}

// A free order is confirmed with its seats and never meets a payment.
func TestFreeOrder(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, 0))).granted(0, oneSeat)
	s.stands(settling, confirmed, "").sent("snapshot", "confirm regular/1")
	if s.r.Payment != nil {
		t.Errorf("payment: %v", s.r.Payment)
	}
	s.sold(0).stands(settled, confirmed, "")
}

// Trace 6: two lines of one ticket type ask for different holds, even in the same
// block, so that neither gets the other's seats.
func TestTwoLinesOfOneTicketType(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice), line(2, "regular", 1, ticketPrice)))
	s.sent("snapshot", "list", "hold 1 in regular/1", "hold 1 in regular/1")
	if bytes.Equal(s.hold(0).HoldId, s.hold(1).HoldId) {
		t.Fatal("two lines share a hold id")
	}
	s.granted(1, oneSeat).stands(holding, undecided, "")
	s.granted(0, anotherSeat).stands(charging, undecided, "").sent("snapshot", "charge 9800")
}

// A block grants a part only: the rest is asked of another block, under another
// hold id, and the order is complete with both.
func TestAPartialGrantIsToppedUpElsewhere(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 3, ticketPrice))).granted(0, twoSeats)
	s.stands(holding, undecided, "").sent("snapshot", "hold 1 in regular/2").waitsFor("hold 1 in regular/2")
	s.granted(1, oneSeat).stands(charging, undecided, "").captured().
		sent("snapshot", "confirm regular/1", "confirm regular/2")
	if s.r.Attempts != 1 {
		t.Errorf("%d attempts elsewhere", s.r.Attempts)
	}
}

// SOLD_OUT only when every block shown as having room has refused, and once more
// a second later; what was granted in part goes back.
func TestSoldOutAfterTheSecondLook(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.shelf.blocks["regular"] = []uint32{7, 8}
	s.register(order(line(1, "regular", 3, ticketPrice))).granted(0, oneSeat)
	s.refused(1).stands(holding, undecided, "").sent("snapshot")
	s.tick(0).stands(holding, undecided, "").sent() // too early
	s.tick(time.Second).stands(holding, undecided, "").sent("snapshot", "hold 2 in regular/7")
	s.refused(2).sent("snapshot", "hold 2 in regular/8")
	s.refused(3).stands(settling, soldOut, ReasonSoldOut).sent("snapshot", "release regular/7")
	s.released(0).stands(settled, soldOut, ReasonSoldOut)
	for i, h := range s.r.Holds {
		for _, other := range s.r.Holds[:i] {
			if bytes.Equal(h.HoldId, other.HoldId) {
				t.Errorf("two looks share a hold id: %v", h)
			}
		}
	}
}

// A seat comes back within the second, and the second look finds it.
func TestTheSecondLookFindsASeat(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.shelf.blocks["regular"] = nil
	s.register(order(line(1, "regular", 1, ticketPrice))).stands(holding, undecided, "").sent("snapshot", "list")
	s.shelf.blocks["regular"] = []uint32{4}
	s.tick(time.Second).sent("snapshot", "hold 1 in regular/4")
	s.granted(0, oneSeat).stands(charging, undecided, "")
}

// Trace 7: the event was just created and its blocks are not in sight yet. The
// request is not refused for that: it looks again until they are, and only then
// does "no room" mean sold out.
func TestBlocksThatAreNotInSightYet(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.shelf.blocks, s.shelf.blind = nil, true
	s.register(order(line(1, "regular", 1, ticketPrice))).stands(holding, undecided, "").sent("snapshot", "list")
	for range 5 {
		s.tick(time.Second).stands(holding, undecided, "").sent()
	}
	s.shelf.blocks, s.shelf.blind = map[string][]uint32{"regular": {1}}, false
	s.tick(time.Second).sent("snapshot", "hold 1 in regular/1")
	s.refused(0).stands(holding, undecided, "")
	s.tick(time.Second).sent("snapshot", "hold 1 in regular/1")
	s.refused(1).stands(settled, soldOut, ReasonSoldOut)
}

// While one line waits for its second look another goes on with its first: the
// second look comes at its time, for both.
func TestOneLineWaitsWhileAnotherSearches(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.shelf.blocks = map[string][]uint32{"regular": {1}, "vip": {1, 2}}
	s.register(order(line(1, "regular", 1, 100), line(2, "vip", 1, 100)))
	s.refused(0).sent("snapshot")
	s.refused(1).sent("snapshot", "hold 1 in vip/2")
	s.refused(2).stands(holding, undecided, "").sent("snapshot")
	s.tick(time.Second).sent("snapshot", "hold 1 in regular/1", "hold 1 in vip/1")
	s.refused(3).stands(settling, soldOut, ReasonSoldOut).sent("snapshot", "release vip/1")
	s.granted(4, oneSeat).sent("release vip/1") // the one on the way may have overtaken the hold
	s.released(4).stands(settled, soldOut, ReasonSoldOut)
}

// Blocks refuse one after the other: the search ends after a bounded number of
// attempts, and so does the size of the value.
func TestTheSearchIsBounded(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.rules.MaxAttempts = 3
	s.shelf.blocks["regular"] = []uint32{1, 2, 3, 4, 5}
	s.register(order(line(1, "regular", 1, ticketPrice))).refused(0).refused(1).refused(2)
	s.stands(settled, soldOut, ReasonAttemptsExhausted)
	if len(s.r.Holds) != 3 {
		t.Errorf("%d holds", len(s.r.Holds))
	}
}

// A card is declined: no ticket, no money, and the seats go back.
func TestDeclined(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 2, ticketPrice))).granted(0, twoSeats).paid(2, isDeclined)
	s.stands(settling, paymentFailed, ReasonDeclined).sent("snapshot", "release regular/1")
	s.released(0).stands(settled, paymentFailed, ReasonDeclined)
}

// The provider captured another amount than was asked: nothing is confirmed, and
// the money goes back (I3, I4).
func TestAnotherAmountWasCaptured(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).granted(0, oneSeat)
	p := s.payment(2, isCaptured)
	p.CapturedMinor--
	s.send(topology.PaymentEvents.Name, p)
	s.stands(settling, paymentFailed, ReasonAmountDiffers).
		sent("snapshot", "release regular/1", "cancel "+ReasonAmountDiffers)
}

// Nobody answers: the order expires at its deadline, not before, and gives back
// also what was asked and not answered.
func TestExpiresWhileHolding(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice), line(2, "vip", 1, ticketPrice))).granted(0, oneSeat)
	s.tick(overallDeadline-10*time.Second).stands(holding, undecided, "").sent()
	s.tick(10*time.Second).stands(settling, expired, ReasonNotHeldInTime).
		sent("snapshot", "release regular/1", "release vip/1")
	s.granted(1, oneSeat).sent("release vip/1")
	s.released(1).released(0).stands(settled, expired, ReasonNotHeldInTime)
}

// Trace 5: the charge is still travelling when the saga ends. It is not taken for
// refused: the saga stays unsettled, asks again with backoff, and is settled when
// the late capture has been given back.
func TestACaptureAfterTheDeadline(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).granted(0, oneSeat)
	s.tick(time.Minute).stands(settling, expired, ReasonNotPaidInTime).
		sent("snapshot", "release regular/1", "cancel "+ReasonNotPaidInTime)
	s.released(0).stands(settling, expired, ReasonNotPaidInTime)
	version := s.r.Version
	s.tick(5 * time.Second).sent("cancel " + ReasonNotPaidInTime)
	s.tick(5 * time.Second).sent() // twice the pause by now
	s.tick(5 * time.Second).sent("cancel " + ReasonNotPaidInTime)
	if s.r.Version != version || s.r.Redrives != 2 {
		t.Errorf("version %d, %d redrives", s.r.Version, s.r.Redrives)
	}
	s.captured().stands(settling, expired, ReasonNotPaidInTime).sent("snapshot")
	s.paid(3, isRefunded).stands(settled, expired, ReasonNotPaidInTime)
}

// A payment that was never charged after all settles an expired order.
func TestAChargeThatNeverHappened(t *testing.T) {
	t.Parallel()
	newStory(t).register(order(line(1, "regular", 1, ticketPrice))).granted(0, oneSeat).tick(time.Minute).
		paid(2, isWithdrawn).released(0).stands(settled, expired, ReasonNotPaidInTime)
}

// A parked payment waits for a person: the order expires in time but is not
// settled until the payment is final.
func TestAParkedPayment(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).granted(0, oneSeat)
	s.paid(2, isParked).stands(charging, undecided, "").tick(time.Minute).released(0)
	s.stands(settling, expired, ReasonNotPaidInTime).waitsFor("cancel " + ReasonNotPaidInTime)
	s.paid(3, isDeclined).stands(settled, expired, ReasonNotPaidInTime)
}

// A payment was reported as declined and turns out captured: the outcome stands,
// the saga is unsettled again, and the money goes back.
func TestADeclineThatWasACapture(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).granted(0, oneSeat).paid(2, isDeclined).released(0)
	s.stands(settled, paymentFailed, ReasonDeclined)
	s.paid(3, isCaptured).stands(settling, paymentFailed, ReasonDeclined).sent("snapshot", "cancel "+ReasonDeclined)
	s.paid(4, isRefunded).stands(settled, paymentFailed, ReasonDeclined)
}

// Trace 9: a fast clock fires early. Nothing happens, and the deadline stays where
// it was, so that the timer comes again.
func TestATimerThatComesEarly(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice)))
	deadline := s.r.DeadlineUnixMs
	s.send(topology.RegistrationTimers.Name, &pb.Timer{NowUnixMs: deadline - 1}).sent()
	if s.last.State != nil || s.last.Verdict != transition.Replayed || s.r.DeadlineUnixMs != deadline {
		t.Errorf("%+v", s.last)
	}
	s.send(topology.RegistrationTimers.Name, &pb.Timer{NowUnixMs: deadline}).stands(settling, expired, ReasonNotHeldInTime)
}

// A timer for a registration that nobody knows, or that is settled, does nothing.
func TestATimerWithoutADeadline(t *testing.T) {
	t.Parallel()
	s := newStory(t).tick(time.Hour).sent()
	if s.r != nil {
		t.Errorf("a state came to be: %v", s.r)
	}
	sale(t).tick(time.Hour).sent().stands(settled, confirmed, "")
}

// Trace 11: the same request comes again, in every step. It leaves its position
// and the result, raises no version, and sends exactly what the state waits for.
func TestTheSameRequestAgain(t *testing.T) {
	t.Parallel()
	q := order(line(1, "regular", 1, ticketPrice))
	q.MaxPerAttendee = 4
	s := newStory(t)
	again := func(want ...string) {
		t.Helper()
		version := s.r.Version
		s.register(q).result(isDuplicate, "").sent(want...)
		if s.r.Version != version || s.last.Verdict != transition.Replayed {
			t.Errorf("version %d, then %d; %v", version, s.r.Version, s.last.Verdict)
		}
	}
	s.register(q).stands(requested, undecided, "").sent("snapshot", "allow 1 of 4")
	again("allow 1 of 4")
	s.allowance(true, false).stands(holding, undecided, "").sent("snapshot", "hold 1 in regular/1")
	again("hold 1 in regular/1")
	s.granted(0, oneSeat)
	again("charge 4900")
	s.captured()
	again("confirm regular/1")
	s.sold(0).stands(settled, confirmed, "")
	again()
	s.cancel()
	again("release regular/1", "refund 4900", "give back")
}

// Trace 11: the same idempotency key comes with another body. The first in the log
// has won; the loser finds its position and its own digest.
func TestAnotherBody(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice)))
	version := s.r.Version
	s.registerBody(order(line(1, "regular", 2, ticketPrice)), "other").result(isConflict, ReasonBodyDiffers).sent()
	if string(s.r.LastCommand.ConflictingDigest) != "other" || string(s.r.BodyDigest) != "body" ||
		s.r.Version != version || s.r.Lines[0].Quantity != 1 {
		t.Errorf("state: %v", s.r)
	}
}

// A refusal that the front door knows already is recorded, published and final.
func TestRefusedAtTheFrontDoor(t *testing.T) {
	t.Parallel()
	q := order(line(1, "regular", 1, ticketPrice))
	q.Refused = "sale_not_started"
	s := newStory(t).register(q).stands(settled, rejected, "sale_not_started").sent("snapshot").
		result(isRejected, "sale_not_started")
	if s.last.Verdict != transition.Rejected || s.last.Reason != ReasonRefusedAtTheDoor || s.r.Version != 1 {
		t.Errorf("%+v", s.last)
	}
	q.Refused = ""
	s.register(q).stands(settled, rejected, "sale_not_started").result(isDuplicate, "").sent()
}

// Trace 11: a cancel for an unknown registration leaves its position, or the
// client waits for ever. It does not stand in the way of a request that comes
// after it.
func TestCancelOfTheUnknown(t *testing.T) {
	t.Parallel()
	s := newStory(t).cancel().sent().result(isRejected, ReasonUnknownRegistration)
	if s.r.Version != 0 || s.known() {
		t.Errorf("state: %v", s.r)
	}
	s.cancel().result(isRejected, ReasonUnknownRegistration)
	s.register(order(line(1, "regular", 1, ticketPrice))).stands(holding, undecided, "").result(isApplied, "")
}

func (s *story) known() bool { return s.r.GetStep() != pb.Step_STEP_UNSPECIFIED }

// A cancel before the outcome gives everything back, whatever has answered yet.
func TestCancelBeforeTheOutcome(t *testing.T) {
	t.Parallel()
	open := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).cancel()
	open.stands(settling, cancelled, reasonCancelRequested).sent("snapshot", "release regular/1").result(isApplied, "")
	open.granted(0, oneSeat).released(0).stands(settled, cancelled, reasonCancelRequested)

	paying := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).granted(0, oneSeat).cancel(1)
	paying.sent("snapshot", "release regular/1", "cancel "+reasonCancelRequested)
	paying.cancel().result(isDuplicate, "").sent("release regular/1", "cancel "+reasonCancelRequested)
	paying.captured().stands(settling, cancelled, reasonCancelRequested)
	paying.paid(3, isRefunded).released(0).stands(settled, cancelled, reasonCancelRequested)
}

// Some lines of an open order, lines that do not exist, somebody else's order, and
// an order that failed anyway cannot be cancelled; each refusal leaves its reason.
func TestCancelsThatAreRefused(t *testing.T) {
	t.Parallel()
	open := newStory(t).register(order(line(1, "regular", 1, 100), line(2, "vip", 1, 100)))
	open.cancel(1).result(isRejected, ReasonNotConfirmed).sent().stands(holding, undecided, "")
	open.cancel(1, 3).result(isRejected, ReasonUnknownLine).sent()
	open.cancelBy("other").result(isRejected, ReasonUnknownRegistration).sent()
	failed := newStory(t).register(order(line(1, "regular", 1, 100))).granted(0, oneSeat).paid(2, isDeclined)
	failed.cancel().result(isRejected, ReasonNotConfirmed).sent().stands(settling, paymentFailed, ReasonDeclined)
}

// A charge says what is paid for, line by line, so that the books can tell (I4).
func TestChargeCarriesItsLines(t *testing.T) {
	t.Parallel()
	s := sale(t)
	charge := chargeOutput(s.r).Value.(*pb.PaymentCommand).GetCharge()
	total := int64(0)
	for i, l := range charge.Lines {
		of := s.r.Lines[i]
		if l.Line != of.Line || l.TicketType != of.TicketType || l.Quantity != of.Quantity || l.UnitPriceMinor != of.UnitPriceMinor ||
			l.TaxRateBp != of.TaxRateBp || l.TaxMode != of.TaxMode || l.TaxMinor != of.TaxMinor || l.DiscountMinor != of.DiscountMinor {
			t.Errorf("line %v pays for %v", l, of)
		}
		total += l.TotalMinor
	}
	if total != charge.AmountMinor || charge.Channel != s.r.Channel || charge.Region != s.r.Region {
		t.Errorf("%v charges for %v", charge, s.r)
	}
}

// A confirmed order is cancelled line by line: each line is refunded by its own
// total and its seats go back, and with the last one the order is cancelled (I4).
func TestCancelByLine(t *testing.T) {
	t.Parallel()
	s := sale(t)
	s.cancel(2).stands(settling, confirmed, "").sent("snapshot", "refund 9900", "release vip/1").result(isApplied, "")
	s.released(1).stands(settling, confirmed, "")
	s.paid(3, isCaptured, refundDone(0, 9900)).stands(settled, confirmed, "")
	s.cancel(2).result(isDuplicate, "").sent().stands(settled, confirmed, "")
	s.cancel().stands(settling, cancelled, reasonCancelRequested).sent("snapshot", "refund 9800", "release regular/1")
	if s.r.Payment.Refunds[0].RefundId == nil || bytes.Equal(s.r.Payment.Refunds[0].RefundId, s.r.Payment.Refunds[1].RefundId) {
		t.Errorf("refunds: %v", s.r.Payment.Refunds)
	}
	for i, want := range []uint32{2, 1} {
		if refund := refundOutput(s.r, s.r.Payment.Refunds[i]).Value.(*pb.PaymentCommand).GetRefund(); refund.Line != want {
			t.Errorf("refund %d is of line %d, want %d", i, refund.Line, want)
		}
	}
	s.released(0).paid(4, isRefunded, refundDone(0, 9900), refundDone(1, 9800))
	s.stands(settled, cancelled, reasonCancelRequested).cancel().result(isDuplicate, "").sent()
	if s.r.CancelledAtUnixMs == 0 || s.r.DecidedAtUnixMs >= s.r.CancelledAtUnixMs {
		t.Errorf("times: %v", s.r)
	}
}

// A confirmed order is cancelled before its blocks have marked the seats: what
// they answer late changes nothing.
func TestCancelWhileConfirming(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).granted(0, oneSeat).captured().cancel()
	s.stands(settling, cancelled, reasonCancelRequested).sold(0).sent().released(0)
	s.paid(3, isRefunded, refundDone(0, ticketPrice)).stands(settled, cancelled, reasonCancelRequested)
}

// A refund that is lost on the way is asked again, with the same id, until it is
// done.
func TestARefundIsAskedUntilDone(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).granted(0, oneSeat).captured().sold(0).cancel().released(0)
	for range 3 {
		s.tick(5*time.Minute).sent("refund 4900").stands(settling, cancelled, reasonCancelRequested)
	}
	s.paid(3, isRefunded, refundDone(0, ticketPrice)).stands(settled, cancelled, reasonCancelRequested)
}

// Only where the event has a limit does the order wait for the attendee's
// allowance; without one it ends rejected, and nothing was asked of any block.
func TestTheLimitIsReached(t *testing.T) {
	t.Parallel()
	q := order(line(1, "regular", 3, ticketPrice))
	q.MaxPerAttendee = 2
	newStory(t).register(q).sent("snapshot", "allow 3 of 2").allowance(false, false).
		stands(settled, rejected, ReasonLimitReached).sent("snapshot")
}

// The allowance is given back when the order fails, in part when lines are
// cancelled, and whole with the last of them.
func TestTheAllowanceIsGivenBack(t *testing.T) {
	t.Parallel()
	q := order(line(1, "regular", 2, 100), line(2, "vip", 1, 100))
	q.MaxPerAttendee = 5
	failed := newStory(t).register(q).allowance(true, false).granted(0, twoSeats).granted(1, oneSeat).paid(2, isDeclined)
	failed.sent("snapshot", "release regular/1", "release vip/1", "give back").released(0).released(1)
	failed.stands(settling, paymentFailed, ReasonDeclined).allowance(false, true).stands(settled, paymentFailed, ReasonDeclined)

	s := newStory(t).register(q).allowance(true, false).granted(0, twoSeats).granted(1, oneSeat).captured().sold(0).sold(1)
	s.cancel(2).sent("snapshot", "release vip/1", "refund 100", "adjust 2").waitsFor("release vip/1", "refund 100", "adjust 2")
	s.released(1).allowance(false, true).paid(3, isCaptured, refundDone(0, 100)).stands(settled, confirmed, "")
	s.cancel(1).sent("snapshot", "release regular/1", "refund 200", "give back").released(0).
		paid(4, isRefunded, refundDone(0, 100), refundDone(1, 200)).stands(settling, cancelled, reasonCancelRequested)
	s.allowance(false, true).stands(settled, cancelled, reasonCancelRequested)
}

// The order expires while the attendee's record is silent: its answer comes after
// that, is not taken for a grant, and the allowance goes back.
func TestAnAllowanceThatComesTooLate(t *testing.T) {
	t.Parallel()
	q := order(line(1, "regular", 1, 100))
	q.MaxPerAttendee = 5
	s := newStory(t).register(q).tick(overallDeadline).stands(settling, expired, ReasonNotHeldInTime).
		sent("snapshot", "give back")
	s.allowance(true, false).sent().stands(settling, expired, ReasonNotHeldInTime)
	s.allowance(false, true).stands(settled, expired, ReasonNotHeldInTime)
}

// Grants, revocations, money and allowances for a registration that nobody knows
// are given back and leave no state; anything else about it is nothing.
func TestUnknownRegistration(t *testing.T) {
	t.Parallel()
	known := newStory(t).register(order(line(1, "regular", 1, ticketPrice)))
	hold := known.r
	for name, kind := range map[string]pb.SeatEventKind{
		"granted": pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED, "revoked": pb.SeatEventKind_SEAT_EVENT_KIND_REVOKED,
	} {
		s := newStory(t)
		s.r = clone(hold)
		e := &pb.SeatEvent{
			Kind: kind, EventId: eventID[:], TicketType: "regular", Block: 1,
			RegistrationId: registrationID[:], HoldId: s.hold(0).HoldId, Seats: oneSeat,
		}
		s.r = nil
		s.send(topology.SeatEvents.Name, e).sent("release regular/1")
		if s.r != nil || s.last.Verdict != transition.Rejected {
			t.Errorf("%s: %+v", name, s.last)
		}
	}
	s := newStory(t)
	s.captured().sent("cancel " + ReasonUnwantedMoney)
	s.paid(2, isRefunded).sent()
	s.allowance(true, false).sent("give back")
	s.allowance(false, true).sent()
	if s.r != nil {
		t.Errorf("a state came to be: %v", s.r)
	}
	s.cancel().captured().sent("cancel " + ReasonUnwantedMoney)
}

// A hold was asked twice (the client repeated itself); the block refused the first
// and granted the second, after the saga had moved on. The seats go back, and the
// state does not change.
func TestAGrantAfterARefusal(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).refused(0).granted(1, oneSeat)
	s.granted(0, oneSeat).sent("release regular/1")
	if s.last.State != nil || s.last.Reason != ReasonUnwantedGrant {
		t.Errorf("%+v", s.last)
	}
	s.released(0).sent().stands(charging, undecided, "")
}

// The hold was put off, and the release that the order's end sent found no seats.
// The grant comes before that release's answer, which was put off as well: the
// seats go back before the order counts as settled (I1, I2).
func TestAGrantOvertakesTheAnswerToItsRelease(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice)))
	s.cancel().stands(settling, cancelled, reasonCancelRequested).sent("snapshot", "release regular/1")
	s.granted(0, oneSeat).stands(settling, cancelled, reasonCancelRequested).sent("release regular/1")
	s.released(0).stands(settled, cancelled, reasonCancelRequested)
	s.released(0).sent()
}

// The owner's clock is ten minutes ahead of the clocks that stamp records. Each
// answer arms an alarm that is due at once, by records' time, but it works once:
// what is asked again is so with pauses by the owner's clock, and not in a loop.
func TestAFastOwnerAsksAgainWithPauses(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice), line(2, "vip", 1, ticketPrice))).
		granted(0, oneSeat).granted(1, oneSeat).cancel()
	s.paid(1, isPending).released(0).stands(settling, cancelled, reasonCancelRequested)
	redrives := 0
	for second := range 600 {
		now := s.now + (600+int64(second))*1000
		for range 10 { // whatever the pauses of the runtime
			before := s.r.Redrives
			s.send(topology.RegistrationTimers.Name, &pb.Timer{NowUnixMs: now})
			redrives += int(s.r.Redrives - before)
		}
		s.granted(1, oneSeat) // an answer that changes nothing arms nothing
	}
	if most := 20; redrives == 0 || redrives > most {
		t.Errorf("asked again %d times in ten minutes, want 1 to %d", redrives, most)
	}
}

// The event is cancelled: an open order is rejected and a confirmed one refunded in
// full, once, however many of its blocks tell it.
func TestTheEventIsCancelled(t *testing.T) {
	t.Parallel()
	open := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).granted(0, oneSeat).revoked(0)
	open.stands(settling, rejected, ReasonEventCancelled).
		sent("snapshot", "release regular/1", "cancel "+ReasonEventCancelled)

	s := sale(t)
	s.revoked(0).stands(settling, cancelled, ReasonEventCancelled).
		sent("snapshot", "refund 9800", "refund 9900", "release regular/1", "release vip/1")
	s.revoked(1).sent().released(0).released(1)
	s.paid(3, isRefunded, refundDone(0, 9800), refundDone(1, 9900)).stands(settled, cancelled, ReasonEventCancelled)
	if !s.r.Revoked {
		t.Error("not marked as revoked")
	}
	s.revoked(0).sent("release regular/1") // a straggler that owns what it should not
}

// A block says that a confirmed hold owns nothing, or releases what nobody asked
// back: no correct block does. The outcome stands, and the saga stays open for a
// person to see.
func TestBlocksThatContradict(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).granted(0, oneSeat)
	s.released(0).sent()
	if s.last.Reason != ReasonReleasedUnasked {
		t.Errorf("%+v", s.last)
	}
	s.captured().seats(pb.SeatEventKind_SEAT_EVENT_KIND_MISSING, 0, 0).sent()
	if s.last.Reason != ReasonSeatsMissing {
		t.Errorf("%+v", s.last)
	}
	s.stands(settling, confirmed, "").tick(time.Minute).sent("confirm regular/1")
}

// Payment snapshots that come again, or in the wrong order, change nothing.
func TestOldPaymentSnapshots(t *testing.T) {
	t.Parallel()
	s := sale(t)
	s.paid(1, isPending).sent()
	s.captured().sent()
	if s.last.Verdict != transition.Replayed || s.last.State != nil {
		t.Errorf("%+v", s.last)
	}
}

// An import's request lies in the past: its deadline counts from now, or it would
// be dead on arrival.
func TestImportsAreNotDeadOnArrival(t *testing.T) {
	t.Parallel()
	q := importedOrder(line(1, "regular", 1, ticketPrice))
	s := newStory(t)
	s.now += 365 * 24 * time.Hour.Milliseconds()
	s.register(q)
	if s.r.ExpiresAtUnixMs != s.now+overallDeadline.Milliseconds() {
		t.Errorf("expires %d ms from now", s.r.ExpiresAtUnixMs-s.now)
	}
}

// A wait for seats doubles up to its cap and not further.
func TestBackoff(t *testing.T) {
	t.Parallel()
	rules := DefaultRules()
	for n, want := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300} {
		if have := rules.backoff(uint32(n)); have != want*time.Second {
			t.Errorf("pause %d is %v", n, have)
		}
	}
	if have := rules.backoff(1 << 31); have != rules.RedriveCap {
		t.Errorf("a late pause is %v", have)
	}
}

// Rules that would never expire, loop without a pause, or number two looks alike
// are refused.
func TestRulesAreValidated(t *testing.T) {
	t.Parallel()
	if err := DefaultRules().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Rules){
		"no hold timeout":   func(r *Rules) { r.HoldTimeout = 0 },
		"no charge timeout": func(r *Rules) { r.ChargeTimeout = 0 },
		"no second look":    func(r *Rules) { r.SecondLook = 0 },
		"no pause":          func(r *Rules) { r.RedriveBase = 0 },
		"a cap below it":    func(r *Rules) { r.RedriveCap = time.Second },
		"no attempts":       func(r *Rules) { r.MaxAttempts = 0 },
		"too many attempts": func(r *Rules) { r.MaxAttempts = secondLookBase },
	} {
		rules := DefaultRules()
		spoil(&rules)
		if rules.Validate() == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// What no correct peer sends is poison, and leaves the state alone.
func TestPoison(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*pb.RegistrationCommand, *pb.Register){
		"short registration id": func(c *pb.RegistrationCommand, _ *pb.Register) { c.RegistrationId = c.RegistrationId[:3] },
		"another key":           func(c *pb.RegistrationCommand, _ *pb.Register) { c.RegistrationId = eventID[:] },
		"no command":            func(c *pb.RegistrationCommand, _ *pb.Register) { c.Command = nil },
		"no digest":             func(c *pb.RegistrationCommand, _ *pb.Register) { c.BodyDigest = nil },
		"short event id":        func(_ *pb.RegistrationCommand, q *pb.Register) { q.EventId = nil },
		"short attendee id":     func(_ *pb.RegistrationCommand, q *pb.Register) { q.AttendeeId = nil },
		"no currency":           func(_ *pb.RegistrationCommand, q *pb.Register) { q.Currency = "eur" },
		"no lines":              func(_ *pb.RegistrationCommand, q *pb.Register) { q.Lines = nil },
		"line 0":                func(_ *pb.RegistrationCommand, q *pb.Register) { q.Lines[0].Line = 0 },
		"no ticket type":        func(_ *pb.RegistrationCommand, q *pb.Register) { q.Lines[0].TicketType = "" },
		"quantity 0":            func(_ *pb.RegistrationCommand, q *pb.Register) { q.Lines[0].Quantity = 0 },
		"quantity 65":           func(_ *pb.RegistrationCommand, q *pb.Register) { q.Lines[0].Quantity = 65 },
		"a negative price":      func(_ *pb.RegistrationCommand, q *pb.Register) { q.Lines[0].UnitPriceMinor = -1 },
		"a large discount":      func(_ *pb.RegistrationCommand, q *pb.Register) { q.Lines[0].DiscountMinor = 5000 },
		"a wrong total":         func(_ *pb.RegistrationCommand, q *pb.Register) { q.Lines[0].TotalMinor-- },
		"two lines 1":           func(_ *pb.RegistrationCommand, q *pb.Register) { q.Lines = append(q.Lines, q.Lines[0]) },
		"a refusal in prose":    func(_ *pb.RegistrationCommand, q *pb.Register) { q.Refused = "Sorry!" },
		"a long payment method": func(_ *pb.RegistrationCommand, q *pb.Register) {
			q.PaymentMethod = string(make([]byte, maxMethodBytes+1))
		},
	} {
		q := order(line(1, "regular", 1, ticketPrice))
		c := &pb.RegistrationCommand{
			RegistrationId: registrationID[:], BodyDigest: []byte("body"), Organiser: "acme",
			Command: &pb.RegistrationCommand_Register{Register: q},
		}
		spoil(c, q)
		poisoned(t, name, nil, c)
	}
	seats := func(spoil func(*pb.SeatEvent)) *pb.SeatEvent {
		e := &pb.SeatEvent{
			Kind: pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED, EventId: eventID[:], TicketType: "regular",
			Block: 1, RegistrationId: registrationID[:], HoldId: paymentID[:], Seats: oneSeat,
		}
		spoil(e)
		return e
	}
	held := newStory(t).register(order(line(1, "regular", 1, ticketPrice))).r
	poisoned(t, "short hold id", held, seats(func(e *pb.SeatEvent) { e.HoldId = nil }))
	poisoned(t, "no block", held, seats(func(e *pb.SeatEvent) { e.Block = 0 }))
	poisoned(t, "an unknown kind", held, seats(func(e *pb.SeatEvent) { e.HoldId, e.Kind = held.Holds[0].HoldId, 0 }))
	poisoned(t, "more than asked", held, seats(func(e *pb.SeatEvent) { e.HoldId, e.Seats = held.Holds[0].HoldId, twoSeats }))
	poisoned(t, "short payment id", held, &pb.Payment{RegistrationId: registrationID[:]})
	poisoned(t, "short attendee id", held, &pb.AttendeeEvent{RegistrationId: registrationID[:]})
	poisoned(t, "a message of elsewhere", held, &pb.Block{})
}

func poisoned(t *testing.T, name string, r *pb.Registration, value proto.Message) {
	t.Helper()
	m := &transition.Message{Key: registrationID.String(), Time: time.UnixMilli(startMS), Value: value}
	rules := DefaultRules()
	effect, err := Apply(clone(r), m, &rules, newStory(t).shelf)
	if _, ok := transition.AsPoison(err); !ok || effect.State != nil {
		t.Errorf("%s: %v, %+v", name, err, effect)
	}
}

// The saga itself is wrong: a state that would be decided twice, or confirmed
// without its money or its seats, is never stored (I1, I2, I3). That is an error,
// which stops the partition, and no poison, which would go on.
func TestWhatMustNotBeStored(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*saga){
		"I2 decided twice":       func(s *saga) { s.before, s.r.Outcome = soldOut, expired },
		"I2 confirmed after all": func(s *saga) { s.before = expired },
		"I3 not paid":            func(s *saga) { s.r.Payment.CapturedMinor-- },
		"I3 no payment":          func(s *saga) { s.r.Payment = nil },
		"I1 seats missing":       func(s *saga) { s.r.Holds[0].Seats = oneSeat },
	} {
		s := &saga{r: sale(t).r, m: &transition.Message{}, before: confirmed}
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
		spoil(s)
		if err := s.check(); err == nil {
			t.Errorf("%s was let through", name)
		} else if _, ok := transition.AsPoison(err); ok {
			t.Errorf("%s is poison", name)
		}
	}
}

// The four steps of one paid ticket.
func BenchmarkApply(b *testing.B) {
	rules, picker := DefaultRules(), &shelf{blocks: map[string][]uint32{"regular": {1}}}
	q := order(line(1, "regular", 1, ticketPrice))
	c := &pb.RegistrationCommand{
		RegistrationId: registrationID[:], RequestTimeUnixMs: startMS, BodyDigest: []byte("body"),
		Organiser: "acme", Command: &pb.RegistrationCommand_Register{Register: q},
	}
	step := func(r *pb.Registration, value proto.Message) *pb.Registration {
		m := &transition.Message{Key: registrationID.String(), Time: time.UnixMilli(startMS), Value: value}
		effect, err := Apply(r, m, &rules, picker)
		if err != nil {
			b.Fatal(err)
		}
		return effect.State.(*pb.Registration)
	}
	answer := &pb.SeatEvent{EventId: eventID[:], TicketType: "regular", Block: 1, RegistrationId: registrationID[:], Seats: oneSeat}
	paid := &pb.Payment{
		PaymentId: paymentID[:], RegistrationId: registrationID[:], Currency: "EUR", Version: 2,
		Status: isCaptured, CapturedMinor: ticketPrice,
	}
	b.ReportAllocs()
	for b.Loop() {
		r := step(nil, c)
		answer.Kind, answer.HoldId = pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED, r.Holds[0].HoldId
		r = step(r, answer)
		r = step(r, paid)
		answer.Kind = pb.SeatEventKind_SEAT_EVENT_KIND_SOLD
		if r = step(r, answer); !r.Settled {
			b.Fatal("not settled")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4, "ns/step")
}
