package stream

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// produceRequests counts what producers ask of the brokers.
func (b *bench) produceRequests() *atomic.Int64 {
	b.t.Helper()
	n := new(atomic.Int64)
	b.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		n.Add(1)
		return nil, nil, false
	})
	return n
}

// A record that comes alone is written at once; those that come soon after it travel
// together, in their order.
func TestRecordsThatComeSoonTravelTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	requests := b.produceRequests()
	cfg := b.config("e")
	cfg.QuietWait = time.Hour
	e, err := NewEmitter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Emit(b.ctx, numbers, key(0), wrapperspb.Int64(0)); err != nil {
		t.Fatal(err)
	}
	const soon = 100
	answers := make(chan error, soon)
	for i := int64(1); i <= soon; i++ {
		e.EmitAsync(numbers, key(0), wrapperspb.Int64(i), func(_ Position, err error) { answers <- err })
	}
	if n := e.Buffered(); n != soon || requests.Load() != 1 {
		t.Errorf("%d wait and %d requests were made, want %d and 1", n, requests.Load(), soon)
	}
	if err := e.Close(b.ctx); err != nil {
		t.Fatal(err)
	}
	for range soon {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
	if n := requests.Load(); n > soon/10 {
		t.Errorf("%d records took %d requests", soon+1, n)
	}
	for i, r := range b.read(numbers.Name) {
		v := new(wrapperspb.Int64Value)
		if err := proto.Unmarshal(r.Value, v); err != nil || v.Value != int64(i) {
			t.Fatalf("record %d holds %d, %v", i, v.Value, err)
		}
	}
}

// A client hangs up. Its record is dropped if it waits for company; the Kafka client,
// which may have it already, would fail all records behind it with it.
func TestWhoHangsUpDoesNotFailTheOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		wait, linger time.Duration
		written      int
	}{
		{"while the record waits for company", time.Hour, time.Millisecond, 20},
		{"when the Kafka client has it", -1, time.Minute, 21},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			cfg := b.config("e")
			cfg.QuietWait, cfg.Linger = c.wait, c.linger
			e, err := NewEmitter(cfg)
			if err != nil {
				t.Fatal(err)
			}
			e.out.begun = time.Now() // as after a burst
			b.hangUp(e)
			answers := make(chan error, 20)
			for range cap(answers) {
				e.EmitAsync(numbers, key(0), wrapperspb.Int64(2), func(_ Position, err error) { answers <- err })
			}
			if err := e.Close(b.ctx); err != nil {
				t.Fatal(err)
			}
			for range cap(answers) {
				if err := <-answers; err != nil {
					t.Fatalf("another was told: %v", err)
				}
			}
			if n := len(b.read(numbers.Name)); n != c.written {
				t.Errorf("%d records were written, want %d", n, c.written)
			}
		})
	}
}

// hangUp emits a record and ends its context while it waits.
func (b *bench) hangUp(e *Emitter) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	gone := make(chan error, 1)
	go func() {
		_, err := e.Emit(ctx, numbers, key(0), wrapperspb.Int64(1))
		gone <- err
	}()
	b.eventually("the record waits", func() bool { return e.Buffered() == 1 })
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		b.t.Errorf("who hung up was told %v", err)
	}
}

// Many records do not wait for the time of the next burst: they are one.
func TestManyRecordsDoNotWait(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cfg := b.config("e")
	cfg.QuietWait = time.Hour
	e, err := NewEmitter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 3*burstRecordsMax)
	for range 2*burstRecordsMax + 1 { // the first goes alone
		e.EmitAsync(numbers, key(0), wrapperspb.Int64(1), func(_ Position, err error) { answers <- err })
	}
	for range 2*burstRecordsMax + 1 {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(b.ctx); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkEmitter writes single records at 1,000 a second. A request is what the
// QuietWait saves.
func BenchmarkEmitter(b *testing.B) {
	for _, wait := range []time.Duration{-1, 5 * time.Millisecond, 20 * time.Millisecond} {
		b.Run(wait.String(), func(b *testing.B) {
			bench := newBench(b)
			requests := bench.produceRequests()
			cfg := bench.config("e")
			cfg.QuietWait = wait
			e, err := NewEmitter(cfg)
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			start, cpu := time.Now(), cpuTime()
			for i := range b.N {
				time.Sleep(time.Until(start.Add(time.Duration(i) * time.Millisecond)))
				e.EmitAsync(numbers, key(i), wrapperspb.Int64(1), func(_ Position, err error) {
					if err != nil {
						b.Error(err)
					}
				})
			}
			if err := e.Close(bench.ctx); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/record") // of all: load, emitter, brokers
			b.ReportMetric(float64(requests.Load())/float64(b.N), "requests/record")
		})
	}
}
