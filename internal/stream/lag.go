package stream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
)

// lagInterval is how often the lag is measured (rule 11: Goka's own statistics
// refresh once a minute and are not exported).
const lagInterval = 2 * time.Second

// lagMeter measures how many records wait for a consumer. It compares what was
// consumed with the logs' ends. A log's end may be a transaction marker, which
// no consumer ever gets; so once the consumer has waited in a fetch since
// before the last measurement, it counts as having consumed up to that one.
type lagMeter struct {
	adm   *kadm.Client
	group string
	owned map[string][]int32
	gauge prometheus.Gauge

	mu    sync.Mutex
	next  map[string]map[int32]int64 // first offset not consumed
	idle  atomic.Int64               // since when the consumer waits, unix nanoseconds, 0: it does not
	taken int64                      // when ends were listed last
	ends  kadm.ListedOffsets
}

func newLagMeter(adm *kadm.Client, group string, owned map[string][]int32, gauge prometheus.Gauge) *lagMeter {
	return &lagMeter{adm: adm, group: group, owned: owned, gauge: gauge, next: map[string]map[int32]int64{}}
}

// waiting says that a fetch begins or ends.
func (l *lagMeter) waiting(yes bool) {
	if yes {
		l.idle.Store(time.Now().UnixNano())
	} else {
		l.idle.Store(0)
	}
}

// idleFor is how long the consumer has been waiting in a fetch.
func (l *lagMeter) idleFor() time.Duration {
	since := l.idle.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since))
}

func (l *lagMeter) consumed(topic string, partition int32, next int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ps := l.next[topic]
	if ps == nil {
		ps = map[int32]int64{}
		l.next[topic] = ps
	}
	ps[partition] = max(ps[partition], next)
}

// watch measures until the returned function is called.
func (l *lagMeter) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		l.start(ctx)
		t := time.NewTicker(lagInterval)
		defer t.Stop()
		for {
			if lag, err := l.measure(ctx); err == nil {
				l.gauge.Set(float64(lag))
			}
			select {
			case <-t.C:
			case <-ctx.Done():
				l.gauge.Set(0) // it is the next owner's
				return
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// start takes over what the group has committed.
func (l *lagMeter) start(ctx context.Context) {
	offsets, err := l.adm.FetchOffsets(ctx, l.group)
	if err != nil {
		return
	}
	offsets.Each(func(o kadm.OffsetResponse) { l.consumed(o.Topic, o.Partition, o.At) })
}

// measure returns the records that wait in the owned partitions.
func (l *lagMeter) measure(ctx context.Context) (int64, error) {
	topics := make([]string, 0, len(l.owned))
	for t := range l.owned {
		topics = append(topics, t)
	}
	now := time.Now().UnixNano()
	ends, err := l.adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	idle := l.idle.Load()
	reached := idle != 0 && l.taken != 0 && idle < l.taken
	var lag int64
	for topic, ps := range l.owned {
		for _, p := range ps {
			end, ok := ends.Lookup(topic, p)
			if !ok || end.Err != nil {
				continue
			}
			next := l.next[topic][p]
			if before, ok := l.ends.Lookup(topic, p); ok && reached {
				next = max(next, before.Offset)
			}
			lag += max(0, end.Offset-next)
		}
	}
	l.ends, l.taken = ends, now
	return lag, nil
}
