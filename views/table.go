package views

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Table is a read-only copy of a state table that follows its topic;
// *stream.View is one.
type Table interface {
	// Ready reports whether the copy has caught up. It becomes false again when
	// the catch-up restarts.
	Ready() bool
	// Get returns the value of a key: nil when it is unknown,
	// stream.ErrRecovering while the table is not ready.
	Get(key string) (proto.Message, error)
	// Freshness is that of the key's partition.
	Freshness(key string) stream.Freshness
	// Partitions is the freshness of every partition.
	Partitions() []stream.Freshness
	// WaitFor returns the first value of key that satisfies pred, which gets nil
	// for an unknown key; or an error when ctx ends before. A table that is not
	// ready is waited for as well.
	WaitFor(ctx context.Context, key string, pred func(proto.Message) bool) (proto.Message, error)
	// Watch yields the key's value and then each newer one, until ctx ends. It
	// may skip values that were overtaken meanwhile, and is silent while the
	// table is not ready.
	Watch(ctx context.Context, key string) iter.Seq2[proto.Message, error]
	// Range calls fn for every key and value until it returns false.
	Range(fn func(key string, value proto.Message) bool) error
}

var _ Table = (*stream.View)(nil)

// source is a Table with its name and the time it was last seen caught up.
type source struct {
	Table
	// topic is the table's topic.
	topic string
	now   func() time.Time
	// caughtUp holds, per partition, when its lag was last seen to be zero
	// (Unix milliseconds, 0 for never). It grows only in sample.
	caughtUp atomic.Pointer[[]atomic.Int64]
}

func newSource(topic string, t Table, now func() time.Time) *source {
	return &source{Table: t, topic: topic, now: now}
}

// sample notes which partitions have read everything; called from one
// goroutine, it bounds the error of lag_ms by its interval.
func (s *source) sample() {
	partitions := s.Partitions()
	seen := s.caughtUp.Load()
	if seen == nil || len(*seen) < len(partitions) {
		grown := make([]atomic.Int64, len(partitions))
		if seen != nil {
			for i := range *seen {
				grown[i].Store((*seen)[i].Load())
			}
		}
		seen = &grown
		s.caughtUp.Store(seen)
	}
	now := s.now().UnixMilli()
	for _, p := range partitions {
		if p.Lag == 0 && int(p.Partition) < len(*seen) {
			(*seen)[p.Partition].Store(now)
		}
	}
}

// lagMillis is how long ago the partition had read everything; nil when that
// is not known.
func (s *source) lagMillis(f stream.Freshness) *int64 {
	if f.Lag == 0 {
		return proto.Int64(0)
	}
	seen := s.caughtUp.Load()
	if seen == nil || int(f.Partition) >= len(*seen) {
		return nil
	}
	at := (*seen)[f.Partition].Load()
	if at == 0 {
		return nil
	}
	return proto.Int64(max(0, s.now().UnixMilli()-at))
}

// freshness is that of one key. Take it before reading the value, so that the
// value is at least as new as it says.
func (s *source) freshness(key string) *pb.LookupFreshness {
	f := s.Freshness(key)
	return &pb.LookupFreshness{AsOf: &pb.LookupAsOf{
		Topic:      s.topic,
		Partition:  proto.Int32(f.Partition),
		Offset:     proto.Int64(f.Offset),
		LagRecords: proto.Int64(f.Lag),
		LagMs:      s.lagMillis(f),
	}}
}

// overall is the freshness of an answer that draws on every partition: the
// summed lag in records, and the longest in time.
func (s *source) overall() *pb.LookupFreshness {
	asOf := &pb.LookupAsOf{Topic: s.topic, LagRecords: proto.Int64(0), LagMs: proto.Int64(0)}
	for _, f := range s.Partitions() {
		*asOf.LagRecords += f.Lag
		ms := s.lagMillis(f)
		switch {
		case ms == nil:
			asOf.LagMs = nil
		case asOf.LagMs != nil:
			asOf.LagMs = proto.Int64(max(*asOf.LagMs, *ms))
		}
	}
	return &pb.LookupFreshness{AsOf: asOf}
}

// get reads one key. A table that is not ready answers nothing at all (that is
// in Get's contract): what it has may be old.
func (s *source) get(key string) (proto.Message, *pb.LookupFreshness, error) {
	fresh := s.freshness(key)
	value, err := s.Get(key)
	switch {
	case errors.Is(err, stream.ErrRecovering):
		return nil, nil, recovering(s.topic)
	case err != nil:
		return nil, nil, broken(err)
	}
	return value, fresh, nil
}
