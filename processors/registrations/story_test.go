package registrations

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const startMS = int64(1_700_000_000_000)

var (
	eventID        = topology.EventID("acme", "conference")
	registrationID = topology.RegistrationID("acme", "order-1")
	attendeeID     = topology.RegistrationID("acme", "attendee-1")
	paymentID      = topology.PaymentID(registrationID)
)

// shelf is a picker whose blocks are known: it offers those of a ticket type in
// order.
type shelf struct {
	blocks map[string][]uint32
	blind  bool
}

func (s *shelf) Pick(_ []byte, ticketType string, _ uint32, exclude []uint32) (uint32, bool) {
	for _, b := range s.blocks[ticketType] {
		if !slices.Contains(exclude, b) {
			return b, true
		}
	}
	return 0, false
}

func (s *shelf) Known([]byte, string) bool { return !s.blind }

// story drives one registration, and applies every message twice.
type story struct {
	t      *testing.T
	rules  Rules
	shelf  *shelf
	r      *pb.Registration
	now    int64
	offset int64
	// last is the effect of the last message.
	last transition.Effect
}

func newStory(t *testing.T) *story {
	t.Helper()
	return &story{
		t: t, rules: DefaultRules(), now: startMS,
		shelf: &shelf{blocks: map[string][]uint32{"regular": {1, 2, 3}, "vip": {1, 2}}},
	}
}

func clone(r *pb.Registration) *pb.Registration {
	if r == nil {
		return nil
	}
	return proto.CloneOf(r)
}

func (s *story) message(topic string, value proto.Message) *transition.Message {
	s.offset++
	return &transition.Message{
		Topic: topic, Offset: s.offset, Key: registrationID.String(),
		Time: time.UnixMilli(s.now), Value: value,
	}
}

// send applies a message, one millisecond after the last.
func (s *story) send(topic string, value proto.Message) *story {
	s.t.Helper()
	s.now++
	m := s.message(topic, value)
	effect, err := Apply(clone(s.r), m, &s.rules, s.shelf)
	if err != nil {
		s.t.Fatalf("%T: %v", value, err)
	}
	s.events(effect)
	if after, ok := effect.State.(*pb.Registration); ok {
		s.r = clone(after)
	}
	s.last = effect
	s.again(m)
	return s
}

// events checks that a snapshot is published when the version rises, and only
// then.
func (s *story) events(effect transition.Effect) {
	s.t.Helper()
	snapshots := 0
	for _, o := range effect.Outputs {
		if o.Topic == topology.RegistrationEvents.Name {
			snapshots++
		}
	}
	after, ok := effect.State.(*pb.Registration)
	rose := ok && after.Version == s.r.GetVersion()+1
	if ok && !rose && after.Version != s.r.GetVersion() {
		s.t.Errorf("the version went from %d to %d", s.r.GetVersion(), after.Version)
	}
	if rose != (snapshots == 1) || snapshots > 1 {
		s.t.Errorf("version risen: %v, snapshots: %d", rose, snapshots)
	}
}

// again is the law of repetition (I5): the same message once more leaves the same
// state, and sends at most what the state waits for, or gives back once more what
// nobody wants.
func (s *story) again(m *transition.Message) {
	s.t.Helper()
	effect, err := Apply(clone(s.r), m, &s.rules, s.shelf)
	if err != nil {
		s.t.Fatalf("%T again: %v", m.Value, err)
	}
	if after, ok := effect.State.(*pb.Registration); ok && !proto.Equal(after, s.r) {
		s.t.Errorf("%T again changed the state\nfrom %v\nto   %v", m.Value, s.r, after)
	}
	if effect.Verdict == transition.Applied && s.last.State != nil {
		s.t.Errorf("%T again was applied", m.Value)
	}
	var waiting []transition.Output
	if s.r != nil {
		waiting = Outstanding(s.r)
	}
	for _, o := range effect.Outputs {
		if !contains(waiting, o) && !contains(s.last.Outputs, o) {
			s.t.Errorf("%T again sent what nobody waits for: %v", m.Value, o)
		}
		if !contains(waiting, o) && effect.Verdict != transition.Rejected {
			s.t.Errorf("%T again sent %v, which the state does not wait for", m.Value, o)
		}
	}
}

func contains(outputs []transition.Output, o transition.Output) bool {
	return slices.ContainsFunc(outputs, func(other transition.Output) bool {
		return other.Topic == o.Topic && other.Key == o.Key && proto.Equal(other.Value, o.Value)
	})
}

