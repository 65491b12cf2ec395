package load

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/eventpro/boxoffice/internal/tax"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	placesMin = 20
	placesMax = 1_000_000
	// blockSize is the seats of a block; a block is what a hold waits for.
	blockSize = 50

	// demand is how many tickets are asked for, for each one that can be had.
	demand = 1.25
	// ticketsPerRequest is the mean of the mix below.
	ticketsPerRequest = 1.2
)

// TicketType is a ticket type of the planned event.
type TicketType struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	PriceMinor int64  `json:"price_minor"`
	TaxRateBp  int64  `json:"tax_rate_bp"`
	TaxMode    string `json:"tax_mode"`
	Capacity   int    `json:"capacity"`
	BlockSize  int    `json:"block_size"`
}

// Plan is a whole sale: an event, and which request number n is.
type Plan struct {
	// Requests is how many there are.
	Requests int
	// Types are the event's ticket types.
	Types []TicketType

	run        string
	seed       uint64
	name       string
	free       bool
	maxPerHead int
	cancels    float64
	phase      float64
}

// Line asks for tickets of one type.
type Line struct {
	// Type is the index in Plan.Types.
	Type     int
	Quantity int
}

// Request is one planned registration.
type Request struct {
	Index    int
	Quantity int
	// AmountMinor is what it will cost, tax included.
	AmountMinor int64

	lines [2]Line
	count int
}

// Lines are the tickets asked for.
func (r *Request) Lines() []Line { return r.lines[:r.count] }

// NewPlan plans the sale that the configuration asks for.
func NewPlan(cfg Config) (*Plan, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	p := &Plan{
		run: cfg.Run, seed: cfg.Seed, name: cfg.EventName, free: cfg.Free, maxPerHead: cfg.MaxPerAttendee,
		cancels: cfg.CancelShare, Types: ticketTypes(cfg.Places, cfg.Free),
		Requests: RequestsFor(cfg.Places),
	}
	p.phase = unit(mix(cfg.Seed, 0, 0))
	return p, nil
}

// RequestsFor is how many registrations are asked for when an event has so many
// places.
func RequestsFor(places int) int {
	return int(math.Ceil(float64(places) * demand / ticketsPerRequest))
}

// PlacesFor is the inverse of RequestsFor, within one place.
func PlacesFor(requests int) int {
	return max(placesMin, int(math.Round(float64(requests)*ticketsPerRequest/demand)))
}

func ticketTypes(places int, free bool) []TicketType {
	student, workshop := places*20/100, places*15/100
	types := []TicketType{
		{ID: "student", Name: "Student", PriceMinor: 9_900, TaxRateBp: 700, TaxMode: "included", Capacity: student, BlockSize: blockSize},
		{ID: "standard", Name: "Standard", PriceMinor: 29_900, TaxRateBp: 1900, TaxMode: "included", Capacity: places - student - workshop, BlockSize: blockSize},
		{ID: "workshop-standard", Name: "Workshop and Standard", PriceMinor: 45_000, TaxRateBp: 1900, TaxMode: "on_top", Capacity: workshop, BlockSize: blockSize},
	}
	if free {
		for i := range types {
			types[i].PriceMinor, types[i].TaxRateBp, types[i].TaxMode = 0, 0, "exempt"
		}
	}
	return types
}

// Places is the capacity of all ticket types.
func (p *Plan) Places() int {
	n := 0
	for _, t := range p.Types {
		n += t.Capacity
	}
	return n
}

// Event is the body of POST /v1/events for an event that starts 90 days after
// now.
func (p *Plan) Event(now time.Time) ([]byte, error) {
	return json.Marshal(struct {
		Name           string       `json:"name"`
		Venue          string       `json:"venue"`
		Region         string       `json:"region"`
		Currency       string       `json:"currency"`
		StartsAt       time.Time    `json:"starts_at"`
		MaxPerAttendee int          `json:"max_per_attendee"`
		TicketTypes    []TicketType `json:"ticket_types"`
	}{p.name, "Exhibition Centre", "eu", "EUR", now.AddDate(0, 0, 90).UTC().Truncate(time.Second), p.maxPerHead, p.Types})
}

// EventKey is the idempotency key of the event.
func (p *Plan) EventKey() string { return "onsale-" + p.run + "-event" }

