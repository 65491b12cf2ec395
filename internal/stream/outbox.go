package stream

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// burstRecordsMax is how many records make a burst that is not waited for.
const burstRecordsMax = 512

// outbox gives a producer its records in bursts that begin at least as far apart as
// every: a record that comes alone goes at once, and those that come one after the
// other travel together. Each request costs client and broker about as much as ten
// records do.
type outbox struct {
	cl    *kgo.Client
	every time.Duration

	mu      sync.Mutex
	waiting []parcel
	begun   time.Time   // the last burst
	due     *time.Timer // of the next burst; nil: nothing waits
}

type parcel struct {
	ctx     context.Context
	record  *kgo.Record
	promise func(*kgo.Record, error)
}

// produce is kgo.Client.TryProduce. The order of the records is that of the calls.
func (o *outbox) produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, parcel{ctx, r, promise})
	wait := o.every - time.Since(o.begun)
	switch {
	case wait <= 0 || len(o.waiting) >= burstRecordsMax:
		o.send()
	case o.due == nil:
		o.due = time.AfterFunc(wait, o.flush)
	}
}

// produceAll waits until Kafka has the records, and returns the first error. They
// wait for company only until open ends, which must be no later than ctx.
func (o *outbox) produceAll(ctx, open context.Context, records ...*kgo.Record) error {
	errs := make(chan error, len(records))
	for _, r := range records {
		o.produce(ctx, r, func(_ *kgo.Record, err error) { errs <- err })
	}
	defer context.AfterFunc(open, o.flush)()
	var first error
	for range records {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

// flush sends what waits.
func (o *outbox) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send()
}

// send must be called with the lock held, which keeps the order.
func (o *outbox) send() {
	if o.due != nil {
		o.due.Stop()
		o.due = nil
	}
	o.begun = time.Now()
	for i, p := range o.waiting {
		o.cl.TryProduce(p.ctx, p.record, p.promise)
		o.waiting[i] = parcel{}
	}
	o.waiting = o.waiting[:0]
}

// size is how many records wait.
func (o *outbox) size() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int64(len(o.waiting))
}
