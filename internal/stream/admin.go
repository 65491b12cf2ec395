package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// requestTimeout bounds one administrative request.
const requestTimeout = 30 * time.Second

// topicManager is Goka's view of topics, on franz-go. It creates nothing: all
// topics are made by Ensure (runtime rule 7), because Goka's own streams keep
// one hour.
type topicManager struct{ adm *kadm.Client }

var _ goka.TopicManager = topicManager{}

func newAdmin(cfg *Config) (*kgo.Client, error) {
	return kgo.NewClient(cfg.client()...)
}

func (t topicManager) Close() error { return nil }

func (t topicManager) detail(topic string) (kadm.TopicDetail, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	topics, err := t.adm.ListTopics(ctx, topic)
	if err != nil {
		return kadm.TopicDetail{}, fmt.Errorf("topic %s: %w", topic, err)
	}
	d, ok := topics[topic]
	if !ok || d.Err != nil {
		return kadm.TopicDetail{}, fmt.Errorf("topic %s does not exist: create the topics first: %w", topic, d.Err)
	}
	return d, nil
}

// Partitions returns the ids of all partitions, in order.
func (t topicManager) Partitions(topic string) ([]int32, error) {
	d, err := t.detail(topic)
	if err != nil {
		return nil, err
	}
	return d.Partitions.Numbers(), nil
}

// GetOffset returns the first offset or the high-water mark.
func (t topicManager) GetOffset(topic string, partition int32, which int64) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	list := t.adm.ListEndOffsets
	if which == sarama.OffsetOldest {
		list = t.adm.ListStartOffsets
	}
	offsets, err := list(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("offsets of %s: %w", topic, err)
	}
	o, ok := offsets.Lookup(topic, partition)
	if !ok {
		return 0, fmt.Errorf("topic %s has no partition %d", topic, partition)
	}
	if o.Err != nil {
		return 0, fmt.Errorf("offset of %s/%d: %w", topic, partition, o.Err)
	}
	return o.Offset, nil
}

func (t topicManager) EnsureTableExists(topic string, n int) error  { return t.ensure(topic, n) }
func (t topicManager) EnsureStreamExists(topic string, n int) error { return t.ensure(topic, n) }
func (t topicManager) EnsureTopicExists(topic string, n, _ int, _ map[string]string) error {
	return t.ensure(topic, n)
}

func (t topicManager) ensure(topic string, n int) error {
	d, err := t.detail(topic)
	if err != nil {
		return err
	}
	if have := len(d.Partitions); have != n {
		return fmt.Errorf("topic %s has %d partitions and its group's inputs have %d: a key would live in two places; create it anew with %d", topic, have, n, n)
	}
	return nil
}
