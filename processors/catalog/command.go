package catalog

import (
	"bytes"

	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Reasons of refused commands, as they stand in CommandResult.reason.
const (
	ReasonUnknownEvent      = "unknown_event"
	ReasonUnknownTicketType = "unknown_ticket_type"
	ReasonEventCancelled    = "event_cancelled"
	// ReasonSuperseded refuses a capacity that came after one that was asked for
	// later.
	ReasonSuperseded        = "superseded"
	ReasonBodyDiffers       = "body_differs"
	ReasonInvalidName       = "invalid_name"
	ReasonInvalidCurrency   = "invalid_currency"
	ReasonInvalidSaleWindow = "invalid_sale_window"
	ReasonInvalidTicketType = "invalid_ticket_type"
	ReasonInvalidPrice      = "invalid_price"
	ReasonInvalidTax        = "invalid_tax"
	ReasonInvalidCapacity   = "invalid_capacity"
	ReasonInvalidBlockSize  = "invalid_block_size"
)

// maxReasonBytes bounds the text that a cancelled event keeps.
const maxReasonBytes = 500

func (d *desk) onCommand(c *pb.CatalogCommand) (transition.Effect, error) {
	switch command := c.Command.(type) {
	case *pb.CatalogCommand_CreateEvent:
		return d.create(c, command.CreateEvent)
	case *pb.CatalogCommand_SetCapacity:
		if ok, effect, err := d.owned(c); !ok {
			return effect, err
		}
		return d.setCapacity(c, command.SetCapacity)
	case *pb.CatalogCommand_CancelEvent:
		if ok, effect, err := d.owned(c); !ok {
			return effect, err
		}
		return d.cancel(command.CancelEvent)
	}
	return transition.Effect{}, transition.Poisoned("no_command", "catalog command without a known command")
}

// owned refuses a command for an event that does not exist, or that is somebody
// else's, which is none of the asker's business.
func (d *desk) owned(c *pb.CatalogCommand) (bool, transition.Effect, error) {
	if d.known() && c.Organiser == d.e.Organiser {
		return true, transition.Effect{}, nil
	}
	d.placeholder(c)
	effect, err := d.refuse(ReasonUnknownEvent)
	return false, effect, err
}

// placeholder makes a value that carries a result for an unknown id.
func (d *desk) placeholder(c *pb.CatalogCommand) {
	if !d.known() {
		d.e = &pb.Event{EventId: c.EventId, Status: pb.EventStatus_EVENT_STATUS_UNKNOWN}
	}
}

// create makes the event and asks for its blocks. The first body in the log wins;
// a command that was refused earlier, when the event was unknown, does not stand
// in its way.
func (d *desk) create(c *pb.CatalogCommand, q *pb.CreateEvent) (transition.Effect, error) {
	if d.known() {
		if !bytes.Equal(c.BodyDigest, d.e.BodyDigest) || c.Organiser != d.e.Organiser {
			d.record(pb.CommandVerdict_COMMAND_VERDICT_CONFLICT, ReasonBodyDiffers, c.BodyDigest)
			return d.finish(transition.Rejected, ReasonBodyDiffers)
		}
		return d.duplicate()
	}
	if reason := validate(q); reason != "" {
		d.placeholder(c)
		return d.refuse(reason)
	}
	d.e = &pb.Event{
		EventId: c.EventId, Organiser: c.Organiser, Name: q.Name, Venue: q.Venue, Region: q.Region,
		Currency: q.Currency, StartsAtUnixMs: q.StartsAtUnixMs,
		SaleStartsUnixMs: q.SaleStartsUnixMs, SaleEndsUnixMs: q.SaleEndsUnixMs,
		MaxPerAttendee: q.MaxPerAttendee, TestMode: q.TestMode, BodyDigest: c.BodyDigest,
		Status: pb.EventStatus_EVENT_STATUS_OPENING, BlockListVersion: 1, CreatedAtUnixMs: d.now,
	}
	for _, t := range q.TicketTypes {
		d.e.TicketTypes = append(d.e.TicketTypes, ticketType(t))
	}
	d.rises = true
	d.outputs = Outstanding(d.e)
	return d.applied()
}

func ticketType(t *pb.NewTicketType) *pb.TicketType {
	sizes := cut(t.Capacity, blockSize(t))
	return &pb.TicketType{
		Id: t.Id, Name: t.Name, PriceMinor: t.PriceMinor, TaxRateBp: t.TaxRateBp, TaxMode: t.TaxMode,
		BlockSizes: sizes, BlockStates: make([]byte, len(sizes)),
	}
}

// cancel closes every block and has it tell the owners of its seats.
func (d *desk) cancel(q *pb.CancelEvent) (transition.Effect, error) {
	if d.e.Status == pb.EventStatus_EVENT_STATUS_CANCELLED {
		return d.duplicate()
	}
	if len(q.GetReason()) > maxReasonBytes {
		return transition.Effect{}, transition.Poisoned("invalid_reason", "a reason of %d bytes: want at most %d",
			len(q.GetReason()), maxReasonBytes)
	}
	d.e.Status = pb.EventStatus_EVENT_STATUS_CANCELLED
	d.e.CancelReason = q.GetReason()
	for _, t := range d.e.TicketTypes {
		for i := range t.BlockStates {
			t.BlockStates[i] = blockClosing
		}
	}
	d.e.BlockListVersion++
	d.rises = true
	d.outputs = Outstanding(d.e)
	return d.applied()
}
