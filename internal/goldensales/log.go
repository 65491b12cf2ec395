package goldensales

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/processors/registrations"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// at reads a time in UTC, such as "2026-09-29 08:00:00.1".
func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05.999", text)
	if err != nil {
		panic(err)
	}
	return t
}

// log is the topics as the system leaves them: a record with every version.
type log struct {
	records []*kgo.Record
	next    map[string]int64
}

// add appends a record to its topic, which has one partition.
func (l *log) add(topic topology.Topic, key uuid.UUID, when time.Time, m proto.Message) {
	value, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	if l.next == nil {
		l.next = map[string]int64{}
	}
	l.records = append(l.records, &kgo.Record{
		Topic: topic.Name, Key: []byte(key.String()), Value: value, Timestamp: when, Offset: l.next[topic.Name],
	})
	l.next[topic.Name]++
}

// order is a registration on its way, with its payment.
type order struct {
	log     *log
	id      uuid.UUID
	r       *pb.Registration
	payment *pb.Payment
}

// request begins an order.
func (l *log) request(name string, e *pb.Event, when time.Time, change func(*pb.Registration), lines ...*pb.Line) *order {
	id := topology.RegistrationID(e.Organiser, name)
	o := &order{log: l, id: id, r: &pb.Registration{
		RegistrationId: id[:], EventId: e.EventId, Organiser: e.Organiser, Currency: e.Currency,
		Step: pb.Step_STEP_HOLDING, RequestTimeUnixMs: when.UnixMilli(),
		Channel: "web", Region: "eu", PaymentMethod: "card",
	}}
	for i, line := range lines {
		line.Line = uint32(i + 1)
		o.r.Lines = append(o.r.Lines, line)
		o.r.TotalMinor += line.TotalMinor
	}
	if change != nil {
		change(o.r)
	}
	o.registered(when)
	return o
}

// registered publishes the next version of the registration.
func (o *order) registered(when time.Time) {
	o.r.Version++
	o.r.ChangedAtUnixMs = when.UnixMilli()
	o.log.add(topology.RegistrationEvents, o.id, when, o.r)
}

// paid publishes the next version of the payment.
func (o *order) paid(when time.Time) {
	o.payment.Version++
	o.payment.ChangedAtUnixMs = when.UnixMilli()
	o.log.add(topology.PaymentEvents, o.id, when, o.payment)
}

// hold gives the order its seats and asks for the money of one that is not free.
func (o *order) hold(when time.Time) *order {
	o.r.HeldAtUnixMs = when.UnixMilli()
	if o.r.TotalMinor == 0 {
		return o
	}
	id := topology.PaymentID(o.id)
	o.r.Step = pb.Step_STEP_CHARGING
	o.r.Payment = &pb.PaymentState{PaymentId: id[:], AmountMinor: o.r.TotalMinor, Status: pb.PaymentStatus_PAYMENT_STATUS_PENDING}
	o.registered(when)
	o.payment = &pb.Payment{
		PaymentId: id[:], RegistrationId: o.r.RegistrationId, EventId: o.r.EventId, Organiser: o.r.Organiser,
		AmountMinor: o.r.TotalMinor, Currency: o.r.Currency, Method: o.r.PaymentMethod, Channel: o.r.Channel, Region: o.r.Region,
		Status: pb.PaymentStatus_PAYMENT_STATUS_PENDING, RequestedAtUnixMs: when.UnixMilli(), TestMode: o.r.TestMode, Imported: o.r.Imported,
		Lines: registrations.ChargeLines(o.r.Lines),
	}
	o.paid(when)
	return o
}

// capture is the provider's answer: when the money moved, when that was booked.
func (o *order) capture(provider string, feeMinor int64, occurred, booked time.Time) *order {
	p := o.payment
	p.Status, p.CapturedMinor, p.FeeMinor, p.Provider = pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, p.AmountMinor, feeMinor, provider
	p.CapturedAtUnixMs, p.BookedAtUnixMs = occurred.UnixMilli(), booked.UnixMilli()
	p.ProviderReference = "ch_" + o.id.String()[:8]
	o.paid(booked)
	return o
}

// decide ends the order.
func (o *order) decide(outcome pb.Outcome, reason string, when time.Time) *order {
	o.r.Outcome, o.r.Reason, o.r.DecidedAtUnixMs = outcome, reason, when.UnixMilli()
	o.r.Step = pb.Step_STEP_SETTLING
	o.registered(when)
	o.r.Step, o.r.Settled, o.r.SettledAtUnixMs = pb.Step_STEP_SETTLED, true, when.UnixMilli()
	o.registered(when)
	return o
}

