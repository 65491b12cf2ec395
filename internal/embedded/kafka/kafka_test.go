package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/embedded/ports"
)

// deadline bounds what a test waits for; it is no expectation of speed.
const deadline = 60 * time.Second

func openTest(tb testing.TB, dir string) *Cluster {
	tb.Helper()
	c, err := Open(Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func within(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	tb.Cleanup(cancel)
	return ctx
}

func newClient(tb testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	tb.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(cl.Close)
	return cl
}

func createTopics(tb testing.TB, brokers []string, partitions int32, topics ...string) {
	tb.Helper()
	cl := newClient(tb, brokers)
	defer cl.Close() // before the broker, or it would look for it
	rs, err := kadm.NewClient(cl).CreateTopics(within(tb), partitions, NumBrokers, nil, topics...)
	if err != nil {
		tb.Fatal(err)
	}
	if err := rs.Error(); err != nil {
		tb.Fatal(err)
	}
}

// readCommitted returns the committed values of a topic up to its present end,
// in the order of each partition.
func readCommitted(tb testing.TB, brokers []string, topic string) []string {
	tb.Helper()
	ctx := within(tb)
	cl := newClient(tb, brokers, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		tb.Fatal(err)
	}
	open := map[int32]int64{}
	for p, o := range ends[topic] {
		if o.Offset > 0 {
			open[p] = o.Offset
		}
	}
	var values []string
	for len(open) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			tb.Fatalf("reading %s: %v, still open below %v", topic, err, open)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				values = append(values, string(r.Value))
			}
			if r.Offset+1 >= open[r.Partition] {
				delete(open, r.Partition)
			}
		})
	}
	return values
}

// The log, the topics and the addresses are the same after a stop and a start.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// Nobody else gets the ports while the broker is down.
	steady, err := ports.Steady(NumBrokers)
	if err != nil {
		t.Fatal(err)
	}
	open := func() *Cluster {
		c, err := Open(Options{Dir: dir, Ports: steady, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open()
	brokers := c.Brokers()
	if len(brokers) != NumBrokers {
		t.Fatalf("brokers: %v", brokers)
	}
	createTopics(t, brokers, 4, "facts")
	cl := newClient(t, brokers, kgo.DefaultProduceTopic("facts"))
	for i := range 100 {
		if err := cl.ProduceSync(within(t), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cl.Close()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open()
	defer c.Close()
	if fmt.Sprint(c.Brokers()) != fmt.Sprint(brokers) {
		t.Errorf("brokers moved from %v to %v", brokers, c.Brokers())
	}
	if got := readCommitted(t, c.Brokers(), "facts"); len(got) != 100 {
		t.Errorf("%d records after the restart, want 100", len(got))
	}
}

// A second broker on the same directory is refused, and one whose port is taken
// says which port and who has it.
func TestDirectoryOrPortTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := openTest(t, dir)
	defer c.Close()
	if _, err := Open(Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "another broker uses "+dir) {
		t.Errorf("same directory: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = Open(Options{Dir: t.TempDir(), Ports: []int{0, port}, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d, which the embedded broker needs, is held by", port)) {
		t.Errorf("taken port: %v", err)
	}
}

// Serve ends cleanly with its context.
func TestServe(t *testing.T) {
	t.Parallel()
	c := openTest(t, t.TempDir())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(ctx) }()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A system lies still for more than a week, which is when a broker forgets what
// groups have read: this one does not.
func TestOffsetsAreKept(t *testing.T) {
	t.Parallel()
	c := openTest(t, t.TempDir())
	defer c.Close()
	cl := newClient(t, c.Brokers())
	defer cl.Close()
	described, err := kadm.NewClient(cl).DescribeBrokerConfigs(within(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range described[0].Configs {
		if config.Key != "offsets.retention.minutes" {
			continue
		}
		minutes, err := strconv.ParseInt(config.MaybeValue(), 10, 64)
		if years := minutes / (365 * 24 * 60); err != nil || years < 50 || years > 200 {
			t.Errorf("offsets are kept for %s minutes, %v: want about a hundred years; 292 would not fit a duration", config.MaybeValue(), err)
		}
		return
	}
	t.Error("the broker does not say how long offsets are kept")
}
