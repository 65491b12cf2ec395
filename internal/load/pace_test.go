package load

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The door stalls for a second: requests stay due when they were due, so that
// the stall shows in the latency of every request that it delayed.
func TestOpenLoopKeepsItsSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := newPace(300, 100, 0, start)
		for n := range 300 {
			got, intended, ok := p.take(t.Context())
			if !ok || got != n || intended != start.Add(time.Duration(n)*10*time.Millisecond) {
				t.Fatalf("request %d: %d due at %v, %v", n, got, intended.Sub(start), ok)
			}
			late := time.Since(intended)
			switch {
			case n <= 50 && late != 0, n == 51 && late != 990*time.Millisecond, n > 160 && late != 0:
				t.Fatalf("request %d is sent %v after it was due", n, late)
			}
			if n == 50 {
				time.Sleep(time.Second)
			}
		}
		if _, _, ok := p.take(t.Context()); ok {
			t.Error("more requests than planned")
		}
	})
}

// A batch takes what is due and no more.
func TestTakeNowDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := newPace(10, 100, 0, start)
		time.Sleep(25 * time.Millisecond)
		taken := 0
		for {
			if _, _, ok := p.takeNow(); !ok {
				break
			}
			taken++
		}
		if taken != 3 || time.Since(start) != 25*time.Millisecond {
			t.Errorf("took %d after %v", taken, time.Since(start))
		}
	})
}

// Without a rate, only so many registrations are undecided: the next request is
// due when one of them is decided.
func TestClosedLoopWaitsForDecisions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPace(5, 0, 2, time.Now())
		for range 2 {
			if _, _, ok := p.take(t.Context()); !ok {
				t.Fatal("refused")
			}
		}
		if _, _, ok := p.takeNow(); ok {
			t.Error("a third was taken while two are undecided")
		}
		time.AfterFunc(time.Second, p.free)
		begin := time.Now()
		n, intended, ok := p.take(t.Context())
		if !ok || n != 2 || time.Since(begin) != time.Second || !intended.Equal(time.Now()) {
			t.Errorf("request %d due at %v, %v", n, intended.Sub(begin), ok)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, ok := p.take(ctx); ok {
			t.Error("taken though nothing was decided")
		}
	})
}

// The fence comes while clients wait for their turns: none of them sends any
// more, and what was not sent does not count as sent.
func TestFenceEndsTheSending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fence := make(chan struct{})
		p := newPace(100, 10, 0, time.Now())
		p.fence = fence
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for {
					if _, _, ok := p.take(t.Context()); !ok {
						return
					}
				}
			})
		}
		time.Sleep(1050 * time.Millisecond)
		close(fence)
		clients.Wait()
		if p.sent() != 11 || time.Since(p.start) != 1050*time.Millisecond {
			t.Errorf("%d were sent within %v", p.sent(), time.Since(p.start))
		}
		if _, _, ok := p.takeNow(); ok {
			t.Error("taken after the fence")
		}
	})
}
