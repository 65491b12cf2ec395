package client

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
)

// NewEvent describes an event.
type NewEvent struct {
	// Key is the idempotency key; the event's id is derived from it.
	Key      string `json:"-"`
	Name     string `json:"name"`
	Venue    string `json:"venue,omitempty"`
	Region   string `json:"region,omitempty"`
	Currency string `json:"currency"`
	// StartsAt is when the event begins. The sale starts at once and ends then
	// unless SaleStartsAt and SaleEndsAt say otherwise.
	StartsAt     time.Time `json:"starts_at"`
	SaleStartsAt time.Time `json:"sale_starts_at,omitzero"`
	SaleEndsAt   time.Time `json:"sale_ends_at,omitzero"`
	// MaxPerAttendee is the most tickets for one attendee; 0 means no limit.
	MaxPerAttendee int             `json:"max_per_attendee,omitzero"`
	TestMode       bool            `json:"test_mode,omitzero"`
	TicketTypes    []NewTicketType `json:"ticket_types"`
}

// NewTicketType describes a ticket type.
type NewTicketType struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// PriceMinor is in minor units of the event's currency.
	PriceMinor int64 `json:"price_minor"`
	// TaxRateBp is in basis points: 1900 is 19 %.
	TaxRateBp int `json:"tax_rate_bp,omitzero"`
	// TaxMode is included, on_top or exempt.
	TaxMode  string `json:"tax_mode,omitempty"`
	Capacity int    `json:"capacity"`
	// BlockSize is the seats in a block; 0 means 50.
	BlockSize int `json:"block_size,omitzero"`
}

// CreateEvent creates an event. Accepted.Status is on_sale when tickets can be had,
// opening when its places are still being opened: WaitOnSale waits for that.
func (c *Client) CreateEvent(ctx context.Context, e *NewEvent) (Accepted, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return Accepted{}, fmt.Errorf("encode an event: %w", err)
	}
	return c.command(ctx, &request{path: "/v1/events", key: e.Key, body: body})
}

// WaitOnSale creates the event again, which changes nothing, until it is on sale.
func (c *Client) WaitOnSale(ctx context.Context, e *NewEvent) (Accepted, error) {
	for {
		a, err := c.CreateEvent(ctx, e)
		if err != nil || a.Status == "on_sale" {
			return a, err
		}
		if err := c.wait(ctx, 100*time.Millisecond); err != nil {
			return a, fmt.Errorf("event %s is not on sale yet: %w", a.EventID, err)
		}
	}
}

// SetCapacity asks for another capacity of a ticket type.
func (c *Client) SetCapacity(ctx context.Context, eventID, ticketType string, capacity int) (Accepted, error) {
	body, err := json.Marshal(struct {
		TicketType string `json:"ticket_type"`
		Capacity   int    `json:"capacity"`
	}{ticketType, capacity})
	if err != nil {
		return Accepted{}, fmt.Errorf("encode a capacity: %w", err)
	}
	return c.command(ctx, &request{path: eventPath(eventID) + "/capacity", body: body})
}

// CancelEvent asks to cancel an event and every registration for it.
func (c *Client) CancelEvent(ctx context.Context, eventID, reason string) (Accepted, error) {
	body, err := json.Marshal(struct {
		Reason string `json:"reason,omitempty"`
	}{reason})
	if err != nil {
		return Accepted{}, fmt.Errorf("encode a cancellation: %w", err)
	}
	return c.command(ctx, &request{path: eventPath(eventID) + "/cancel", body: body})
}

func eventPath(id string) string { return "/v1/events/" + url.PathEscape(id) }
