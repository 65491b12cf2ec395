package backfill

import (
	"math"
	"time"
)

// Bounds of what one order can be here; the saga's.
const (
	linesMax     = 32
	quantityMax  = 64
	priceMax     = 1 << 40
	orderIDMax   = 200
	textBytesMax = 300
	emailMax     = 254
)

// ticket is what an export says of one ticket, or of several alike.
type ticket struct {
	ticketType string
	quantity   uint32
	// total is what was paid for all of them.
	total int64
	// rate and tax are set where the export tells them.
	taxed bool
	rate  uint32
	tax   int64
	// cancelled takes no seat; refunded was given back, too.
	cancelled, refunded bool
}

// draft is an order whose rows are being collected.
type draft struct {
	order   *Order
	tickets []ticket
	fee     int64
	paidAt  time.Time
	// reference and method are the payment's.
	reference, method string
	// back is what was given back besides whole tickets.
	back int64
}

// ticketBook collects the rows of orders, which may stand anywhere.
type ticketBook struct {
	drafts map[string]*draft
	order  []*draft
}

func newTicketBook() *ticketBook { return &ticketBook{drafts: map[string]*draft{}} }

// of returns the draft of an order, which is made when it is missing.
func (b *ticketBook) of(event, id string, at place) *draft {
	o := &Order{ID: id, Event: event, place: at}
	d := b.drafts[o.key()]
	if d == nil {
		d = &draft{order: o}
		b.drafts[o.key()] = d
		b.order = append(b.order, d)
	}
	return d
}

// finish makes orders of the drafts.
func (b *ticketBook) finish(r *reader) {
	for _, d := range b.order {
		if len(d.tickets) > 0 {
			r.Orders = append(r.Orders, d.finish())
		}
	}
}

func (d *draft) finish() *Order {
	o := d.order
	paid, fee := int64(0), d.fee
	refunds := []Refund{}
	var gathered []ticket
	for _, t := range d.tickets {
		paid += t.total
		gathered = gather(gathered, split(t))
	}
	for _, t := range gathered {
		o.Lines = append(o.Lines, t.line())
		if t.refunded && t.total > 0 {
			refunds = append(refunds, Refund{AmountMinor: t.total, Line: uint32(len(o.Lines))})
		}
	}
	if d.back > 0 {
		refunds = append(refunds, Refund{AmountMinor: d.back})
	}
	if paid > 0 {
		o.Payment = &Payment{Reference: d.reference, Method: d.method, CapturedMinor: paid, FeeMinor: fee, CapturedAt: d.paidAt, Refunds: refunds}
	}
	return o
}

// split makes tickets of one price each, no more than a line may have: what does
// not divide goes to the last one.
func split(t ticket) []ticket {
	n := int64(t.quantity)
	if n <= quantityMax && (n <= 1 || t.total%n == 0) {
		return []ticket{t}
	}
	part, rest := t, t
	part.quantity = min(t.quantity-1, quantityMax)
	rest.quantity = t.quantity - part.quantity
	part.total, part.tax = t.total/n*int64(part.quantity), t.tax/n*int64(part.quantity)
	rest.total, rest.tax = t.total-part.total, t.tax-part.tax
	if rest.quantity == 1 {
		return []ticket{part, rest}
	}
	return append([]ticket{part}, split(rest)...)
}

// gather adds tickets to those that are alike.
func gather(all, more []ticket) []ticket {
	for _, t := range more {
		found := false
		for i := range all {
			a := &all[i]
			if found = a.alike(&t); found {
				a.quantity, a.total, a.tax = a.quantity+t.quantity, a.total+t.total, a.tax+t.tax
				break
			}
		}
		if !found {
			all = append(all, t)
		}
	}
	return all
}

func (t *ticket) alike(other *ticket) bool {
	return t.ticketType == other.ticketType && t.taxed == other.taxed && t.rate == other.rate &&
		t.cancelled == other.cancelled && t.refunded == other.refunded && t.quantity+other.quantity <= quantityMax &&
		t.total*int64(other.quantity) == other.total*int64(t.quantity)
}

func (t *ticket) line() Line {
	l := Line{TicketType: t.ticketType, Quantity: t.quantity, UnitPriceMinor: t.total / max(int64(t.quantity), 1), Cancelled: t.cancelled}
	if t.taxed {
		l.TaxMode, l.TaxRateBp, l.TaxMinor = taxIncluded, t.rate, &t.tax
		if t.rate == 0 {
			l.TaxMode = taxExempt
		}
	}
	return l
}

// quantityOf reads a number of tickets; nothing is one.
func quantityOf(text string) (uint32, bool) {
	n := uint64(0)
	if text == "" {
		return 1, true
	}
	for _, c := range text {
		if c < '0' || c > '9' || n > math.MaxUint16 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return uint32(n), n > 0
}
