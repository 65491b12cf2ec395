package stream

import (
	"context"
	"errors"
	"iter"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
)

var errSkeleton = errors.New("stream: not built yet")

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
