package clickhouse

import (
	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/tax"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Kinds of a movement.
const (
	kindCharge = "charge"
	kindRefund = "refund"
)

// movement is money that moved for one line of an order.
type movement struct {
	id   []byte
	kind string
	// line is what it was for; its total is the money that moved. Line 0 stands
	// for what is not known by line.
	line       *pb.ChargeLine
	feeMinor   int64
	reference  string
	occurredMs int64
	bookedMs   int64
}

// movements lists the money that a payment moved: a row a line of the charge once
// it is captured, a row a line that a refund gives back once it is done.
//
// I4: the charge's rows sum up to what was captured and each refund's to what it
// gave back, whatever the payment says of its lines. A later version of a payment
// has all rows of an earlier one unchanged, since what is captured and done stays
// so, and how a refund is split depends only on the lines and on earlier refunds.
func movements(p *pb.Payment, take func(*movement)) {
	var lines []*pb.ChargeLine
	if addUp(p.GetLines(), p.GetCapturedMinor()) {
		lines = p.GetLines()
	}
	if p.GetCapturedMinor() != 0 {
		m := movement{
			id: p.GetPaymentId(), kind: kindCharge, feeMinor: p.GetFeeMinor(), reference: p.GetProviderReference(),
			occurredMs: p.GetCapturedAtUnixMs(), bookedMs: bookedMs(p.GetBookedAtUnixMs(), p.GetCapturedAtUnixMs()),
		}
		m.each(lines, p.GetCapturedMinor(), take)
	}
	for i, r := range p.GetRefunds() {
		if r.GetStatus() != pb.RefundStatus_REFUND_STATUS_DONE {
			continue
		}
		m := movement{
			id: r.GetRefundId(), kind: kindRefund, reference: r.GetProviderReference(),
			occurredMs: r.GetRefundedAtUnixMs(), bookedMs: bookedMs(r.GetBookedAtUnixMs(), r.GetRefundedAtUnixMs()),
		}
		m.each(givenBack(lines, p.GetRefunds()[:i], r), r.GetAmountMinor(), take)
	}
}

// each takes one movement a line, or one of line 0 where the lines are not known.
func (m movement) each(lines []*pb.ChargeLine, amountMinor int64, take func(*movement)) {
	if len(lines) == 0 {
		lines = []*pb.ChargeLine{{TotalMinor: amountMinor}}
	}
	for _, line := range lines {
		m.line = line
		take(&m)
		m.feeMinor = 0 // it is the whole charge's
	}
}

// bookedMs is the time of a booking; records from before it was noted have the
// day of the money.
func bookedMs(booked, occurred int64) int64 {
	if booked == 0 {
		return occurred
	}
	return booked
}

// addUp says whether lines tell what an amount was for: their totals are the
// amount, and each has a number of its own, as the rows need.
func addUp(lines []*pb.ChargeLine, amountMinor int64) bool {
	for i, line := range lines {
		amountMinor -= line.GetTotalMinor()
		if line.GetLine() == 0 || number(lines[:i], line.GetLine()) != nil {
			return false
		}
	}
	return amountMinor == 0
}

func number(lines []*pb.ChargeLine, line uint32) *pb.ChargeLine {
	for _, l := range lines {
		if l.GetLine() == line {
			return l
		}
	}
	return nil
}

// givenBack is what a refund gives back, by line: the line that it names, or all
// lines that no earlier refund names when they come to its amount; else none.
func givenBack(lines []*pb.ChargeLine, earlier []*pb.Refund, r *pb.Refund) []*pb.ChargeLine {
	if r.GetLine() != 0 {
		if line := number(lines, r.GetLine()); line != nil {
			return []*pb.ChargeLine{part(line, r.GetAmountMinor())}
		}
		return nil
	}
	var left []*pb.ChargeLine
	for _, line := range lines {
		if !names(earlier, line.GetLine()) {
			left = append(left, part(line, line.GetTotalMinor()))
		}
	}
	if !addUp(left, r.GetAmountMinor()) {
		return nil
	}
	return left
}

func names(refunds []*pb.Refund, line uint32) bool {
	for _, r := range refunds {
		if r.GetLine() == line {
			return true
		}
	}
	return false
}

// part is an amount given back of a line. Only a whole line gives tickets back;
// of another amount, the tax within it is worked out from the line's rate.
func part(line *pb.ChargeLine, amountMinor int64) *pb.ChargeLine {
	p := &pb.ChargeLine{
		Line: line.GetLine(), TicketType: line.GetTicketType(), UnitPriceMinor: line.GetUnitPriceMinor(),
		TaxRateBp: line.GetTaxRateBp(), TaxMode: line.GetTaxMode(), TotalMinor: amountMinor,
	}
	switch {
	case amountMinor == line.GetTotalMinor():
		p.Quantity, p.TaxMinor = line.GetQuantity(), line.GetTaxMinor()
	case line.GetTaxMode() == pb.TaxMode_TAX_MODE_INCLUDED || line.GetTaxMode() == pb.TaxMode_TAX_MODE_ON_TOP:
		// Either way what was paid has the tax in it.
		p.TaxMinor, _ = tax.Of(amountMinor, line.GetTaxRateBp(), pb.TaxMode_TAX_MODE_INCLUDED)
	}
	return p
}

// movementRows is the table movements.
type movementRows struct {
	table
	id, payment, registration, event                *plain[uuid.UUID]
	line, taxRate, quantity                         *plain[uint32]
	kind, organiser, currency, provider, method     *plain[string]
	channel, region, ticketType, taxMode, reference *plain[string]
	unitPrice, amount, discount, tax, fee           *plain[int64]
	testMode, imported                              *plain[bool]
	occurred, booked                                *plain[int64]
	version                                         *plain[uint64]
	source                                          source
}

func newMovementRows() *movementRows {
	r := &movementRows{table: table{name: "movements"}}
	t := &r.table
	r.id = field[uuid.UUID](t, "movement_id", wireUUID)
	r.line = field[uint32](t, "line", "UInt32")
	r.kind = field[string](t, "kind", "String")
	r.payment = field[uuid.UUID](t, "payment_id", wireUUID)
	r.registration = field[uuid.UUID](t, "registration_id", wireUUID)
	r.event = field[uuid.UUID](t, "event_id", wireUUID)
	r.organiser = field[string](t, "organiser", "String")
	r.currency = field[string](t, "currency", "String")
	r.provider = field[string](t, "provider", "String")
	r.method = field[string](t, "method", "String")
	r.channel = field[string](t, "channel", "String")
	r.region = field[string](t, "region", "String")
	r.ticketType = field[string](t, "ticket_type", "String")
	r.taxMode = field[string](t, "tax_mode", "String")
	r.unitPrice = field[int64](t, "unit_price_minor", "Int64")
	r.taxRate = field[uint32](t, "tax_rate_bp", "UInt32")
	r.quantity = field[uint32](t, "quantity", "UInt32")
	r.amount = field[int64](t, "amount_minor", "Int64")
	r.discount = field[int64](t, "discount_minor", "Int64")
	r.tax = field[int64](t, "tax_minor", "Int64")
	r.fee = field[int64](t, "fee_minor", "Int64")
	r.testMode = field[bool](t, "test_mode", "Bool")
	r.imported = field[bool](t, "imported", "Bool")
	r.occurred = field[int64](t, "occurred_at", wireTime)
	r.booked = field[int64](t, "booked_at", wireTime)
	r.reference = field[string](t, "provider_reference", "String")
	r.version = field[uint64](t, "version", "UInt64")
	r.source = sourceColumns(t)
	return r
}

func (r *movementRows) add(p *pb.Payment, at position) {
	payment, registration, event := optionalID(p.GetPaymentId()), optionalID(p.GetRegistrationId()), optionalID(p.GetEventId())
	movements(p, func(m *movement) {
		r.id.add(optionalID(m.id))
		r.line.add(m.line.GetLine())
		r.kind.add(m.kind)
		r.payment.add(payment)
		r.registration.add(registration)
		r.event.add(event)
		r.organiser.add(p.GetOrganiser())
		r.currency.add(p.GetCurrency())
		r.provider.add(p.GetProvider())
		r.method.add(p.GetMethod())
		r.channel.add(p.GetChannel())
		r.region.add(p.GetRegion())
		r.ticketType.add(m.line.GetTicketType())
		r.taxMode.add(taxModeNames.name(uint64(m.line.GetTaxMode())))
		r.unitPrice.add(m.line.GetUnitPriceMinor())
		r.taxRate.add(m.line.GetTaxRateBp())
		r.quantity.add(m.line.GetQuantity())
		r.amount.add(m.line.GetTotalMinor())
		r.discount.add(m.line.GetDiscountMinor())
		r.tax.add(m.line.GetTaxMinor())
		r.fee.add(m.feeMinor)
		r.testMode.add(p.GetTestMode())
		r.imported.add(p.GetImported())
		r.occurred.add(instant(m.occurredMs))
		r.booked.add(instant(m.bookedMs))
		r.reference.add(m.reference)
		r.version.add(p.GetVersion())
		r.source.add(at)
	})
}
