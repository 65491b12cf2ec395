package clickhouse

import (
	"github.com/google/uuid"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

var (
	stepNames    = namesOf(pb.Step(0).Descriptor())
	outcomeNames = namesOf(pb.Outcome(0).Descriptor())
	taxModeNames = namesOf(pb.TaxMode(0).Descriptor())
)

// registrationRows is the table registrations.
type registrationRows struct {
	table
	id, event, attendee, payment               *plain[uuid.UUID]
	organiser, step, outcome, reason, currency *plain[string]
	method, channel, region                    *plain[string]
	settled, testMode, imported                *plain[bool]
	total                                      *plain[int64]
	lines                                      lineColumns
	eventVersion, version                      *plain[uint64]
	requested, held, decided                   *plain[int64]
	settledAt, cancelled, changed              *plain[int64]
	source                                     source
}

type lineColumns struct {
	line, quantity, taxRate     *list[uint32]
	ticketType, taxMode         *list[string]
	price, discount, tax, total *list[int64]
	cancelled                   *list[bool]
}

func newRegistrationRows() *registrationRows {
	r := &registrationRows{table: table{name: "registrations"}}
	t := &r.table
	r.id = field[uuid.UUID](t, "registration_id", wireUUID)
	r.event = field[uuid.UUID](t, "event_id", wireUUID)
	r.organiser = field[string](t, "organiser", "String")
	r.attendee = field[uuid.UUID](t, "attendee_id", wireUUID)
	r.step = field[string](t, "step", "String")
	r.outcome = field[string](t, "outcome", "String")
	r.reason = field[string](t, "reason", "String")
	r.settled = field[bool](t, "settled", "Bool")
	r.currency = field[string](t, "currency", "String")
	r.total = field[int64](t, "total_minor", "Int64")
	r.lines = lineColumns{
		line:       nested[uint32](t, "lines.line", "UInt32"),
		ticketType: nested[string](t, "lines.ticket_type", "String"),
		quantity:   nested[uint32](t, "lines.quantity", "UInt32"),
		price:      nested[int64](t, "lines.unit_price_minor", "Int64"),
		taxRate:    nested[uint32](t, "lines.tax_rate_bp", "UInt32"),
		taxMode:    nested[string](t, "lines.tax_mode", "String"),
		discount:   nested[int64](t, "lines.discount_minor", "Int64"),
		tax:        nested[int64](t, "lines.tax_minor", "Int64"),
		total:      nested[int64](t, "lines.total_minor", "Int64"),
		cancelled:  nested[bool](t, "lines.cancelled", "Bool"),
	}
	r.payment = field[uuid.UUID](t, "payment_id", wireUUID)
	r.method = field[string](t, "payment_method", "String")
	r.channel = field[string](t, "channel", "String")
	r.region = field[string](t, "region", "String")
	r.testMode = field[bool](t, "test_mode", "Bool")
	r.imported = field[bool](t, "imported", "Bool")
	r.eventVersion = field[uint64](t, "event_version", "UInt64")
	r.requested = field[int64](t, "request_time", wireTime)
	r.held = field[int64](t, "held_at", wireTime)
	r.decided = field[int64](t, "decided_at", wireTime)
	r.settledAt = field[int64](t, "settled_at", wireTime)
	r.cancelled = field[int64](t, "cancelled_at", wireTime)
	r.changed = field[int64](t, "changed_at", wireTime)
	r.version = field[uint64](t, "version", "UInt64")
	r.source = sourceColumns(t)
	return r
}

func (r *registrationRows) add(v *pb.Registration, at position) {
	r.id.add(optionalID(v.GetRegistrationId()))
	r.event.add(optionalID(v.GetEventId()))
	r.organiser.add(v.GetOrganiser())
	r.attendee.add(optionalID(v.GetAttendeeId()))
	r.step.add(stepNames.name(uint64(v.GetStep())))
	r.outcome.add(outcomeNames.name(uint64(v.GetOutcome())))
	r.reason.add(v.GetReason())
	r.settled.add(v.GetSettled())
	r.currency.add(v.GetCurrency())
	r.total.add(v.GetTotalMinor())
	for _, line := range v.GetLines() {
		r.lines.add(line)
	}
	r.lines.end()
	r.payment.add(optionalID(v.GetPayment().GetPaymentId()))
	r.method.add(v.GetPaymentMethod())
	r.channel.add(v.GetChannel())
	r.region.add(v.GetRegion())
	r.testMode.add(v.GetTestMode())
	r.imported.add(v.GetImported())
	r.eventVersion.add(v.GetEventVersion())
	r.requested.add(instant(v.GetRequestTimeUnixMs()))
	r.held.add(instant(v.GetHeldAtUnixMs()))
	r.decided.add(instant(v.GetDecidedAtUnixMs()))
	r.settledAt.add(instant(v.GetSettledAtUnixMs()))
	r.cancelled.add(instant(v.GetCancelledAtUnixMs()))
	r.changed.add(instant(v.GetChangedAtUnixMs()))
	r.version.add(v.GetVersion())
	r.source.add(at)
}

func (c *lineColumns) add(line *pb.Line) {
	c.line.add(line.GetLine())
	c.ticketType.add(line.GetTicketType())
	c.quantity.add(line.GetQuantity())
	c.price.add(line.GetUnitPriceMinor())
	c.taxRate.add(line.GetTaxRateBp())
	c.taxMode.add(taxModeNames.name(uint64(line.GetTaxMode())))
	c.discount.add(line.GetDiscountMinor())
	c.tax.add(line.GetTaxMinor())
	c.total.add(line.GetTotalMinor())
	c.cancelled.add(line.GetCancelled())
}

func (c *lineColumns) end() {
	c.line.end()
	c.ticketType.end()
	c.quantity.end()
	c.price.end()
	c.taxRate.end()
	c.taxMode.end()
	c.discount.end()
	c.tax.end()
	c.total.end()
	c.cancelled.end()
}
