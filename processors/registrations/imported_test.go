package registrations

import (
	"testing"
	"time"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// The imported order was confirmed a year before, and what was cancelled was so a
// month later.
var (
	soldAtMs      = startMS - 365*24*time.Hour.Milliseconds()
	cancelledAtMs = soldAtMs + 30*24*time.Hour.Milliseconds()
)

// importedOrder was sold elsewhere; the lines that are cancelled in it
// were given back.
func importedOrder(lines ...*pb.Line) *pb.Register {
	q := order(lines...)
	q.Imported = true
	q.ImportedOrder = &pb.ImportedOrder{Source: "eventbrite", Reference: "1001", ConfirmedAtUnixMs: soldAtMs}
	money := &pb.ImportedMoney{Provider: "eventbrite", Reference: "1001", FeeMinor: 3, CapturedAtUnixMs: soldAtMs}
	stands := false
	for _, l := range lines {
		money.CapturedMinor += l.TotalMinor
		if l.Cancelled && l.TotalMinor > 0 {
			money.Refunds = append(money.Refunds, &pb.ImportedRefund{AmountMinor: l.TotalMinor, Line: l.Line, Reference: "r", RefundedAtUnixMs: cancelledAtMs})
		}
		stands = stands || !l.Cancelled
	}
	if money.CapturedMinor > 0 {
		q.ImportedOrder.Money = money
	}
	if !stands {
		q.ImportedOrder.CancelledAtUnixMs = cancelledAtMs
	}
	return q
}

func cancelledLine(number uint32, ticketType string, quantity uint32, price int64) *pb.Line {
	l := line(number, ticketType, quantity, price)
	l.Cancelled = true
	return l
}

// written is what the payment says once the money is written down.
func (s *story) written(version uint64) *story {
	s.t.Helper()
	money := s.r.ImportedOrder.Money
	status := pb.PaymentStatus_PAYMENT_STATUS_CAPTURED
	var refunds []*pb.Refund
	back := int64(0)
	for i, r := range money.Refunds {
		refunds = append(refunds, refundDone(uint32(i), r.AmountMinor))
		back += r.AmountMinor
	}
	if back == money.CapturedMinor {
		status = pb.PaymentStatus_PAYMENT_STATUS_REFUNDED
	}
	p := s.payment(version, status, refunds...)
	p.Imported, p.RefundedMinor, p.FeeMinor = true, back, money.FeeMinor
	return s.send(topology.PaymentEvents.Name, p)
}

// A past order takes its seats, its money is written down and it is confirmed, as
// of when it was; the line that was cancelled there takes none.
func TestAnImportTakesItsSeats(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(importedOrder(line(1, "regular", 2, ticketPrice), cancelledLine(2, "vip", 1, 500)))
	s.sent("snapshot", "list", "hold 2 in regular/1")
	s.granted(0, 0b11).sent("snapshot", "charge 10300")
	charge := chargeOutput(s.r).Value.(*pb.PaymentCommand).GetCharge()
	if !charge.Imported || charge.ImportedMoney.GetReference() != "1001" || len(charge.Lines) != 2 {
		t.Fatalf("charged by %v", charge)
	}
	s.written(1).stands(settling, confirmed, "").sent("snapshot", "confirm regular/1")
	s.sold(0).stands(settled, confirmed, "")
	if s.r.DecidedAtUnixMs != soldAtMs || s.r.HeldAtUnixMs <= startMS {
		t.Errorf("decided at %d, held at %d", s.r.DecidedAtUnixMs, s.r.HeldAtUnixMs)
	}
}

// An order that was cancelled there takes no seat, keeps its money in the books,
// and is at its end; also where the source kept some of the money, or it was free.
func TestAnImportThatHasEnded(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]*pb.Register{
		"refunded": importedOrder(cancelledLine(1, "regular", 2, ticketPrice)),
		"kept":     importedOrder(cancelledLine(1, "regular", 2, ticketPrice)),
		"free":     importedOrder(cancelledLine(1, "regular", 2, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "kept" {
				q.ImportedOrder.Money.Refunds = nil
			}
			s := newStory(t).register(q)
			if name == "free" {
				s.sent("snapshot", "give back")
			} else {
				s.sent("snapshot", "give back", "charge 9800").written(1).sent("snapshot")
			}
			s.stands(settled, cancelled, ReasonCancelledAtSource)
			if s.r.DecidedAtUnixMs != soldAtMs || s.r.CancelledAtUnixMs != cancelledAtMs || len(s.r.Holds) > 0 {
				t.Errorf("%v", s.r)
			}
			s.cancel().stands(settled, cancelled, ReasonCancelledAtSource).waitsFor()
		})
	}
}

