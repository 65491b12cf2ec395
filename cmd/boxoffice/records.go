package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
)

// recordCounts is how many committed records are in the topics.
type recordCounts struct {
	// eventsAndCommands leaves out the tables.
	eventsAndCommands int64
	byTopic           map[string]int64
}

// countRecords reads every topic of events and commands up to its end and
// counts; offsets cannot tell, since transactions leave markers between records.
func countRecords(ctx context.Context, brokers []string) (recordCounts, error) {
	counts := recordCounts{byTopic: map[string]int64{}}
	var topics []string
	for _, t := range topology.Topics() {
		if t.Cleanup == topology.Delete {
			topics = append(topics, t.Name)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return counts, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return counts, fmt.Errorf("ask where the topics end: %w", err)
	}
	open := map[string]map[int32]int64{}
	start := map[string]map[int32]kgo.Offset{}
	left := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset == 0 {
			return
		}
		if open[o.Topic] == nil {
			open[o.Topic], start[o.Topic] = map[int32]int64{}, map[int32]kgo.Offset{}
		}
		open[o.Topic][o.Partition], start[o.Topic][o.Partition] = o.Offset, kgo.NewOffset().AtStart()
		left++
	})
	client.AddConsumePartitions(start)
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return counts, fmt.Errorf("count the records: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, reading := open[r.Topic][r.Partition]
			if !reading {
				return
			}
			if r.Offset < end && !r.Attrs.IsControl() {
				counts.byTopic[r.Topic]++
				counts.eventsAndCommands++
			}
			if r.Offset >= end-1 {
				delete(open[r.Topic], r.Partition)
				left--
			}
		})
	}
	return counts, nil
}