func line(number uint32, ticketType string, quantity uint32, price int64) *pb.Line {
	return &pb.Line{
		Line: number, TicketType: ticketType, Quantity: quantity, UnitPriceMinor: price,
		TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, TaxRateBp: 1900, TotalMinor: price * int64(quantity),
	}
}

func order(lines ...*pb.Line) *pb.Register {
	return &pb.Register{
		EventId: eventID[:], AttendeeId: attendeeID[:], AttendeeSealed: []byte("sealed"), KeyId: "k1",
		Currency: "EUR", Lines: lines, EventVersion: 2, PaymentMethod: "tok_visa",
	}
}

func (s *story) register(q *pb.Register) *story {
	s.t.Helper()
	return s.registerBody(q, "body")
}

func (s *story) registerBody(q *pb.Register, digest string) *story {
	s.t.Helper()
	return s.send(topology.RegistrationCommands.Name, &pb.RegistrationCommand{
		RegistrationId: registrationID[:], RequestTimeUnixMs: startMS, BodyDigest: []byte(digest), Organiser: "acme",
		Command: &pb.RegistrationCommand_Register{Register: q},
	})
}

func (s *story) cancel(lines ...uint32) *story {
	s.t.Helper()
	return s.cancelBy("acme", lines...)
}

func (s *story) cancelBy(organiser string, lines ...uint32) *story {
	s.t.Helper()
	return s.send(topology.RegistrationCommands.Name, &pb.RegistrationCommand{
		RegistrationId: registrationID[:], RequestTimeUnixMs: startMS, Organiser: organiser,
		Command: &pb.RegistrationCommand_Cancel{Cancel: &pb.CancelRegistration{Lines: lines}},
	})
}

// hold returns hold i (from 0) of the state.
func (s *story) hold(i int) *pb.Hold {
	s.t.Helper()
	if i >= len(s.r.GetHolds()) {
		s.t.Fatalf("want hold %d of %v", i, s.r)
	}
	return s.r.Holds[i]
}

// seats sends a block's answer to hold i.
func (s *story) seats(kind pb.SeatEventKind, i int, mask uint64) *story {
	s.t.Helper()
	h := s.hold(i)
	return s.send(topology.SeatEvents.Name, &pb.SeatEvent{
		Kind: kind, EventId: eventID[:],
		TicketType: lineOf(s.r, h.Line).TicketType, Block: h.Block, RegistrationId: registrationID[:],
		HoldId: h.HoldId, Seats: mask,
	})
}

func (s *story) granted(i int, mask uint64) *story {
	s.t.Helper()
	return s.seats(pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED, i, mask)
}

func (s *story) refused(i int) *story {
	s.t.Helper()
	return s.seats(pb.SeatEventKind_SEAT_EVENT_KIND_REFUSED, i, 0)
}

func (s *story) released(i int) *story {
	s.t.Helper()
	return s.seats(pb.SeatEventKind_SEAT_EVENT_KIND_RELEASED, i, 0)
}

func (s *story) sold(i int) *story {
	s.t.Helper()
	return s.seats(pb.SeatEventKind_SEAT_EVENT_KIND_SOLD, i, 0)
}

func (s *story) revoked(i int) *story {
	s.t.Helper()
	return s.seats(pb.SeatEventKind_SEAT_EVENT_KIND_REVOKED, i, 0)
}

// payment is a snapshot of the registration's payment.
func (s *story) payment(version uint64, status pb.PaymentStatus, refunds ...*pb.Refund) *pb.Payment {
	p := &pb.Payment{
		PaymentId: paymentID[:], RegistrationId: registrationID[:], EventId: eventID[:],
		AmountMinor: s.r.GetTotalMinor(), Currency: "EUR", Status: status, Version: version, Refunds: refunds,
	}
	switch status {
	case pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, pb.PaymentStatus_PAYMENT_STATUS_REFUNDED:
		p.CapturedMinor, p.CapturedAtUnixMs, p.ProviderReference = p.AmountMinor, s.now, "ch_1"
	}
	if status == pb.PaymentStatus_PAYMENT_STATUS_REFUNDED {
		p.RefundedMinor = p.AmountMinor
	}
	return p
}

func (s *story) paid(version uint64, status pb.PaymentStatus, refunds ...*pb.Refund) *story {
	s.t.Helper()
	return s.send(topology.PaymentEvents.Name, s.payment(version, status, refunds...))
}

func (s *story) captured() *story {
	s.t.Helper()
	return s.paid(2, pb.PaymentStatus_PAYMENT_STATUS_CAPTURED)
}

