package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Config is what every part of the runtime needs. The zero value of a field
// with a default takes that default; Brokers has none.
type Config struct {
	// Brokers are the host:port addresses to start from.
	Brokers []string
	// Member is the static id of this process, for example a pod's name. Two
	// processes that run at the same time must not share it: the younger one
	// fences the older one. Runners and stages need it, readers don't.
	Member string
	// DataDir holds the local tables, one folder a role. Runners and views
	// need it. It is a cache: losing it costs a recovery from the log, no data.
	DataDir string
	// Logger receives what an operator should know; nil discards it.
	Logger *slog.Logger
	// Registerer takes the metrics; nil keeps them private.
	Registerer prometheus.Registerer

	// TransactionTimeout is how long a member's open transaction outlives it
	// when another member takes its partitions over (10 s).
	TransactionTimeout time.Duration
	// SessionTimeout is after which silence a member loses its partitions (6 s).
	SessionTimeout time.Duration
	// HeartbeatInterval is how often a member shows that it is alive (1 s).
	HeartbeatInterval time.Duration
	// BatchRecordsMax bounds the records of one transaction (4096).
	BatchRecordsMax int
	// QuietWait is the least time between the begins of two transactions, unless
	// BatchRecordsMax are at hand earlier, and between two bursts of an emitter's
	// records: it bounds their rate when it is quiet and costs nothing when it is busy (5 ms; negative for none). Who emits
	// one record after the other, each when the last is acknowledged, wants none.
	QuietWait time.Duration
	// EndTimeout bounds how long ending a transaction may take before the
	// session is given up (10 s).
	EndTimeout time.Duration
	// Compression is of what is produced: "none", "snappy", "lz4" or "zstd"
	// ("snappy").
	Compression string
	// CacheBytes is the block cache of one local database (8 MiB).
	CacheBytes int64
	// HotBytes is how much of the states that were committed last a runner
	// keeps at hand for each partition (1 MiB; negative for none).
	HotBytes int
	// MemTableBytes is the write buffer of one local database (8 MiB).
	MemTableBytes uint64

	// RestartBackoffMin and RestartBackoffMax bound the growing pause before a
	// session that failed starts again (50 ms, 5 s).
	RestartBackoffMin time.Duration
	RestartBackoffMax time.Duration
	// AttemptsMax is how often one record may fail with an error that is no
	// rejection before it goes to the dead letters with that error (5).
	AttemptsMax int
	// Retries is the pause between those attempts (1 s, 1 min).
	Retries Backoff
	// More than FailuresMax of about the last FailuresOf records that a member
	// handled stop its group with ErrBudget, because then it is the program that
	// fails and not the records (100 of 10,000).
	FailuresMax int
	FailuresOf  int

	// TimerInterval is how often an owner looks for due deadlines (200 ms).
	TimerInterval time.Duration
	// TimerBackoffMin and TimerBackoffMax bound the growing pause before a
	// timer whose state has not moved on is sent again (1 s, 1 min).
	TimerBackoffMin time.Duration
	TimerBackoffMax time.Duration

	// BufferedRecordsMax bounds an emitter's unacknowledged records; a further
	// one is refused with ErrFull (100,000).
	BufferedRecordsMax int
	// Linger is how long an emitter lets the records of a burst come together
	// (1 ms; negative for none).
	Linger time.Duration

	// Clock is the present for timers and for lag; nil is time.Now.
	Clock func() time.Time
}

// Validate says what is missing or contradictory, all of it at once.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("no Kafka brokers given: name at least one host:port"))
	}
	if _, err := compression(c.Compression); err != nil {
		errs = append(errs, err)
	}
	if c.HeartbeatInterval > 0 && c.SessionTimeout > 0 && c.HeartbeatInterval*2 > c.SessionTimeout {
		errs = append(errs, fmt.Errorf("heartbeat interval %v must be at most half of the session timeout %v", c.HeartbeatInterval, c.SessionTimeout))
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"batch limit", c.BatchRecordsMax}, {"attempts", c.AttemptsMax}, {"failures", c.FailuresMax}, {"records that failures are counted among", c.FailuresOf}, {"buffered records", c.BufferedRecordsMax}} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s must not be negative, it is %d", n.name, n.value))
		}
	}
	return errors.Join(errs...)
}

