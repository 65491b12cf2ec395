// Package pause waits without outliving its context.
package pause

import (
	"context"
	"time"
)

// For waits for d and reports true, or false when ctx ends before.
func For(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
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
