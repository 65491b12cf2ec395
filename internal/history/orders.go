package history

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/tax"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/processors/registrations"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// ticketsPerOrder is the mean of what order draws.
const ticketsPerOrder = 2.0

// order is one registration and its payment, as they stood in the end.
type order struct {
	registration *pb.Registration
	payment      *pb.Payment // nil when nothing was charged
}

type choice struct {
	name   string
	weight float64
}

func (c choice) of() float64 { return c.weight }

var (
	channels = []choice{{"web", 0.62}, {"app", 0.27}, {"partner", 0.08}, {"box-office", 0.03}}
	methods  = []choice{{"tok_visa", 0.44}, {"tok_mastercard", 0.27}, {"tok_paypal", 0.19}, {"tok_sepa", 0.1}}
	declines = []choice{{"insufficient_funds", 0.5}, {"card_declined", 0.3}, {"expired_card", 0.2}}
)

type quantity struct {
	tickets int64
	weight  float64
}

// quantities: one ticket for 45 % of the lines, two for 38 %, and so on.
var quantities = []quantity{{1, 0.45}, {2, 0.38}, {3, 0.09}, {4, 0.08}}

// Shares of the orders that get that far.
const (
	shareExpired   = 0.03
	shareDeclined  = 0.045
	shareCancelled = 0.04
	sharePartial   = 0.3 // of the cancelled ones with several lines
	shareCode      = 0.08
	shareTwoLines  = 0.17
	discountCode   = 10 // per cent
)

// order makes order number n of event i, that comes at the moment.
func (h *History) order(e *event, r *rand.Rand, i, n int, at time.Time) order {
	id := topology.RegistrationID(e.pb.Organiser, fmt.Sprintf("history/%d/%d/%d", h.cfg.Seed, i, n))
	attendee := uuid.NewSHA1(id, []byte("attendee"))
	ms := at.UnixMilli()
	reg := &pb.Registration{
		RegistrationId: id[:], Organiser: e.pb.Organiser, EventId: e.pb.EventId, AttendeeId: attendee[:], Currency: e.pb.Currency,
		Step: pb.Step_STEP_SETTLED, Settled: true, RequestTimeUnixMs: ms, Channel: pick(r, channels, choice.of).name, Region: e.place.region,
		PaymentMethod: pick(r, methods, choice.of).name, EventVersion: 2,
	}
	types := e.lines(r, reg)
	o := order{registration: reg}
	if !e.take(types, reg.Lines) {
		o.end(pb.Outcome_OUTCOME_SOLD_OUT, "sold_out", ms+40, 3)
		return o
	}
	reg.HeldAtUnixMs = ms + 30 + r.Int64N(60)
	if reg.TotalMinor == 0 {
		o.end(pb.Outcome_OUTCOME_CONFIRMED, "", reg.HeldAtUnixMs+10, 4)
		h.afterwards(e, r, &o, types)
		return o
	}
	if r.Float64() < shareExpired {
		o.end(pb.Outcome_OUTCOME_EXPIRED, "not_paid_in_time", ms+10*60_000, 5)
		e.give(types, reg.Lines)
		return o
	}
	o.charge(r)
	if r.Float64() < shareDeclined {
		o.decline(pick(r, declines, choice.of).name)
		e.give(types, reg.Lines)
		return o
	}
	o.capture()
	h.afterwards(e, r, &o, types)
	return o
}

// lines draws what is ordered and returns the indexes of the ticket types.
func (e *event) lines(r *rand.Rand, reg *pb.Registration) []int {
	count := 1
	if draw := r.Float64(); len(e.sort.types) > 1 && draw < shareTwoLines {
		count = 2
	}
	code := r.Float64() < shareCode
	var types []int
	for len(types) < count {
		kind := pickIndex(r, e.sort.types, types)
		types = append(types, kind)
		t := e.pb.TicketTypes[kind]
		quantity := pick(r, quantities, func(q quantity) float64 { return q.weight }).tickets
		l := &pb.Line{
			Line: uint32(len(types)), TicketType: t.Id, Quantity: uint32(quantity), UnitPriceMinor: t.PriceMinor,
			TaxRateBp: t.TaxRateBp, TaxMode: t.TaxMode,
		}
		if code {
			l.DiscountMinor = t.PriceMinor * quantity * discountCode / 100
		}
		l.TaxMinor, l.TotalMinor = tax.Of(t.PriceMinor*quantity-l.DiscountMinor, t.TaxRateBp, t.TaxMode)
		reg.Lines = append(reg.Lines, l)
		reg.TotalMinor += l.TotalMinor
	}
	return types
}

// pickIndex draws a ticket type that is not among those that were drawn.
func pickIndex(r *rand.Rand, types []ticket, drawn []int) int {
	left := make([]int, 0, len(types))
	for i := range types {
		if len(drawn) == 0 || drawn[0] != i {
			left = append(left, i)
		}
	}
	return pick(r, left, func(i int) float64 { return types[i].share })
}

// take takes the places of all lines, or of none.
func (e *event) take(types []int, lines []*pb.Line) bool {
	for i, t := range types {
		if int(lines[i].Quantity) > e.left[t] {
			return false
		}
	}
	for i, t := range types {
		e.left[t] -= int(lines[i].Quantity)
		e.sold[t] += int(lines[i].Quantity)
	}
	return true
}

// give gives back the places of the lines.
func (e *event) give(types []int, lines []*pb.Line) {
	for i, t := range types {
		e.left[t] += int(lines[i].Quantity)
		e.sold[t] -= int(lines[i].Quantity)
	}
}

