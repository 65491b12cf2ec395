package views

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/proto"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// The JSON of an answer is written by hand: a look-up's cost is mostly its
// JSON, and this takes a tenth of protojson's time. Member names are the
// contract's field names; numbers and booleans always stand there, texts,
// lists and objects only when they say something.

// appendAnswer appends a response of the LookupService as one JSON object: a
// single thing's members stand at the top, freshness last.
func appendAnswer(b []byte, answer proto.Message) []byte {
	o := object{b: append(b, '{')}
	switch a := answer.(type) {
	case *pb.LookupServiceGetRegistrationResponse:
		o.registration(a.GetRegistration())
		o.freshness(a.GetFreshness())
	case *pb.LookupServiceWatchRegistrationResponse:
		o.registration(a.GetRegistration())
		o.freshness(a.GetFreshness())
	case *pb.LookupServiceGetPaymentResponse:
		o.payment(a.GetPayment())
		o.freshness(a.GetFreshness())
	case *pb.LookupServiceGetEventResponse:
		o.event(a.GetEvent())
		o.freshness(a.GetFreshness())
	case *pb.LookupServiceListEventsResponse:
		list(&o, "events", a.GetEvents(), (*object).event)
		o.text("next_cursor", a.GetNextCursor())
		o.freshness(a.GetFreshness())
	case *pb.LookupServiceGetAvailabilityResponse:
		o.text("event_id", a.GetEventId())
		o.text("status", a.GetStatus())
		list(&o, "ticket_types", a.GetTicketTypes(), (*object).typeAvailability)
		o.freshness(a.GetFreshness())
	case *pb.LookupServiceListAttendeeRegistrationsResponse:
		list(&o, "registrations", a.GetRegistrations(), (*object).registration)
		o.text("next_cursor", a.GetNextCursor())
		o.freshness(a.GetFreshness())
	}
	return append(o.b, '}', '\n')
}

func (o *object) registration(r *pb.LookupRegistration) {
	o.text("registration_id", r.GetRegistrationId())
	o.text("status", r.GetStatus())
	o.boolean("settled", r.GetSettled())
	o.text("reason", r.GetReason())
	o.unsigned("version", r.GetVersion())
	o.text("organiser", r.GetOrganiser())
	o.text("event_id", r.GetEventId())
	o.text("attendee_id", r.GetAttendeeId())
	o.text("currency", r.GetCurrency())
	o.integer("total_minor", r.GetTotalMinor())
	list(o, "lines", r.GetLines(), (*object).line)
	if len(r.GetTickets()) > 0 {
		list(o, "tickets", r.GetTickets(), (*object).ticket)
	}
	if p := r.GetPayment(); p != nil {
		o.object("payment", func(o *object) { o.paymentSummary(p) })
	}
	o.text("requested_at", r.GetRequestedAt())
	o.text("held_at", r.GetHeldAt())
	o.text("decided_at", r.GetDecidedAt())
	o.text("settled_at", r.GetSettledAt())
	o.text("cancelled_at", r.GetCancelledAt())
	o.text("changed_at", r.GetChangedAt())
	o.text("expires_at", r.GetExpiresAt())
	o.text("channel", r.GetChannel())
	o.text("region", r.GetRegion())
	o.boolean("test_mode", r.GetTestMode())
	o.command("last_command", r.GetLastCommand())
}

func (o *object) line(l *pb.LookupLine) {
	o.unsigned("line", uint64(l.GetLine()))
	o.text("ticket_type", l.GetTicketType())
	o.unsigned("quantity", uint64(l.GetQuantity()))
	o.integer("unit_price_minor", l.GetUnitPriceMinor())
	o.integer("discount_minor", l.GetDiscountMinor())
	o.unsigned("tax_rate_bp", uint64(l.GetTaxRateBp()))
	o.text("tax_mode", l.GetTaxMode())
	o.integer("tax_minor", l.GetTaxMinor())
	o.integer("total_minor", l.GetTotalMinor())
	o.boolean("cancelled", l.GetCancelled())
}

func (o *object) ticket(t *pb.LookupTicket) {
	o.text("ticket_id", t.GetTicketId())
	o.text("ticket_type", t.GetTicketType())
	o.unsigned("block", uint64(t.GetBlock()))
	o.unsigned("seat", uint64(t.GetSeat()))
}

func (o *object) paymentSummary(p *pb.LookupPaymentSummary) {
	o.text("payment_id", p.GetPaymentId())
	o.text("status", p.GetStatus())
	o.integer("amount_minor", p.GetAmountMinor())
	o.integer("captured_minor", p.GetCapturedMinor())
	o.integer("refunded_minor", p.GetRefundedMinor())
	o.text("captured_at", p.GetCapturedAt())
	o.text("decline_code", p.GetDeclineCode())
}

