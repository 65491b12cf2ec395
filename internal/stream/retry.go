package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
)

// RetryTopic holds the records whose handler failed until they are due to be
// tried again.
var RetryTopic = topology.Retries

// Backoff is the growing pause between the attempts at one record. It has a cap,
// and it is spread, so that what failed together does not come back together.
type Backoff struct{ Min, Max time.Duration }

// Pause returns how long to wait after an attempt (from 1) at what id names:
// between half of Min * 2^(attempt-1), at most Max, and all of it. Where in
// between is derived from the id, not drawn.
func (b Backoff) Pause(attempt int, id string) time.Duration {
	d := b.Min
	for n := 1; n < attempt && d < b.Max; n++ {
		d *= 2
	}
	d = min(d, b.Max)
	spread := float64(murmur2(id+"/"+strconv.Itoa(attempt))) / (1 << 32)
	return d/2 + time.Duration(spread*float64(d/2))
}

// retryWorkers bounds, times inFlightPerWorker, how many records wait to be due.
const retryWorkers = 256

var errNoRetry = errors.New("the headers do not say where the record belongs and when it is due")

// NewRetrier makes the stage that waits until a record that was put off is due,
// and sends it to the topic that it was written to first, with the headers that
// tell its history. It is at least once: a record may come back twice, which is a
// repetition like any other. Records of one key come back in the order in which
// they were put off; no key waits for another. topics are those that it may send
// to.
func NewRetrier(cfg Config, topics []topology.Topic) (*StageRunner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	waiting := register(cfg.Registerer, prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "retries_waiting", Help: "Records that this member holds until they are due to be tried again.",
	}))
	return NewStage(cfg, Stage{
		Group: topology.Retrier, Workers: retryWorkers,
		Due: func(r *kgo.Record) time.Time {
			_, due, _ := retryOf(r.Headers)
			return due
		},
		Waiting: waiting,
		Forward: func(_ context.Context, r *kgo.Record) ([]*kgo.Record, error) {
			original, _, ok := retryOf(r.Headers)
			if !ok {
				return nil, &Undecodable{Raw: r.Value, Err: errNoRetry}
			}
			if !hasTopic(topics, original.Topic) {
				return nil, &Undecodable{Raw: r.Value, Err: fmt.Errorf("%w: there is no topic %q", errNoRetry, original.Topic)}
			}
			key := append([]byte{}, r.Key...) // never nil: its hash chooses the partition
			return []*kgo.Record{{Topic: original.Topic, Key: key, Value: r.Value, Headers: r.Headers}}, nil
		},
	})
}
