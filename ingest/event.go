package ingest

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/tax"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// newEvent is the request for an event.
type newEvent struct {
	Name           string          `json:"name"`
	Venue          string          `json:"venue"`
	Region         string          `json:"region"`
	Currency       string          `json:"currency"`
	StartsAt       time.Time       `json:"starts_at"`
	SaleStartsAt   time.Time       `json:"sale_starts_at"`
	SaleEndsAt     time.Time       `json:"sale_ends_at"`
	MaxPerAttendee int64           `json:"max_per_attendee"`
	TestMode       bool            `json:"test_mode"`
	TicketTypes    []newTicketType `json:"ticket_types"`
}

type newTicketType struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	PriceMinor int64  `json:"price_minor"`
	TaxRateBp  int64  `json:"tax_rate_bp"`
	TaxMode    string `json:"tax_mode"`
	Capacity   int64  `json:"capacity"`
	BlockSize  int64  `json:"block_size"`
}

var taxModes = map[string]pb.TaxMode{
	"":         pb.TaxMode_TAX_MODE_UNSPECIFIED,
	"included": pb.TaxMode_TAX_MODE_INCLUDED,
	"on_top":   pb.TaxMode_TAX_MODE_ON_TOP,
	"exempt":   pb.TaxMode_TAX_MODE_EXEMPT,
}

// command checks the request and returns the command that it stands for, with
// the defaults filled in.
func (e *newEvent) command() (*pb.CreateEvent, error) {
	var c checker
	c.text("name", e.Name, true)
	c.text("venue", e.Venue, false)
	c.slug("region", e.Region, false)
	c.currency("currency", e.Currency)
	c.between("max_per_attendee", e.MaxPerAttendee, 0, perAttendeeMax)
	if e.SaleEndsAt.IsZero() {
		e.SaleEndsAt = e.StartsAt
	}
	switch {
	case e.StartsAt.IsZero():
		c.add("starts_at", problem.Required, "must be a time like 2027-03-01T09:00:00Z")
	case !e.SaleStartsAt.IsZero() && !e.SaleEndsAt.After(e.SaleStartsAt):
		c.add("sale_ends_at", problem.OutOfRange, "must be after sale_starts_at")
	}
	cmd := &pb.CreateEvent{
		Name: e.Name, Venue: e.Venue, Region: e.Region, Currency: e.Currency,
		StartsAtUnixMs: c.time("starts_at", e.StartsAt), SaleStartsUnixMs: c.time("sale_starts_at", e.SaleStartsAt),
		SaleEndsUnixMs: c.time("sale_ends_at", e.SaleEndsAt),
		MaxPerAttendee: uint32(e.MaxPerAttendee), TestMode: e.TestMode,
		TicketTypes: e.ticketTypes(&c),
	}
	return cmd, c.err()
}

// time returns t in milliseconds since the epoch, 0 for none.
func (c *checker) time(field string, t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	if t.Year() < 1970 || t.Year() > 9999 {
		c.add(field, problem.OutOfRange, "must be between the years 1970 and 9999")
	}
	return t.UnixMilli()
}

func (e *newEvent) ticketTypes(c *checker) []*pb.NewTicketType {
	switch n := len(e.TicketTypes); {
	case n == 0:
		c.add("ticket_types", problem.Required, "must list at least one ticket type")
	case n > ticketTypesMax:
		c.add("ticket_types", problem.TooMany, "must list at most %d ticket types", ticketTypesMax)
		return nil
	}
	types := make([]*pb.NewTicketType, 0, len(e.TicketTypes))
	seen := map[string]bool{}
	for i := range e.TicketTypes {
		t := &e.TicketTypes[i]
		path := fmt.Sprintf("ticket_types[%d].", i)
		if seen[t.ID] {
			c.add(path+"id", problem.Duplicate, "must be unique within the event")
		}
		seen[t.ID] = true
		types = append(types, t.command(c, path))
	}
	if blocks := blocksOf(types); blocks > blocksMax {
		c.add("ticket_types", problem.OutOfRange, "must make at most %d seat blocks, these make %d; ask for fewer places or larger blocks", blocksMax, blocks)
	}
	return types
}

