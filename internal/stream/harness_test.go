package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
)

// deadline bounds every wait of a test; nothing waits that long when it works.
const deadline = 2 * time.Minute

const testPartitions = 4

// bench is a broker of its own with the topics of one counting group.
type bench struct {
	t       testing.TB
	cluster *kfake.Cluster
	wire    *wire // nil but in newWiredBench's
	brokers []string
	cl      *kgo.Client
	adm     *kadm.Client
	ctx     context.Context
}

// The counting group adds up the numbers that come in by key, and emits each
// sum.
var (
	numbers = topology.Topic{Name: "numbers", Key: "name", New: newInt, Cleanup: topology.Delete}
	more    = topology.Topic{Name: "more", Key: "name", New: newInt, Cleanup: topology.Delete}
	sums    = topology.Topic{Name: "sums", Key: "name", New: newInt, Cleanup: topology.Delete}
	table   = topology.Topic{Name: "count-table", Key: "name", New: newInt, Cleanup: topology.Compact}
	count   = topology.Group{Name: "count", Kind: topology.Stateful, Inputs: []topology.Topic{numbers, more}, Outputs: []topology.Topic{sums, DeadLetterTopic}, Table: table}
)

func newInt() proto.Message { return new(wrapperspb.Int64Value) }

// add is the counting group's handler. Its state is the sum of all numbers of
// the key: a number that is lost or counted twice shows.
func add(state proto.Message, m *transition.Message) (transition.Effect, error) {
	sum := new(wrapperspb.Int64Value)
	if state != nil {
		sum = state.(*wrapperspb.Int64Value)
	}
	sum.Value += m.Value.(*wrapperspb.Int64Value).Value
	return transition.Effect{
		State: sum, Verdict: transition.Applied,
		Outputs: []transition.Output{{Topic: sums.Name, Key: m.Key, Value: wrapperspb.Int64(sum.Value)}},
	}, nil
}

func newBench(t testing.TB, topics ...topology.Topic) *bench {
	t.Helper()
	return newBenchOn(t, net.Listen, topics...)
}

// newWiredBench has a wire before its brokers that can be cut.
func newWiredBench(t testing.TB) *bench {
	t.Helper()
	w := newWire()
	b := newBenchOn(t, w.listen)
	b.wire = w
	return b
}

func newBenchOn(t testing.TB, listen func(network, address string) (net.Listener, error), topics ...topology.Topic) *bench {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.GroupMinSessionTimeout(100*time.Millisecond), kfake.ListenFn(listen))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	b := &bench{t: t, cluster: c, brokers: c.ListenAddrs()}
	ctx, cancel := context.WithTimeout(context.Background(), 3*deadline)
	t.Cleanup(cancel)
	b.ctx = ctx
	b.cl = b.client()
	b.adm = kadm.NewClient(b.cl)
	if topics == nil {
		topics = []topology.Topic{numbers, more, sums, table, RetryTopic, DeadLetterTopic}
	}
	if err := Ensure(ctx, b.cl, topics, testPartitions, 3); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) client(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))}, opts...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(cl.Close)
	return cl
}

func (b *bench) config(member string) Config {
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("STREAM_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("m", member)
	}
	return Config{
		Brokers: b.brokers, Member: member, DataDir: b.t.TempDir(), Logger: log,
		Registerer:     prometheus.NewRegistry(),
		SessionTimeout: 3 * time.Second, HeartbeatInterval: 200 * time.Millisecond, TransactionTimeout: 3 * time.Second,
		RestartBackoffMin: time.Millisecond, RestartBackoffMax: 50 * time.Millisecond,
		TimerInterval: 10 * time.Millisecond, TimerBackoffMin: 20 * time.Millisecond,
	}
}

// running is a runner that a test has started.
type running struct {
	*Runner
	stop func() error
}

// start runs a processor until the test ends or stop is called.
func (b *bench) start(cfg Config, p Processor) running {
	b.t.Helper()
	r, err := NewRunner(cfg, p)
	if err != nil {
		b.t.Fatal(err)
	}
	return running{r, b.run(r.Run)}
}

