package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/eventpro/boxoffice/internal/topology"
)

// part names one partition of a topic.
type part struct {
	topic string
	id    int32
}

// cut says where partitions end: the offset after their last committed record.
type cut map[part]int64

// of returns the partitions of one topic.
func (c cut) of(topic string) map[int32]int64 {
	ends := map[int32]int64{}
	for p, end := range c {
		if p.topic == topic {
			ends[p.id] = end
		}
	}
	return ends
}

// add lists where topics end now.
func (c cut) add(ctx context.Context, admin *kadm.Client, topics ...topology.Topic) error {
	names := make([]string, 0, len(topics))
	for _, t := range topics {
		names = append(names, t.Name)
	}
	listed, err := admin.ListCommittedOffsets(ctx, names...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return fmt.Errorf("listing where %v end: %w", names, err)
	}
	listed.Each(func(o kadm.ListedOffset) { c[part{o.Topic, o.Partition}] = o.Offset })
	return nil
}

// reading is what is read, whatever is caused before its cause.
var reading = [][]topology.Topic{
	{topology.RegistrationsTable, topology.InventoryTable, topology.PaymentsTable, topology.CatalogTable},
	{topology.RegistrationEvents},
	{topology.PaymentEvents, topology.SeatEvents, topology.BlockEvents, topology.CatalogEvents},
	{topology.DeadLetters},
	{topology.RegistrationCommands},
}

// takeCut lists all ends in the order of reading.
func takeCut(ctx context.Context, admin *kadm.Client) (cut, error) {
	c := cut{}
	for _, topics := range reading {
		if err := c.add(ctx, admin, topics...); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c cut) equal(other cut) bool { return maps.Equal(c, other) }

// starts lists where topics begin: above 0 once retention has taken records.
func starts(ctx context.Context, admin *kadm.Client, topic topology.Topic) (cut, error) {
	listed, err := admin.ListStartOffsets(ctx, topic.Name)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing where %s begins: %w", topic.Name, err)
	}
	c := cut{}
	listed.Each(func(o kadm.ListedOffset) { c[part{o.Topic, o.Partition}] = o.Offset })
	return c, nil
}

// committed lists the offsets of a group: everything below was handled.
func committed(ctx context.Context, admin *kadm.Client, group string) (cut, error) {
	offsets, err := admin.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return cut{}, nil // it has never committed
	}
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the offsets of group %s: %w", group, err)
	}
	c := cut{}
	offsets.Each(func(o kadm.OffsetResponse) { c[part{o.Topic, o.Partition}] = max(o.At, 0) })
	return c, nil
}
