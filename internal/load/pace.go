package load

import (
	"context"
	"sync/atomic"
	"time"
)

// pace hands out the requests, each with the time at which it is due.
type pace struct {
	total int64
	start time.Time
	// rate is in requests per second; 0 for a closed loop.
	rate float64
	next atomic.Int64
	// cut counts the requests that were taken and not sent after all.
	cut atomic.Int64
	// slots holds a token for each registration that is sent and not decided; it
	// bounds a closed loop and is nil in an open one.
	slots chan struct{}
	// fence, when it is closed, ends the handing out; nil for none.
	fence <-chan struct{}
}

func newPace(total int, rate float64, undecidedMax int, start time.Time) *pace {
	p := &pace{total: int64(total), start: start, rate: rate}
	if rate == 0 {
		p.slots = make(chan struct{}, undecidedMax)
	}
	return p
}

// due is when request n is to be sent in an open loop.
func (p *pace) due(n int64) time.Time {
	return p.start.Add(time.Duration(float64(n) * float64(time.Second) / p.rate))
}

// take waits for the next request; ok is false when there is none any more or
// ctx ends. In an open loop intended is when it is due, however late it is now.
func (p *pace) take(ctx context.Context) (n int, intended time.Time, ok bool) {
	if p.fenced() {
		return 0, time.Time{}, false
	}
	if p.rate == 0 {
		select {
		case p.slots <- struct{}{}:
		case <-p.fence:
			return 0, time.Time{}, false
		case <-ctx.Done():
			return 0, time.Time{}, false
		}
		return p.claim()
	}
	i := p.next.Add(1) - 1
	if i >= p.total {
		return 0, time.Time{}, false
	}
	intended = p.due(i)
	if !p.await(ctx, intended) {
		p.cut.Add(1)
		return 0, time.Time{}, false
	}
	return int(i), intended, true
}

// await waits until a request is due; false when the fence or ctx comes first.
func (p *pace) await(ctx context.Context, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err() == nil && !p.fenced()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.fence:
	case <-ctx.Done():
	}
	return false
}

func (p *pace) fenced() bool {
	select {
	case <-p.fence:
		return true
	default:
		return false
	}
}

// takeNow is take without waiting: ok is false when no request is due.
func (p *pace) takeNow() (n int, intended time.Time, ok bool) {
	if p.fenced() {
		return 0, time.Time{}, false
	}
	if p.rate == 0 {
		select {
		case p.slots <- struct{}{}:
			return p.claim()
		default:
			return 0, time.Time{}, false
		}
	}
	for {
		i := p.next.Load()
		if i >= p.total {
			return 0, time.Time{}, false
		}
		if intended = p.due(i); time.Until(intended) > 0 {
			return 0, time.Time{}, false
		}
		if p.next.CompareAndSwap(i, i+1) {
			return int(i), intended, true
		}
	}
}

// claim takes the next request of a closed loop, for which a slot is held: it is
// due now.
func (p *pace) claim() (int, time.Time, bool) {
	i := p.next.Add(1) - 1
	if i >= p.total {
		p.free()
		return 0, time.Time{}, false
	}
	return int(i), time.Now(), true
}

// free gives back the slot of a registration that is decided or was refused.
func (p *pace) free() {
	if p.slots == nil {
		return
	}
	select {
	case <-p.slots:
	default: // one that was decided before this run began
	}
}

// sent is how many requests were handed out.
func (p *pace) sent() int64 { return min(p.next.Load(), p.total) - p.cut.Load() }
