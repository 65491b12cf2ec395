package stream

import (
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Two inputs, one table: every number is counted once, the outputs are in
// order, and the table can be read.
func TestRunnerCounts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.produce(numbers.Name, 50, 20)
	r := b.start(b.config("a"), Processor{Group: count, Handle: add})
	b.ready(r)
	b.produce(more.Name, 50, 20)
	b.consumed(count.Name, numbers.Name, more.Name)
	b.sumsExact(50, 40)
	for k := range 50 {
		v, err := r.Get(key(k))
		if err != nil {
			t.Fatal(err)
		}
		if got := v.(*wrapperspb.Int64Value).Value; got != 40 {
			t.Fatalf("%s is %d, want 40", key(k), got)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
}
