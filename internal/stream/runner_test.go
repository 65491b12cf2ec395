package stream

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/transition"
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
	b.tableExact(r, 50, 40)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
}

// The lag counts what waits, and comes to zero though the input ends in
// transaction markers, which no consumer ever gets.
func TestLagComesToZero(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	release := make(chan struct{})
	cfg := b.config("a")
	r := b.start(cfg, Processor{Group: count, Handle: func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		<-release
		return add(state, m)
	}})
	b.ready(r)
	tx := b.transaction("source", numbers.Name, 1)
	if err := tx.EndTransaction(b.ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	measure := func() int64 {
		lag, err := r.session().lag.measure(b.ctx)
		if err != nil {
			t.Fatal(err)
		}
		return lag
	}
	if lag := measure(); lag < testPartitions {
		t.Fatalf("lag %d while %d records wait", lag, testPartitions)
	}
	close(release)
	b.eventually("the lag is zero", func() bool { return measure() == 0 })
}

// Every series is there at zero before anything has happened, so that a rate
// over a restart is right and an alert on a missing series means something.
func TestMetricsStartAtZero(t *testing.T) {
	t.Parallel()
	cfg := Config{Brokers: []string{"127.0.0.1:1"}, Member: "a", DataDir: t.TempDir(), Registerer: prometheus.NewRegistry()}
	for range 2 { // all members of a process share their metrics
		if _, err := NewRunner(cfg, Processor{Group: count, Handle: add}); err != nil {
			t.Fatal(err)
		}
	}
	families, err := cfg.Registerer.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, f := range families {
		series[strings.TrimPrefix(f.GetName(), namespace+"_")] = len(f.Metric)
	}
	for name, n := range map[string]int{"consumed_records_total": 1, "records_total": 5, "transactions_total": 2, "session_restarts_total": 1, "lag_records": 1, "timers_emitted_total": 1, "batch_records": 1} {
		if series[name] != n {
			t.Errorf("%s has %d series, want %d", name, series[name], n)
		}
	}
}

// Two processes were given one member id: one of them must end and say so,
// instead of both fencing each other for ever. Nothing is counted twice.
func TestAMemberIdHasOneOwner(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ended := make(chan error, 2)
	start := func() running {
		r, err := NewRunner(b.config("same"), Processor{Group: count, Handle: add})
		if err != nil {
			t.Fatal(err)
		}
		return running{r, b.run(func(ctx context.Context) error {
			err := r.Run(ctx)
			ended <- err
			return err
		})}
	}
	b.ready(start())
	start()
	b.produce(numbers.Name, 10, 10)
	if err := <-ended; !errors.Is(err, ErrMemberTaken) {
		t.Fatalf("one ended with %v", err)
	}
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(10, 10)
}