// end decides the registration.
func (o *order) end(outcome pb.Outcome, reason string, atMs int64, version uint64) {
	r := o.registration
	r.Outcome, r.Reason, r.Version = outcome, reason, version
	r.DecidedAtUnixMs, r.SettledAtUnixMs, r.ChangedAtUnixMs = atMs, atMs+50, atMs+50
}

// charge asks for the money.
func (o *order) charge(r *rand.Rand) {
	reg := o.registration
	id := topology.PaymentID(topology.UUID(reg.RegistrationId))
	p := &pb.Payment{
		PaymentId: id[:], RegistrationId: reg.RegistrationId, EventId: reg.EventId, Organiser: reg.Organiser, AmountMinor: reg.TotalMinor,
		Currency: reg.Currency, Method: reg.PaymentMethod, Status: pb.PaymentStatus_PAYMENT_STATUS_PENDING, Attempts: 1,
		RequestedAtUnixMs: reg.HeldAtUnixMs + 20, Channel: reg.Channel, Region: reg.Region, Provider: "simulated", Lines: registrations.ChargeLines(reg.Lines),
		ChangedAtUnixMs: reg.HeldAtUnixMs + 20 + 250 + r.Int64N(900), Version: 2,
	}
	o.payment = p
	reg.Payment = &pb.PaymentState{PaymentId: id[:], AmountMinor: p.AmountMinor, Version: p.Version}
}

func (o *order) decline(code string) {
	p, state := o.payment, o.registration.Payment
	p.Status, p.DeclineCode = pb.PaymentStatus_PAYMENT_STATUS_DECLINED, code
	state.Status, state.DeclineCode = p.Status, code
	o.end(pb.Outcome_OUTCOME_PAYMENT_FAILED, "declined", p.ChangedAtUnixMs+20, 5)
}

func (o *order) capture() {
	p, state := o.payment, o.registration.Payment
	p.Status, p.CapturedMinor, p.FeeMinor = pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, p.AmountMinor, provider.DefaultFee.Of(p.AmountMinor)
	p.ProviderReference = "ch_" + topology.KeyOf(p.PaymentId)[:18]
	p.CapturedAtUnixMs, p.BookedAtUnixMs = p.ChangedAtUnixMs-30, p.ChangedAtUnixMs
	state.Status, state.CapturedMinor, state.FeeMinor = p.Status, p.CapturedMinor, p.FeeMinor
	state.ProviderReference, state.CapturedAtUnixMs = p.ProviderReference, p.CapturedAtUnixMs
	o.end(pb.Outcome_OUTCOME_CONFIRMED, "", p.BookedAtUnixMs+20, 6)
}

// afterwards is what happens to a confirmed order until the end of the past: the
// event may be cancelled, or the attendee gives tickets back.
func (h *History) afterwards(e *event, r *rand.Rand, o *order, types []int) {
	reg := o.registration
	lines := reg.Lines
	at, reason := e.cancelled, "event_cancelled"
	if at.IsZero() {
		if r.Float64() >= shareCancelled {
			return
		}
		at = time.UnixMilli(reg.DecidedAtUnixMs).Add(time.Duration(r.ExpFloat64() * float64(6*24*time.Hour)))
		reason = "cancel_requested"
		if len(lines) > 1 && r.Float64() < sharePartial {
			lines, types = lines[:1], types[:1]
		}
	}
	if !at.Before(h.cfg.Until) || !at.Before(time.UnixMilli(e.pb.StartsAtUnixMs)) {
		return
	}
	o.cancel(lines, reason, at.UnixMilli())
	if e.cancelled.IsZero() {
		e.give(types, lines)
	}
}

// cancel gives lines back, and with the last one the order.
func (o *order) cancel(lines []*pb.Line, reason string, atMs int64) {
	reg := o.registration
	for _, l := range lines {
		l.Cancelled = true
		o.refund(l, reason, atMs)
	}
	reg.Version += 2
	reg.ChangedAtUnixMs, reg.SettledAtUnixMs = atMs+900, atMs+900
	if len(lines) == len(reg.Lines) {
		reg.Outcome, reg.Reason, reg.CancelledAtUnixMs = pb.Outcome_OUTCOME_CANCELLED, reason, atMs
		reg.Revoked = reason == "event_cancelled"
	}
}

func (o *order) refund(l *pb.Line, reason string, atMs int64) {
	p := o.payment
	if p == nil || l.TotalMinor == 0 {
		return
	}
	state := o.registration.Payment
	id := topology.RefundID(topology.UUID(p.PaymentId), uint32(len(p.Refunds)))
	p.Refunds = append(p.Refunds, &pb.Refund{
		RefundId: id[:], AmountMinor: l.TotalMinor, Status: pb.RefundStatus_REFUND_STATUS_DONE, ProviderReference: "re_" + id.String()[:18],
		RequestedAtUnixMs: atMs, RefundedAtUnixMs: atMs + 600, BookedAtUnixMs: atMs + 650, Reason: reason, Attempts: 1, Line: l.Line,
	})
	p.RefundedMinor += l.TotalMinor
	p.Version += 2
	p.ChangedAtUnixMs = atMs + 650
	if p.RefundedMinor == p.CapturedMinor {
		p.Status = pb.PaymentStatus_PAYMENT_STATUS_REFUNDED
	}
	state.Refunds = append(state.Refunds, &pb.RefundState{RefundId: id[:], AmountMinor: l.TotalMinor, Done: true, Line: l.Line})
	state.Status, state.RefundedMinor, state.Version = p.Status, p.RefundedMinor, p.Version
}