func refundDone(i uint32, amount int64) *pb.Refund {
	id := topology.RefundID(paymentID, i)
	return &pb.Refund{RefundId: id[:], AmountMinor: amount, Status: pb.RefundStatus_REFUND_STATUS_DONE}
}

func (s *story) allowance(granted, released bool) *story {
	s.t.Helper()
	return s.send(topology.AttendeeEvents.Name, &pb.AttendeeEvent{
		AttendeeId:     attendeeID[:],
		RegistrationId: registrationID[:], Granted: granted, Released: released,
	})
}

// tick lets time pass and sends a timer message with that time.
func (s *story) tick(d time.Duration) *story {
	s.t.Helper()
	s.now += d.Milliseconds()
	return s.send(topology.RegistrationTimers.Name, &pb.Timer{NowUnixMs: s.now + 1})
}

// stands checks step, outcome and reason.
func (s *story) stands(step pb.Step, outcome pb.Outcome, reason string) *story {
	s.t.Helper()
	if s.r.GetStep() != step || s.r.GetOutcome() != outcome || s.r.GetReason() != reason {
		s.t.Fatalf("want %v, %v, %q; have %v, %v, %q", step, outcome, reason,
			s.r.GetStep(), s.r.GetOutcome(), s.r.GetReason())
	}
	settled := step == pb.Step_STEP_SETTLED
	if s.r.Settled != settled || (s.r.SettledAtUnixMs != 0) != settled || (s.r.DeadlineUnixMs == 0) != settled {
		s.t.Fatalf("settled %v at %d with the deadline %d in %v",
			s.r.Settled, s.r.SettledAtUnixMs, s.r.DeadlineUnixMs, step)
	}
	if settled && len(Outstanding(s.r)) > 0 {
		s.t.Fatalf("settled, but waits for %v", Outstanding(s.r))
	}
	return s
}

// sent checks what the last message sent, as short words in any order.
func (s *story) sent(want ...string) *story {
	s.t.Helper()
	have := words(s.last.Outputs)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		s.t.Fatalf("sent %q, want %q", have, want)
	}
	return s
}

// waitsFor checks what the state waits for, as short words in any order.
func (s *story) waitsFor(want ...string) *story {
	s.t.Helper()
	have := words(Outstanding(s.r))
	slices.Sort(want)
	if !slices.Equal(have, want) {
		s.t.Fatalf("waits for %q, want %q", have, want)
	}
	return s
}

// result checks what the last command left behind.
func (s *story) result(verdict pb.CommandVerdict, reason string) *story {
	s.t.Helper()
	last := s.r.GetLastCommand()
	if last.GetVerdict() != verdict || last.GetReason() != reason || last.GetOffset() != s.offset {
		s.t.Fatalf("the last command left %v", last)
	}
	return s
}

func words(outputs []transition.Output) []string {
	words := make([]string, 0, len(outputs))
	for _, o := range outputs {
		words = append(words, word(o))
	}
	slices.Sort(words)
	return words
}

func word(o transition.Output) string {
	switch v := o.Value.(type) {
	case *pb.Registration:
		return "snapshot"
	case *pb.SeatCommand:
		return seatWord(v)
	case *pb.PaymentCommand:
		switch c := v.Command.(type) {
		case *pb.PaymentCommand_Charge:
			return fmt.Sprintf("charge %d", c.Charge.AmountMinor)
		case *pb.PaymentCommand_Refund:
			return fmt.Sprintf("refund %d", c.Refund.AmountMinor)
		case *pb.PaymentCommand_Cancel:
			return "cancel " + c.Cancel.Reason
		}
	case *pb.AttendeeUpdate:
		switch {
		case v.Adjust:
			return fmt.Sprintf("adjust %d", v.Quantity)
		case v.Release:
			return "give back"
		case v.Limit > 0:
			return fmt.Sprintf("allow %d of %d", v.Quantity, v.Limit)
		}
		return "list"
	}
	return fmt.Sprintf("%T", o.Value)
}

func seatWord(c *pb.SeatCommand) string {
	where := fmt.Sprintf("%s/%d", c.TicketType, c.Block)
	switch command := c.Command.(type) {
	case *pb.SeatCommand_Hold:
		return fmt.Sprintf("hold %d in %s", command.Hold.Quantity, where)
	case *pb.SeatCommand_Release:
		return "release " + where
	case *pb.SeatCommand_Confirm:
		return "confirm " + where
	}
	return fmt.Sprintf("%T", c.Command)
}