func blocksOf(types []*pb.NewTicketType) (blocks int64) {
	for _, t := range types {
		blocks += (int64(t.Capacity) + int64(t.BlockSize) - 1) / int64(t.BlockSize)
	}
	return blocks
}

func (t *newTicketType) command(c *checker, path string) *pb.NewTicketType {
	c.slug(path+"id", t.ID, true)
	c.text(path+"name", t.Name, false)
	c.between(path+"price_minor", t.PriceMinor, 0, priceMinorMax)
	c.between(path+"tax_rate_bp", t.TaxRateBp, 0, tax.BasisPoints)
	c.between(path+"capacity", t.Capacity, 1, capacityMax)
	c.between(path+"block_size", t.BlockSize, 0, blockSizeMax)
	mode, ok := taxModes[t.TaxMode]
	switch {
	case !ok:
		c.add(path+"tax_mode", problem.BadFormat, "must be included, on_top or exempt")
	case mode == pb.TaxMode_TAX_MODE_EXEMPT && t.TaxRateBp != 0:
		c.add(path+"tax_rate_bp", problem.OutOfRange, "must be 0 when tax_mode is exempt")
	case mode == pb.TaxMode_TAX_MODE_UNSPECIFIED && t.TaxRateBp == 0:
		mode = pb.TaxMode_TAX_MODE_EXEMPT
	case mode == pb.TaxMode_TAX_MODE_UNSPECIFIED:
		mode = pb.TaxMode_TAX_MODE_INCLUDED
	}
	cmd := &pb.NewTicketType{
		Id: t.ID, Name: t.Name, PriceMinor: t.PriceMinor, TaxRateBp: uint32(t.TaxRateBp), TaxMode: mode,
		Capacity: uint32(t.Capacity), BlockSize: uint32(t.BlockSize),
	}
	if cmd.BlockSize == 0 {
		cmd.BlockSize = blockSizeDefault
	}
	if cmd.Name == "" {
		cmd.Name = cmd.Id
	}
	return cmd
}

// appendCanonicalEvent appends every field of the command in fixed order.
func appendCanonicalEvent(dst []byte, e *pb.CreateEvent) []byte {
	dst = appendField(dst, e.Name)
	dst = appendField(dst, e.Venue)
	dst = appendField(dst, e.Region)
	dst = appendField(dst, e.Currency)
	for _, n := range []int64{e.StartsAtUnixMs, e.SaleStartsUnixMs, e.SaleEndsUnixMs, int64(e.MaxPerAttendee)} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	mode := byte(0)
	if e.TestMode {
		mode = 1
	}
	dst = append(dst, mode)
	for _, t := range e.TicketTypes {
		dst = appendField(dst, t.Id)
		dst = appendField(dst, t.Name)
		for _, n := range []int64{t.PriceMinor, int64(t.TaxRateBp), int64(t.TaxMode), int64(t.Capacity), int64(t.BlockSize)} {
			dst = binary.BigEndian.AppendUint64(dst, uint64(n))
		}
	}
	return dst
}

// newCapacity is the request for another capacity of a ticket type.
type newCapacity struct {
	TicketType string `json:"ticket_type"`
	Capacity   *int64 `json:"capacity"`
}

func (n *newCapacity) validate() error {
	var c checker
	c.slug("ticket_type", n.TicketType, true)
	if n.Capacity == nil {
		c.add("capacity", problem.Required, "must be there")
	} else {
		c.between("capacity", *n.Capacity, 0, capacityMax)
	}
	return c.err()
}

// eventCancellation is the request to cancel an event.
type eventCancellation struct {
	Reason string `json:"reason"`
}

func (x *eventCancellation) validate() error {
	var c checker
	c.text("reason", x.Reason, false)
	return c.err()
}
