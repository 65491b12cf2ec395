package stream

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	gokastorage "github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kadm"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream/core"
	"github.com/eventpro/boxoffice/internal/stream/storage"
)

// ErrNotOwned is Get's answer for a key of a partition that this member does
// not own at present.
var ErrNotOwned = errors.New("partition not owned by this member")

// ErrMemberTaken says that another process runs under the same member id.
var ErrMemberTaken = errors.New("another process uses this member id")

// Runner runs one member of a stateful group.
type Runner struct {
	cfg     Config
	proc    Processor
	metrics *groupMetrics
	budget  *budget
	retries Backoff
	decider core.Decider

	// Set while Run runs.
	store      *storage.Store
	timers     *timers
	admin      *kadm.Client
	partitions int
	member     atomic.Pointer[member]

	working atomic.Pointer[session] // the session whose tables are recovered
	batches atomic.Int64            // transactions committed, to see progress
}

// Run runs a group's member until ctx ends (nil) or it fails for good.
func Run(ctx context.Context, cfg Config, p Processor) error {
	r, err := NewRunner(cfg, p)
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// NewRunner checks the configuration; Run connects.
func NewRunner(cfg Config, p Processor) (*Runner, error) {
	if err := errors.Join(cfg.owner(true), p.Validate()); err != nil {
		return nil, err
	}
	configureGoka()
	cfg = cfg.withDefaults()
	r := &Runner{
		cfg: cfg, proc: p, budget: &budget{max: cfg.FailuresMax, of: cfg.FailuresOf}, retries: cfg.Retries,
		metrics: newMetrics(cfg.Registerer).group(p.Group.Name),
	}
	r.decider = core.Decider{
		Handle: p.Handle, Group: p.Group.Name, Outputs: map[string]bool{},
		Partition: func(key string) int32 { return Partition(key, r.partitions) },
	}
	for _, t := range p.Group.Outputs {
		r.decider.Outputs[t.Name] = true
	}
	return r, nil
}

// Run consumes until ctx ends (nil), or the group fails for good: its budget
// for failing records is spent (ErrBudget), its member id is in use
// (ErrMemberTaken), or its local database cannot be opened. What
// may pass (brokers away, topics not yet there) is tried again with backoff.
func (r *Runner) Run(ctx context.Context) error {
	store, err := storage.Open(filepath.Join(r.cfg.DataDir, "tables", r.proc.Group.Name), storage.Options{
		CacheBytes: r.cfg.CacheBytes, MemTableBytes: r.cfg.MemTableBytes, HotBytes: r.cfg.HotBytes,
		Deadline: r.proc.Deadline, Logger: r.cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("group %s: %w", r.proc.Group.Name, err)
	}
	defer store.Close()
	r.store = store
	if r.timers, err = newTimers(r); err != nil {
		return err
	}
	defer r.timers.close()
	pause := backoff{min: r.cfg.RestartBackoffMin, max: r.cfg.RestartBackoffMax}
	for {
		before := r.progress()
		err := intact(ctx, store, r.once)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case errors.Is(err, ErrBudget):
			return fmt.Errorf("group %s: %w", r.proc.Group.Name, err)
		case errors.Is(err, ErrMemberTaken):
			return fmt.Errorf("group %s: member %q: %w; give each process its own", r.proc.Group.Name, r.cfg.Member, ErrMemberTaken)
		}
		r.restarted(err)
		if r.progress() > before {
			pause.reset()
		}
		if !pause.wait(ctx) {
			return nil
		}
	}
}

// once runs one client and one Goka processor until the client is spent.
func (r *Runner) once(ctx context.Context) error {
	cl, err := newAdmin(&r.cfg)
	if err != nil {
		return err
	}
	defer cl.Close()
	r.admin = kadm.NewClient(cl)
	tm := topicManager{r.admin}
	numbers, err := tm.Partitions(r.proc.Group.Inputs[0].Name)
	if err != nil {
		return err
	}
	r.partitions = len(numbers)

	topics := make([]string, 0, len(r.proc.Group.Inputs))
	for _, t := range r.proc.Group.Inputs {
		topics = append(topics, t.Name)
	}
	// Rule 2: the fence comes before everything that reads a table's end.
	m, err := joinMember(ctx, &r.cfg, r.proc.Group.Name, topics)
	if err != nil {
		return err
	}
	defer m.leave()
	r.member.Store(m)
	defer r.member.Store(nil)

	gp, err := goka.NewProcessor(r.cfg.Brokers, r.graph(),
		goka.WithLogger(gokaLog{r.cfg.Logger}),
		goka.WithHasher(NewHash),
		goka.WithNilHandling(goka.NilProcess),
		goka.WithPartitionChannelSize(partitionBuffer),
		goka.WithUpdateCallback(r.update),
		goka.WithStorageBuilder(r.openPartition),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) { return tm, nil }),
		goka.WithProducerBuilder(newProducer(m).builder),
		goka.WithConsumerGroupBuilder(func([]string, string, string) (sarama.ConsumerGroup, error) {
			return consumerGroup{r, m}, nil
		}),
		goka.WithConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) { return newReader(&r.cfg) }),
	)
	if err != nil {
		return err
	}
	return gp.Run(ctx)
}

