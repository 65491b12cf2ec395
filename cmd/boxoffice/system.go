package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/embedded/child"
	"github.com/eventpro/boxoffice/internal/embedded/clickhouse"
	"github.com/eventpro/boxoffice/internal/embedded/datadir"
	"github.com/eventpro/boxoffice/internal/embedded/kafka"
	"github.com/eventpro/boxoffice/internal/embedded/supervise"
	"github.com/eventpro/boxoffice/internal/embedded/writeback"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	sink "github.com/eventpro/boxoffice/sinks/clickhouse"
)

// systemPorts are the ports of everything embedded.
type systemPorts struct {
	kafka                                        [3]int
	clickhouse, provider, ingest, views, metrics int
}

// systemOptions say how everything embedded is started.
type systemOptions struct {
	dataDir   string
	command   string // what a second starter is told
	inUse     string // what else to do when another process has the directory
	ports     systemPorts
	processes bool // every role alone
	// second are the groups that get a second member, where every role is alone.
	second  []string
	chdbLib string
	// profileDir gets a CPU profile of every child; empty for none.
	profileDir string
	saga       sagaFlags
	provider   []string // further flags of the provider
	say        func(format string, args ...any)
}

// system is everything embedded: Kafka, ClickHouse and the provider as
// children, and the other roles in this process or as children too.
type system struct {
	options    systemOptions
	env        *environment
	dir        *datadir.Dir
	supervisor *supervise.Supervisor
	registry   *prometheus.Registry
	mu         sync.Mutex
	children   map[string]*child.Child // guarded by mu
	roles      []roleProcess           // with processes, in the order of their start
	output     *child.Lines
	access     access
	sink       *sink.Sink // nil with processes

	brokers                                                     []string
	clickhouseURL, providerURL, ingestURL, viewsURL, metricsURL string
}

// loopback is the only address that anything embedded listens on.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// openSystem starts everything and returns when all of it is ready. Its owner
// calls close.
func openSystem(ctx context.Context, env *environment, o systemOptions) (*system, error) {
	return openParts(ctx, env, o, datadir.Open, (*system).openRoles)
}

// openEngines starts only what the roles stand on, in a data directory that is
// there already. Its owner calls close.
func openEngines(ctx context.Context, env *environment, o systemOptions) (*system, error) {
	return openParts(ctx, env, o, datadir.OpenExisting, func(*system, context.Context) error { return nil })
}

func openParts(ctx context.Context, env *environment, o systemOptions, openDir func(path, command string) (*datadir.Dir, error), roles func(*system, context.Context) error) (*system, error) {
	library, err := clickhouse.Locate("", o.chdbLib)
	if err != nil {
		return nil, usagef("%v", err)
	}
	dir, err := openDir(o.dataDir, o.command)
	if errors.Is(err, datadir.ErrInUse) {
		return nil, usagef("%v%s", err, o.inUse)
	} else if err != nil {
		return nil, usagef("%v", err)
	}
	opened := &system{
		options: o, env: env, dir: dir, registry: newRegistry(), children: map[string]*child.Child{},
		supervisor: supervise.New(supervise.Options{Logger: env.log}),
		output:     child.NewLines(env.stderr),
	}
	opened.locate()
	err = opened.startWriteBack(ctx)
	if err == nil {
		err = opened.startEngines(ctx, library)
	}
	if err == nil {
		err = roles(opened, ctx)
	}
	if err != nil {
		_ = opened.close()
		return nil, err
	}
	return opened, nil
}

// openRoles starts what stands on the engines.
func (s *system) openRoles(ctx context.Context) (err error) {
	if s.access, err = openAccess(s.dir); err != nil {
		return err
	}
	if err := s.ensureTopics(ctx); err != nil {
		return err
	}
	if err := s.startTelemetry(ctx); err != nil {
		return err
	}
	if s.options.processes {
		return s.startRoleProcesses(ctx)
	}
	return s.startRoles(ctx)
}

func (s *system) locate() {
	p := s.options.ports
	for _, port := range p.kafka {
		s.brokers = append(s.brokers, loopback(port))
	}
	s.clickhouseURL = "http://" + loopback(p.clickhouse)
	s.providerURL = "http://" + loopback(p.provider)
	s.ingestURL = "http://" + loopback(p.ingest)
	s.viewsURL = "http://" + loopback(p.views)
	s.metricsURL = "http://" + loopback(p.metrics)
}

