package stream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
)

// Stage consumes a group's inputs for effects outside Kafka. It is
// at-least-once by nature (runtime rule 10): a message may come again after a
// crash or a rebalance, so its effect must carry an idempotency key. Exactly
// one of Handle, Batch and Forward is set.
//
// A *transition.Poison sends the message to the dead letters. Any other error
// is tried again with backoff until it passes or the partition is lost: an
// outage outside is no reason to drop a message. Meanwhile the messages of its
// key wait, to keep their order, and the others go on: a pause holds no worker.
// Only when Workers * 16 messages wait for a failing key, or for several, is
// nothing more read; and nothing is committed past a message that waits (I6).
type Stage struct {
	Group topology.Group
	// Handle handles one message: those of a key one after the other in log
	// order, those of different keys concurrently. Its outputs are
	// acknowledged by Kafka before the message is committed.
	Handle func(ctx context.Context, m *transition.Message) ([]transition.Output, error)
	// Forward handles one record as it is, as Handle does a message. Its inputs
	// are decoded by nobody, so it may return an *Undecodable.
	Forward func(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error)
	// Due is when a record may be handled; until then it waits like one whose
	// attempt failed. nil: at once. Waiting counts those that wait; nil: nobody
	// wants to know.
	Due     func(r *kgo.Record) time.Time
	Waiting prometheus.Gauge
	// Workers bounds the concurrent calls of Handle or Forward (64).
	Workers int
	// Batch handles many messages, those of a partition in log order. When it
	// returns nil, all of them are committed. When it returns poison, they come
	// again one by one, to find out which.
	Batch func(ctx context.Context, ms []*transition.Message) error
	// BatchRecordsMax and BatchWait bound a batch by size and by the time
	// since its first message (10,000 and 500 ms).
	BatchRecordsMax int
	BatchWait       time.Duration
}

// Validate says what is missing or contradictory, all of it at once.
func (s *Stage) Validate() error {
	g := s.Group
	var errs []error
	complain := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("stage %q: "+format, append([]any{g.Name}, args...)...))
	}
	if g.Name == "" {
		complain("no name")
	}
	if len(g.Inputs) == 0 {
		complain("no inputs")
	}
	ways := 0
	for _, set := range []bool{s.Handle != nil, s.Batch != nil, s.Forward != nil} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		complain("exactly one of Handle, Batch and Forward must be set")
	}
	if s.Workers < 0 || s.BatchRecordsMax < 0 || s.BatchWait < 0 {
		complain("limits must not be negative")
	}
	for _, t := range g.Inputs {
		if t.New == nil && s.Forward == nil {
			complain("topic %q has no message type", t.Name)
		}
	}
	return errors.Join(errs...)
}

const (
	// commitInterval is how often the finished prefixes are committed.
	commitInterval = 50 * time.Millisecond
	// drainTimeout is how long a revocation waits for what is being handled,
	// so that the next owner does not handle it at the same time.
	drainTimeout = 15 * time.Second
	// inFlightPerWorker bounds the messages that wait for a worker.
	inFlightPerWorker = 16
)

// StageRunner runs one member of a stage's group.
type StageRunner struct {
	cfg     Config
	stage   Stage
	types   map[string]func() proto.Message
	outputs map[string]bool
	metrics *groupMetrics

	cl     *kgo.Client
	adm    *kadm.Client
	tenure atomic.Pointer[tenure] // the present assignment, nil: none
	ready  atomic.Bool
}

// NewStage checks the configuration; Run connects.
func NewStage(cfg Config, s Stage) (*StageRunner, error) {
	if err := errors.Join(cfg.owner(false), s.Validate()); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	def(&s.Workers, 64)
	def(&s.BatchRecordsMax, 10_000)
	def(&s.BatchWait, 500*time.Millisecond)
	r := &StageRunner{
		cfg: cfg, stage: s, metrics: newMetrics(cfg.Registerer).group(s.Group.Name),
		types: map[string]func() proto.Message{}, outputs: map[string]bool{},
	}
	for _, t := range s.Group.Inputs {
		r.types[t.Name] = t.New
	}
	for _, t := range s.Group.Outputs {
		r.outputs[t.Name] = true
	}
	return r, nil
}

