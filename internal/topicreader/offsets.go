package topicreader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/eventpro/boxoffice/internal/pause"
	"github.com/eventpro/boxoffice/internal/topology"
)

// Offsets are offsets by topic and partition.
type Offsets map[string]map[int32]int64

func (o Offsets) set(topic string, partition int32, offset int64) {
	if o[topic] == nil {
		o[topic] = map[int32]int64{}
	}
	o[topic][partition] = offset
}

// Ends lists where topics end now: the offset after the last committed record.
func Ends(ctx context.Context, admin *kadm.Client, topics ...topology.Topic) (Offsets, error) {
	names := namesOf(topics)
	listed, err := list(ctx, admin.ListCommittedOffsets, names)
	if err != nil {
		return nil, fmt.Errorf("listing where %v end: %w", names, err)
	}
	return listed, nil
}

// Starts lists where topics begin: above 0 once retention has taken records.
func Starts(ctx context.Context, admin *kadm.Client, topics ...topology.Topic) (Offsets, error) {
	names := namesOf(topics)
	listed, err := list(ctx, admin.ListStartOffsets, names)
	if err != nil {
		return nil, fmt.Errorf("listing where %v begin: %w", names, err)
	}
	return listed, nil
}

// A partition that has got a new leader does not know its offsets for a moment.
const (
	leaderPause    = 100 * time.Millisecond
	leaderPatience = 30 * time.Second
)

// list asks again while all that stands in the way is a leader that moves.
func list(ctx context.Context, ask func(context.Context, ...string) (kadm.ListedOffsets, error), names []string) (Offsets, error) {
	for began := time.Now(); ; {
		listed, err := ask(ctx, names...)
		if err == nil {
			err = listed.Error()
		}
		if err == nil {
			return offsetsOf(listed), nil
		}
		if !kerr.IsRetriable(err) || time.Since(began) > leaderPatience {
			return nil, err
		}
		if !pause.For(ctx, leaderPause) {
			return nil, ctx.Err()
		}
	}
}

// Committed lists the offsets of a group: everything below was handled. A group
// that has never committed has none.
func Committed(ctx context.Context, admin *kadm.Client, group string) (Offsets, error) {
	offsets, err := admin.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return Offsets{}, nil
	}
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the offsets of group %s: %w", group, err)
	}
	o := Offsets{}
	offsets.Each(func(r kadm.OffsetResponse) { o.set(r.Topic, r.Partition, max(r.At, 0)) })
	return o, nil
}

func namesOf(topics []topology.Topic) []string {
	names := make([]string, 0, len(topics))
	for _, t := range topics {
		names = append(names, t.Name)
	}
	return names
}

func offsetsOf(listed kadm.ListedOffsets) Offsets {
	o := Offsets{}
	listed.Each(func(l kadm.ListedOffset) { o.set(l.Topic, l.Partition, l.Offset) })
	return o
}
