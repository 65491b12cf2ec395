package stream

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
)

// The benchmarks run brokers, members and load in one process:
//
//	go test ./internal/stream -run '^$' -bench . -benchtime 10s

const (
	benchPartitions = 8
	benchValueBytes = 200
	benchKeys       = 20_000
)

var quietWait = flag.Duration("quiet-wait", 0, "Config.QuietWait in the benchmarks")

func newBytes() proto.Message { return new(wrapperspb.BytesValue) }

// chain returns n groups, each one's output being the next one's input.
func chain(n int) (groups []topology.Group, topics []topology.Topic) {
	link := func(i int) topology.Topic {
		return topology.Topic{Name: "link-" + strconv.Itoa(i), Key: "name", New: newBytes, Cleanup: topology.Delete}
	}
	topics = []topology.Topic{link(0), DeadLetterTopic}
	for i := range n {
		name := "step-" + strconv.Itoa(i)
		table := topology.Topic{Name: name + "-table", Key: "name", New: newBytes, Cleanup: topology.Compact}
		groups = append(groups, topology.Group{Name: name, Inputs: []topology.Topic{link(i)}, Outputs: []topology.Topic{link(i + 1)}, Table: table})
		topics = append(topics, table, link(i+1))
	}
	return groups, topics
}

// step reads the state, keeps the value and passes it on.
func step(output string) Handler {
	return func(_ proto.Message, m *transition.Message) (transition.Effect, error) {
		return transition.Effect{
			State: m.Value, Verdict: transition.Applied,
			Outputs: []transition.Output{{Topic: output, Key: m.Key, Value: m.Value}},
		}, nil
	}
}

// BenchmarkChain sends b.N values through four stateful groups at a rate
// (values/s; "most" is as fast as it goes) and reports the chains/s and the
// latency from the send to the committed end.
func BenchmarkChain(b *testing.B) {
	for _, rate := range []int{100, 2000, 5000, 14_000, 22_000, 0} {
		name := "most"
		if rate > 0 {
			name = strconv.Itoa(rate)
		}
		b.Run(name, func(b *testing.B) { benchmarkChain(b, 4, rate) })
	}
}

// BenchmarkGroup is one group as fast as it goes.
func BenchmarkGroup(b *testing.B) { benchmarkChain(b, 1, 0) }

func benchmarkChain(b *testing.B, hops, rate int) {
	groups, topics := chain(hops)
	bench := newBench(b, DeadLetterTopic)
	bench.ensure(topics, benchPartitions)
	for _, g := range groups {
		cfg := bench.config("bench")
		cfg.QuietWait = *quietWait
		cfg.SessionTimeout, cfg.TransactionTimeout, cfg.HeartbeatInterval = 10*time.Second, 10*time.Second, time.Second
		r := bench.start(cfg, Processor{Group: g, Handle: step(g.Outputs[0].Name)})
		bench.ready(r)
	}
	last := groups[hops-1].Outputs[0].Name
	sink := bench.client(kgo.ConsumeTopics(last), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	source := bench.client(kgo.ProducerLinger(2*time.Millisecond), kgo.MaxBufferedRecords(50_000))

	b.ReportAllocs()
	b.ResetTimer()
	start, cpu := time.Now(), cpuTime()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		pour(source, topics[0].Name, b.N, rate)
	}()
	latencies := drain(bench.ctx, sink, b.N)
	b.StopTimer()
	<-sent
	if len(latencies) != b.N {
		b.Fatalf("%d of %d values came out", len(latencies), b.N)
	}
	slices.Sort(latencies)
	at := func(p float64) float64 {
		return float64(latencies[int(p*float64(len(latencies)-1))]) / float64(time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "chains/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N*hops), "cpu-us/hop") // of all: load, brokers, members
	b.ReportMetric(at(.5), "p50-ms")
	b.ReportMetric(at(.95), "p95-ms")
	b.ReportMetric(at(.99), "p99-ms")
}

// cpuTime is what the process has used, user and system.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pour sends n values that carry the time they were due.
func pour(cl *kgo.Client, topic string, n, rate int) {
	start := time.Now()
	for i := range n {
		due := time.Now()
		if rate > 0 {
			due = start.Add(time.Duration(i) * time.Second / time.Duration(rate))
			time.Sleep(time.Until(due))
		}
		payload := make([]byte, benchValueBytes)
		binary.BigEndian.PutUint64(payload, uint64(due.UnixNano()))
		value, _ := proto.Marshal(wrapperspb.Bytes(payload))
		cl.Produce(context.Background(), &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "key-%d", i%benchKeys), Value: value}, nil)
	}
}

// drain reads n values and returns how long each took.
func drain(ctx context.Context, cl *kgo.Client, n int) []time.Duration {
	out := make([]time.Duration, 0, n)
	for len(out) < n && ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		now := time.Now().UnixNano()
		fetches.EachRecord(func(r *kgo.Record) {
			v := new(wrapperspb.BytesValue)
			if proto.Unmarshal(r.Value, v) == nil {
				out = append(out, time.Duration(now-int64(binary.BigEndian.Uint64(v.Value))))
			}
		})
	}
	return out
}

func (b *bench) ensure(topics []topology.Topic, partitions int) {
	b.t.Helper()
	for _, t := range topics {
		if t.Name != DeadLetterTopic.Name {
			if err := Ensure(b.ctx, b.cl, []topology.Topic{t}, partitions, 3); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}
