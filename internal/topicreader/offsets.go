package topicreader

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

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
	listed, err := admin.ListCommittedOffsets(ctx, names...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing where %v end: %w", names, err)
	}
	return offsetsOf(listed), nil
}

// Starts lists where topics begin: above 0 once retention has taken records.
func Starts(ctx context.Context, admin *kadm.Client, topics ...topology.Topic) (Offsets, error) {
	names := namesOf(topics)
	listed, err := admin.ListStartOffsets(ctx, names...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing where %v begin: %w", names, err)
	}
	return offsetsOf(listed), nil
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
