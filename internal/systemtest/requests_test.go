package systemtest

import (
	"sync"
	"testing"

	"github.com/eventpro/boxoffice/client"
)

// Two clients send the same order at the same moment, again and again: there is
// one registration, one ticket and one charge.
func testSameOrderTwice(t *testing.T, s *system) {
	event := s.newEvent(t, "same order twice", 40)
	for _, key := range []string{"twice-1", "twice-2", "twice-3", "twice-4"} {
		const senders = 6
		var ids [senders]string
		var sent sync.WaitGroup
		barrier := make(chan struct{})
		for i := range senders {
			c := s.newClient(t)
			sent.Go(func() {
				<-barrier
				a, err := c.Register(bounded(t), order(event, key))
				if err != nil {
					t.Errorf("sender %d: %v", i, err)
				}
				ids[i] = a.RegistrationID
			})
		}
		close(barrier)
		sent.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("one order has the ids %v", ids)
			}
		}
		r := s.awaitSettled(t, ids[0])
		if r.Status != "confirmed" || len(r.Tickets) != 1 {
			t.Errorf("%s is %s with tickets %v, want it confirmed with one", key, r.Status, r.Tickets)
		}
		if charges, refunds := s.ledger(t, r.Payment.PaymentID); len(charges) != 1 || len(refunds) != 0 {
			t.Errorf("the provider has the charges %v and the refunds %v, want one charge", charges, refunds)
		}
	}
	s.awaitSeats(t, event, 4, 36)
}

// Two clients send different orders under one key at the same moment: the first
// in the log wins, and the loser can see it.
func testOneKeyTwoOrders(t *testing.T, s *system) {
	event := s.newEvent(t, "one key two orders", 40)
	one, other := order(event, "contested"), order(event, "contested")
	other.Lines[0].Quantity = 2
	var sent sync.WaitGroup
	barrier := make(chan struct{})
	id := make(chan string, 2)
	for _, o := range []*client.Order{one, other} {
		c := s.newClient(t)
		sent.Go(func() {
			<-barrier
			a, err := c.Register(bounded(t), o)
			if told := asError(err); told != nil && told.Code == "idempotency_key_reused" {
				return // the front door knew it already
			} else if err != nil {
				t.Errorf("%v", err)
			}
			id <- a.RegistrationID
		})
	}
	close(barrier)
	sent.Wait()
	r := s.awaitSettled(t, <-id)
	if r.Status != "confirmed" || len(r.Tickets) != int(r.Lines[0].Quantity) {
		t.Errorf("it is %+v, want one of the two orders confirmed", *r)
	}
	if charges, _ := s.ledger(t, r.Payment.PaymentID); len(charges) != 1 || charges[0].AmountMinor != r.TotalMinor {
		t.Errorf("the provider has %v, want one charge of %d", charges, r.TotalMinor)
	}
	s.awaitSeats(t, event, len(r.Tickets), 40-len(r.Tickets))
}
