package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/eventpro/boxoffice/internal/embedded/ports"
)

// NumBrokers is how many broker addresses a cluster has.
const NumBrokers = 3

// Options says where and how a cluster runs. Dir and Logger are required.
type Options struct {
	// Dir holds the log and all other state. One cluster at a time uses it.
	Dir string
	// Ports are those of the brokers on the loopback interface; where one is 0 or
	// missing, a free one is chosen and remembered in Dir, so that a restart has
	// the same addresses.
	Ports  []int
	Logger *slog.Logger
	// Leader says which broker (0 to NumBrokers-1) leads a partition; nil spreads
	// the partitions of each topic.
	Leader func(topic string, partition int32) int32
	// SyncWrites fsyncs every batch. Without it what was acknowledged survives a
	// kill of the process, not a loss of power.
	SyncWrites bool
	// GCPercent and MemoryLimit (bytes) are set for the whole process when they are
	// not 0; DefaultGCPercent and DefaultMemoryLimit are right for a process that is
	// only a broker.
	GCPercent   int
	MemoryLimit int64
}

// A broker's heap is an index of batches, small and long-lived; nearly all that it
// allocates is a request or a batch on its way. A collection is therefore cheap,
// and a higher percentage buys little. The limit matters after a kill: kfake reads
// the whole log to load it, and must give that back.
const (
	DefaultGCPercent         = 100
	DefaultMemoryLimit int64 = 768 << 20
)

// Cluster is a running cluster.
type Cluster struct {
	options Options
	lock    *flock.Flock
	kfake   *kfake.Cluster
	journal *journal
	brokers []string
	listen  []net.Listener
	// serving is closed when clients may come in.
	serving chan struct{}
	failed  chan error // holds the first write that failed
	// halted is closed when a write has failed and kfake is held where it was.
	halted   chan struct{}
	haltOnce sync.Once
}

// Open loads the log of o.Dir and serves clients from then on. It fails when
// another cluster uses the directory and when a port is taken, and says who has it.
func Open(o Options) (*Cluster, error) {
	if o.Dir == "" || o.Logger == nil {
		return nil, errors.New("embedded kafka: Dir and Logger are required")
	}
	if len(o.Ports) > NumBrokers {
		return nil, fmt.Errorf("embedded kafka: %d ports for %d brokers", len(o.Ports), NumBrokers)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("creating the broker's directory: %w", err)
	}
	if o.GCPercent != 0 {
		debug.SetGCPercent(o.GCPercent)
	}
	if o.MemoryLimit != 0 {
		debug.SetMemoryLimit(o.MemoryLimit)
	}
	lock := flock.New(filepath.Join(o.Dir, "lock"))
	if held, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("locking the broker's directory: %w", err)
	} else if !held {
		return nil, fmt.Errorf("another broker uses %s: stop it, or choose another directory", o.Dir)
	}
	if o.Leader == nil {
		o.Leader = spread
	}
	c := &Cluster{options: o, lock: lock, serving: make(chan struct{}), failed: make(chan error, 1), halted: make(chan struct{})}
	if err := c.open(); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return c, nil
}

func (c *Cluster) open() error {
	started := time.Now()
	// The ports come first: without them nothing on disk changes. Clients that
	// connect now wait until the log is loaded.
	listen, err := c.listeners()
	if err != nil {
		return err
	}
	c.listen = listen
	if err := recoverLog(c.options.Dir, c.options.Leader, c.options.Logger); err != nil {
		closeAll(listen)
		return fmt.Errorf("repairing the broker's directory: %w", err)
	}
	if c.journal, err = newJournal(c.options.Dir); err != nil {
		closeAll(listen)
		return err
	}
	c.kfake, err = kfake.NewCluster(c.settings(listen)...)
	if err != nil {
		closeAll(listen)
		return fmt.Errorf("opening the broker's directory %s: %w", c.options.Dir, err)
	}
	// Loading reads the whole log; what it needed is not needed again.
	debug.FreeOSMemory()
	c.keepJournal(c.journal)
	c.wholeAnswers()
	c.placeLeaders()
	c.brokers = c.kfake.ListenAddrs()
	close(c.serving)
	c.options.Logger.Info("broker open", "brokers", c.brokers, "loaded_in", time.Since(started).Round(time.Millisecond))
	return nil
}