// Request is request number n, from 0. 80 % ask for one ticket, 15 % for two of
// one type, 5 % for one each of two types.
func (p *Plan) Request(n int) Request {
	r := Request{Index: n}
	// A Weyl sequence spreads the types evenly over any stretch of the sale, so
	// that each type meets its share of the demand, small events included.
	_, at := math.Modf(p.phase + float64(n)*math.Phi)
	first := p.typeAt(at)
	switch kind := mix(p.seed, 1, uint64(n)) % 100; {
	case kind < 80:
		r.add(Line{first, 1})
	case kind < 95:
		r.add(Line{first, 2})
	default:
		_, opposite := math.Modf(at + .5)
		second := p.typeAt(opposite)
		if second == first {
			second = (first + 1 + int(mix(p.seed, 2, uint64(n))%2)) % len(p.Types)
		}
		r.add(Line{first, 1})
		r.add(Line{second, 1})
	}
	for _, l := range r.Lines() {
		r.Quantity += l.Quantity
		r.AmountMinor += p.Types[l.Type].total(l.Quantity)
	}
	return r
}

func (r *Request) add(l Line) {
	r.lines[r.count] = l
	r.count++
}

// typeAt divides the unit interval by capacity.
func (p *Plan) typeAt(at float64) int {
	places := at * float64(p.Places())
	for i, t := range p.Types {
		if places -= float64(t.Capacity); places < 0 {
			return i
		}
	}
	return len(p.Types) - 1
}

// total is what quantity tickets cost: tax on top is rounded once per line, half
// away from zero.
func (t *TicketType) total(quantity int) int64 {
	amount := t.PriceMinor * int64(quantity)
	if t.TaxMode == "on_top" {
		_, amount = tax.Of(amount, uint32(t.TaxRateBp), pb.TaxMode_TAX_MODE_ON_TOP)
	}
	return amount
}

// Cancels reports whether request number n is cancelled once it is confirmed.
func (p *Plan) Cancels(n int) bool { return unit(mix(p.seed, 3, uint64(n))) < p.cancels }

// AppendKey appends the idempotency key of request number n.
func (p *Plan) AppendKey(dst []byte, n int) []byte {
	dst = append(dst, "onsale-"...)
	dst = append(dst, p.run...)
	return strconv.AppendInt(append(dst, '-'), int64(n), 10)
}

var methods = [...]string{"tok_visa", "tok_mastercard", "tok_amex", "tok_sepa"}

// AppendBody appends the members of the request as the front door takes them,
// without the braces. Nothing in it needs escaping: NewPlan's texts are its own,
// event ids are UUIDs.
func (p *Plan) AppendBody(dst []byte, eventID string, r *Request) []byte {
	n := int64(r.Index)
	dst = append(dst, `"event_id":"`...)
	dst = append(dst, eventID...)
	dst = append(dst, `","attendee":{"email":"attendee-`...)
	dst = strconv.AppendUint(dst, p.seed, 10)
	dst = strconv.AppendInt(append(dst, '-'), n, 10)
	dst = append(dst, `@example.com","name":"Attendee `...)
	dst = strconv.AppendInt(dst, n, 10)
	dst = append(dst, `"},"lines":[`...)
	for i, l := range r.Lines() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"ticket_type":"`...)
		dst = append(dst, p.Types[l.Type].ID...)
		dst = append(dst, `","quantity":`...)
		dst = strconv.AppendInt(dst, int64(l.Quantity), 10)
		dst = append(dst, '}')
	}
	dst = append(dst, `],"channel":"web"`...)
	if !p.free {
		dst = append(dst, `,"payment_method":"`...)
		dst = append(dst, methods[mix(p.seed, 4, uint64(n))%uint64(len(methods))]...)
		dst = append(dst, '"')
	}
	return dst
}

// mix draws the number n of a stream: SplitMix64's finaliser.
func mix(seed, stream, n uint64) uint64 {
	z := seed*0x9e3779b97f4a7c15 + stream*0xd1b54a32d192ed03 + n*0x8cb92ba72f3d8dd7
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit maps a draw to [0, 1).
func unit(draw uint64) float64 { return float64(draw>>11) / (1 << 53) }
