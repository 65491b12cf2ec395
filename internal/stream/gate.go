package stream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/eventpro/boxoffice/internal/stream/storage"
)

// gate says whether a view may be read. Goka's view reports "running" again
// at once when it reconnects, however far behind it is then; so each time it
// comes to run, the gate stays shut until the view has applied what the log
// held at that moment.
type gate struct {
	passed atomic.Bool // open until the state changes

	mu    sync.Mutex
	goals []int64 // by partition: log ends to reach; nil: not known yet
}

// observe follows the view's state until ctx ends. Goka blocks when nobody
// drains the observer.
func (g *gate) observe(ctx context.Context, st *viewState, v *View) {
	start := time.Now()
	observer := st.view.ObserveStateChanges()
	defer observer.Stop()
	// Goals are listed apart from the draining, for the newest state only.
	running := make(chan bool, 1)
	var lister sync.WaitGroup
	defer lister.Wait()
	defer close(running)
	lister.Go(func() {
		for on := range running {
			if on {
				g.list(ctx, st, v)
			}
		}
	})
	recovered := false
	for {
		select {
		case state, ok := <-observer.C():
			if !ok {
				return
			}
			on := state == goka.State(goka.ViewStateRunning)
			if on && !recovered {
				recovered = true
				v.metrics.recovery.Set(time.Since(start).Seconds())
			}
			g.shut()
			select { // replace what the lister has not taken
			case <-running:
			default:
			}
			running <- on
		case <-ctx.Done():
			return
		}
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passed.Store(false)
	g.goals = nil
}

// list asks for the log's ends until it gets them.
func (g *gate) list(ctx context.Context, st *viewState, v *View) {
	pause := backoff{min: v.cfg.RestartBackoffMin, max: v.cfg.RestartBackoffMax}
	for {
		ends, err := st.tm.adm.ListEndOffsets(ctx, v.table.Name)
		if err == nil && ends.Error() == nil {
			g.set(st, ends, v.table.Name)
			return
		}
		if !pause.wait(ctx) {
			return
		}
	}
}

func (g *gate) set(st *viewState, ends kadm.ListedOffsets, topic string) {
	if st.view.CurrentState() != goka.ViewStateRunning {
		return // it changed meanwhile, and will be asked again
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.goals = make([]int64, len(st.partitions))
	for i := range g.goals {
		end, _ := ends.Lookup(topic, int32(i))
		g.goals[i] = end.Offset
	}
}

// open reports whether the view may be read.
func (g *gate) open(st *viewState) bool {
	if g.passed.Load() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.goals == nil {
		return false
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	for i, p := range st.partitions {
		if p == nil || g.goals[i] > 0 && p.Offset() < g.goals[i]-1 {
			return false
		}
	}
	g.passed.Store(true)
	return true
}

// measure sets the view's lag metric from time to time.
func (v *View) measure(ctx context.Context, st *viewState) {
	t := time.NewTicker(lagInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		ends, err := st.tm.adm.ListEndOffsets(ctx, v.table.Name)
		if err != nil {
			continue
		}
		var lag int64
		st.mu.RLock()
		for i, p := range st.partitions {
			applied := storage.NoOffset
			if p != nil {
				applied = p.Offset()
			}
			if end, ok := ends.Lookup(v.table.Name, int32(i)); ok {
				lag += max(0, end.Offset-applied-1)
			}
		}
		st.mu.RUnlock()
		v.metrics.lag.Set(float64(lag))
	}
}
