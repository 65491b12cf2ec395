package stream

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The position that an emitter answers is where the record is, in the
// partition where Goka looks for its key.
func TestEmitterAnswersThePosition(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, err := NewEmitter(b.config("e"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		at, err := e.Emit(b.ctx, numbers, key(0), wrapperspb.Int64(1), Header{Key: "trace", Value: []byte("t")})
		if err != nil {
			t.Fatal(err)
		}
		if want := (Position{numbers.Name, Partition(key(0), testPartitions), int64(i)}); at != want {
			t.Fatalf("got %v, want %v", at, want)
		}
	}
	if err := e.Close(b.ctx); err != nil {
		t.Fatal(err)
	}
	if rs := b.read(numbers.Name); len(rs) != 3 || string(rs[0].Headers[0].Value) != "t" {
		t.Fatalf("%d records", len(rs))
	}
}

// The brokers are away and the buffer fills up: the front door must learn it
// at once, not hang.
func TestEmitterReportsAFullBuffer(t *testing.T) {
	t.Parallel()
	cfg := Config{Brokers: []string{"127.0.0.1:1"}, BufferedRecordsMax: 2}
	e, err := NewEmitter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	defer func() {
		if err := e.Close(ctx); err == nil {
			t.Error("records that nobody acknowledged were not reported")
		}
	}()
	answers := make(chan error, 10)
	for range 3 {
		e.EmitAsync(numbers, key(0), wrapperspb.Int64(1), func(_ Position, err error) { answers <- err })
	}
	if err := <-answers; !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
}