// run runs fn in the background; the returned function stops it and gives its
// error.
func (b *bench) run(fn func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(b.ctx)
	result := make(chan error, 1)
	go func() { result <- fn(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-result:
			return err
		case <-time.After(deadline):
			return errors.New("did not stop")
		}
	})
	b.t.Cleanup(func() {
		if err := stop(); err != nil {
			b.t.Logf("stopped with: %v", err)
		}
	})
	return stop
}

// eventually waits until ok is true.
func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(deadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			b.t.Fatalf("waited %v in vain: %s", deadline, what)
		}
	}
}

func (b *bench) ready(rs ...running) {
	b.t.Helper()
	for _, r := range rs {
		b.eventually("ready", r.Ready)
	}
}

// produce writes n numbers for each of the keys, all ones, and waits for the
// acknowledgements.
func (b *bench) produce(topic string, keys, n int) {
	b.t.Helper()
	var records []*kgo.Record
	value, err := proto.Marshal(wrapperspb.Int64(1))
	if err != nil {
		b.t.Fatal(err)
	}
	for range n {
		for k := range keys {
			records = append(records, &kgo.Record{Topic: topic, Key: []byte(key(k)), Value: value})
		}
	}
	b.write(records...)
}

func (b *bench) write(records ...*kgo.Record) {
	b.t.Helper()
	if err := b.cl.ProduceSync(b.ctx, records...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

func key(k int) string { return fmt.Sprintf("k%d", k) }

// read returns the committed records of a topic as they are now.
func (b *bench) read(topic string) []*kgo.Record {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	var out []*kgo.Record
	cfg := b.config("reader")
	f, err := NewFollower(cfg, []topology.Topic{{Name: topic}}, func(r *kgo.Record) { out = append(out, r) })
	if err != nil {
		b.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	select {
	case <-f.CaughtUp():
	case <-time.After(deadline):
		b.t.Fatalf("reading %s did not end", topic)
	}
	cancel()
	<-done
	return out
}

// sumsExact fails unless every key's sums are 1..n, once each and in order.
func (b *bench) sumsExact(keys, n int) {
	b.t.Helper()
	next := map[string]int64{}
	for _, r := range b.read(sums.Name) {
		v := new(wrapperspb.Int64Value)
		if err := proto.Unmarshal(r.Value, v); err != nil {
			b.t.Fatal(err)
		}
		next[string(r.Key)]++
		if v.Value != next[string(r.Key)] {
			b.t.Fatalf("key %s: sum %d came where %d belongs", r.Key, v.Value, next[string(r.Key)])
		}
	}
	for k := range keys {
		if next[key(k)] != int64(n) {
			b.t.Fatalf("key %s ended at %d, want %d", key(k), next[key(k)], n)
		}
	}
}

// consumed waits until the group has committed everything in its inputs.
func (b *bench) consumed(group string, topics ...string) {
	b.t.Helper()
	b.eventually(group+" has consumed everything", func() bool {
		ends, err := b.adm.ListEndOffsets(b.ctx, topics...)
		if err != nil || ends.Error() != nil { // a partition whose leader moves has no end for a moment
			return false
		}
		at, err := b.adm.FetchOffsets(b.ctx, group)
		if err != nil {
			return false
		}
		behind := false
		ends.Each(func(end kadm.ListedOffset) {
			o, ok := at.Lookup(end.Topic, end.Partition)
			if end.Offset > 0 && (!ok || o.At < end.Offset) {
				behind = true
			}
		})
		return !behind
	})
}

// record is a number for a key.
func record(topic, key string, n int64) *kgo.Record {
	value, _ := proto.Marshal(wrapperspb.Int64(n))
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: value}
}

// samePartition returns two different keys of one partition.
func samePartition() (string, string) {
	for i := 1; ; i++ {
		if Partition(key(i), testPartitions) == Partition(key(0), testPartitions) {
			return key(0), key(i)
		}
	}
}