func (c *Cluster) settings(listen []net.Listener) []kfake.Opt {
	next := 0
	opts := []kfake.Opt{
		kfake.NumBrokers(NumBrokers),
		kfake.ClusterID("boxoffice-embedded"),
		kfake.DataDir(filepath.Join(c.options.Dir, logDir)),
		kfake.WithLogger(&logger{to: c.options.Logger, halt: c.halt, fail: c.fail}),
		// The ports are ours already; kfake asks for them in order.
		kfake.ListenFn(func(string, string) (net.Listener, error) {
			next++
			return &gated{listen[next-1], c.serving}, nil
		}),
		kfake.BrokerConfigs(map[string]string{
			// kfake compacts beyond the last stable offset and deletes the old
			// segments before it has written the new ones: it never runs here.
			"log.cleaner.backoff.ms": strconv.FormatInt(neverMS, 10),
			// A system that was stopped for longer than a week must find what its
			// groups had read, also when one of them starts late.
			"offsets.retention.minutes": strconv.Itoa(offsetsRetentionMinutes),
			// kfake loads one segment of every partition at a time.
			"log.segment.bytes": strconv.Itoa(segmentBytes),
		}),
	}
	if c.options.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	return opts
}

const (
	logDir       = "log"
	portsFile    = "ports"
	segmentBytes = 8 << 20
	// offsetsRetentionMinutes is a hundred years, which fit a time.Duration.
	offsetsRetentionMinutes = 100 * 365 * 24 * 60
	// neverMS is far away and still fits a time.Duration.
	neverMS = math.MaxInt64 / int64(time.Millisecond) / 2
)

// listeners takes the ports: those asked for, else those of the last start, else
// any that are free.
func (c *Cluster) listeners() ([]net.Listener, error) {
	asked := make([]int, NumBrokers)
	copy(asked, c.options.Ports)
	remembered := c.rememberedPorts()
	var taken []net.Listener
	for i, port := range asked {
		l, err := net.Listen("tcp", loopback(port))
		if port == 0 && remembered[i] != 0 {
			if again, againErr := net.Listen("tcp", loopback(remembered[i])); againErr == nil {
				if err == nil {
					_ = l.Close()
				}
				l, err = again, nil
			}
		}
		if err != nil {
			closeAll(taken)
			return nil, ports.Taken(err, port, "the embedded broker", "choose other ports")
		}
		taken = append(taken, l)
	}
	return taken, c.rememberPorts(taken)
}

// gated keeps clients waiting until the journal watches their transactions.
type gated struct {
	net.Listener
	open <-chan struct{}
}

func (g *gated) Accept() (net.Conn, error) {
	<-g.open
	return g.Listener.Accept()
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

// rememberedPorts returns the last start's ports, zeros when they are not known.
func (c *Cluster) rememberedPorts() [NumBrokers]int {
	var known [NumBrokers]int
	raw, err := os.ReadFile(filepath.Join(c.options.Dir, portsFile))
	if err != nil {
		return known
	}
	for i, field := range strings.Fields(string(raw)) {
		if port, err := strconv.Atoi(field); err == nil && i < NumBrokers {
			known[i] = port
		}
	}
	return known
}

func (c *Cluster) rememberPorts(listeners []net.Listener) error {
	var b strings.Builder
	for _, l := range listeners {
		fmt.Fprintln(&b, l.Addr().(*net.TCPAddr).Port)
	}
	if err := os.WriteFile(filepath.Join(c.options.Dir, portsFile), []byte(b.String()), 0o644); err != nil {
		closeAll(listeners)
		return fmt.Errorf("remembering the broker's ports: %w", err)
	}
	return nil
}

// Brokers are the addresses of the brokers as host:port.
func (c *Cluster) Brokers() []string { return c.brokers }

// Serve waits until ctx ends and closes the cluster, or until a write to disk has
// failed; then it returns at once, leaves everything as it is on disk, and the
// process should end: the next Open completes or aborts what was open.
func (c *Cluster) Serve(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return c.Close()
	case err := <-c.failed:
		return err
	}
}

// fail makes Serve return err; the first one counts.
func (c *Cluster) fail(err error) {
	select {
	case c.failed <- err:
	default:
	}
}

// halt makes Serve return err and holds its caller for good: no request is handled or
// acknowledged behind a write that failed. Before the first client there is nothing
// to hold.
func (c *Cluster) halt(err error) {
	c.fail(err)
	select {
	case <-c.serving:
	default:
		return
	}
	c.haltOnce.Do(func() { close(c.halted) })
	select {}
}

// Close ends all connections. It returns the first write that failed, if one did;
// after that the directory is left as it is, for the next Open to repair.
func (c *Cluster) Close() error {
	select {
	case <-c.halted:
		closeAll(c.listen)
	default:
		closed := make(chan struct{})
		go func() {
			c.kfake.Close()
			close(closed)
		}()
		select {
		case <-closed:
		case <-c.halted:
			closeAll(c.listen)
		}
	}
	var failed error
	select {
	case failed = <-c.failed:
	default:
	}
	return errors.Join(failed, c.journal.close(), c.lock.Unlock())
}