func (o *object) payment(p *pb.LookupPayment) {
	o.text("payment_id", p.GetPaymentId())
	o.text("registration_id", p.GetRegistrationId())
	o.text("event_id", p.GetEventId())
	o.text("organiser", p.GetOrganiser())
	o.text("status", p.GetStatus())
	o.unsigned("version", p.GetVersion())
	o.text("currency", p.GetCurrency())
	o.integer("amount_minor", p.GetAmountMinor())
	o.integer("captured_minor", p.GetCapturedMinor())
	o.integer("refunded_minor", p.GetRefundedMinor())
	o.integer("fee_minor", p.GetFeeMinor())
	o.text("provider_reference", p.GetProviderReference())
	o.text("decline_code", p.GetDeclineCode())
	o.text("reason", p.GetReason())
	list(o, "refunds", p.GetRefunds(), (*object).refund)
	o.text("requested_at", p.GetRequestedAt())
	o.text("captured_at", p.GetCapturedAt())
	o.text("changed_at", p.GetChangedAt())
	o.boolean("test_mode", p.GetTestMode())
}

func (o *object) refund(f *pb.LookupRefund) {
	o.text("refund_id", f.GetRefundId())
	o.text("status", f.GetStatus())
	o.integer("amount_minor", f.GetAmountMinor())
	o.text("reason", f.GetReason())
	o.text("requested_at", f.GetRequestedAt())
	o.text("refunded_at", f.GetRefundedAt())
}

func (o *object) event(e *pb.LookupEvent) {
	o.text("event_id", e.GetEventId())
	o.text("status", e.GetStatus())
	o.unsigned("version", e.GetVersion())
	o.text("organiser", e.GetOrganiser())
	o.text("name", e.GetName())
	o.text("venue", e.GetVenue())
	o.text("region", e.GetRegion())
	o.text("currency", e.GetCurrency())
	o.text("starts_at", e.GetStartsAt())
	o.text("sale_starts_at", e.GetSaleStartsAt())
	o.text("sale_ends_at", e.GetSaleEndsAt())
	o.unsigned("max_per_attendee", uint64(e.GetMaxPerAttendee()))
	list(o, "ticket_types", e.GetTicketTypes(), (*object).ticketType)
	o.text("created_at", e.GetCreatedAt())
	o.text("changed_at", e.GetChangedAt())
	o.boolean("test_mode", e.GetTestMode())
	o.text("cancel_reason", e.GetCancelReason())
	o.command("last_command", e.GetLastCommand())
}

func (o *object) ticketType(t *pb.LookupTicketType) {
	o.text("ticket_type", t.GetTicketType())
	o.text("name", t.GetName())
	o.integer("price_minor", t.GetPriceMinor())
	o.unsigned("tax_rate_bp", uint64(t.GetTaxRateBp()))
	o.text("tax_mode", t.GetTaxMode())
	o.unsigned("capacity", uint64(t.GetCapacity()))
}

func (o *object) typeAvailability(t *pb.LookupTypeAvailability) {
	o.text("ticket_type", t.GetTicketType())
	o.unsigned("capacity", t.GetCapacity())
	o.unsigned("held", t.GetHeld())
	o.unsigned("sold", t.GetSold())
	o.unsigned("free", t.GetFree())
}

func (o *object) command(name string, c *pb.LookupCommandResult) {
	if c == nil {
		return
	}
	o.object(name, func(o *object) {
		o.text("result", c.GetResult())
		o.text("reason", c.GetReason())
		o.object("position", func(o *object) {
			o.text("topic", c.GetPosition().GetTopic())
			o.integer("partition", int64(c.GetPosition().GetPartition()))
			o.integer("offset", c.GetPosition().GetOffset())
		})
	})
}

func (o *object) freshness(f *pb.LookupFreshness) {
	asOf := f.GetAsOf()
	if asOf == nil {
		return
	}
	o.object("freshness", func(o *object) {
		o.object("as_of", func(o *object) {
			o.text("topic", asOf.GetTopic())
			if asOf.Partition != nil {
				o.integer("partition", int64(asOf.GetPartition()))
			}
			if asOf.Offset != nil {
				o.integer("offset", asOf.GetOffset())
			}
			if asOf.LagRecords != nil {
				o.integer("lag_records", asOf.GetLagRecords())
			}
			if asOf.LagMs != nil {
				o.integer("lag_ms", asOf.GetLagMs())
			}
		})
	})
}

// object is a JSON object that is being written; b ends in its '{' or in a
// complete member.
type object struct{ b []byte }

func (o *object) name(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), name...), '"', ':')
}

func (o *object) text(name, value string) {
	if value == "" {
		return
	}
	o.name(name)
	o.b = appendText(o.b, value)
}

func (o *object) integer(name string, value int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, value, 10)
}

func (o *object) unsigned(name string, value uint64) {
	o.name(name)
	o.b = strconv.AppendUint(o.b, value, 10)
}

func (o *object) boolean(name string, value bool) {
	o.name(name)
	o.b = strconv.AppendBool(o.b, value)
}

func (o *object) object(name string, members func(*object)) {
	o.name(name)
	o.b = append(o.b, '{')
	members(o)
	o.b = append(o.b, '}')
}

func list[T any](o *object, name string, values []T, members func(*object, T)) {
	o.name(name)
	o.b = append(o.b, '[')
	for i, v := range values {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = append(o.b, '{')
		members(o, v)
		o.b = append(o.b, '}')
	}
	o.b = append(o.b, ']')
}

// appendText appends a JSON string. The only error is invalid UTF-8, which is
// replaced; an answer stays readable whatever a name holds.
func appendText(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}
