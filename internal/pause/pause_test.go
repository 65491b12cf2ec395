package pause

import (
	"context"
	"testing"
	"time"
)

// A loop that waits between two looks must not look again after its end, however
// short the wait is.
func TestForEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	if !For(ctx, time.Microsecond) {
		t.Error("the wait was cut off without a reason")
	}
	ended := make(chan bool)
	go func() { ended <- For(ctx, time.Hour) }()
	cancel()
	if <-ended {
		t.Error("a wait whose context ended passed for a whole one")
	}
	for range 100 {
		if For(ctx, 0) {
			t.Fatal("no wait at all passed for one although the context had ended")
		}
	}
}
