package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
)

// Registration is a registration as the look-up shows it. Times are zero when the
// thing has not happened.
type Registration struct {
	RegistrationID string `json:"registration_id"`
	// Status is requested, holding, charging, confirmed, sold_out, payment_failed,
	// expired, cancelled or rejected.
	Status string `json:"status"`
	// Settled says that nothing is outstanding any more.
	Settled     bool           `json:"settled"`
	Reason      string         `json:"reason"`
	Version     uint64         `json:"version"`
	EventID     string         `json:"event_id"`
	AttendeeID  string         `json:"attendee_id"`
	Currency    string         `json:"currency"`
	TotalMinor  int64          `json:"total_minor"`
	Lines       []Line         `json:"lines"`
	Tickets     []Ticket       `json:"tickets"`
	Payment     *Payment       `json:"payment"`
	RequestedAt time.Time      `json:"requested_at"`
	HeldAt      time.Time      `json:"held_at"`
	DecidedAt   time.Time      `json:"decided_at"`
	SettledAt   time.Time      `json:"settled_at"`
	CancelledAt time.Time      `json:"cancelled_at"`
	LastCommand *CommandResult `json:"last_command"`
}

// Decided reports whether the registration has its outcome.
func (r *Registration) Decided() bool {
	switch r.Status {
	case "requested", "holding", "charging":
		return false
	}
	return true
}

// Line is one ticket type of a registration.
type Line struct {
	Line           uint32 `json:"line"`
	TicketType     string `json:"ticket_type"`
	Quantity       uint32 `json:"quantity"`
	UnitPriceMinor int64  `json:"unit_price_minor"`
	DiscountMinor  int64  `json:"discount_minor"`
	TaxMinor       int64  `json:"tax_minor"`
	TotalMinor     int64  `json:"total_minor"`
	Cancelled      bool   `json:"cancelled"`
}

// Ticket is one seat of a confirmed registration.
type Ticket struct {
	TicketID   string `json:"ticket_id"`
	TicketType string `json:"ticket_type"`
	Block      uint32 `json:"block"`
	Seat       uint32 `json:"seat"`
}

// Payment is what a registration knows of its payment.
type Payment struct {
	PaymentID     string `json:"payment_id"`
	Status        string `json:"status"`
	AmountMinor   int64  `json:"amount_minor"`
	CapturedMinor int64  `json:"captured_minor"`
	RefundedMinor int64  `json:"refunded_minor"`
	DeclineCode   string `json:"decline_code"`
}

// CommandResult is what became of the last command for a key.
type CommandResult struct {
	// Result is applied, duplicate, conflict or rejected.
	Result   string   `json:"result"`
	Reason   string   `json:"reason"`
	Position Position `json:"position"`
}

// Event is an event as the look-up shows it.
type Event struct {
	EventID      string         `json:"event_id"`
	Status       string         `json:"status"`
	Version      uint64         `json:"version"`
	Name         string         `json:"name"`
	Currency     string         `json:"currency"`
	SaleStartsAt time.Time      `json:"sale_starts_at"`
	SaleEndsAt   time.Time      `json:"sale_ends_at"`
	TicketTypes  []TicketType   `json:"ticket_types"`
	LastCommand  *CommandResult `json:"last_command"`
}

// TicketType is one kind of ticket of an event.
type TicketType struct {
	TicketType string `json:"ticket_type"`
	Name       string `json:"name"`
	PriceMinor int64  `json:"price_minor"`
	Capacity   int    `json:"capacity"`
}

// Availability is what is left of an event. It is a hint: only a hold decides.
type Availability struct {
	EventID     string             `json:"event_id"`
	Status      string             `json:"status"`
	TicketTypes []TypeAvailability `json:"ticket_types"`
}

// TypeAvailability is what is left of one ticket type: capacity = held + sold + free.
type TypeAvailability struct {
	TicketType string `json:"ticket_type"`
	Capacity   int    `json:"capacity"`
	Held       int    `json:"held"`
	Sold       int    `json:"sold"`
	Free       int    `json:"free"`
}

// Registration looks a registration up. With waitFor the answer comes when that
// command is visible.
func (c *Client) Registration(ctx context.Context, id string, waitFor *Position) (*Registration, error) {
	return lookup[Registration](ctx, c, "/v1/registrations/"+url.PathEscape(id), waitFor)
}

// Event looks an event up. With waitFor the answer comes when that command is
// visible.
func (c *Client) Event(ctx context.Context, id string, waitFor *Position) (*Event, error) {
	return lookup[Event](ctx, c, eventPath(id), waitFor)
}

// Availability looks up what is left of an event.
func (c *Client) Availability(ctx context.Context, eventID string) (*Availability, error) {
	return lookup[Availability](ctx, c, eventPath(eventID)+"/availability", nil)
}

func lookup[T any](ctx context.Context, c *Client, path string, waitFor *Position) (*T, error) {
	r := &request{method: http.MethodGet, base: c.views, path: path}
	if waitFor != nil {
		r.query = "wait_for=" + url.QueryEscape(waitFor.String())
	}
	answer, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	var v T
	if err := json.Unmarshal(answer, &v); err != nil {
		return nil, fmt.Errorf("GET %s: the answer is not what was expected: %w", path, err)
	}
	return &v, nil
}
