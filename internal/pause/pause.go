// Package pause waits without outliving its context.
package pause

import (
	"context"
	"time"
)

// For waits for d and reports true, or false when ctx ends before. It does not wait
// when d is not positive.
func For(ctx context.Context, d time.Duration) bool {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
