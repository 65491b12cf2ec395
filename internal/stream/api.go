package stream

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
)

var errSkeleton = errors.New("stream: not built yet")

// Run runs the processor until ctx ends (nil) or it fails for good.
func Run(ctx context.Context, cfg Config, p Processor) error {
	r, err := NewRunner(cfg, p)
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// Runner runs one stateful group's share of partitions.
type Runner struct{}

// NewRunner checks the configuration; it connects in Run.
func NewRunner(cfg Config, p Processor) (*Runner, error) { return nil, errSkeleton }

// Run consumes until ctx ends (nil) or the group fails for good.
func (r *Runner) Run(ctx context.Context) error { return errSkeleton }

// Ready reports whether the member's partitions are recovered and consuming.
func (r *Runner) Ready() bool { return false }

// Get returns the committed value of a key whose partition this member owns; nil when unknown.
func (r *Runner) Get(key string) (proto.Message, error) { return nil, errSkeleton }

// ErrBudget stops a group too many of whose records fail.
var ErrBudget = errors.New("too many records fail")

// ErrNotOwned is Get's answer for a key of a partition that another member owns.
var ErrNotOwned = errors.New("partition not owned by this member")

// Stage consumes a group for effects outside Kafka, at least once. Exactly one of Handle and Batch is set.
type Stage struct {
	Group topology.Group
	// Handle handles one message; messages of a key one after the other in log order. Its outputs are
	// acknowledged before the message is committed. A *transition.Poison goes to the dead letters; any other
	// error is tried again with backoff.
	Handle func(ctx context.Context, m *transition.Message) ([]transition.Output, error)
	// Workers bounds the concurrent Handle calls (64).
	Workers int
	// Batch handles many messages, each partition's in log order; all of them are committed when it returns nil.
	Batch func(ctx context.Context, ms []*transition.Message) error
	// BatchRecordsMax and BatchWait bound a batch by size and by time (10,000 and 500 ms).
	BatchRecordsMax int
	BatchWait       time.Duration
}

// StageRunner runs a Stage.
type StageRunner struct{}

// NewStage checks the configuration; it connects in Run.
func NewStage(cfg Config, s Stage) (*StageRunner, error) { return nil, errSkeleton }

// Run consumes until ctx ends (nil) or it fails for good.
func (s *StageRunner) Run(ctx context.Context) error { return errSkeleton }

// Ready reports whether the stage has joined its group.
func (s *StageRunner) Ready() bool { return false }

// ViewOptions are optional.
type ViewOptions struct {
	// OnUpdate is called after each update is visible, per partition in log order; it must not block.
	OnUpdate func(u Update)
}

// Update is one change of a view's table.
type Update struct {
	Key       string
	Value     []byte
	Partition int32
	Offset    int64
}

// View serves a table from its compacted topic.
type View struct{}

// NewView opens a view of table; role keeps apart two views of a table under one DataDir.
func NewView(cfg Config, role string, table topology.Topic, opts ViewOptions) (*View, error) {
	return nil, errSkeleton
}

// Run reads until ctx ends.
func (v *View) Run(ctx context.Context) error { return errSkeleton }

// Ready reports whether the view has caught up, and again after each reconnect.
func (v *View) Ready() bool { return false }

// ErrRecovering is Get's answer while the view is behind.
var ErrRecovering = errors.New("view is recovering")

// Get returns the value of a key, nil when unknown, ErrRecovering while not Ready.
func (v *View) Get(key string) (proto.Message, error) { return nil, errSkeleton }

// Freshness is how far one partition of a view is.
type Freshness struct {
	Partition int32
	// Offset is the last one applied, -1 for none; Lag is in records.
	Offset int64
	Lag    int64
}

// Freshness returns that of the key's partition.
func (v *View) Freshness(key string) Freshness { return Freshness{} }

// Partitions returns the freshness of every partition.
func (v *View) Partitions() []Freshness { return nil }

// WaitFor returns the first value of key that satisfies pred (which gets nil for an unknown key), or ctx's error
// with the last value seen.
func (v *View) WaitFor(ctx context.Context, key string, pred func(proto.Message) bool) (proto.Message, error) {
	return nil, errSkeleton
}

// Watch yields the key's present value (nil when unknown) and then each newer one, skipping those that are
// overtaken before the consumer is back; it ends with ctx.
func (v *View) Watch(ctx context.Context, key string) iter.Seq2[proto.Message, error] { return nil }

// Range calls fn for every key and value until it returns false, in key order per partition.
func (v *View) Range(fn func(key string, value proto.Message) bool) error { return errSkeleton }

// Follower reads all partitions of topics from the start, read committed, and keeps nothing.
type Follower struct{}

// NewFollower checks the configuration. fn is called from one goroutine, per partition in log order; control
// records are not passed on.
func NewFollower(cfg Config, topics []topology.Topic, fn func(*kgo.Record)) (*Follower, error) {
	return nil, errSkeleton
}

// Run reads until ctx ends.
func (f *Follower) Run(ctx context.Context) error { return errSkeleton }

// CaughtUp is closed when everything that was there when Run began has been passed on.
func (f *Follower) CaughtUp() <-chan struct{} { return nil }

// Position is where a record is in the log.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Header is a record header.
type Header = kgo.RecordHeader

// ErrFull says that the emitter's buffer is full: try again later.
var ErrFull = errors.New("emit buffer is full")

// Emitter is an idempotent producer outside of transactions.
type Emitter struct{}

// NewEmitter connects lazily.
func NewEmitter(cfg Config) (*Emitter, error) { return nil, errSkeleton }

// Emit writes one record and returns its position once all in-sync replicas have it. ErrFull without waiting
// when the buffer is full.
func (e *Emitter) Emit(ctx context.Context, topic topology.Topic, key string, value proto.Message, headers ...Header) (Position, error) {
	return Position{}, errSkeleton
}

// EmitAsync is Emit with the answer passed to done.
func (e *Emitter) EmitAsync(topic topology.Topic, key string, value proto.Message, done func(Position, error), headers ...Header) {
}

// Close waits until everything is acknowledged or ctx ends.
func (e *Emitter) Close(ctx context.Context) error { return errSkeleton }

// Ensure creates the topics that are missing and fails on one whose partitions or settings differ.
func Ensure(ctx context.Context, cl *kgo.Client, topics []topology.Topic, partitions, replication int) error {
	return errSkeleton
}

// Description is what a broker says of a topic.
type Description struct {
	Topic       string
	Exists      bool
	Partitions  int
	Replication int
	Settings    map[string]string
	// Differences says where it departs from the catalogue.
	Differences []string
}

// Describe compares the topics with the catalogue.
func Describe(ctx context.Context, cl *kgo.Client, topics []topology.Topic, partitions, replication int) ([]Description, error) {
	return nil, errSkeleton
}

// DeadLetterTopic takes the records that could not be handled, with headers that say where they come from and why.
var DeadLetterTopic = topology.Topic{
	Name: "dead-letters", Key: "dead letter id", Cleanup: topology.Delete, Retention: 30 * 24 * time.Hour,
	About: "records that could not be handled, as they were, with their origin and the reason in the headers",
}