// owner validates what a part with a static member id and local tables needs.
func (c *Config) owner(needDir bool) error {
	errs := []error{c.Validate()}
	if c.Member == "" {
		errs = append(errs, errors.New("no member id given: set a name that is unique among the running processes and the same after a restart"))
	}
	if needDir && c.DataDir == "" {
		errs = append(errs, errors.New("no data directory given for the local tables"))
	}
	return errors.Join(errs...)
}

// DefaultSessionTimeout is Config.SessionTimeout when it is unset.
const DefaultSessionTimeout = 6 * time.Second

// withDefaults returns the configuration with every unset field filled.
func (c Config) withDefaults() Config {
	def(&c.TransactionTimeout, 10*time.Second)
	def(&c.SessionTimeout, DefaultSessionTimeout)
	def(&c.HeartbeatInterval, min(time.Second, c.SessionTimeout/3))
	def(&c.BatchRecordsMax, 4096)
	def(&c.QuietWait, 5*time.Millisecond)
	def(&c.EndTimeout, 10*time.Second)
	def(&c.Compression, "snappy")
	def(&c.CacheBytes, 8<<20)
	def(&c.HotBytes, 1<<20)
	def(&c.MemTableBytes, 8<<20)
	def(&c.RestartBackoffMin, 50*time.Millisecond)
	def(&c.RestartBackoffMax, 5*time.Second)
	def(&c.AttemptsMax, 5)
	def(&c.Retries.Min, time.Second)
	def(&c.Retries.Max, time.Minute)
	def(&c.FailuresMax, 100)
	def(&c.FailuresOf, 10_000)
	def(&c.TimerInterval, 200*time.Millisecond)
	def(&c.TimerBackoffMin, time.Second)
	def(&c.TimerBackoffMax, time.Minute)
	def(&c.BufferedRecordsMax, 100_000)
	def(&c.Linger, time.Millisecond)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

// def sets a field that is at its zero value.
func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// compression names the codecs as Kafka's configuration does.
func compression(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "none":
		return kgo.NoCompression(), nil
	case "", "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.CompressionCodec{}, fmt.Errorf("unknown compression %q: use none, snappy, lz4 or zstd", name)
}

// metadataMinAge is how soon a client asks again which broker leads what. With
// its default of 5 s a client that meets a new topic would stand still as long.
const metadataMinAge = 100 * time.Millisecond

// fetchMaxWait is how long a broker holds a fetch that has nothing to bring. A
// broker answers the fetches of a connection one after the other, so after an
// abort, or when partitions are added, new fetches wait for one that is held.
const fetchMaxWait = 250 * time.Millisecond

// client are the options of every client.
func (c *Config) client() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.WithLogger(kafkaLog{c.Logger}),
	}
}

// consuming are the options of every consumer. A reader of tables whose position
// is not in the log any more starts at what is left of it: reading again changes
// nothing there.
func (c *Config) consuming() []kgo.Opt {
	return append(c.client(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(16<<20),
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
}

// joining are the options of every member of a group. A group without offsets
// starts at the oldest record (rule 7). One whose position is not in the log any
// more moves nowhere by itself: further on it would leave records out, further
// back it would count them twice.
func (c *Config) joining() []kgo.Opt {
	return append(c.consuming(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.InstanceID(c.Member),
		kgo.Balancers(kgo.RangeBalancer()), // eager; the same partitions of every input, as Goka wants
		kgo.SessionTimeout(c.SessionTimeout),
		kgo.HeartbeatInterval(c.HeartbeatInterval),
	)
}

// producing are the options of everything that produces.
func (c *Config) producing() []kgo.Opt {
	codec, _ := compression(c.Compression) // Validate has seen it
	return []kgo.Opt{
		kgo.ProducerBatchCompression(codec),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // murmur2, as Hash
		kgo.UnknownTopicRetries(3),
	}
}