// An order that was cancelled there is cancelled here as well, before its money is
// written down: there is nothing left to cancel. News of its money later does not
// bring anybody to ask for it back.
func TestAnImportThatHasEndedStaysAsItIs(t *testing.T) {
	t.Parallel()
	q := importedOrder(cancelledLine(1, "regular", 1, ticketPrice))
	q.ImportedOrder.Money.Refunds = nil // kept
	s := newStory(t).register(q)
	s.cancel().sent().result(pb.CommandVerdict_COMMAND_VERDICT_REJECTED, ReasonNotConfirmed)
	s.written(1).stands(settled, cancelled, ReasonCancelledAtSource)
	corrected := s.payment(2, pb.PaymentStatus_PAYMENT_STATUS_CAPTURED)
	corrected.Imported, corrected.FeeMinor = true, 7
	s.send(topology.PaymentEvents.Name, corrected).stands(settled, cancelled, ReasonCancelledAtSource).sent("snapshot")
}

// There are no seats left for a past order: nothing is captured here, since its
// money is in the source's books.
func TestAnImportWithoutRoom(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.shelf.blocks = nil
	s.register(importedOrder(line(1, "regular", 1, ticketPrice))).tick(s.rules.SecondLook).
		stands(settled, pb.Outcome_OUTCOME_SOLD_OUT, ReasonSoldOut)
	if s.r.Payment != nil {
		t.Errorf("it has the payment %v", s.r.Payment)
	}
}

// Whatever takes long, an import is not given up: it is asked for again, since the
// sale has taken place.
func TestAnImportDoesNotExpire(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(importedOrder(line(1, "regular", 1, ticketPrice)))
	for range 3 {
		s.tick(overallDeadline).stands(pb.Step_STEP_HOLDING, undecided, "").sent("snapshot", "hold 1 in regular/1")
	}
	s.granted(0, 1)
	for range 3 {
		s.tick(time.Hour).stands(pb.Step_STEP_CHARGING, undecided, "").sent("charge 4900")
	}
	s.written(1).sold(0).stands(settled, confirmed, "")
}

// A past order is cancelled here, after a part of it went back there: what is left
// of it is asked for, and no more.
func TestCancelOfAnImport(t *testing.T) {
	t.Parallel()
	q := importedOrder(line(1, "regular", 1, ticketPrice), cancelledLine(2, "vip", 1, 500))
	q.ImportedOrder.Money.Refunds = append(q.ImportedOrder.Money.Refunds,
		&pb.ImportedRefund{AmountMinor: 900, Reference: "goodwill", RefundedAtUnixMs: cancelledAtMs})
	s := newStory(t).register(q).granted(0, 1).written(1).sold(0).stands(settled, confirmed, "")
	s.cancel().stands(settling, cancelled, "cancel_requested").sent("snapshot", "release regular/1", "refund 4000")
	refunds := s.r.Payment.Refunds
	if r := refunds[2]; r.Line != 0 || topology.UUID(r.RefundId) != topology.RefundID(paymentID, 2) {
		t.Fatalf("it asks for %v", r)
	}
	p := s.payment(3, pb.PaymentStatus_PAYMENT_STATUS_REFUNDED, refundDone(0, 500), refundDone(1, 900), refundDone(2, 4000))
	s.released(0).send(topology.PaymentEvents.Name, p).stands(settled, cancelled, "cancel_requested")
}

