//go:build unix

package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/eventpro/boxoffice/internal/embedded/child"
)

// brokerDir makes this program a broker on that directory.
const brokerDir = "KAFKA_TEST_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(brokerDir); dir != "" {
		if err := runBroker(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runBroker(dir string) error {
	c, err := Open(Options{
		Dir: dir, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		GCPercent: DefaultGCPercent, MemoryLimit: DefaultMemoryLimit,
	})
	if err != nil {
		return err
	}
	dieInCommits(c, dir)
	if err := child.AnnounceReady(os.Stdout, c.Brokers()); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(child.StopWithParent(context.Background(), os.Stdin), syscall.SIGTERM)
	defer stop()
	return c.Serve(ctx)
}

// deaths says in a broker's directory how often it shall still kill itself.
const deaths = "deaths"

// dieInCommits makes the broker kill itself a moment after a commit has arrived,
// mostly while it is at work on it, as often as the file says.
func dieInCommits(c *Cluster, dir string) {
	path := filepath.Join(dir, deaths)
	raw, err := os.ReadFile(path)
	if err != nil {
		return
	}
	left, err := strconv.Atoi(string(raw))
	if err != nil || left == 0 {
		return
	}
	commits := rand.IntN(6) //nolint:gosec // no secret
	c.kfake.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		if commits--; commits < 0 {
			if err := os.WriteFile(path, []byte(strconv.Itoa(left-1)), 0o600); err != nil {
				return nil, err, true
			}
			go func() {
				for end := time.Now().Add(time.Duration(rand.IntN(250)) * time.Microsecond); time.Now().Before(end); { //nolint:gosec // no secret
				}
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}()
		}
		return nil, nil, false
	})
}

// lines collects what brokers say, for a test that fails.
type lines struct {
	mu  sync.Mutex
	all []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, p...)
	return len(p), nil
}

// startBroker runs a broker as a process that is started again when it is killed.
func startBroker(tb testing.TB, dir string) (c *child.Child, brokers []string) {
	tb.Helper()
	said := &lines{}
	c, err := child.New(child.Spec{
		Name: "broker", Args: []string{"-test.run=^$"}, Env: append(os.Environ(), brokerDir+"="+dir),
		Logger: slog.New(slog.DiscardHandler), Output: child.NewLines(said),
		BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond,
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, func(bool) {}) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
		if tb.Failed() {
			tb.Logf("the broker said:\n%s", said.all)
		}
	})
	raw, err := c.WaitReady(within(tb))
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(raw, &brokers); err != nil {
		tb.Fatal(err)
	}
	return c, brokers
}

// copier reads "in" and writes every record to "left" and to "right", in
// transactions, as a processor does: whatever is unclear ends its session.
type copier struct {
	brokers []string
	commits atomic.Int64
	ended   atomic.Int64 // sessions
}

func (c *copier) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := c.session(ctx)
		if err != nil && ctx.Err() == nil {
			c.ended.Add(1)
		}
		if errors.Is(err, errBroken) {
			return err
		}
	}
	return nil
}

var errBroken = errors.New("the copier is broken")

func newCopySession(brokers []string) (*kgo.GroupTransactSession, error) {
	return kgo.NewGroupTransactSession(
		kgo.SeedBrokers(brokers...), kgo.ConsumerGroup("copier"), kgo.ConsumeTopics("in"),
		kgo.InstanceID("copier-1"), kgo.TransactionalID("copier-1"), kgo.TransactionTimeout(10*time.Second),
		kgo.SessionTimeout(6*time.Second), kgo.Balancers(kgo.RangeBalancer()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.RetryTimeout(5*time.Second), kgo.RecordDeliveryTimeout(5*time.Second),
	)
}

// produceCopies writes every record to both sides.
func produceCopies(ctx context.Context, s *kgo.GroupTransactSession, records []*kgo.Record) error {
	var failed kgo.FirstErrPromise
	for _, r := range records {
		for _, topic := range []string{"left", "right"} {
			s.Produce(ctx, &kgo.Record{Topic: topic, Partition: r.Partition, Key: r.Key, Value: r.Value}, failed.Promise())
		}
	}
	return failed.Err()
}

func (c *copier) session(ctx context.Context) error {
	s, err := newCopySession(c.brokers)
	if err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	defer s.Close()
	if _, _, err := s.Client().ProducerID(ctx); err != nil {
		return err
	}
	for {
		if err := c.batch(ctx, s); err != nil {
			return err
		}
	}
}

func (c *copier) batch(ctx context.Context, s *kgo.GroupTransactSession) error {
	fetches := s.PollRecords(ctx, 50)
	if err := fetches.Err0(); err != nil {
		return err
	}
	if fetches.NumRecords() == 0 {
		return nil
	}
	if err := s.Begin(); err != nil {
		return err
	}
	commit := produceCopies(ctx, s, fetches.Records()) == nil
	committed, err := s.End(ctx, kgo.TransactionEndTry(commit))
	if err != nil {
		return err
	}
	if !committed {
		return errors.New("not committed")
	}
	c.commits.Add(1)
	return nil
}

// produceIDs writes the numbers from 0 to n to "in", each once, whatever happens
// to the broker.
func produceIDs(ctx context.Context, brokers []string, n int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic("in"), kgo.ProducerLinger(time.Millisecond),
		kgo.MaxBufferedRecords(200), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed kgo.FirstErrPromise
	for i := range n {
		cl.Produce(ctx, kgo.StringRecord(strconv.Itoa(i)), failed.Promise())
	}
	return failed.Err()
}

// awaitCopied waits until the group has committed the end of all of "in".
func awaitCopied(ctx context.Context, tb testing.TB, brokers []string) {
	tb.Helper()
	adm := kadm.NewClient(newClient(tb, brokers))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ends, err1 := adm.ListEndOffsets(ctx, "in")
		commits, err2 := adm.FetchOffsets(ctx, "copier")
		if err1 == nil && err2 == nil {
			open := 0
			ends.Each(func(o kadm.ListedOffset) {
				if at, ok := commits.Lookup("in", o.Partition); o.Offset > 0 && (!ok || at.At < o.Offset) {
					open++
				}
			})
			if open == 0 {
				return
			}
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("not copied: %v %v %v", ctx.Err(), err1, err2)
		case <-tick.C:
		}
	}
}

