package systemtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/eventpro/boxoffice/client"
)

// registerAll sends orders from several clients at once and returns what they
// became.
func (s *system) registerAll(t *testing.T, clients int, orders []*client.Order) []*client.Registration {
	t.Helper()
	ids := make([]string, len(orders))
	var sent sync.WaitGroup
	for c := range clients {
		own := s.newClient(t)
		sent.Go(func() {
			for i := c; i < len(orders); i += clients {
				a, err := own.Register(t.Context(), orders[i])
				if err != nil {
					t.Errorf("order %s: %v", orders[i].Key, err)
				}
				ids[i] = a.RegistrationID
			}
		})
	}
	sent.Wait()
	if t.Failed() {
		t.FailNow()
	}
	found := make([]*client.Registration, len(ids))
	for i, id := range ids {
		found[i] = s.awaitSettled(t, id)
	}
	return found
}

func count(rs []*client.Registration, status string) (n int) {
	for _, r := range rs {
		if r.Status == status {
			n++
		}
	}
	return n
}

// Three times as many attendees as there are places ask for one ticket each at
// the same time: exactly the places are sold, each once, and every other
// attendee is told that it is sold out (I1).
func testSellsExactly(t *testing.T, s *system) {
	const places = 60
	event := s.newEvent(t, "sells exactly", places)
	orders := make([]*client.Order, 3*places)
	for i := range orders {
		orders[i] = order(event, fmt.Sprintf("rush-%d", i))
	}
	found := s.registerAll(t, 12, orders)
	if sold, out := count(found, "confirmed"), count(found, "sold_out"); sold != places || out != 2*places {
		t.Errorf("%d confirmed and %d sold out, want %d and %d", sold, out, places, 2*places)
	}
	type seat struct{ block, seat uint32 }
	var seats []seat
	for _, r := range found {
		for _, ticket := range r.Tickets {
			at := seat{ticket.Block, ticket.Seat}
			if slices.Contains(seats, at) {
				t.Errorf("seat %v was sold twice", at)
			}
			seats = append(seats, at)
		}
	}
	if len(seats) != places {
		t.Errorf("%d seats have an owner, want %d", len(seats), places)
	}
	s.awaitSeats(t, event, places, 0)
}

// twoTypes puts a second, dearer ticket type on sale.
func twoTypes(e *client.NewEvent) {
	e.TicketTypes = append(e.TicketTypes, client.NewTicketType{ID: "balcony", PriceMinor: 4000, Capacity: 20, BlockSize: 20})
}

// An attendee gives back one line of an order, then the rest: each time what
// was paid for it is refunded once and its seats can be had again.
func testCancels(t *testing.T, s *system) {
	event := s.newEvent(t, "cancels", 20, twoTypes)
	o := order(event, "cancels")
	o.Lines = []client.OrderLine{{TicketType: "seat", Quantity: 2}, {TicketType: "balcony", Quantity: 1}}
	r := s.awaitSettled(t, s.register(t, o))
	if r.Status != "confirmed" || len(r.Tickets) != 3 || r.Payment.CapturedMinor != 9000 {
		t.Fatalf("it is %+v, payment %+v", *r, r.Payment)
	}
	s.awaitSeats(t, event, 2, 18)
	for range 2 { // the second time changes nothing
		if _, err := s.client.Cancel(bounded(t), r.RegistrationID, "cancel-line", "by_attendee", 1); err != nil {
			t.Fatal(err)
		}
		s.awaitRegistration(t, r.RegistrationID, "confirmed with one line refunded", func(r *client.Registration) bool {
			return r.Status == "confirmed" && r.Settled && len(r.Tickets) == 1 && r.Payment.RefundedMinor == 5000
		})
		s.awaitSeats(t, event, 0, 20)
	}
	if _, err := s.client.Cancel(bounded(t), r.RegistrationID, "cancel-all", "by_attendee"); err != nil {
		t.Fatal(err)
	}
	s.awaitRegistration(t, r.RegistrationID, "cancelled and refunded", func(r *client.Registration) bool {
		return r.Status == "cancelled" && r.Settled && len(r.Tickets) == 0 && r.Payment.RefundedMinor == 9000
	})
	charges, refunds := s.ledger(t, r.Payment.PaymentID)
	if len(charges) != 1 || len(refunds) != 2 || refunds[0].AmountMinor != 5000 || refunds[1].AmountMinor != 4000 {
		t.Errorf("the provider has the charges %v and the refunds %v, want 5000 and 4000 given back", charges, refunds)
	}
}

// An organiser cancels an event while orders are still coming in: whoever was
// confirmed is refunded in full, nobody else pays, and no seat stays sold.
func testCancelsEvent(t *testing.T, s *system) {
	event := s.newEvent(t, "cancels event", 60)
	var ids []string
	for i := range 20 {
		ids = append(ids, s.register(t, order(event, fmt.Sprintf("late-%d", i))))
	}
	if _, err := s.client.CancelEvent(bounded(t), event, "storm"); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		r := s.awaitRegistration(t, id, "cancelled or refused", func(r *client.Registration) bool {
			return r.Settled && r.Decided() && r.Status != "confirmed"
		})
		if r.Payment == nil {
			continue
		}
		charges, refunds := s.ledger(t, r.Payment.PaymentID)
		if len(charges) != len(refunds) || len(charges) > 1 {
			t.Errorf("%s: the provider has the charges %v and the refunds %v", id, charges, refunds)
		}
	}
	eventually(t, "the front door knows", func() error {
		_, err := s.client.Register(t.Context(), order(event, "too-late"))
		if told := asError(err); told == nil || told.Code != "event_cancelled" {
			return fmt.Errorf("answered %w, want event_cancelled", err)
		}
		return nil
	})
	eventually(t, "no seat is sold", func() error {
		a, err := s.client.Availability(t.Context(), event)
		if err != nil {
			return err
		}
		if tt := a.TicketTypes[0]; tt.Sold != 0 || tt.Held != 0 {
			return fmt.Errorf("%+v", tt)
		}
		return nil
	})
}

// Two orders of one attendee, of which only one fits the limit, race: one is
// confirmed, the other is refused with the reason, whichever was first.
func testAttendeeLimit(t *testing.T, s *system) {
	event := s.newEvent(t, "attendee limit", 60, func(e *client.NewEvent) { e.MaxPerAttendee = 3 })
	const attendees = 8
	var orders []*client.Order
	for i := range 2 * attendees {
		o := order(event, fmt.Sprintf("limit-%d", i))
		o.Email = fmt.Sprintf("limit-%d@example.org", i%attendees)
		o.Lines[0].Quantity = 2
		orders = append(orders, o)
	}
	found := s.registerAll(t, 2*attendees, orders)
	for i := range attendees {
		one, other := found[i], found[i+attendees]
		if one.Status != "confirmed" {
			one, other = other, one
		}
		if one.Status != "confirmed" || other.Status != "rejected" || other.Reason == "" {
			t.Errorf("the two orders of an attendee are %s %q and %s %q", one.Status, one.Reason, other.Status, other.Reason)
		}
	}
	s.awaitSeats(t, event, 2*attendees, 60-2*attendees)
}
