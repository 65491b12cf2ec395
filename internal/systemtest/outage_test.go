package systemtest

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/provider"
)

// TestPartsAway tells of parts that are away or misbehave for a while, one after
// another on one system, whose books must balance at the end.
func TestPartsAway(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	for _, story := range []struct {
		name string
		run  func(*testing.T, *system)
	}{
		{"provider away", testProviderAway},
		{"ClickHouse away", testClickHouseAway},
		{"late charges", testLateCharges},
	} {
		t.Run(story.name, func(t *testing.T) { story.run(t, s) })
	}
	s.checkBooks(t, nil)
}

// The provider cannot be reached while attendees order: their seats are held and
// nobody is refused; when it is back each of them is charged once (I3).
func testProviderAway(t *testing.T, s *system) {
	event := s.newEvent(t, "provider away", 40)
	s.behave(t, provider.Behaviour{Seed: 1, Away: true})
	var ids []string
	for i := range 10 {
		ids = append(ids, s.register(t, order(event, fmt.Sprintf("away-%d", i))))
	}
	for _, id := range ids {
		s.awaitRegistration(t, id, "waiting for the provider", func(r *client.Registration) bool { return r.Status == "charging" })
	}
	s.behave(t, provider.Behaviour{Seed: 1})
	for _, id := range ids {
		s.chargedOnce(t, s.awaitSettled(t, id))
	}
	s.awaitSeats(t, event, 10, 30)
}

// chargedOnce demands that a registration is confirmed and that the provider
// captured its price once, or that it failed and nothing is kept.
func (s *system) chargedOnce(t *testing.T, r *client.Registration) {
	t.Helper()
	charges, refunds := s.ledger(t, r.Payment.PaymentID)
	switch {
	case r.Status == "confirmed" && len(charges) == 1 && charges[0].AmountMinor == r.TotalMinor && len(refunds) == 0:
	case r.Status == "payment_failed" && len(charges) == 0 && len(refunds) == 0:
	default:
		t.Errorf("%s is %s %q, the provider has the charges %v and the refunds %v", r.RegistrationID, r.Status, r.Reason, charges, refunds)
	}
}

// ClickHouse hangs while attendees order, then it is killed: they are served as
// ever, and it has everything once it is back (I8).
func testClickHouseAway(t *testing.T, s *system) {
	event := s.newEvent(t, "clickhouse away", 40)
	s.signal(t, "clickhouse", syscall.SIGSTOP)
	for i := range 5 {
		s.buy(t, event, fmt.Sprintf("hanging-%d", i))
	}
	was := s.pid(t, "clickhouse")
	s.signal(t, "clickhouse", syscall.SIGKILL)
	for i := range 5 {
		s.buy(t, event, fmt.Sprintf("killed-%d", i))
	}
	eventually(t, "ClickHouse is started again", func() error { return s.replaced("clickhouse", was) })
	s.signal(t, "clickhouse", syscall.SIGSTOP)
	s.buy(t, event, "hanging-again")
	s.signal(t, "clickhouse", syscall.SIGCONT)
	s.checkBooks(t, nil)
}

// The provider fails, declines, and applies charges only after the gateway has
// given up, denying them meanwhile: nobody is charged twice, and nobody who was
// charged is refused (I3).
func testLateCharges(t *testing.T, s *system) {
	event := s.newEvent(t, "late charges", 40)
	s.behave(t, provider.Behaviour{
		Seed: 5, TimeoutAfterApplyRate: 0.4, LateMS: 500, ErrorRate: 0.3, DeclineRate: 0.2, NotFoundMeanwhile: true,
	})
	orders := make([]*client.Order, 24)
	for i := range orders {
		orders[i] = order(event, fmt.Sprintf("late-charge-%d", i))
	}
	found := s.registerAll(t, 8, orders)
	for _, r := range found {
		s.chargedOnce(t, r)
	}
	sold := count(found, "confirmed")
	if sold == 0 || sold == len(found) {
		t.Errorf("%d of %d confirmed: the seed makes no difference", sold, len(found))
	}
	s.behave(t, provider.Behaviour{Seed: 5})
	s.awaitSeats(t, event, sold, 40-sold)
}

// Every charge is applied only after the order's deadline has passed: the orders
// expire, their seats can be had again, and each late charge is given back in
// full (I2, I3).
func TestChargedAfterTheDeadline(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t), "--charge-timeout", "2s")
	event := s.newEvent(t, "after the deadline", 20)
	s.behave(t, provider.Behaviour{Seed: 1, TimeoutAfterApplyRate: 1, LateMS: 200, NotFoundMeanwhile: true})
	var ids []string
	for i := range 6 {
		ids = append(ids, s.register(t, order(event, fmt.Sprintf("deadline-%d", i))))
	}
	for _, id := range ids {
		s.awaitRegistration(t, id, "expired", func(r *client.Registration) bool { return r.Status == "expired" })
	}
	s.behave(t, provider.Behaviour{Seed: 1})
	for _, id := range ids {
		r := s.awaitSettled(t, id)
		charges, refunds := s.ledger(t, r.Payment.PaymentID)
		if r.Status != "expired" || len(charges) > 1 || len(refunds) != len(charges) {
			t.Errorf("%s is %s, the provider has the charges %v and the refunds %v", id, r.Status, charges, refunds)
		}
	}
	s.awaitSeats(t, event, 0, 20)
	s.checkBooks(t, ids)
}
