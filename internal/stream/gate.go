package stream

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/eventpro/boxoffice/internal/stream/storage"
)

// gate says whether a view may be read during one run of a Goka view, and once it
// is open it stays so: a Goka view that loses a partition ends.
//
// It does not go by the state that Goka's view reports. That is "running" when all
// partitions are recovered, however long ago the first of them was, then
// "connecting" while it begins to follow them, and "running" again. The gate opens
// when the view has applied what the log held when its last partition was recovered.
type gate struct {
	recovering atomic.Int32  // partitions
	recovered  chan struct{} // closed when there is none left

	passed atomic.Bool
	mu     sync.Mutex
	goals  []int64 // by partition: log ends to reach; nil: not known yet
}

func newGate(partitions int) *gate {
	g := &gate{recovered: make(chan struct{})}
	g.recovering.Store(int32(partitions))
	return g
}

// gated is a partition's storage that tells the gate when it is recovered.
type gated struct {
	*storage.Partition
	gate *gate
}

// MarkRecovered implements Goka's Storage. Goka calls it once in a run.
func (p gated) MarkRecovered() error {
	err := p.Partition.MarkRecovered()
	if err == nil && p.gate.recovering.Add(-1) == 0 {
		close(p.gate.recovered)
	}
	return err
}

// list asks for the log's ends when all partitions are recovered, until it gets
// them or ctx ends.
func (g *gate) list(ctx context.Context, st *viewState, v *View) {
	start := time.Now()
	select {
	case <-g.recovered:
	case <-ctx.Done():
		return
	}
	v.metrics.recovery.Set(time.Since(start).Seconds())
	pause := backoff{min: v.cfg.RestartBackoffMin, max: v.cfg.RestartBackoffMax}
	for {
		starts, err := st.tm.adm.ListStartOffsets(ctx, v.table.Name)
		ends, errEnds := st.tm.adm.ListEndOffsets(ctx, v.table.Name)
		if errors.Join(err, errEnds, starts.Error(), ends.Error()) == nil {
			g.set(starts, ends, v.table.Name, len(st.partitions))
			return
		}
		if !pause.wait(ctx) {
			return
		}
	}
}

func (g *gate) set(starts, ends kadm.ListedOffsets, topic string, partitions int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.goals = make([]int64, partitions)
	for i := range g.goals {
		start, _ := starts.Lookup(topic, int32(i))
		end, _ := ends.Lookup(topic, int32(i))
		if start.Offset < end.Offset { // otherwise there is nothing, or nothing any more
			g.goals[i] = end.Offset
		}
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
