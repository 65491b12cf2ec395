package client

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Position is where a command is in the log.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// String is the form that look-ups take as wait_for.
func (p Position) String() string {
	return p.Topic + "/" + strconv.Itoa(int(p.Partition)) + "/" + strconv.FormatInt(p.Offset, 10)
}

// Order asks for tickets.
type Order struct {
	// Key is the idempotency key: 1 to 255 visible ASCII characters that stand for
	// this order. The registration's id is derived from it.
	Key     string
	EventID string
	Email   string
	Name    string
	// Lines are 1 to 10.
	Lines []OrderLine
	// Channel says where the order comes from; Region is the event's when empty.
	Channel, Region string
	// PaymentMethod is the provider's token; empty only when the order is free.
	PaymentMethod string
}

// OrderLine asks for tickets of one type.
type OrderLine struct {
	TicketType string
	// Quantity is 1 to 10.
	Quantity int
	// DiscountMinor is taken off the line, in minor units of the event's currency.
	DiscountMinor int64
}

// appendFields appends the order's members, without braces. It is written by
// hand because a load generator spends its time here.
func (o *Order) appendFields(dst []byte) []byte {
	dst = appendMember(dst, `"event_id":`, o.EventID)
	dst = appendMember(dst, `,"attendee":{"email":`, o.Email)
	dst = appendMember(dst, `,"name":`, o.Name)
	dst = append(dst, `},"lines":[`...)
	for i, l := range o.Lines {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendMember(dst, `{"ticket_type":`, l.TicketType)
		dst = append(dst, `,"quantity":`...)
		dst = strconv.AppendInt(dst, int64(l.Quantity), 10)
		if l.DiscountMinor != 0 {
			dst = append(dst, `,"discount_minor":`...)
			dst = strconv.AppendInt(dst, l.DiscountMinor, 10)
		}
		dst = append(dst, '}')
	}
	dst = append(dst, ']')
	if o.Channel != "" {
		dst = appendMember(dst, `,"channel":`, o.Channel)
	}
	if o.Region != "" {
		dst = appendMember(dst, `,"region":`, o.Region)
	}
	if o.PaymentMethod != "" {
		dst = appendMember(dst, `,"payment_method":`, o.PaymentMethod)
	}
	return dst
}

func appendMember(dst []byte, name, value string) []byte {
	// Invalid UTF-8 is replaced; the server would refuse it.
	dst, _ = jsontext.AppendQuote(append(dst, name...), value)
	return dst
}

// Accepted says that a command is in the log.
type Accepted struct {
	RegistrationID string   `json:"registration_id"`
	EventID        string   `json:"event_id"`
	Position       Position `json:"position"`
	StatusURL      string   `json:"status_url"`
	// Status is the event's, when one was created: on_sale or opening.
	Status string `json:"status"`
}

// Register asks for tickets and returns when the order is in the log. What became
// of it is told by Registration.
func (c *Client) Register(ctx context.Context, o *Order) (Accepted, error) {
	body := append(o.appendFields(append(make([]byte, 0, 384), '{')), '}')
	answer, err := c.do(ctx, &request{method: http.MethodPost, base: c.ingest, path: "/v1/registrations", key: o.Key, body: body})
	if err != nil {
		return Accepted{}, err
	}
	return parseAccepted(answer)
}

// parseAccepted reads the answer of the front door. Its fast path knows the form
// in which the front door writes it.
func parseAccepted(b []byte) (Accepted, error) {
	if a, ok := scanAccepted(b); ok {
		return a, nil
	}
	var a Accepted
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("the answer is not what was expected: %w", err)
	}
	return a, nil
}

func scanAccepted(b []byte) (a Accepted, ok bool) {
	s := scanner{rest: b}
	s.skip("{")
	return scanFields(&s)
}

func scanFields(s *scanner) (a Accepted, ok bool) {
	a.RegistrationID = s.text(`"registration_id":"`)
	a.Position.Topic = s.text(`,"position":{"topic":"`)
	partition := s.number(`,"partition":`)
	a.Position.Partition = int32(partition)
	a.Position.Offset = s.number(`,"offset":`)
	a.StatusURL = s.text(`},"status_url":"`)
	s.skip("}")
	return a, !s.failed && partition == int64(a.Position.Partition)
}

// scanner reads a text of known form; it fails on any other.
type scanner struct {
	rest   []byte
	failed bool
}

func (s *scanner) skip(prefix string) {
	if !bytes.HasPrefix(s.rest, []byte(prefix)) {
		s.failed = true
		return
	}
	s.rest = s.rest[len(prefix):]
}

// text reads a string without escapes.
func (s *scanner) text(prefix string) string {
	s.skip(prefix)
	end := bytes.IndexByte(s.rest, '"')
	if s.failed || end < 0 || bytes.IndexByte(s.rest[:end], '\\') >= 0 {
		s.failed = true
		return ""
	}
	value := string(s.rest[:end])
	s.rest = s.rest[end+1:]
	return value
}

func (s *scanner) number(prefix string) (n int64) {
	s.skip(prefix)
	digits := 0
	for digits < len(s.rest) && s.rest[digits] >= '0' && s.rest[digits] <= '9' {
		n = n*10 + int64(s.rest[digits]-'0')
		digits++
	}
	if digits == 0 || digits > 18 {
		s.failed = true
		return 0
	}
	s.rest = s.rest[digits:]
	return n
}

// Cancel asks to cancel a registration: the lines with these numbers, all of them
// when none is named. reason is a code for reports ([a-z0-9_]) and may be empty.
func (c *Client) Cancel(ctx context.Context, registrationID, key, reason string, lines ...uint32) (Accepted, error) {
	body, err := json.Marshal(struct {
		Lines  []uint32 `json:"lines,omitempty"`
		Reason string   `json:"reason,omitempty"`
	}{lines, reason})
	if err != nil {
		return Accepted{}, fmt.Errorf("encode a cancellation: %w", err)
	}
	return c.command(ctx, &request{path: "/v1/registrations/" + url.PathEscape(registrationID) + "/cancel", key: key, body: body})
}

// command posts to the front door.
func (c *Client) command(ctx context.Context, r *request) (Accepted, error) {
	r.method, r.base = http.MethodPost, c.ingest
	answer, err := c.do(ctx, r)
	if err != nil {
		return Accepted{}, err
	}
	return parseAccepted(answer)
}
