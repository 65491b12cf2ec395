package backfill

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// pretix exports orders in two tables: one with a row for each position, which is
// needed, and one with a row for each order, which adds what was paid and when.

func pretixPositions() *layout {
	return &layout{
		format: FormatPretixPositions, source: "pretix", needs: []string{"order", "product", "price"}, take: (*reader).pretixPosition,
		columns: map[string][]string{
			"order": {"Order code", "Order"}, "position": {"Position ID"}, "status": {"Status"}, "email": {"Email", "E-mail"},
			"date": {"Order date"}, "time": {"Order time"}, "product": {"Product"}, "variation": {"Variation"},
			"price": {"Price"}, "tax_rate": {"Tax rate"}, "tax": {"Tax value"},
			"name": {"Attendee name", "Invoice address name"}, "attendee_email": {"Attendee email"}, "channel": {"Sales channel"},
			"event": {"Event slug", "Event"}, "event_name": {"Event name"}, "starts": {"Start date", "Event start date", "Series date"},
			"starts_time": {"Event start time"}, "providers": {"Payment providers"}, "currency": {"Currency", "Event currency"},
		},
	}
}

func pretixOrders() *layout {
	return &layout{
		format: FormatPretixOrders, source: "pretix", needs: []string{"order", "total"}, take: (*reader).pretixOrder,
		columns: map[string][]string{
			"order": {"Order code", "Order"}, "total": {"Order total", "Total"}, "status": {"Status"}, "email": {"Email", "E-mail"},
			"date": {"Order date"}, "time": {"Order time"}, "name": {"Name"}, "paid": {"Date of last payment", "Payment date"},
			"channel": {"Sales channel"}, "event": {"Event slug", "Event"}, "event_name": {"Event name"},
			"starts": {"Event start date"}, "starts_time": {"Event start time"}, "providers": {"Payment providers"},
			"currency": {"Currency", "Event currency"},
		},
	}
}

// pretix brings the two tables together.
type pretix struct {
	positions map[string][]*row
	orders    map[string]*row
	keys      []string
}

func newPretix() *pretix { return &pretix{positions: map[string][]*row{}, orders: map[string]*row{}} }

// pretixKey is the event and the id of an order. Order codes are unique within an
// event, so the id names both.
func (r *reader) pretixKey(row *row) (event, id string) {
	event, id = cmp.Or(row.get("event"), r.Event), row.get("order")
	if event != "" && id != "" {
		id = event + "/" + id
	}
	return event, id
}

func (r *reader) pretixRow(row *row) (key string, ok bool) {
	event, id := r.pretixKey(row)
	switch {
	case !row.readable():
		r.reject(row.place, event, id, "the row is not UTF-8: export the file as UTF-8")
	case id == "":
		r.reject(row.place, event, id, "there is no order code")
	default:
		return event + "\x00" + id, true
	}
	return "", false
}

func (r *reader) pretixPosition(row *row) {
	if key, ok := r.pretixRow(row); ok {
		if len(r.pretix.positions[key]) == 0 {
			r.pretix.keys = append(r.pretix.keys, key)
		}
		r.pretix.positions[key] = append(r.pretix.positions[key], row)
	}
}

func (r *reader) pretixOrder(row *row) {
	key, ok := r.pretixRow(row)
	if !ok {
		return
	}
	if first := r.pretix.orders[key]; first != nil {
		event, id := r.pretixKey(row)
		r.reject(row.place, event, id, "the order stands in %s, line %d, as well", first.file, first.line)
		return
	}
	r.pretix.orders[key] = row
}

// finish makes drafts of all orders that were paid.
func (p *pretix) finish(r *reader) {
	for _, key := range p.keys {
		rows, order := p.positions[key], p.orders[key]
		event, id := r.pretixKey(rows[0])
		if err := r.pretixDraft(event, id, rows, order); err != nil {
			r.reject(rows[0].place, event, id, "%v", err)
		}
	}
	for key, row := range p.orders {
		// An order without positions has only fees, and is none of tickets.
		if len(p.positions[key]) == 0 {
			event, id := r.pretixKey(row)
			r.reject(row.place, event, id, "it has no positions here: give the export of the positions, too")
		}
	}
}

// pretixState says what an order's status means: whether it was paid, and whether
// it is cancelled.
func pretixState(status string) (paid, cancelled, known bool) {
	switch s := strings.ToLower(status); {
	case s == "paid", strings.HasPrefix(s, "canceled (paid"), strings.HasPrefix(s, "cancelled (paid"):
		return true, false, true
	case s == "canceled", s == "cancelled":
		return false, true, true
	case strings.HasPrefix(s, "pending"), s == "expired", s == "overdue", strings.HasPrefix(s, "approval"), strings.HasPrefix(s, "approved"):
		return false, false, true
	}
	return false, false, false
}

