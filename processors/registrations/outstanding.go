package registrations

import (
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Outstanding returns the commands that the present state still waits for, with
// the ids that they were sent with first. It is all that is ever sent again (I5).
func Outstanding(r *pb.Registration) []transition.Output {
	var outputs []transition.Output
	switch r.Allowance {
	case allowanceAsked, allowanceAskedBack:
		outputs = append(outputs, attendeeOutput(attendeeUpdate(r)))
	}
	for _, h := range r.Holds {
		switch h.Status {
		case pb.HoldStatus_HOLD_STATUS_ASKED, pb.HoldStatus_HOLD_STATUS_RELEASING,
			pb.HoldStatus_HOLD_STATUS_CONFIRMING:
			outputs = append(outputs, seatOutput(r, h))
		}
	}
	p := r.Payment
	if p == nil {
		return outputs
	}
	if r.Step == pb.Step_STEP_CHARGING {
		outputs = append(outputs, chargeOutput(r))
	}
	if p.Cancelling && atLarge(p.Status) {
		outputs = append(outputs, abandonOutput(r))
	}
	for _, refund := range p.Refunds {
		if !refund.Done {
			outputs = append(outputs, refundOutput(r, refund))
		}
	}
	return outputs
}

// seatOutput is the command that a hold's status waits for.
func seatOutput(r *pb.Registration, h *pb.Hold) transition.Output {
	ticketType := lineOf(r, h.Line).TicketType
	c := &pb.SeatCommand{
		EventId: r.EventId, TicketType: ticketType, Block: h.Block,
		RegistrationId: r.RegistrationId, HoldId: h.HoldId,
	}
	switch h.Status {
	case pb.HoldStatus_HOLD_STATUS_RELEASING:
		c.Command = &pb.SeatCommand_Release{Release: &pb.ReleaseSeats{}}
	case pb.HoldStatus_HOLD_STATUS_CONFIRMING:
		c.Command = &pb.SeatCommand_Confirm{Confirm: &pb.ConfirmSeats{}}
	default:
		c.Command = &pb.SeatCommand_Hold{Hold: &pb.HoldSeats{Quantity: h.Quantity}}
	}
	return transition.Output{
		Topic: topology.SeatCommands.Name, Key: topology.BlockKey(r.EventId, ticketType, h.Block), Value: c,
	}
}

// releaseOutput gives back the seats of an answer that nobody waits for.
func releaseOutput(e *pb.SeatEvent) transition.Output {
	return transition.Output{
		Topic: topology.SeatCommands.Name, Key: topology.BlockKey(e.EventId, e.TicketType, e.Block),
		Value: &pb.SeatCommand{
			EventId: e.EventId, TicketType: e.TicketType, Block: e.Block,
			RegistrationId: e.RegistrationId, HoldId: e.HoldId,
			Command: &pb.SeatCommand_Release{Release: &pb.ReleaseSeats{}},
		},
	}
}

func paymentOutput(c *pb.PaymentCommand) transition.Output {
	return transition.Output{Topic: topology.PaymentCommands.Name, Key: topology.KeyOf(c.PaymentId), Value: c}
}

// ChargeLines are the lines of an order as its charge and its payment carry them.
func ChargeLines(lines []*pb.Line) []*pb.ChargeLine {
	charged := make([]*pb.ChargeLine, len(lines))
	for i, l := range lines {
		charged[i] = &pb.ChargeLine{
			Line: l.Line, TicketType: l.TicketType, Quantity: l.Quantity, UnitPriceMinor: l.UnitPriceMinor,
			TaxRateBp: l.TaxRateBp, TaxMode: l.TaxMode, DiscountMinor: l.DiscountMinor, TaxMinor: l.TaxMinor,
			TotalMinor: l.TotalMinor,
		}
	}
	return charged
}

func chargeOutput(r *pb.Registration) transition.Output {
	return paymentOutput(&pb.PaymentCommand{
		PaymentId: r.Payment.PaymentId, RegistrationId: r.RegistrationId, EventId: r.EventId, Organiser: r.Organiser,
		Command: &pb.PaymentCommand_Charge{Charge: &pb.Charge{
			AmountMinor: r.Payment.AmountMinor, Currency: r.Currency, Method: r.PaymentMethod,
			TestMode: r.TestMode, Imported: r.Imported, Lines: ChargeLines(r.Lines), Channel: r.Channel, Region: r.Region,
			ImportedMoney: r.ImportedOrder.GetMoney(),
		}},
	})
}

// abandonOutput says why nobody wants the charge any more.
func abandonOutput(r *pb.Registration) transition.Output {
	return cancelOutput(r.Payment.PaymentId, r.RegistrationId, r.EventId, r.Organiser, r.Reason)
}

func cancelOutput(payment, registration, event []byte, organiser, reason string) transition.Output {
	return paymentOutput(&pb.PaymentCommand{
		PaymentId: payment, RegistrationId: registration, EventId: event, Organiser: organiser,
		Command: &pb.PaymentCommand_Cancel{Cancel: &pb.CancelPayment{Reason: reason}},
	})
}

func refundOutput(r *pb.Registration, refund *pb.RefundState) transition.Output {
	reason := reasonCancelRequested
	if r.Revoked {
		reason = ReasonEventCancelled
	}
	return paymentOutput(&pb.PaymentCommand{
		PaymentId: r.Payment.PaymentId, RegistrationId: r.RegistrationId, EventId: r.EventId, Organiser: r.Organiser,
		Command: &pb.PaymentCommand_Refund{Refund: &pb.RefundPayment{
			RefundId: refund.RefundId, AmountMinor: refund.AmountMinor, Reason: reason, Line: refund.Line,
		}},
	})
}

func attendeeOutput(u *pb.AttendeeUpdate) transition.Output {
	return transition.Output{Topic: topology.AttendeeUpdates.Name, Key: topology.KeyOf(u.AttendeeId), Value: u}
}

// attendeeUpdate is what the attendee's record is to know of the registration
// now: a request, or, once the allowance is asked back, what remains of it.
func attendeeUpdate(r *pb.Registration) *pb.AttendeeUpdate {
	u := &pb.AttendeeUpdate{
		AttendeeId: r.AttendeeId, RegistrationId: r.RegistrationId, EventId: r.EventId,
		Limit: r.MaxPerAttendee, Quantity: standing(r),
	}
	if r.Allowance == allowanceAskedBack {
		u.Release = true
		u.Adjust = r.Outcome == pb.Outcome_OUTCOME_CONFIRMED
	}
	return u
}

// standing counts the tickets of the lines that are not cancelled.
func standing(r *pb.Registration) uint32 {
	n := uint32(0)
	for _, l := range r.Lines {
		if !l.Cancelled {
			n += l.Quantity
		}
	}
	return n
}
