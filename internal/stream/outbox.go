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
	cl *kgo.Client

	mu      sync.Mutex
	every   time.Duration
	waiting []parcel
	begun   time.Time   // the last burst
	due     *time.Timer // of the next burst; nil: nothing waits
}

type parcel struct {
	ctx     context.Context
	record  *kgo.Record
	promise func(*kgo.Record, error)
}

// produce is kgo.Client.TryProduce but for the end of ctx: a record that still waits
// for company then is dropped, and one that has gone to the client goes on. The
// client would fail all that it holds for the partition when the first of them ends.
// The order of the records is that of the calls.
func (o *outbox) produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	o.mu.Lock()
	o.waiting = append(o.waiting, parcel{ctx, r, promise})
	wait := o.every - time.Since(o.begun)
	var dropped []parcel
	switch {
	case wait <= 0 || len(o.waiting) >= burstRecordsMax:
		dropped = o.send()
	case o.due == nil:
		o.due = time.AfterFunc(wait, o.flush)
	}
	o.mu.Unlock()
	drop(dropped)
}

// flush sends what waits.
func (o *outbox) flush() {
	o.mu.Lock()
	dropped := o.send()
	o.mu.Unlock()
	drop(dropped)
}

// close sends what waits; from here on nothing waits.
func (o *outbox) close() {
	o.mu.Lock()
	o.every = 0
	o.mu.Unlock()
	o.flush()
}

// send must be called with the lock held, which keeps the order. It returns the
// records that nobody waits for any more.
func (o *outbox) send() (dropped []parcel) {
	if o.due != nil {
		o.due.Stop()
		o.due = nil
	}
	if len(o.waiting) == 0 {
		return nil
	}
	o.begun = time.Now()
	for i, p := range o.waiting {
		if p.ctx.Err() != nil {
			dropped = append(dropped, p)
		} else {
			o.cl.TryProduce(context.WithoutCancel(p.ctx), p.record, p.promise)
		}
		o.waiting[i] = parcel{}
	}
	o.waiting = o.waiting[:0]
	return dropped
}

// drop must be called without the lock: a promise may produce.
func drop(parcels []parcel) {
	for _, p := range parcels {
		p.promise(p.record, p.ctx.Err())
	}
}

// size is how many records wait.
func (o *outbox) size() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int64(len(o.waiting))
}