// startWriteBack sends what everything but ClickHouse writes to the disk as it comes.
// ClickHouse does so itself.
func (s *system) startWriteBack(ctx context.Context) error {
	writer := writeback.New(s.env.log, s.dir.Kafka(), s.dir.Tables(), s.dir.Views(), s.dir.Provider())
	service := part{name: "write-back", ready: func() bool { return true }, run: writer.Run}.service()
	service.Grace = 5 * time.Second // it may wait for a disk that is stuck
	return s.supervisor.Start(ctx, service)
}

// startEngines starts what the roles stand on, side by side.
func (s *system) startEngines(ctx context.Context, library string) error {
	p := s.options.ports
	group, ctx := errgroup.WithContext(ctx)
	for name, args := range map[string][]string{
		"kafka":      {"--dir", s.dir.Kafka(), "--ports", fmt.Sprintf("%d,%d,%d", p.kafka[0], p.kafka[1], p.kafka[2])},
		"clickhouse": {"--dir", s.dir.ClickHouse(), "--addr", loopback(p.clickhouse), "--chdb-lib", library, "--nice", "10"},
		"provider": append([]string{"--provider-dir", s.dir.Provider(), "--provider-addr", loopback(p.provider)},
			s.options.provider...),
	} {
		group.Go(func() error { return s.startChild(ctx, name, append([]string{name}, args...)) })
	}
	return group.Wait()
}