// partitionBuffer is how many messages may wait for one partition's handler,
// beside those in its claims.
const partitionBuffer = 128

// openPartition opens a table partition and makes sure that it is a part of
// the log as it is now.
func (r *Runner) openPartition(topic string, partition int32) (gokastorage.Storage, error) {
	return openVerified(topicManager{r.admin}, r.store, topic, partition, storage.Transactional, &r.cfg)
}

func openVerified(tm topicManager, store *storage.Store, topic string, partition int32, mode storage.Mode, cfg *Config) (*storage.Partition, error) {
	detail, err := tm.detail(topic)
	if err != nil {
		return nil, err
	}
	end, err := tm.GetOffset(topic, partition, sarama.OffsetNewest)
	if err != nil {
		return nil, err
	}
	p, err := store.Partition(topic, partition, mode)
	if err != nil {
		return nil, err
	}
	dropped, err := p.Verify(detail.ID, end)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if dropped {
		cfg.Logger.Warn("local table was not of this log: it is rebuilt", "topic", topic, "partition", partition)
	}
	return p, nil
}

// update is Goka's callback for each record of a table that is recovered.
func (r *Runner) update(ctx goka.UpdateContext, s gokastorage.Storage, key string, value []byte) error {
	r.metrics.recovered.Inc()
	return update(ctx, s, key, value)
}

// update writes a table record to the local storage. Control records only move
// the offset (rule 6).
func update(_ goka.UpdateContext, s gokastorage.Storage, key string, value []byte) error {
	switch {
	case key == controlKey:
		return nil
	case value == nil:
		return s.Delete(key)
	}
	return s.Set(key, value)
}

// Ready reports whether this member's tables are recovered and it consumes.
func (r *Runner) Ready() bool { return r.working.Load() != nil }

// Assigned returns the table partitions that this member owns and has
// recovered, nil when it is not Ready.
func (r *Runner) Assigned() []int32 {
	s := r.working.Load()
	if s == nil {
		return nil
	}
	return s.owned[r.proc.Group.Inputs[0].Name]
}

// Get returns the committed value of a key, nil when it is unknown, and
// ErrNotOwned when its partition is not this member's.
func (r *Runner) Get(key string) (proto.Message, error) {
	s := r.working.Load()
	if s == nil {
		return nil, ErrNotOwned
	}
	value, open, err := s.r.store.Committed(r.proc.Group.Table.Name, Partition(key, r.partitions), key)
	switch {
	case err != nil:
		return nil, err
	case !open:
		return nil, ErrNotOwned
	case value == nil:
		return nil, nil
	}
	m, bad := core.Decode(r.proc.Group.Table.New, value)
	if bad != nil {
		return nil, fmt.Errorf("state of key %q: %w", key, bad)
	}
	return m, nil
}

// ready is called when a session's tables are recovered.
func (r *Runner) ready(s *session, took time.Duration) {
	n := 0
	for _, ps := range s.owned {
		n += len(ps)
	}
	r.metrics.assigned.Set(float64(n))
	r.metrics.recovery.Set(took.Seconds())
	r.working.Store(s)
	r.cfg.Logger.Info("group is consuming", "group", r.proc.Group.Name, "member", r.cfg.Member, "partitions", n, "recovery", took)
}

func (r *Runner) unready() {
	r.working.Store(nil)
	r.metrics.assigned.Set(0)
}

// session is the one whose records the handler is given.
func (r *Runner) session() *session { return r.member.Load().session.Load() }

// restarted reports a session or a client that failed.
func (r *Runner) restarted(err error) {
	r.metrics.restarts.Inc()
	r.cfg.Logger.Warn("group starts again", "group", r.proc.Group.Name, "member", r.cfg.Member, "cause", err)
}

// progress counts the transactions committed so far.
func (r *Runner) progress() int64 { return r.batches.Load() }
