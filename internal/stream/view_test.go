package stream

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func (b *bench) view(cfg Config) (*View, func() error) {
	b.t.Helper()
	v, err := NewView(cfg, "lookup", table, ViewOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return v, b.run(v.Run)
}

func value(m proto.Message) int64 {
	if m == nil {
		return 0
	}
	return m.(*wrapperspb.Int64Value).Value
}

// A view serves what the group commits, wakes who waits for a key, and after a
// restart it starts from its own storage and is complete when it is ready.
func TestViewServesAndWakes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cfg := b.config("v")
	v, stop := b.view(cfg)
	if _, err := v.Get(key(0)); !errors.Is(err, ErrRecovering) {
		t.Fatalf("a view that does not run answered %v", err)
	}
	r := b.start(b.config("a"), Processor{Group: count, Handle: add})
	b.ready(r)
	waited := make(chan proto.Message, 1)
	go func() {
		m, err := v.WaitFor(b.ctx, key(3), func(m proto.Message) bool { return value(m) == 7 })
		if err != nil {
			t.Error(err)
		}
		waited <- m
	}()
	b.produce(numbers.Name, 10, 7)
	if m := <-waited; value(m) != 7 {
		t.Fatalf("waited for 7, got %v", m)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	b.produce(numbers.Name, 10, 5)
	b.consumed(count.Name, numbers.Name)
	again, _ := b.view(cfg)
	b.eventually("ready again", again.Ready)
	n := 0
	if err := again.Range(func(k string, m proto.Message) bool {
		n++
		if value(m) != 12 {
			t.Errorf("%s is %d, want 12", k, value(m))
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if n != 10 {
		t.Fatalf("%d keys, want 10", n)
	}
	for _, f := range again.Partitions() {
		if f.Lag != 0 {
			t.Fatalf("lag of a ready view: %+v", f)
		}
	}
	if m, err := again.Get("nobody"); m != nil || err != nil {
		t.Fatalf("unknown key: %v, %v", m, err)
	}
}

// A view that is ready stays so while Goka turns from recovering its table to
// following it: who was told that it is ready gets answers.
func TestViewStaysReady(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for k := range 10 {
		b.write(record(table.Name, key(k), 1))
	}
	cfg := b.config("v")
	for n := int64(2); n <= 10; n++ {
		v, stop := b.view(cfg)
		for !v.Ready() && b.ctx.Err() == nil { // without a pause: the turn takes no time
			runtime.Gosched()
		}
		written := make(chan struct{})
		go func() {
			defer close(written)
			b.write(record(table.Name, key(0), n))
		}()
		for follows := false; !follows; runtime.Gosched() {
			m, err := v.Get(key(0))
			if err != nil {
				t.Fatalf("start %d: a ready view answers: %v", n, err)
			}
			follows = value(m) == n
		}
		<-written
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// Somebody has deleted all records of a table: there is nothing to wait for, and a
// view of it must not wait.
func TestViewOfDeletedRecords(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for k := range 10 {
		b.write(record(table.Name, key(k), 1))
	}
	ends, err := b.adm.ListEndOffsets(b.ctx, table.Name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.adm.DeleteRecords(b.ctx, ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	v, _ := b.view(b.config("v"))
	b.eventually("ready", v.Ready)
	if m, err := v.Get(key(0)); m != nil || err != nil {
		t.Errorf("a deleted record is answered with %v, %v", m, err)
	}
	b.write(record(table.Name, key(0), 2))
	b.eventually("the view follows", func() bool { m, err := v.Get(key(0)); return err == nil && value(m) == 2 })
}

// Who waits for a value that never comes gets the last one with the context's
// error, and is forgotten.
func TestViewWaitEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v, _ := b.view(b.config("v"))
	b.write(record(table.Name, key(0), 4))
	b.eventually("ready", v.Ready)
	ctx, cancel := context.WithCancel(b.ctx)
	seen := 0
	m, err := v.WaitFor(ctx, key(0), func(m proto.Message) bool {
		if seen++; value(m) == 4 {
			cancel()
		}
		return false
	})
	if value(m) != 4 || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, %v", m, err)
	}
	if n := v.watch.n.Load(); n != 0 {
		t.Fatalf("%d watchers are left", n)
	}
}

// A record of the table that nobody can decode is told apart by Get, and hides
// no other key from a walk over all of them.
func TestViewWalksPastBadRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(record(table.Name, key(0), 1), record(table.Name, key(1), 1), record(table.Name, key(2), 1),
		&kgo.Record{Topic: table.Name, Key: []byte(key(1)), Value: []byte("\xff")})
	v, _ := b.view(b.config("v"))
	b.eventually("ready", v.Ready)
	seen := 0
	if err := v.Range(func(string, proto.Message) bool { seen++; return true }); err != nil || seen != 2 {
		t.Errorf("%d keys, %v, want 2", seen, err)
	}
	var bad *Undecodable
	if _, err := v.Get(key(1)); !errors.As(err, &bad) {
		t.Errorf("got %v, want it undecodable", err)
	}
}
