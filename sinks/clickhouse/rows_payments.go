package clickhouse

import (
	"github.com/google/uuid"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

var (
	paymentStatusNames = namesOf(pb.PaymentStatus(0).Descriptor())
	refundStatusNames  = namesOf(pb.RefundStatus(0).Descriptor())
)

// paymentRows is the table payments.
type paymentRows struct {
	table
	id, registration, event              *plain[uuid.UUID]
	organiser, status, currency, method  *plain[string]
	reference, decline                   *plain[string]
	provider, channel, region            *plain[string]
	amount, captured, fee, refundedTotal *plain[int64]
	refunds                              refundColumns
	unwanted, testMode, imported         *plain[bool]
	requested, capturedAt, booked        *plain[int64]
	changed                              *plain[int64]
	version                              *plain[uint64]
	source                               source
}

type refundColumns struct {
	id                                    *list[uuid.UUID]
	line                                  *list[uint32]
	amount, refundedAt, booked, requested *list[int64]
	status, reference, reason             *list[string]
}

func newPaymentRows() *paymentRows {
	r := &paymentRows{table: table{name: "payments"}}
	t := &r.table
	r.id = field[uuid.UUID](t, "payment_id", wireUUID)
	r.registration = field[uuid.UUID](t, "registration_id", wireUUID)
	r.event = field[uuid.UUID](t, "event_id", wireUUID)
	r.organiser = field[string](t, "organiser", "String")
	r.status = field[string](t, "status", "String")
	r.currency = field[string](t, "currency", "String")
	r.amount = field[int64](t, "amount_minor", "Int64")
	r.method = field[string](t, "method", "String")
	r.provider = field[string](t, "provider", "String")
	r.reference = field[string](t, "provider_reference", "String")
	r.captured = field[int64](t, "captured_minor", "Int64")
	r.fee = field[int64](t, "fee_minor", "Int64")
	r.refundedTotal = field[int64](t, "refunded_minor", "Int64")
	r.refunds = refundColumns{
		id:         nested[uuid.UUID](t, "refunds.refund_id", wireUUID),
		line:       nested[uint32](t, "refunds.line", "UInt32"),
		amount:     nested[int64](t, "refunds.amount_minor", "Int64"),
		status:     nested[string](t, "refunds.status", "String"),
		reference:  nested[string](t, "refunds.provider_reference", "String"),
		refundedAt: nested[int64](t, "refunds.refunded_at", wireTime),
		booked:     nested[int64](t, "refunds.booked_at", wireTime),
		requested:  nested[int64](t, "refunds.requested_at", wireTime),
		reason:     nested[string](t, "refunds.reason", "String"),
	}
	r.decline = field[string](t, "decline_code", "String")
	r.unwanted = field[bool](t, "unwanted", "Bool")
	r.channel = field[string](t, "channel", "String")
	r.region = field[string](t, "region", "String")
	r.testMode = field[bool](t, "test_mode", "Bool")
	r.imported = field[bool](t, "imported", "Bool")
	r.requested = field[int64](t, "requested_at", wireTime)
	r.capturedAt = field[int64](t, "captured_at", wireTime)
	r.booked = field[int64](t, "booked_at", wireTime)
	r.changed = field[int64](t, "changed_at", wireTime)
	r.version = field[uint64](t, "version", "UInt64")
	r.source = sourceColumns(t)
	return r
}

func (r *paymentRows) add(v *pb.Payment, at position) {
	r.id.add(optionalID(v.GetPaymentId()))
	r.registration.add(optionalID(v.GetRegistrationId()))
	r.event.add(optionalID(v.GetEventId()))
	r.organiser.add(v.GetOrganiser())
	r.status.add(paymentStatusNames.name(uint64(v.GetStatus())))
	r.currency.add(v.GetCurrency())
	r.amount.add(v.GetAmountMinor())
	r.method.add(v.GetMethod())
	r.provider.add(v.GetProvider())
	r.reference.add(v.GetProviderReference())
	r.captured.add(v.GetCapturedMinor())
	r.fee.add(v.GetFeeMinor())
	r.refundedTotal.add(v.GetRefundedMinor())
	for _, refund := range v.GetRefunds() {
		r.refunds.add(refund)
	}
	r.refunds.end()
	r.decline.add(v.GetDeclineCode())
	r.unwanted.add(v.GetUnwanted())
	r.channel.add(v.GetChannel())
	r.region.add(v.GetRegion())
	r.testMode.add(v.GetTestMode())
	r.imported.add(v.GetImported())
	r.requested.add(instant(v.GetRequestedAtUnixMs()))
	r.capturedAt.add(instant(v.GetCapturedAtUnixMs()))
	r.booked.add(instant(bookedMs(v.GetBookedAtUnixMs(), v.GetCapturedAtUnixMs())))
	r.changed.add(instant(v.GetChangedAtUnixMs()))
	r.version.add(v.GetVersion())
	r.source.add(at)
}

func (c *refundColumns) add(v *pb.Refund) {
	c.id.add(optionalID(v.GetRefundId()))
	c.line.add(v.GetLine())
	c.amount.add(v.GetAmountMinor())
	c.status.add(refundStatusNames.name(uint64(v.GetStatus())))
	c.reference.add(v.GetProviderReference())
	c.refundedAt.add(instant(v.GetRefundedAtUnixMs()))
	c.booked.add(instant(bookedMs(v.GetBookedAtUnixMs(), v.GetRefundedAtUnixMs())))
	c.requested.add(instant(v.GetRequestedAtUnixMs()))
	c.reason.add(v.GetReason())
}

func (c *refundColumns) end() {
	c.id.end()
	c.line.end()
	c.amount.end()
	c.status.end()
	c.reference.end()
	c.refundedAt.end()
	c.booked.end()
	c.requested.end()
	c.reason.end()
}
