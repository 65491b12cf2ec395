package backfill

import (
	"time"
)

// Order is an order of another system. Its JSON is a line of the own format, and
// what its digest is made of: fields may be added, with omitempty.
type Order struct {
	// ID is the order's id in its system.
	ID string `json:"id"`
	// Event is the event's key in its system.
	Event     string    `json:"event"`
	OrderedAt time.Time `json:"ordered_at"`
	// ConfirmedAt is the payment's time, or the order's, unless it is given.
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"`
	// CancelledAt is when the last line was cancelled; by default when the last
	// refund was made. It means nothing while a line stands.
	CancelledAt time.Time `json:"cancelled_at,omitzero"`
	Attendee    Contact   `json:"attendee"`
	Channel     string    `json:"channel,omitempty"`
	Region      string    `json:"region,omitempty"`
	Currency    string    `json:"currency,omitempty"`
	Lines       []Line    `json:"lines"`
	Payment     *Payment  `json:"payment,omitempty"`

	place place
	// starts is when its event starts, where the file says so.
	starts time.Time
}

// Contact is the personal data of an attendee; it leaves this package sealed.
type Contact struct {
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
}

// Line is one ticket type of an order.
type Line struct {
	// TicketType is its name or id in the other system.
	TicketType     string `json:"ticket_type"`
	Quantity       uint32 `json:"quantity"`
	UnitPriceMinor int64  `json:"unit_price_minor"`
	DiscountMinor  int64  `json:"discount_minor,omitempty"`
	// TaxMode is included, on_top or exempt; empty takes rate and mode of the
	// event's ticket type, as a part of the price.
	TaxMode   string `json:"tax_mode,omitempty"`
	TaxRateBp uint32 `json:"tax_rate_bp,omitempty"`
	// TaxMinor is worked out from the rate unless it is given.
	TaxMinor *int64 `json:"tax_minor,omitempty"`
	// Cancelled lines take no seats.
	Cancelled bool `json:"cancelled,omitempty"`
}

// Payment is money that has moved.
type Payment struct {
	// Provider is the source unless it is given.
	Provider      string    `json:"provider,omitempty"`
	Reference     string    `json:"reference,omitempty"`
	Method        string    `json:"method,omitempty"`
	CapturedMinor int64     `json:"captured_minor"`
	FeeMinor      int64     `json:"fee_minor,omitempty"`
	CapturedAt    time.Time `json:"captured_at,omitzero"`
	Refunds       []Refund  `json:"refunds,omitempty"`
}

// Refund is money that went back.
type Refund struct {
	AmountMinor int64 `json:"amount_minor"`
	// Line is the number, from 1, of the line that was given back whole; 0 for any
	// other amount.
	Line       uint32    `json:"line,omitempty"`
	Reference  string    `json:"reference,omitempty"`
	RefundedAt time.Time `json:"refunded_at,omitzero"`

	// dated: the file says when.
	dated bool
}

// Event is an event that is to be made.
type Event struct {
	// ID is the event's key in its system.
	ID           string       `json:"id,omitempty"`
	Name         string       `json:"name"`
	Venue        string       `json:"venue,omitempty"`
	Region       string       `json:"region,omitempty"`
	Currency     string       `json:"currency,omitempty"`
	StartsAt     time.Time    `json:"starts_at,omitzero"`
	SaleStartsAt time.Time    `json:"sale_starts_at,omitzero"`
	SaleEndsAt   time.Time    `json:"sale_ends_at,omitzero"`
	TicketTypes  []TicketType `json:"ticket_types,omitempty"`

	place place
}

// TicketType is one of an event that is to be made.
type TicketType struct {
	ID         string `json:"id"`
	Name       string `json:"name,omitempty"`
	PriceMinor int64  `json:"price_minor"`
	TaxRateBp  uint32 `json:"tax_rate_bp,omitempty"`
	TaxMode    string `json:"tax_mode,omitempty"`
	Capacity   uint32 `json:"capacity"`
	BlockSize  uint32 `json:"block_size,omitempty"`
}

// place is where something stands in the files.
type place struct {
	file string
	line int
}
