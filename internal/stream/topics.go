package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
)

// Settings returns the broker settings of a topic (runtime rule 7). Topics are
// never created by the broker or by Goka, whose streams keep one hour.
func Settings(t topology.Topic, replication int) map[string]string {
	s := map[string]string{
		// Retention counts from when the broker got the record: an event time
		// in the past must not delete it at once.
		"message.timestamp.type": "LogAppendTime",
		"min.insync.replicas":    strconv.Itoa(max(1, replication-1)),
	}
	if t.Cleanup == topology.Compact {
		s["cleanup.policy"] = "compact"
		// Small segments and a low ratio keep what a recovery has to read short.
		// The embedded broker loads one segment of every partition at its start.
		s["segment.bytes"] = strconv.Itoa(16 << 20)
		s["min.cleanable.dirty.ratio"] = "0.1"
		return s
	}
	s["cleanup.policy"] = "delete"
	s["retention.ms"] = "-1"
	if t.Retention > 0 {
		s["retention.ms"] = strconv.FormatInt(t.Retention.Milliseconds(), 10)
	}
	return s
}

// Description is what the brokers say of a topic.
type Description struct {
	Topic       string
	Exists      bool
	Partitions  int
	Replication int
	// Settings are those that Settings names.
	Settings map[string]string
	// Differences says where the topic departs from the catalogue and what to
	// do about it; none means that it is as it should be.
	Differences []string
}

// Ensure creates the topics that are missing through cl, which must be neither
// a consumer nor transactional. It fails, and creates nothing, when there are some
// whose partitions, replication or settings differ from what the catalogue says.
func Ensure(ctx context.Context, cl *kgo.Client, topics []topology.Topic, partitions, replication int) error {
	adm, done, err := fresh(cl)
	if err != nil {
		return err
	}
	defer done()
	have, err := describe(ctx, adm, topics, partitions, replication)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range have {
		if !d.Exists {
			continue
		}
		for _, difference := range d.Differences {
			errs = append(errs, fmt.Errorf("topic %s: %s", d.Topic, difference))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, d := range have {
		if d.Exists {
			continue
		}
		if err := create(ctx, adm, topics[i], partitions, replication); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return settle(ctx, adm, topics)
}

// fresh returns an administrative client like cl that does not answer from
// what it knew some seconds ago.
func fresh(cl *kgo.Client) (adm *kadm.Client, done func(), err error) {
	own, err := kgo.NewClient(append(cl.Opts(), kgo.MetadataMinAge(metadataMinAge))...)
	if err != nil {
		return nil, nil, fmt.Errorf("kafka client: %w", err)
	}
	return kadm.NewClient(own), own.Close, nil
}

func create(ctx context.Context, adm *kadm.Client, t topology.Topic, partitions, replication int) error {
	settings := map[string]*string{}
	for k, v := range Settings(t, replication) {
		settings[k] = &v
	}
	_, err := adm.CreateTopic(ctx, int32(partitions), int16(replication), settings, t.Name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) { // another process was faster
		return fmt.Errorf("creating topic %s: %w", t.Name, err)
	}
	return nil
}

// settle waits until every broker that is asked knows the topics.
func settle(ctx context.Context, adm *kadm.Client, topics []topology.Topic) error {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		details, err := adm.ListTopics(ctx, names(topics)...)
		if err != nil {
			return fmt.Errorf("listing topics: %w", err)
		}
		if details.Error() == nil && leaders(details) {
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the new topics: %w", errors.Join(ctx.Err(), details.Error()))
		}
	}
}

func leaders(details kadm.TopicDetails) bool {
	for _, d := range details {
		for _, p := range d.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return false
			}
		}
	}
	return true
}

func names(topics []topology.Topic) []string {
	out := make([]string, len(topics))
	for i, t := range topics {
		out[i] = t.Name
	}
	return out
}

// Describe compares topics with the catalogue, in the order given.
func Describe(ctx context.Context, cl *kgo.Client, topics []topology.Topic, partitions, replication int) ([]Description, error) {
	adm, done, err := fresh(cl)
	if err != nil {
		return nil, err
	}
	defer done()
	return describe(ctx, adm, topics, partitions, replication)
}

func describe(ctx context.Context, adm *kadm.Client, topics []topology.Topic, partitions, replication int) ([]Description, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	details, err := adm.ListTopics(ctx, names(topics)...)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	out := make([]Description, len(topics))
	var known []string
	for i, t := range topics {
		out[i].Topic = t.Name
		d, ok := details[t.Name]
		if !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			out[i].Differences = []string{"does not exist: create it with `topics create`"}
			continue
		}
		if d.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", t.Name, d.Err)
		}
		out[i].Exists, out[i].Partitions, out[i].Replication = true, len(d.Partitions), d.Partitions.NumReplicas()
		known = append(known, t.Name)
	}
	if len(known) == 0 {
		return out, nil
	}
	configs, err := adm.DescribeTopicConfigs(ctx, known...)
	if err != nil {
		return nil, fmt.Errorf("describing topics: %w", err)
	}
	for i := range out {
		if out[i].Exists {
			compare(&out[i], topics[i], configs, partitions, replication)
		}
	}
	return out, nil
}

func compare(d *Description, t topology.Topic, configs kadm.ResourceConfigs, partitions, replication int) {
	if d.Partitions != partitions {
		d.Differences = append(d.Differences, fmt.Sprintf("has %d partitions, %d are configured; a count is for ever, because it decides where a key lives: configure %d, or move the data to new topics",
			d.Partitions, partitions, d.Partitions))
	}
	if d.Replication != replication {
		d.Differences = append(d.Differences, fmt.Sprintf("has %d replicas, %d are configured: reassign its partitions, or configure %d", d.Replication, replication, d.Replication))
	}
	d.Settings = map[string]string{}
	want := Settings(t, replication)
	values := map[string]string{}
	if c, err := configs.On(t.Name, nil); err == nil {
		for _, kv := range c.Configs {
			values[kv.Key] = kv.MaybeValue()
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		value, ok := values[key]
		if !ok {
			continue // a broker that does not know the setting cannot contradict it
		}
		d.Settings[key] = value
		if value != want[key] {
			d.Differences = append(d.Differences, fmt.Sprintf("has %s=%s, it must be %s: kafka-configs --alter --topic %s --add-config %s=%s",
				key, value, want[key], t.Name, key, want[key]))
		}
	}
}
