package clickhouse

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/sinks/clickhouse/distributed"
)

// Config says what is loaded from where to where. The zero value of every field
// below the first three has a default.
type Config struct {
	// Brokers are the Kafka seed brokers.
	Brokers []string
	// URL is the ClickHouse server, in the form that clickhouse-go reads:
	// "http://user:password@host:8123?compress=lz4" for HTTP, and
	// "clickhouse://host:9000" for the native protocol. A path is ignored, the
	// database is Database. Several servers are parted by commas,
	// "http://a:8123,b:8123": of one cluster, or ways to one server.
	URL string
	// Logger is told of every failure that is repeated. Required.
	Logger *slog.Logger

	// Database is created when it is missing. Default "boxoffice".
	Database string
	// Cluster makes the tables on every server of a ClickHouse cluster, replicated
	// and sharded; it is the cluster's name in the servers' remote_servers, or a macro
	// such as "{cluster}". Empty for one server.
	Cluster string
	// Group is the consumer group. Default is the topology's.
	Group string
	// InstanceID makes the member static, so that a restart does not move
	// partitions. Empty for a dynamic member.
	InstanceID string
	// KafkaOptions come on top, for TLS and SASL.
	KafkaOptions []kgo.Opt
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer

	// FlushAfter is how long the first record of a small batch waits at most.
	// Default 250 ms.
	FlushAfter time.Duration
	// FlushAfterBusy is the same for a batch of at least BusyRecords, which is
	// worth gathering longer: fewer parts to merge, and more versions that are
	// superseded before they are written. Default 900 ms.
	FlushAfterBusy time.Duration
	// BusyRecords parts the two. Default 1,000.
	BusyRecords int
	// TableGap is the pause between the inserts of two tables of a batch of at least
	// BusyRecords, so that ClickHouse makes and merges the parts of one table after the
	// other: for one that has no cores of its own. What a batch writes last is visible by
	// so much later. A batch that is full makes none. Default none.
	TableGap time.Duration
	// MaxRecords is the size at which a batch is written at once. Default 50,000.
	MaxRecords int
	// MaxBytes is the same by size of the records; it bounds the memory of a
	// batch. Default 64 MiB.
	MaxBytes int

	// InsertTimeout is how long one insert may take before it is repeated.
	// Default 30 s.
	InsertTimeout time.Duration
	// BackoffMin and BackoffMax bound the pause before a failed insert is
	// repeated; it doubles from one to the other, with jitter. Default 100 ms and
	// 10 s.
	BackoffMin, BackoffMax time.Duration
	// LagInterval is how often lag is measured. Default 5 s.
	LagInterval time.Duration
	// AuditRetentionMonths is how long the audit trail is kept; 0 for ever. Facts are
	// always kept.
	AuditRetentionMonths int64
	// RollupInterval is the pause between refreshes of the rollups; it grows with how
	// long they take. Default 30 s.
	RollupInterval time.Duration

	// ConservationInterval is how often the books are compared. Default 30 s.
	ConservationInterval time.Duration
	// ConservationWindow is how far back they are compared after a start; its minutes
	// are looked at again in turn. Default 30 min.
	ConservationWindow time.Duration
	// ConservationDelay is how long after its end a minute is compared. Default 1 min.
	ConservationDelay time.Duration
	// DecideWithin is how long a registration may stay undecided: the saga's deadlines
	// and some patience. Default 15 min.
	DecideWithin time.Duration
}

func (c Config) withDefaults() Config {
	setDefault(&c.Database, DefaultDatabase)
	setDefault(&c.Group, topology.ClickHouseSink.Name)
	setDefault(&c.FlushAfter, 250*time.Millisecond)
	setDefault(&c.FlushAfterBusy, 900*time.Millisecond)
	setDefault(&c.BusyRecords, 1_000)
	setDefault(&c.MaxRecords, 50_000)
	setDefault(&c.MaxBytes, 64<<20)
	setDefault(&c.InsertTimeout, 30*time.Second)
	setDefault(&c.BackoffMin, 100*time.Millisecond)
	setDefault(&c.BackoffMax, 10*time.Second)
	setDefault(&c.LagInterval, 5*time.Second)
	setDefault(&c.RollupInterval, 30*time.Second)
	setDefault(&c.ConservationInterval, 30*time.Second)
	setDefault(&c.ConservationWindow, 30*time.Minute)
	setDefault(&c.ConservationDelay, time.Minute)
	setDefault(&c.DecideWithin, 15*time.Minute)
	return c
}

func setDefault[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}

func (c Config) validate() error {
	var errs []error
	check := func(ok bool, message string) {
		if !ok {
			errs = append(errs, errors.New(message))
		}
	}
	check(len(c.Brokers) > 0, "Brokers is empty: name at least one Kafka broker")
	check(c.URL != "", "URL is empty: name the ClickHouse server, for example http://127.0.0.1:8123")
	check(c.Logger != nil, "Logger is nil")
	if c.Cluster != "" {
		errs = append(errs, distributed.Target{Cluster: c.Cluster, Database: c.Database}.Validate())
	}
	check(c.FlushAfter > 0 && c.FlushAfterBusy >= c.FlushAfter, "FlushAfter must be positive and not above FlushAfterBusy")
	check(c.BusyRecords > 0 && c.MaxRecords > 0 && c.MaxBytes > 0, "BusyRecords, MaxRecords and MaxBytes must be positive")
	check(c.TableGap >= 0, "TableGap must not be negative")
	check(c.InsertTimeout > 0 && c.LagInterval > 0, "InsertTimeout and LagInterval must be positive")
	check(c.AuditRetentionMonths >= 0, "AuditRetentionMonths must not be negative")
	check(c.RollupInterval > 0, "RollupInterval must be positive")
	check(c.ConservationInterval > 0 && c.ConservationWindow > 0 && c.ConservationDelay > 0 && c.DecideWithin > 0,
		"ConservationInterval, ConservationWindow, ConservationDelay and DecideWithin must be positive")
	check(c.BackoffMin > 0 && c.BackoffMax >= c.BackoffMin, "BackoffMin must be positive and not above BackoffMax")
	return errors.Join(errs...)
}