// A past order is cancelled here while its money is being written down: the money
// is owed, and the registration waits for it to be given back.
func TestCancelOfAnImportUnderWay(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(importedOrder(line(1, "regular", 1, ticketPrice), cancelledLine(2, "vip", 1, 500))).granted(0, 1)
	s.cancel().stands(settling, cancelled, "cancel_requested").sent("snapshot", "release regular/1", "cancel cancel_requested")
	s.released(0).written(1).stands(settling, cancelled, "cancel_requested")
	s.send(topology.PaymentEvents.Name, s.payment(2, pb.PaymentStatus_PAYMENT_STATUS_REFUNDED)).stands(settled, cancelled, "cancel_requested")
}

// An event's limit does not refuse what was sold already; what is cancelled later
// counts no more.
func TestAnImportCountsAndIsNotLimited(t *testing.T) {
	t.Parallel()
	q := importedOrder(line(1, "regular", 1, ticketPrice))
	q.MaxPerAttendee = 1
	s := newStory(t).register(q).sent("snapshot", "list", "hold 1 in regular/1")
	s.granted(0, 1).written(1).sold(0)
	s.cancel().sent("snapshot", "release regular/1", "refund 4900", "give back")
}

// No correct importer sends these: each is refused whole, and no state is made.
func TestNonsenseIsNotImported(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*pb.Register){
		"no order":                 func(q *pb.Register) { q.ImportedOrder = nil },
		"not marked":               func(q *pb.Register) { q.Imported = false },
		"no source":                func(q *pb.Register) { q.ImportedOrder.Source = "" },
		"no reference":             func(q *pb.Register) { q.ImportedOrder.Reference = "" },
		"no time":                  func(q *pb.Register) { q.ImportedOrder.ConfirmedAtUnixMs = 0 },
		"no money":                 func(q *pb.Register) { q.ImportedOrder.Money = nil },
		"another amount":           func(q *pb.Register) { q.ImportedOrder.Money.CapturedMinor++ },
		"cancelled with lines":     func(q *pb.Register) { q.ImportedOrder.CancelledAtUnixMs = cancelledAtMs },
		"no line and not ended":    func(q *pb.Register) { q.Lines[0].Cancelled = true },
		"ended before it was sold": func(q *pb.Register) { q.Lines[0].Cancelled, q.ImportedOrder.CancelledAtUnixMs = true, soldAtMs-1 },
		"more than all back": func(q *pb.Register) {
			q.ImportedOrder.Money.Refunds = []*pb.ImportedRefund{{AmountMinor: ticketPrice + 1, RefundedAtUnixMs: cancelledAtMs}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := importedOrder(line(1, "regular", 1, ticketPrice))
			spoil(q)
			s := newStory(t)
			m := s.message(topology.RegistrationCommands.Name, &pb.RegistrationCommand{
				RegistrationId: registrationID[:], BodyDigest: []byte("b"), Organiser: "acme", Command: &pb.RegistrationCommand_Register{Register: q},
			})
			effect, err := Apply(nil, m, &s.rules, s.shelf)
			if p, ok := transition.AsPoison(err); !ok || p.Reason != "invalid_import" || effect.State != nil {
				t.Errorf("%v, %v", effect, err)
			}
		})
	}
}

// Somebody says that a line of a common order is cancelled from the start: it is
// not believed, since the seats are asked for and paid here.
func TestOnlyAnImportHasCancelledLines(t *testing.T) {
	t.Parallel()
	s := newStory(t).register(order(cancelledLine(1, "regular", 1, ticketPrice)))
	s.sent("snapshot", "list", "hold 1 in regular/1")
}

// The other system kept the money of a cancelled line, and the free line that stood
// is cancelled here: nothing is owed, and the order is settled once its seats are
// back.
func TestAnImportWhoseMoneyWasKeptIsSettled(t *testing.T) {
	t.Parallel()
	q := importedOrder(cancelledLine(1, "vip", 1, 500), line(2, "regular", 1, 0))
	q.ImportedOrder.Money.Refunds = nil
	s := newStory(t).register(q)
	s.granted(0, oneSeat).written(1).sold(0).stands(settled, confirmed, "")
	s.cancel().stands(settling, cancelled, reasonCancelRequested).sent("snapshot", "release regular/1")
	s.released(0).stands(settled, cancelled, reasonCancelRequested)
}