// startChild starts a role as a process and returns when it is ready.
func (s *system) startChild(ctx context.Context, name string, args []string) error {
	started := time.Now()
	process, err := child.New(child.Spec{
		Name: name, Args: append(args, s.childArgs(name)...),
		Logger: s.env.log, Output: s.output, Grace: time.Minute, Files: []*os.File{s.dir.Children()},
		Ignore: "Logging error to ", // what libchdb says at every start
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.children[name] = process
	s.mu.Unlock()
	if err := s.supervisor.Start(ctx, supervise.Service{Name: name, Run: process.Run, Grace: 70 * time.Second}); err != nil {
		return err
	}
	s.options.say("%s is ready after %s", name, time.Since(started).Round(10*time.Millisecond))
	return nil
}

func (s *system) childArgs(name string) []string {
	args := []string{"--child", "--log-level", s.env.logLevel.String()}
	if s.options.profileDir != "" {
		args = append(args, "--cpu-profile", filepath.Join(s.options.profileDir, name+".pprof"))
	}
	return args
}

func (s *system) ensureTopics(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	partitions, err := partitionsOf(ctx, client, topology.Topics())
	if err != nil {
		return err
	}
	return stream.Ensure(ctx, client, topology.Topics(), partitions, kafka.NumBrokers)
}

// partitionsOf returns how many partitions the topics of a data directory have. It
// keeps the count that it began with, whatever a new one begins with today, and even
// if its first start did not get to all topics.
func partitionsOf(ctx context.Context, client *kgo.Client, topics []topology.Topic) (int, error) {
	there, err := stream.Describe(ctx, client, topics, topology.EmbeddedPartitions, kafka.NumBrokers)
	if err != nil {
		return 0, err
	}
	for _, d := range there {
		if d.Exists {
			return d.Partitions, nil
		}
	}
	return topology.EmbeddedPartitions, nil
}

// streamConfig is the runtime's configuration for a role of this process.
func (s *system) streamConfig(role string) stream.Config {
	return stream.Config{
		Brokers: s.brokers, Member: firstMember, DataDir: filepath.Join(s.dir.Tables(), role),
		Logger: s.env.log, Registerer: registerer(s.registry, role), Compression: embeddedCompression,
		CacheBytes: tableCacheBytes, MemTableBytes: tableMemoryBytes, QuietWait: quietWait,
	}
}

// embeddedCompression costs the producers least and the embedded broker's disk
// little more than others; internal/embedded/kafka/README.md has the figures.
const embeddedCompression = "snappy"

// Memory of each role's local tables, and of the roles together: a larger heap
// between two collections costs less CPU than it saves (measured with 'boxoffice
// bench': 6 % of it for the collector instead of 10 %).
const (
	tableCacheBytes  = 16 << 20
	tableMemoryBytes = 16 << 20
	heapGrowth       = 400     // percent
	heapLimitBytes   = 1 << 30 // soft: the collector works harder above it
)

// The transactions of a group, and the bursts of the front door, begin at least so far
// apart: small ones cost the embedded broker and the groups most of what they do.
// Registrations sets the pace, since every order comes back to it after each step. The
// groups that answer it rest less, so that they begin when it has committed; were all
// to rest alike, all would begin together and each find the last round's answers. At 500
// requests/s the longer rest saves an eighth of all CPU time, for 10 ms of the median.
const (
	quietWait         = 14 * time.Millisecond
	registrationsWait = 28 * time.Millisecond
)

// ClickHouse has no cores of its own here. So the loader gathers a large batch longer, and
// pauses between its tables: ClickHouse makes and merges less than half of the parts that
// it would with the defaults, and never those of all tables at once, which held up every
// order under way. At 1,000 requests/s the first saves two fifths of ClickHouse's CPU time,
// and the second takes a fifth to a third off the 99th percentile of an order.
const (
	gather   = 1500 * time.Millisecond
	tableGap = 150 * time.Millisecond
)

// startRoles starts the roles as goroutines of this process. They share the
// views and the availability index.
func (s *system) startRoles(ctx context.Context) error {
	s.options.say("starting processors, views, loader and front door")
	debug.SetGCPercent(heapGrowth)
	debug.SetMemoryLimit(heapLimitBytes)
	lookups, follow, err := openTables(s.streamConfig("views"))
	if err != nil {
		return err
	}
	r, seats, err := openRoom(s.streamConfig("room"))
	if err != nil {
		return err
	}
	processors, err := newProcessors(s.streamConfig("process"), processOptions{
		providerURL: s.providerURL, rules: s.options.saga.rules(), room: r,
		quietWaits: map[string]time.Duration{topology.Registrations.Name: registrationsWait},
	})
	if err != nil {
		return err
	}
	loader, loading, err := newSink(s.streamConfig("sink"), sinkOptions{
		brokers: s.brokers, url: s.clickhouseURL, member: firstMember, saga: s.options.saga, gather: gather, tableGap: tableGap,
	})
	if err != nil {
		return err
	}
	s.sink = loading
	servers, err := s.newServers(lookups, r)
	if err != nil {
		return err
	}
	for _, stage := range [][]part{append(follow, seats), append(processors, loader), servers} {
		if err := startAll(ctx, s.supervisor, stage); err != nil {
			return err
		}
	}
	return nil
}

// startTelemetry serves this process's metrics and the readiness of all roles.
func (s *system) startTelemetry(ctx context.Context) error {
	metricsListener, err := listen("the metrics", "--metrics-port", loopback(s.options.ports.metrics))
	if err != nil {
		return err
	}
	telemetry := part{name: "telemetry", ready: func() bool { return true }, run: func(ctx context.Context) error {
		return serveTelemetry(ctx, metricsListener, s.registry, s.supervisor.States)
	}}
	return s.supervisor.Start(ctx, telemetry.service())
}

// newServers wires the look-ups and the front door.
func (s *system) newServers(lookups *tables, r *availability.Index) ([]part, error) {
	p := s.options.ports
	viewsListener, err := listen("the look-ups", "--views-port", loopback(p.views))
	if err != nil {
		return nil, err
	}
	ingestListener, err := listen("the front door", "--ingest-port", loopback(p.ingest))
	if err != nil {
		return nil, err
	}
	server, err := newLookups(lookups, r, s.access.keys, s.streamConfig("views-http"), viewsListener, s.clickhouseURL)
	if err != nil {
		return nil, err
	}
	door, err := newDoor(s.streamConfig("ingest"), doorOptions{
		listener: ingestListener, keys: s.access.keys, sealing: s.access.sealing, viewsURL: s.viewsURL,
		catalogue: lookups.events, registrations: lookups.registrations,
	})
	if err != nil {
		return nil, err
	}
	return []part{server, door}, nil
}

// caughtUp returns when everything committed so far is in ClickHouse, also when
// the loader is a child.
func (s *system) caughtUp(ctx context.Context) error {
	if s.sink != nil {
		return s.sink.CaughtUp(ctx)
	}
	probe, err := sink.New(sink.Config{Brokers: s.brokers, URL: s.clickhouseURL, Logger: s.env.log})
	if err != nil {
		return err
	}
	defer probe.Close()
	return probe.CaughtUp(ctx)
}

// wait returns when ctx ends or a part has failed for good.
func (s *system) wait(ctx context.Context) error { return s.supervisor.Wait(ctx) }

// close stops everything, the last started first, and lets go of the data
// directory.
func (s *system) close() error {
	return errors.Join(s.supervisor.Stop(), s.dir.Close())
}

// ownProcess names this process among the roles.
const ownProcess = "boxoffice"

// usage is what each process uses now, by role; the roles inside this process
// are "boxoffice".
func (s *system) usage() map[string]child.Usage {
	usage := map[string]child.Usage{}
	if own, err := child.UsageOf(os.Getpid()); err == nil {
		usage[ownProcess] = own
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, process := range s.children {
		if u, err := process.Usage(); err == nil {
			usage[name] = u
		}
	}
	return usage
}
