package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/pause"
	"github.com/eventpro/boxoffice/internal/topology"
)

// Sink loads the event topics into ClickHouse.
type Sink struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	client  *kgo.Client  // the member of the group, nil before Run
	admin   *kadm.Client // no member
	batch   *batch
	writer  *writer

	mu sync.Mutex
	// failing is why the sink cannot load right now; nil when it can.
	failing error
	// held is how much the batch holds, for the metrics.
	heldRecords, heldBytes int64
	// owned holds the partitions of this member, with the timestamp of the last
	// record of each that is in ClickHouse.
	owned map[partition]time.Time
	// vouched holds the offsets up to which ClickHouse has answered and which are
	// not committed yet.
	vouched map[partition]kgo.EpochOffset

	// commitAgain is when a failed commit is repeated; zero when none failed.
	commitAgain time.Time
}

var errStarting = errors.New("the ClickHouse loader is still starting")

// New checks the configuration and registers the metrics. Run does the rest;
// neither Kafka nor ClickHouse needs to be there yet.
func New(cfg Config) (*Sink, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configuring the ClickHouse loader: %w", err)
	}
	s := &Sink{
		cfg: cfg, log: cfg.Logger, batch: newBatch(), failing: errStarting,
		owned: map[partition]time.Time{}, vouched: map[partition]kgo.EpochOffset{},
	}
	var err error
	if s.metrics, err = newMetrics(cfg.Registerer, s.buffered); err != nil {
		return nil, fmt.Errorf("registering the loader's metrics: %w", err)
	}
	sent := func(n int) { s.metrics.sentBytes.Add(float64(n)) }
	conn, err := openWriter(cfg.URL, cfg.Database, sent)
	if err != nil {
		return nil, err
	}
	inserts, err := clusterInserts(cfg.URL, cfg.Database, cfg.Cluster)
	if err != nil {
		return nil, err
	}
	s.writer = &writer{conn: conn, timeout: cfg.InsertTimeout, cluster: inserts}
	asking, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(cfg.Brokers...)}, cfg.KafkaOptions...)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("configuring the loader's Kafka client: %w", err), conn.Close())
	}
	s.admin = kadm.NewClient(asking)
	return s, nil
}

// fetchWait is how long the brokers may gather records for a fetch.
const fetchWait = 100 * time.Millisecond

func (s *Sink) kafkaOptions() []kgo.Opt {
	topics := make([]string, 0, len(topology.ClickHouseSink.Inputs))
	for _, t := range topology.ClickHouseSink.Inputs {
		topics = append(topics, t.Name)
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(s.cfg.Brokers...),
		kgo.ConsumerGroup(s.cfg.Group),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Markers at a partition's end count as read, so that being caught up
		// means that nothing is left.
		kgo.KeepControlRecords(),
		kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		// Batches are gathered anyway; fewer and larger fetches cost the brokers
		// less.
		kgo.FetchMinBytes(128 << 10),
		kgo.FetchMaxWait(fetchWait),
		// What is fetched ahead while ClickHouse is away is bounded by this times
		// the brokers.
		kgo.FetchMaxBytes(16 << 20),
		kgo.AdjustFetchOffsetsFn(s.resume),
		kgo.OnPartitionsAssigned(s.assigned),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.revoked),
	}
	if s.cfg.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(s.cfg.InstanceID))
	}
	return append(opts, s.cfg.KafkaOptions...)
}

// Run migrates the schema and loads until ctx ends; it returns nil then. What was
// read but not written is read again by the next run.
func (s *Sink) Run(ctx context.Context) error {
	defer func() {
		s.setFailing(errors.New("the ClickHouse loader has ended"))
		s.Close()
	}()
	if err := s.migrate(ctx); err != nil {
		return ignoreEnd(ctx, err)
	}
	// Only now: a member that does not load holds up its partitions.
	client, err := kgo.NewClient(s.kafkaOptions()...)
	if err != nil {
		return fmt.Errorf("configuring the loader's consumer: %w", err)
	}
	defer client.Close()
	s.mu.Lock()
	s.client = client
	s.mu.Unlock()
	db, err := OpenDB(s.cfg.URL, s.cfg.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watch sync.WaitGroup
	watch.Go(func() { s.watchLag(ctx) })
	watch.Go(func() { s.watchBooks(ctx, db) })
	watch.Go(func() { s.keepRollups(ctx, db) })
	watch.Go(func() { s.keepPaidOrders(ctx, db) })
	defer watch.Wait()
	defer cancel()
	return ignoreEnd(ctx, s.load(ctx))
}

// Close lets go of the connections of a Sink that does not run; one that ran has
// closed itself.
func (s *Sink) Close() {
	s.admin.Close()
	if err := s.writer.conn.Close(); err != nil {
		s.log.Warn("closing the connection to ClickHouse", "error", err)
	}
}

// ignoreEnd makes an orderly end of an error that only says that ctx has ended.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Sink) migrate(ctx context.Context) error {
	return s.persist(ctx, "migrating ClickHouse", func() (err error) {
		if s.writer.schema, err = migrateServers(ctx, s.cfg.URL, s.cfg.Database, s.cfg.Cluster); err != nil {
			return err
		}
		return s.setRetention(ctx)
	})
}

