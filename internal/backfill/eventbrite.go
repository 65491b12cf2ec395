package backfill

import (
	"cmp"
	"strings"
)

// eventbrite is Eventbrite's attendee report: a row a ticket.
func eventbrite() *layout {
	return &layout{
		format: FormatEventbrite, source: "eventbrite", needs: []string{"order", "ticket_type", "paid"}, take: (*reader).eventbriteRow,
		columns: map[string][]string{
			"order":      {"Order #", "Order no.", "Order number", "Order ID"},
			"ordered_at": {"Order Date", "Order Date/Time", "Date of order"},
			"order_time": {"Order Time"},
			"first":      {"First Name", "Buyer First Name"}, "last": {"Last Name", "Surname", "Buyer Last Name"},
			"email": {"Email", "Email Address", "Buyer Email"}, "quantity": {"Quantity", "Ticket Quantity"},
			"ticket_type": {"Ticket Type", "Ticket Name"}, "attendee": {"Attendee #", "Attendee no."},
			"paid": {"Total Paid", "Gross", "Ticket Price"}, "status": {"Attendee Status", "Status"},
			"fees_paid": {"Fees Paid"}, "fee": {"Eventbrite Fees", "Eventbrite Service Fee"},
			"processing": {"Eventbrite Payment Processing", "Payment Processing Fee"},
			"currency":   {"Currency"}, "event": {"Event ID"}, "event_name": {"Event Name"}, "order_type": {"Order Type", "Payment Type"},
			"starts": {"Event Start Date", "Event Date"}, "starts_time": {"Event Start Time", "Event Time"},
			"refunded": {"Refunded Amount", "Amount Refunded", "Refunds"},
		},
	}
}

// eventbriteStates are what a ticket's status means.
var eventbriteStates = map[string]struct{ sold, cancelled, refunded bool }{
	"": {sold: true}, "attending": {sold: true}, "checked in": {sold: true}, "completed": {sold: true},
	"refunded": {true, true, true}, "cancelled": {true, true, false}, "canceled": {true, true, false},
	"deleted": {true, true, false}, "not attending": {true, true, false},
	"unpaid": {}, "pending": {}, "not paid": {}, "started": {}, "abandoned": {},
}

func (r *reader) eventbriteRow(row *row) {
	event, id := cmp.Or(row.get("event"), row.get("event_name"), r.Event), row.get("order")
	fail := func(format string, args ...any) { r.reject(row.place, event, id, format, args...) }
	state, known := eventbriteStates[strings.ToLower(row.get("status"))]
	switch {
	case !row.readable():
		fail("the row is not UTF-8: export the file as UTF-8")
		return
	case id == "":
		fail("there is no order number")
		return
	case !known:
		fail("the status %q has no known meaning", row.get("status"))
		return
	case !state.sold:
		r.Skipped["not paid in the source"]++
		return
	}
	d := r.tickets.of(event, id, row.place)
	if !r.eventbriteOrder(row, d, fail) {
		return
	}
	currency := d.order.Currency
	total, err := amountOf(row.get("paid"), currency)
	quantity, counted := quantityOf(row.get("quantity"))
	if err != nil || !counted || total < 0 {
		fail("%q tickets for %q cannot be read", row.get("quantity"), row.get("paid"))
		return
	}
	for _, field := range feeFields(row) {
		fee, err := amountOf(row.get(field), currency)
		if err != nil {
			fail("the fee %q: %v", field, err)
			return
		}
		d.fee += max(fee, -fee) // some exports write what was kept as negative
	}
	t := ticket{ticketType: row.get("ticket_type"), quantity: quantity, total: total, cancelled: state.cancelled, refunded: state.refunded}
	back, err := amountOf(row.get("refunded"), currency)
	if err != nil {
		fail("the refund: %v", err)
		return
	}
	if back = max(back, -back); back > 0 && !t.refunded {
		// A part of the price, or the price of a ticket that is cancelled.
		if t.refunded = back == total && t.cancelled; !t.refunded {
			d.back += back
		}
	}
	if t.cancelled && !t.refunded && total > 0 && back == 0 {
		r.Notes["tickets were cancelled and their money was kept"]++
	}
	d.tickets = append(d.tickets, t)
}

// feeFields are where the provider's fees stand: what it kept, or else what a
// shorter export shows.
func feeFields(row *row) []string {
	if row.has("fee") || row.has("processing") {
		return []string{"fee", "processing"}
	}
	return []string{"fees_paid"}
}

// eventbriteOrder fills in what the first row of an order says of it.
func (r *reader) eventbriteOrder(row *row, d *draft, fail func(string, ...any)) bool {
	o := d.order
	currency := cmp.Or(strings.ToUpper(row.get("currency")), r.Currency)
	if len(d.tickets) > 0 {
		if currency != o.Currency {
			fail("it is in %s and in %s", o.Currency, currency)
		}
		return currency == o.Currency
	}
	if !isCurrency(currency) {
		fail("the currency %q: name one with --currency", currency)
		return false
	}
	var err error
	if o.OrderedAt, err = r.timeOf(strings.TrimSpace(row.get("ordered_at") + " " + row.get("order_time"))); err != nil {
		fail("the order's time: %v", err)
		return false
	}
	o.Currency = currency
	o.Attendee = Contact{Email: row.get("email"), Name: strings.TrimSpace(row.get("first") + " " + row.get("last"))}
	if starts := strings.TrimSpace(row.get("starts") + " " + row.get("starts_time")); starts != "" {
		if o.starts, err = r.timeOf(starts); err != nil {
			fail("the event's start: %v", err)
			return false
		}
	}
	if _, described := r.Events[o.Event]; !described && row.get("event_name") != "" {
		r.Events[o.Event] = &Event{ID: o.Event, Name: row.get("event_name"), StartsAt: o.starts, Currency: currency, place: row.place}
	}
	d.paidAt, d.reference, d.method = o.OrderedAt, o.ID, slug(row.get("order_type"))
	return true
}