// wantEachOnce checks that a topic has the numbers from 0 to n, each once.
func wantEachOnce(tb testing.TB, topic string, values []string, n int) {
	tb.Helper()
	seen := make([]int, n)
	for _, v := range values {
		i, err := strconv.Atoi(v)
		if err != nil || i < 0 || i >= n {
			tb.Fatalf("%s has %q", topic, v)
		}
		seen[i]++
	}
	var lost, doubled []int
	for i, times := range seen {
		if times == 0 {
			lost = append(lost, i)
		} else if times > 1 {
			doubled = append(doubled, i)
		}
	}
	if len(lost)+len(doubled) > 0 {
		tb.Errorf("%s: %d lost %v, %d doubled %v", topic, len(lost), head(lost), len(doubled), head(doubled))
	}
}

func head(s []int) []int { return s[:min(len(s), 10)] }

var (
	killsFlag = flag.Int("kills", 4, "how often the tests kill the broker")
	seedFlag  = flag.Uint64("seed", 0, "seed of the moments; 0 draws one")
)

// I5: the broker's process is killed again and again while one client produces
// and another copies in transactions. What was produced is there once, and what
// was copied is there once on both sides: nothing is lost, doubled or committed by
// half.
func TestKilledBroker(t *testing.T) {
	t.Parallel()
	records := 2_000 * *killsFlag
	broker, brokers := startBroker(t, t.TempDir())
	createTopics(t, brokers, 8, "in", "left", "right")
	ctx, cancel := context.WithTimeout(context.Background(), 4*deadline)
	defer cancel()

	produced := make(chan error, 1)
	go func() { produced <- produceIDs(ctx, brokers, records) }()
	c := &copier{brokers: brokers}
	copyCtx, stopCopying := context.WithCancel(ctx)
	copied := make(chan error, 1)
	go func() { copied <- c.run(copyCtx) }()

	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) //nolint:gosec // any will do
	}
	t.Logf("to repeat: -seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // no secret
	for i := range *killsFlag {
		sig := syscall.SIGKILL
		if i%4 == 3 {
			sig = syscall.SIGTERM // stopping in order keeps the same promises
		}
		killAfter(ctx, t, broker, &c.commits, int64(1+random.IntN(12)), time.Duration(random.IntN(3000))*time.Microsecond, sig)
	}
	if err := <-produced; err != nil {
		t.Fatal(err)
	}
	awaitCopied(ctx, t, brokers)
	stopCopying()
	if err := <-copied; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d commits seen, %d sessions ended", c.commits.Load(), c.ended.Load())
	for _, topic := range []string{"in", "left", "right"} {
		wantEachOnce(t, topic, readCommitted(t, brokers, topic), records)
	}
}

// I5: as above, but every kill comes while the broker commits a transaction.
func TestKilledInCommits(t *testing.T) {
	t.Parallel()
	records := 400 * *killsFlag
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, deaths), []byte(strconv.Itoa(*killsFlag)), 0o600); err != nil {
		t.Fatal(err)
	}
	broker, brokers := startBroker(t, dir)
	createTopics(t, brokers, 8, "in", "left", "right")
	ctx, cancel := context.WithTimeout(context.Background(), 4*deadline)
	defer cancel()
	if err := produceIDs(ctx, brokers, records); err != nil {
		t.Fatal(err)
	}
	c := &copier{brokers: brokers}
	copyCtx, stopCopying := context.WithCancel(ctx)
	copied := make(chan error, 1)
	go func() { copied <- c.run(copyCtx) }()
	awaitCopied(ctx, t, brokers)
	stopCopying()
	if err := <-copied; err != nil {
		t.Fatal(err)
	}
	if n := broker.State().Restarts; n != *killsFlag {
		t.Errorf("the broker died %d times, want %d", n, *killsFlag)
	}
	for _, topic := range []string{"left", "right"} {
		wantEachOnce(t, topic, readCommitted(t, brokers, topic), records)
	}
}

// killAfter ends the broker with a signal when that many more transactions were committed and
// a moment has passed, so that it hits any part of one.
func killAfter(ctx context.Context, t *testing.T, broker *child.Child, commits *atomic.Int64, more int64, moment time.Duration, sig syscall.Signal) {
	t.Helper()
	target := commits.Load() + more
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for commits.Load() < target {
		select {
		case <-ctx.Done():
			t.Fatal("no progress: ", ctx.Err())
		case <-tick.C:
		}
	}
	<-time.After(moment)
	before := broker.State()
	if before.PID == 0 {
		t.Fatal("the broker does not run")
	}
	if err := syscall.Kill(before.PID, sig); err != nil {
		t.Fatal(err)
	}
	for broker.State().Restarts == before.Restarts {
		select {
		case <-ctx.Done():
			t.Fatal("the broker did not come back: ", ctx.Err())
		case <-tick.C:
		}
	}
	if _, err := broker.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}