// Ready reports whether the member has an assignment (which may be empty).
func (r *StageRunner) Ready() bool { return r.ready.Load() }

// Run consumes until ctx ends (nil), or until another process takes its member
// id (ErrMemberTaken). What may pass is tried again with backoff. On a stop it waits for what is being handled.
func (r *StageRunner) Run(ctx context.Context) error {
	pause := backoff{min: r.cfg.RestartBackoffMin, max: r.cfg.RestartBackoffMax}
	for {
		err := r.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, kerr.FencedInstanceID) {
			return fmt.Errorf("group %s: member %q: %w; give each process its own", r.stage.Group.Name, r.cfg.Member, ErrMemberTaken)
		}
		r.metrics.restarts.Inc()
		r.cfg.Logger.Warn("stage starts again", "group", r.stage.Group.Name, "member", r.cfg.Member, "cause", err)
		if !pause.wait(ctx) {
			return nil
		}
	}
}

// once runs one client until it is spent.
func (r *StageRunner) once(ctx context.Context) error {
	cl, err := kgo.NewClient(append(append(r.cfg.joining(), r.cfg.producing()...),
		kgo.ProducerLinger(0),
		kgo.ConsumerGroup(r.stage.Group.Name),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), // what was polled is in the tenure before it can end
		kgo.OnPartitionsAssigned(r.assigned),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { r.end(true) }),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { r.end(false) }),
	)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	r.cl, r.adm = cl, kadm.NewClient(cl)
	defer cl.CloseAllowingRebalance()
	defer r.end(true)
	// The client joins when it has topics. An assignment may come before the next
	// line, so what it uses is there by now.
	cl.AddConsumeTopics(names(r.stage.Group.Inputs)...)
	for ctx.Err() == nil {
		if err := r.poll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// poll takes what there is and hands it to the tenure.
func (r *StageRunner) poll(ctx context.Context) error {
	t := r.tenure.Load()
	if t != nil && !t.room(ctx) {
		return nil // it ended
	}
	limit, poll, cancel := r.bounds(ctx, t)
	if t != nil {
		t.lag.waiting(true)
	}
	fetches := r.cl.PollRecords(poll, limit)
	if t != nil {
		t.lag.waiting(false)
	}
	cancel()
	defer r.cl.AllowRebalance()
	if err := fetchError(fetches); err != nil {
		return err
	}
	// No rebalance can come between the poll and here: the tenure is the one
	// that the records belong to.
	if t = r.tenure.Load(); t != nil {
		t.take(fetches)
	}
	return nil
}

// bounds is how much, and until when, to poll.
func (r *StageRunner) bounds(ctx context.Context, t *tenure) (int, context.Context, context.CancelFunc) {
	if r.stage.Batch == nil {
		poll, cancel := context.WithCancel(ctx)
		return r.stage.Workers * inFlightPerWorker, poll, cancel
	}
	limit := r.stage.BatchRecordsMax
	if t != nil && len(t.batch) > 0 {
		poll, cancel := context.WithDeadline(ctx, t.batchDue)
		return limit - len(t.batch), poll, cancel
	}
	poll, cancel := context.WithCancel(ctx)
	return limit, poll, cancel
}

func (r *StageRunner) assigned(ctx context.Context, _ *kgo.Client, owned map[string][]int32) {
	n := 0
	for _, ps := range owned {
		n += len(ps)
	}
	r.metrics.assigned.Set(float64(n))
	r.tenure.Store(newTenure(r, owned))
	r.ready.Store(true)
}

// end ends the present tenure. When the partitions are still ours, it waits for
// what is being handled and commits it.
func (r *StageRunner) end(ours bool) {
	t := r.tenure.Swap(nil)
	if t == nil {
		return
	}
	r.ready.Store(false)
	t.end(ours)
}