// pretixDraft makes the draft of one order. order is nil without the table of
// orders.
func (r *reader) pretixDraft(event, id string, rows []*row, order *row) error {
	whole := order
	if whole == nil {
		whole = rows[0]
	}
	paid, cancelled, known := pretixState(whole.get("status"))
	if order == nil {
		// Only positions: the order is paid if one of them says so.
		for _, row := range rows {
			p, _, k := pretixState(row.get("status"))
			paid, known = paid || p, known && k
		}
		cancelled = cancelled && !paid
	}
	switch {
	case !known:
		return fmt.Errorf("the status %q has no known meaning", whole.get("status"))
	case cancelled && (order == nil || order.get("paid") == ""):
		r.Skipped["cancelled in the source and not known to have been paid"]++
		return nil
	case !paid && !cancelled:
		r.Skipped["not paid in the source"]++
		return nil
	}
	d := r.tickets.of(event, id, rows[0].place)
	if err := r.pretixHead(d, rows[0], order); err != nil {
		return err
	}
	for _, row := range rows {
		t, err := r.pretixTicket(row, d.order.Currency)
		if err != nil {
			return err
		}
		t.cancelled = t.cancelled || cancelled
		t.refunded = t.cancelled
		d.tickets = append(d.tickets, t)
	}
	if order == nil || cancelled {
		return nil
	}
	return r.pretixTotal(d, order)
}

// pretixHead fills in what is said of the order.
func (r *reader) pretixHead(d *draft, position, order *row) (err error) {
	o := d.order
	get := func(field string) string {
		if order != nil && order.get(field) != "" {
			return order.get(field)
		}
		return position.get(field)
	}
	if o.Currency = cmp.Or(strings.ToUpper(get("currency")), r.Currency); !isCurrency(o.Currency) {
		return fmt.Errorf("the currency %q: name the event's with --currency", o.Currency)
	}
	if o.OrderedAt, err = r.timeOf(strings.TrimSpace(get("date") + " " + get("time"))); err != nil {
		return fmt.Errorf("the order's time: %w", err)
	}
	o.Attendee = Contact{Email: cmp.Or(get("email"), position.get("attendee_email")), Name: cmp.Or(position.get("name"), get("name"))}
	o.Channel = slug(get("channel"))
	if starts := strings.TrimSpace(get("starts") + " " + get("starts_time")); starts != "" {
		if o.starts, err = r.timeOf(starts); err != nil {
			return fmt.Errorf("the event's start: %w", err)
		}
	}
	if _, described := r.Events[o.Event]; !described && (get("event_name") != "" || get("event") != "") {
		r.Events[o.Event] = &Event{ID: o.Event, Name: cmp.Or(get("event_name"), get("event")), StartsAt: o.starts, Currency: o.Currency, place: position.place}
	}
	d.reference, d.method, d.paidAt = position.get("order"), slug(get("providers")), o.OrderedAt
	if order != nil && order.get("paid") != "" {
		if d.paidAt, err = r.paymentTime(order.get("paid"), o.OrderedAt); err != nil {
			return fmt.Errorf("the payment's date: %w", err)
		}
	}
	return nil
}

// paymentTime is the time of a payment of which only the day may be known: the
// order's on its own day, noon of any later one, so that no zone moves it to
// another day.
func (r *reader) paymentTime(text string, ordered time.Time) (time.Time, error) {
	at, err := r.timeOf(text)
	if err != nil || strings.Contains(text, ":") {
		return at, err
	}
	zone := r.Zone
	if zone == nil {
		zone = time.UTC
	}
	if at.In(zone).Format(time.DateOnly) == ordered.In(zone).Format(time.DateOnly) {
		return ordered, nil
	}
	return at.Add(12 * time.Hour), nil
}

func (r *reader) pretixTicket(row *row, currency string) (ticket, error) {
	_, cancelled, known := pretixState(row.get("status"))
	if !known {
		return ticket{}, fmt.Errorf("line %d: the status %q has no known meaning", row.line, row.get("status"))
	}
	t := ticket{ticketType: row.get("product"), quantity: 1, cancelled: cancelled, taxed: row.has("tax_rate") && row.has("tax")}
	if v := row.get("variation"); v != "" {
		t.ticketType += " - " + v
	}
	var err error
	if t.total, err = amountOf(row.get("price"), currency); err != nil || t.total < 0 {
		return t, fmt.Errorf("line %d: the price %q cannot be read", row.line, row.get("price"))
	}
	if t.rate, err = rateOf(row.get("tax_rate")); err != nil {
		return t, fmt.Errorf("line %d: %w", row.line, err)
	}
	if t.tax, err = amountOf(row.get("tax"), currency); err != nil || t.tax < 0 || t.tax > t.total {
		return t, fmt.Errorf("line %d: the tax %q cannot be read", row.line, row.get("tax"))
	}
	return t, nil
}

// pretixTotal holds the positions against the order's total. What the buyer paid
// on top, for shipping or the payment, is a part of what the first ticket cost;
// what is kept of an order without tickets was a fee for its cancellation.
func (r *reader) pretixTotal(d *draft, order *row) error {
	total, err := amountOf(order.get("total"), d.order.Currency)
	if err != nil {
		return fmt.Errorf("line %d of %s: the total: %w", order.line, order.file, err)
	}
	stands, gone, first := int64(0), int64(0), -1
	for i, t := range d.tickets {
		if t.cancelled {
			gone += t.total
			continue
		}
		stands += t.total
		if first < 0 {
			first = i
		}
	}
	switch {
	case first < 0 && total <= gone:
		if total > 0 {
			r.Notes["orders were cancelled and a fee was kept"]++
			for i := range d.tickets {
				d.tickets[i].refunded = false
			}
			d.back = gone - total
		}
	case first < 0 || total < stands:
		return fmt.Errorf("its total is %s, its positions are %s: is one of them missing?", order.get("total"), amount(max(stands, gone), d.order.Currency))
	case total > stands:
		r.Notes["orders had fees of the buyer, which are in the price of their first ticket"]++
		d.tickets[first].total += total - stands
	}
	return nil
}