func (o *order) confirm(when time.Time) *order {
	return o.decide(pb.Outcome_OUTCOME_CONFIRMED, "", when)
}

// decline is the provider's refusal.
func (o *order) decline(when time.Time) *order {
	o.payment.Status, o.payment.DeclineCode = pb.PaymentStatus_PAYMENT_STATUS_DECLINED, "insufficient_funds"
	o.payment.Provider = "simulated"
	o.paid(when)
	return o
}

// cancel cancels lines of a confirmed order and asks for their money back.
func (o *order) cancel(when time.Time, lines ...uint32) *order {
	left := len(o.r.Lines)
	for _, l := range o.r.Lines {
		for _, n := range lines {
			if l.Line == n {
				l.Cancelled = true
			}
		}
		if l.Cancelled {
			left--
		}
	}
	if left == 0 {
		o.r.Outcome, o.r.Reason, o.r.CancelledAtUnixMs = pb.Outcome_OUTCOME_CANCELLED, "cancel_requested", when.UnixMilli()
	}
	o.registered(when)
	for _, n := range lines {
		o.askBack(when.Add(50*time.Millisecond), o.r.Lines[n-1].TotalMinor, n)
	}
	return o
}

// askBack asks for a refund; line 0 is all that is left.
func (o *order) askBack(when time.Time, amount int64, line uint32) *order {
	id := topology.RefundID(topology.UUID(o.payment.PaymentId), uint32(len(o.payment.Refunds)))
	o.payment.Refunds = append(o.payment.Refunds, &pb.Refund{
		RefundId: id[:], AmountMinor: amount, Line: line, Status: pb.RefundStatus_REFUND_STATUS_PENDING,
		RequestedAtUnixMs: when.UnixMilli(), Reason: "cancel_requested",
	})
	o.paid(when)
	return o
}

// refund is the provider's answer to the last request for money back.
func (o *order) refund(occurred, booked time.Time) *order {
	last := o.payment.Refunds[len(o.payment.Refunds)-1]
	last.Status, last.ProviderReference = pb.RefundStatus_REFUND_STATUS_DONE, "re_"+o.id.String()[:8]
	last.RefundedAtUnixMs, last.BookedAtUnixMs = occurred.UnixMilli(), booked.UnixMilli()
	o.payment.RefundedMinor += last.AmountMinor
	if o.payment.RefundedMinor == o.payment.CapturedMinor {
		o.payment.Status = pb.PaymentStatus_PAYMENT_STATUS_REFUNDED
	}
	o.paid(booked)
	o.registered(booked) // the saga has heard of it
	return o
}

// line is a line of an order as the front door prices it. tax and total are worked
// out by hand.
func line(e *pb.Event, ticketType string, quantity uint32, discount, tax, total int64) *pb.Line {
	for _, t := range e.TicketTypes {
		if t.Id == ticketType {
			return &pb.Line{
				TicketType: t.Id, Quantity: quantity, UnitPriceMinor: t.PriceMinor, TaxRateBp: t.TaxRateBp, TaxMode: t.TaxMode,
				DiscountMinor: discount, TaxMinor: tax, TotalMinor: total,
			}
		}
	}
	panic(fmt.Sprintf("event %s has no ticket type %s", e.Name, ticketType))
}

// block publishes how a seat block stands: as it was opened, as it is now, and once
// more as it was, late.
func (l *log) block(e *pb.Event, ticketType string, size, held, sold, withdrawn uint32, when time.Time) {
	event := topology.UUID(e.EventId)
	opened := &pb.BlockEvent{
		Kind: pb.BlockEventKind_BLOCK_EVENT_KIND_OPENED, EventId: e.EventId, TicketType: ticketType, Block: 1,
		BlockVersion: 1, BlockSize: size, Free: size, Changed: true,
	}
	l.add(topology.BlockEvents, event, when, opened)
	answer := topology.RegistrationID(e.Organiser, ticketType)
	l.add(topology.SeatEvents, answer, when, &pb.SeatEvent{
		Kind: pb.SeatEventKind_SEAT_EVENT_KIND_SOLD, EventId: e.EventId, TicketType: ticketType, Block: 1, RegistrationId: answer[:],
		BlockVersion: 9, BlockSize: size, Held: held, Sold: sold, Free: size - held - sold - withdrawn, Withdrawn: withdrawn, Changed: true,
	})
	l.add(topology.BlockEvents, event, when, opened)
}
