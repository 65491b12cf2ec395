package stream

import (
	"context"
	"errors"
	"iter"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
)

var errSkeleton = errors.New("stream: not built yet")

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
