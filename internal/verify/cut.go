package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/eventpro/boxoffice/internal/topicreader"
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
	topics, err := present(ctx, admin, topics)
	if err != nil || len(topics) == 0 {
		return err
	}
	ends, err := topicreader.Ends(ctx, admin, topics...)
	c.take(ends)
	return err
}

// younger are the topics that the first release did not have. A system that it
// left, and that no later one has started yet, is verified without them.
var younger = map[string]bool{topology.Retries.Name: true}

// present leaves out the younger topics that do not exist.
func present(ctx context.Context, admin *kadm.Client, topics []topology.Topic) ([]topology.Topic, error) {
	if !slices.ContainsFunc(topics, func(t topology.Topic) bool { return younger[t.Name] }) {
		return topics, nil
	}
	existing, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the topics: %w", err)
	}
	return slices.DeleteFunc(slices.Clone(topics), func(t topology.Topic) bool {
		return younger[t.Name] && !existing.Has(t.Name)
	}), nil
}

func (c cut) take(offsets topicreader.Offsets) {
	for topic, partitions := range offsets {
		for id, at := range partitions {
			c[part{topic, id}] = at
		}
	}
}

// reading is what is read, whatever is caused before its cause.
var reading = [][]topology.Topic{
	{topology.RegistrationsTable, topology.InventoryTable, topology.PaymentsTable, topology.CatalogTable},
	{topology.RegistrationEvents},
	{topology.PaymentEvents, topology.SeatEvents, topology.BlockEvents, topology.CatalogEvents},
	{topology.DeadLetters},
	{topology.Retries},
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
	c := cut{}
	offsets, err := topicreader.Starts(ctx, admin, topic)
	c.take(offsets)
	return c, err
}

// committed lists the offsets of a group: everything below was handled.
func committed(ctx context.Context, admin *kadm.Client, group string) (cut, error) {
	c := cut{}
	offsets, err := topicreader.Committed(ctx, admin, group)
	c.take(offsets)
	return c, err
}