// load is the loop: poll, gather, write, commit.
func (s *Sink) load(ctx context.Context) error {
	var first time.Time // when the batch got its first record
	for {
		fetches := s.poll(ctx, s.wake(first))
		if err := ctx.Err(); err != nil {
			return err
		}
		if fetches.IsClientClosed() {
			return kgo.ErrClientClosed
		}
		s.gather(fetches)
		switch {
		case len(s.batch.spans) == 0:
			first = time.Time{}
			if s.commitDue() {
				s.commit(ctx)
			}
			continue
		case first.IsZero():
			first = time.Now()
		}
		if time.Now().Before(s.flushAt(first)) {
			continue
		}
		if err := s.flush(ctx); err != nil {
			return err
		}
		first = time.Time{}
	}
}

// poll waits for records: until wake, for ever when that is zero.
func (s *Sink) poll(ctx context.Context, wake time.Time) kgo.Fetches {
	if !wake.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, wake)
		defer cancel()
	}
	return s.client.PollRecords(ctx, s.cfg.MaxRecords-s.batch.records)
}

// wake is when there is something to do though no record comes: the batch is due, or
// else a commit that failed is.
func (s *Sink) wake(first time.Time) time.Time {
	if !first.IsZero() {
		return s.flushAt(first)
	}
	return s.commitAgain
}

func (s *Sink) flushAt(first time.Time) time.Time {
	return s.cfg.flushAt(first, s.batch.records, s.batch.bytes)
}

// flushAt is when a batch of that size must be written, given when it got its first
// record. More records may put it off once, to FlushAfterBusy, and no further.
func (c *Config) flushAt(first time.Time, records, bytes int) time.Time {
	switch {
	case c.full(records, bytes):
		return first
	case records < c.BusyRecords:
		return first.Add(c.FlushAfter)
	}
	return first.Add(c.FlushAfterBusy)
}

// gap is the pause before the next table of a batch of that size. A full one makes none:
// more may wait behind it.
func (c *Config) gap(records, bytes int) time.Duration {
	if records < c.BusyRecords || c.full(records, bytes) {
		return 0
	}
	return c.TableGap
}

func (c *Config) full(records, bytes int) bool {
	return records >= c.MaxRecords || bytes >= c.MaxBytes
}

func (s *Sink) gather(fetches kgo.Fetches) {
	fetches.EachError(func(topic string, partition int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			s.log.Warn("reading from Kafka", "topic", topic, "partition", partition, "error", err)
		}
	})
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for _, r := range p.Records {
			s.batch.add(r)
		}
		s.metrics.records.WithLabelValues(p.Topic).Add(float64(len(p.Records)))
	})
	s.hold()
}

// hold notes how much the batch holds.
func (s *Sink) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heldRecords, s.heldBytes = int64(s.batch.records), int64(s.batch.bytes)
}

// buffered is what is in memory and not in ClickHouse yet: the batch, and what Kafka's
// client has fetched ahead of it.
func (s *Sink) buffered() (records, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records, bytes = s.heldRecords, s.heldBytes
	if s.client != nil {
		records += s.client.BufferedFetchRecords()
		bytes += s.client.BufferedFetchBytes()
	}
	return records, bytes
}

// flush writes the batch and then commits its offsets. I6: the order is the
// promise; nothing is committed that ClickHouse has not answered for.
func (s *Sink) flush(ctx context.Context) error {
	began := time.Now()
	tables := s.batch.rows()
	token := token(s.writer.schema, s.batch.spans)
	for i, t := range tables {
		if i > 0 && !pause.For(ctx, s.cfg.gap(s.batch.records, s.batch.bytes)) {
			return ctx.Err()
		}
		if err := s.persist(ctx, "writing to ClickHouse", func() error {
			return s.insert(ctx, t, token)
		}); err != nil {
			return err
		}
		s.metrics.rows.WithLabelValues(t.name).Add(float64(t.rows()))
	}
	s.report()
	s.vouch()
	s.commit(ctx)
	s.metrics.batchSize.Observe(float64(s.batch.records))
	s.metrics.batchBytes.Observe(float64(s.batch.bytes))
	s.metrics.flush.Observe(time.Since(began).Seconds())
	s.batch.reset()
	s.hold()
	return nil
}

func (s *Sink) insert(ctx context.Context, t *table, token string) error {
	began := time.Now()
	if err := s.writer.insert(ctx, t, token); err != nil {
		return err
	}
	s.metrics.insert.WithLabelValues(t.name).Observe(time.Since(began).Seconds())
	return nil
}

// report tells of records that could not be decoded.
func (s *Sink) report() {
	if s.batch.undecodable == 0 {
		return
	}
	s.metrics.undecodable.Add(float64(s.batch.undecodable))
	s.log.Error("records that cannot be decoded were loaded as audit rows only",
		"count", s.batch.undecodable, "first", s.batch.firstError)
}

// persist repeats what ClickHouse must answer until it does or ctx ends, with
// exponential pauses and full jitter.
func (s *Sink) persist(ctx context.Context, what string, do func() error) error {
	backoff := s.cfg.BackoffMin
	for {
		err := do()
		if err == nil {
			s.setFailing(nil)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.metrics.retries.Inc()
		s.setFailing(fmt.Errorf("%s: %w", what, err))
		s.log.Warn(what+" failed and will be repeated", "error", err, "pause_max", backoff)
		if !pause.For(ctx, backoff/2+rand.N(backoff/2+1)) {
			return ctx.Err()
		}
		backoff = min(2*backoff, s.cfg.BackoffMax)
	}
}

func (s *Sink) setFailing(err error) {
	s.mu.Lock()
	s.failing = err
	s.mu.Unlock()
	if err == nil {
		s.metrics.up.Set(1)
	} else {
		s.metrics.up.Set(0)
	}
}

// Ready returns nil when the loader can load, else why it cannot.
func (s *Sink) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing
}
