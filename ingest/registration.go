package ingest

import (
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/problem"
)

// order is the request for a registration, as every door understands it.
type order struct {
	EventID  string `json:"event_id"`
	Attendee struct {
		Email string `json:"email"`
		Name  string `json:"name"`
	} `json:"attendee"`
	Lines   []orderLine `json:"lines"`
	Channel string      `json:"channel"`
	Region  string      `json:"region"`
	// PaymentMethod is the provider's token.
	PaymentMethod string `json:"payment_method"`
}

type orderLine struct {
	TicketType    string `json:"ticket_type"`
	Quantity      int64  `json:"quantity"`
	DiscountMinor int64  `json:"discount_minor"`
}

// batchOrder is a line of a batch.
type batchOrder struct {
	IdempotencyKey string `json:"idempotency_key"`
	order
}

// validate checks all that needs no event, and returns the event's id.
func (o *order) validate() (uuid.UUID, error) {
	var c checker
	event := c.id("event_id", o.EventID)
	c.email("attendee.email", o.Attendee.Email)
	c.text("attendee.name", o.Attendee.Name, true)
	switch n := len(o.Lines); {
	case n == 0:
		c.add("lines", problem.Required, "must list at least one line")
	case n > linesMax:
		c.add("lines", problem.TooMany, "must list at most %d lines", linesMax)
	}
	for i := range min(len(o.Lines), linesMax) {
		o.Lines[i].validate(&c, i)
	}
	c.slug("channel", o.Channel, false)
	c.slug("region", o.Region, false)
	c.paymentMethod("payment_method", o.PaymentMethod)
	return event, c.err()
}

func (l *orderLine) validate(c *checker, i int) {
	// The path is only formatted for a line that is wrong.
	if l.TicketType != "" && isSlug(l.TicketType) && len(l.TicketType) <= slugBytesMax &&
		l.Quantity >= 1 && l.Quantity <= quantityMax && l.DiscountMinor >= 0 {
		return
	}
	path := fmt.Sprintf("lines[%d].", i)
	c.slug(path+"ticket_type", l.TicketType, true)
	c.between(path+"quantity", l.Quantity, 1, quantityMax)
	if l.DiscountMinor < 0 {
		c.add(path+"discount_minor", problem.OutOfRange, "must not be negative")
	}
}

func (c *checker) id(field, value string) uuid.UUID {
	id, err := uuid.Parse(value)
	switch {
	case value == "":
		c.add(field, problem.Required, "must be there")
	case err != nil || len(value) != 36:
		c.add(field, problem.BadFormat, "must be a UUID")
	}
	return id
}

// appendCanonical appends a form of the order that is the same whatever door it
// came through and however its JSON was written: every field in fixed order,
// with its length in front.
func (o *order) appendCanonical(dst []byte, event uuid.UUID) []byte {
	dst = append(dst, event[:]...)
	dst = appendField(dst, o.Attendee.Email)
	dst = appendField(dst, o.Attendee.Name)
	dst = appendField(dst, o.Channel)
	dst = appendField(dst, o.Region)
	dst = appendField(dst, o.PaymentMethod)
	for _, l := range o.Lines {
		dst = appendField(dst, l.TicketType)
		dst = binary.BigEndian.AppendUint64(dst, uint64(l.Quantity))
		dst = binary.BigEndian.AppendUint64(dst, uint64(l.DiscountMinor))
	}
	return dst
}

func appendField(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// cancellation is the request to cancel a registration.
type cancellation struct {
	// Lines are line numbers, from 1; none means all.
	Lines []uint32 `json:"lines"`
	// Reason is a stable code.
	Reason string `json:"reason"`
}

func (x *cancellation) validate() error {
	var c checker
	if len(x.Lines) > linesMax {
		c.add("lines", problem.TooMany, "must list at most %d lines", linesMax)
	}
	var seen [linesMax + 1]bool
	for i, n := range x.Lines {
		switch {
		case n < 1 || n > linesMax:
			c.add(fmt.Sprintf("lines[%d]", i), problem.OutOfRange, "must be the number of a line, from 1")
		case seen[n]:
			c.add(fmt.Sprintf("lines[%d]", i), problem.Duplicate, "must be there once")
		default:
			seen[n] = true
		}
	}
	c.reason("reason", x.Reason)
	return c.err()
}

func (x *cancellation) appendCanonical(dst []byte, idempotencyKey string) []byte {
	dst = appendField(dst, idempotencyKey)
	dst = appendField(dst, x.Reason)
	for _, n := range x.Lines {
		dst = binary.BigEndian.AppendUint32(dst, n)
	}
	return dst
}
