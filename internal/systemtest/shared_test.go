package systemtest

import (
	"testing"
)

// TestOneSystem tells its stories one after another on one system, which has to
// be as good after each as before, and whose books must balance at the end.
func TestOneSystem(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	for _, story := range []struct {
		name string
		run  func(*testing.T, *system)
	}{
		{"same order twice", testSameOrderTwice},
		{"one key two orders", testOneKeyTwoOrders},
		{"bad requests", testBadRequests},
		{"outside the sale window", testSaleWindow},
		{"sells exactly what there is", testSellsExactly},
		{"cancels", testCancels},
		{"cancels an event", testCancelsEvent},
		{"attendee limit", testAttendeeLimit},
		{"reports", testReports},
	} {
		t.Run(story.name, func(t *testing.T) { story.run(t, s) })
	}
	s.checkBooks(t, nil)
}
