package views

import (
	"math/bits"
	"time"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// registrationAnswer is a registration as its organiser sees it.
func registrationAnswer(r *pb.Registration) *pb.LookupRegistration {
	return &pb.LookupRegistration{
		RegistrationId: idText(r.GetRegistrationId()),
		Status:         registrationStatus(r.GetStep(), r.GetOutcome()),
		Settled:        r.GetSettled(),
		Reason:         r.GetReason(),
		Version:        r.GetVersion(),
		Organiser:      r.GetOrganiser(),
		EventId:        idText(r.GetEventId()),
		AttendeeId:     idText(r.GetAttendeeId()),
		Currency:       r.GetCurrency(),
		TotalMinor:     r.GetTotalMinor(),
		Lines:          lineAnswers(r.GetLines()),
		Tickets:        ticketAnswers(r),
		Payment:        paymentSummary(r.GetPayment()),
		RequestedAt:    timeText(r.GetRequestTimeUnixMs()),
		HeldAt:         timeText(r.GetHeldAtUnixMs()),
		DecidedAt:      timeText(r.GetDecidedAtUnixMs()),
		SettledAt:      timeText(r.GetSettledAtUnixMs()),
		CancelledAt:    timeText(r.GetCancelledAtUnixMs()),
		ChangedAt:      timeText(r.GetChangedAtUnixMs()),
		ExpiresAt:      timeText(r.GetExpiresAtUnixMs()),
		Channel:        r.GetChannel(),
		Region:         r.GetRegion(),
		TestMode:       r.GetTestMode(),
		LastCommand:    commandAnswer(topology.RegistrationCommands.Name, r.GetLastCommand()),
	}
}

// registrationStatus is the one word for where a registration stands: the
// outcome once it is decided, the saga's step before.
func registrationStatus(step pb.Step, outcome pb.Outcome) string {
	switch outcome {
	case pb.Outcome_OUTCOME_CONFIRMED:
		return "confirmed"
	case pb.Outcome_OUTCOME_SOLD_OUT:
		return "sold_out"
	case pb.Outcome_OUTCOME_PAYMENT_FAILED:
		return "payment_failed"
	case pb.Outcome_OUTCOME_EXPIRED:
		return "expired"
	case pb.Outcome_OUTCOME_CANCELLED:
		return "cancelled"
	case pb.Outcome_OUTCOME_REJECTED:
		return "rejected"
	}
	switch step {
	case pb.Step_STEP_REQUESTED:
		return "requested"
	case pb.Step_STEP_HOLDING:
		return "holding"
	case pb.Step_STEP_CHARGING:
		return "charging"
	}
	return "unknown"
}

func lineAnswers(lines []*pb.Line) []*pb.LookupLine {
	answers := make([]*pb.LookupLine, len(lines))
	for i, l := range lines {
		answers[i] = &pb.LookupLine{
			Line:           l.GetLine(),
			TicketType:     l.GetTicketType(),
			Quantity:       l.GetQuantity(),
			UnitPriceMinor: l.GetUnitPriceMinor(),
			DiscountMinor:  l.GetDiscountMinor(),
			TaxRateBp:      l.GetTaxRateBp(),
			TaxMode:        taxMode(l.GetTaxMode()),
			TaxMinor:       l.GetTaxMinor(),
			TotalMinor:     l.GetTotalMinor(),
			Cancelled:      l.GetCancelled(),
		}
	}
	return answers
}

// ticketAnswers lists the seats of a confirmed registration. It is confirmed
// when the money is captured; that its blocks have marked the seats as sold may
// follow, the seats are its own either way.
func ticketAnswers(r *pb.Registration) []*pb.LookupTicket {
	if r.GetOutcome() != pb.Outcome_OUTCOME_CONFIRMED {
		return nil
	}
	var tickets []*pb.LookupTicket
	for _, h := range r.GetHolds() {
		if !owned(h.GetStatus()) {
			continue
		}
		hold, ticketType := topology.UUID(h.GetHoldId()), ticketTypeOf(r, h.GetLine())
		for seats := h.GetSeats(); seats != 0; seats &= seats - 1 {
			seat := uint32(bits.TrailingZeros64(seats))
			tickets = append(tickets, &pb.LookupTicket{
				TicketId:   topology.TicketID(hold, seat).String(),
				TicketType: ticketType,
				Block:      h.GetBlock(),
				Seat:       seat,
			})
		}
	}
	return tickets
}

func owned(s pb.HoldStatus) bool {
	switch s {
	case pb.HoldStatus_HOLD_STATUS_KEPT, pb.HoldStatus_HOLD_STATUS_CONFIRMING, pb.HoldStatus_HOLD_STATUS_SOLD:
		return true
	}
	return false
}

func ticketTypeOf(r *pb.Registration, line uint32) string {
	for _, l := range r.GetLines() {
		if l.GetLine() == line {
			return l.GetTicketType()
		}
	}
	return ""
}

func paymentSummary(p *pb.PaymentState) *pb.LookupPaymentSummary {
	if p == nil {
		return nil
	}
	status := paymentStatus(p.GetStatus())
	if status == "" {
		status = "requested"
	}
	return &pb.LookupPaymentSummary{
		PaymentId:     idText(p.GetPaymentId()),
		Status:        status,
		AmountMinor:   p.GetAmountMinor(),
		CapturedMinor: p.GetCapturedMinor(),
		RefundedMinor: p.GetRefundedMinor(),
		CapturedAt:    timeText(p.GetCapturedAtUnixMs()),
		DeclineCode:   p.GetDeclineCode(),
	}
}

func paymentAnswer(p *pb.Payment) *pb.LookupPayment {
	refunds := make([]*pb.LookupRefund, len(p.GetRefunds()))
	for i, f := range p.GetRefunds() {
		refunds[i] = &pb.LookupRefund{
			RefundId:    idText(f.GetRefundId()),
			Status:      refundStatus(f.GetStatus()),
			AmountMinor: f.GetAmountMinor(),
			Reason:      f.GetReason(),
			RequestedAt: timeText(f.GetRequestedAtUnixMs()),
			RefundedAt:  timeText(f.GetRefundedAtUnixMs()),
		}
	}
	return &pb.LookupPayment{
		PaymentId:         idText(p.GetPaymentId()),
		RegistrationId:    idText(p.GetRegistrationId()),
		EventId:           idText(p.GetEventId()),
		Organiser:         p.GetOrganiser(),
		Status:            paymentStatus(p.GetStatus()),
		Version:           p.GetVersion(),
		Currency:          p.GetCurrency(),
		AmountMinor:       p.GetAmountMinor(),
		CapturedMinor:     p.GetCapturedMinor(),
		RefundedMinor:     p.GetRefundedMinor(),
		FeeMinor:          p.GetFeeMinor(),
		ProviderReference: p.GetProviderReference(),
		DeclineCode:       p.GetDeclineCode(),
		Reason:            p.GetReason(),
		Refunds:           refunds,
		RequestedAt:       timeText(p.GetRequestedAtUnixMs()),
		CapturedAt:        timeText(p.GetCapturedAtUnixMs()),
		ChangedAt:         timeText(p.GetChangedAtUnixMs()),
		TestMode:          p.GetTestMode(),
	}
}

// eventAnswer is an event as everybody with a key sees it; its own organiser
// also sees what became of the last command.
func eventAnswer(e *pb.Event, own bool) *pb.LookupEvent {
	types := make([]*pb.LookupTicketType, len(e.GetTicketTypes()))
	for i, t := range e.GetTicketTypes() {
		types[i] = &pb.LookupTicketType{
			TicketType: t.GetId(),
			Name:       t.GetName(),
			PriceMinor: t.GetPriceMinor(),
			TaxRateBp:  t.GetTaxRateBp(),
			TaxMode:    taxMode(t.GetTaxMode()),
			Capacity:   openCapacity(t),
		}
	}
	answer := &pb.LookupEvent{
		EventId:        idText(e.GetEventId()),
		Status:         eventStatus(e.GetStatus()),
		Version:        e.GetVersion(),
		Organiser:      e.GetOrganiser(),
		Name:           e.GetName(),
		Venue:          e.GetVenue(),
		Region:         e.GetRegion(),
		Currency:       e.GetCurrency(),
		StartsAt:       timeText(e.GetStartsAtUnixMs()),
		SaleStartsAt:   timeText(e.GetSaleStartsUnixMs()),
		SaleEndsAt:     timeText(e.GetSaleEndsUnixMs()),
		MaxPerAttendee: e.GetMaxPerAttendee(),
		TicketTypes:    types,
		CreatedAt:      timeText(e.GetCreatedAtUnixMs()),
		ChangedAt:      timeText(e.GetChangedAtUnixMs()),
		TestMode:       e.GetTestMode(),
		CancelReason:   e.GetCancelReason(),
	}
	if own {
		answer.LastCommand = commandAnswer(topology.CatalogCommands.Name, e.GetLastCommand())
	}
	return answer
}

// openCapacity is the sum of the blocks that are neither closed nor asked to
// close (states 2 and 3).
func openCapacity(t *pb.TicketType) uint32 {
	var capacity uint32
	states := t.GetBlockStates()
	for i, size := range t.GetBlockSizes() {
		if i >= len(states) || states[i] < 2 {
			capacity += size
		}
	}
	return capacity
}

func commandAnswer(topic string, c *pb.CommandResult) *pb.LookupCommandResult {
	if c == nil {
		return nil
	}
	return &pb.LookupCommandResult{
		Result:   verdict(c.GetVerdict()),
		Reason:   c.GetReason(),
		Position: &pb.Position{Topic: topic, Partition: c.GetPartition(), Offset: c.GetOffset()},
	}
}

func verdict(v pb.CommandVerdict) string {
	switch v {
	case pb.CommandVerdict_COMMAND_VERDICT_APPLIED:
		return "applied"
	case pb.CommandVerdict_COMMAND_VERDICT_DUPLICATE:
		return "duplicate"
	case pb.CommandVerdict_COMMAND_VERDICT_CONFLICT:
		return "conflict"
	case pb.CommandVerdict_COMMAND_VERDICT_REJECTED:
		return "rejected"
	}
	return ""
}

func eventStatus(s pb.EventStatus) string {
	switch s {
	case pb.EventStatus_EVENT_STATUS_OPENING:
		return "opening"
	case pb.EventStatus_EVENT_STATUS_ON_SALE:
		return "on_sale"
	case pb.EventStatus_EVENT_STATUS_CANCELLED:
		return "cancelled"
	}
	return ""
}

func paymentStatus(s pb.PaymentStatus) string {
	switch s {
	case pb.PaymentStatus_PAYMENT_STATUS_PENDING:
		return "pending"
	case pb.PaymentStatus_PAYMENT_STATUS_CAPTURED:
		return "captured"
	case pb.PaymentStatus_PAYMENT_STATUS_DECLINED:
		return "declined"
	case pb.PaymentStatus_PAYMENT_STATUS_CANCELLED:
		return "cancelled"
	case pb.PaymentStatus_PAYMENT_STATUS_REFUNDED:
		return "refunded"
	case pb.PaymentStatus_PAYMENT_STATUS_PARKED:
		return "parked"
	}
	return ""
}

func refundStatus(s pb.RefundStatus) string {
	switch s {
	case pb.RefundStatus_REFUND_STATUS_PENDING:
		return "pending"
	case pb.RefundStatus_REFUND_STATUS_DONE:
		return "done"
	case pb.RefundStatus_REFUND_STATUS_PARKED:
		return "parked"
	}
	return ""
}

func taxMode(m pb.TaxMode) string {
	switch m {
	case pb.TaxMode_TAX_MODE_INCLUDED:
		return "included"
	case pb.TaxMode_TAX_MODE_ON_TOP:
		return "on_top"
	case pb.TaxMode_TAX_MODE_EXEMPT:
		return "exempt"
	}
	return ""
}

// idText is an id's text form; empty when there is none.
func idText(id []byte) string {
	if len(id) == 0 {
		return ""
	}
	return topology.KeyOf(id)
}

// timeText is RFC 3339 in UTC with milliseconds; empty for 0, which stands for
// "has not happened".
func timeText(unixMillis int64) string {
	if unixMillis == 0 {
		return ""
	}
	return time.UnixMilli(unixMillis).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
