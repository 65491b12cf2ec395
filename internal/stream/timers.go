package stream

import (
	"context"
	"sync"
	"time"

	"github.com/eventpro/boxoffice/internal/stream/core"
)

// timers sends the timer messages of the partitions that this member owns. It
// reads the deadline index of the local storage, which holds the open
// deadlines of committed states only, and of it only what is due.
//
// It sends outside of transactions, so a timer may come twice or too early (a
// fast clock); the handler decides by the time in the message. A key stays in
// the index until its state has moved on, and is sent again with backoff as
// long as it is there: no deadline is ever lost.
//
// A deadline is not yet due while records from before it may still wait in this
// member's inputs, its answer among them: a member that is behind would otherwise
// ask again for what it is about to read, and fall further behind.
type timers struct {
	r       *Runner
	emitter *Emitter
	alarms  core.Alarms
}

// newTimers returns nil when the group has no deadlines.
func newTimers(r *Runner) (*timers, error) {
	if r.proc.Deadline == nil {
		return nil, nil
	}
	cfg := r.cfg
	cfg.Linger = -1
	e, err := NewEmitter(cfg)
	if err != nil {
		return nil, err
	}
	return &timers{r: r, emitter: e, alarms: core.Alarms{Min: cfg.TimerBackoffMin, Max: cfg.TimerBackoffMax}}, nil
}

// watch looks for due deadlines until the returned function is called. reached
// says up to which moment the inputs have been handled.
func (t *timers) watch(ctx context.Context, partitions []int32, reached func(now time.Time) time.Time) (stop func()) {
	if t == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(t.r.cfg.TimerInterval)
		defer tick.Stop()
		for {
			now := t.r.cfg.Clock()
			if err := t.look(now, reached(now), partitions); err != nil {
				t.r.cfg.Logger.Warn("timers", "group", t.r.proc.Group.Name, "cause", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// look sends what was due at the moment that the inputs have reached and was not
// sent lately.
func (t *timers) look(now, reached time.Time, partitions []int32) error {
	due := func(p int32, until int64, visit func(string, int64) bool) error {
		return t.r.store.Due(t.r.proc.Group.Table.Name, p, until, visit)
	}
	return t.alarms.Look(now, reached, partitions, due, func(key string) { t.send(key, now) })
}

func (t *timers) send(key string, now time.Time) {
	t.emitter.EmitAsync(t.r.proc.Group.Timers, key, t.r.proc.Timer(key, now), func(_ Position, err error) {
		if err != nil {
			t.r.cfg.Logger.Debug("timer not sent", "group", t.r.proc.Group.Name, "key", key, "cause", err)
			return // it is still armed
		}
		t.r.metrics.timers.Inc()
	})
}

// close gives up what is not acknowledged: it is sent again by the next owner.
func (t *timers) close() {
	if t != nil {
		t.emitter.cl.Close()
	}
}
