package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/eventpro/boxoffice/internal/topology"
)

// reader reads topics from offsets to offsets.
type reader struct {
	brokers []string
	options []kgo.Opt
	// patience is how long nothing may come before a read is given up.
	patience time.Duration
	// records counts what was read.
	records atomic.Int64
	// progress is told after every poll.
	progress func(topic string, done, total int64)
}

// read calls handle for every committed record of a topic from the offsets on
// (nil: from the beginning) up to the ends. Records of one partition come in
// order, those of several partitions at the same time.
func (rd *reader) read(ctx context.Context, t topology.Topic, from, ends map[int32]int64, handle func(*kgo.Record) error) error {
	topic, compacted := t.Name, t.Cleanup == topology.Compact
	start := map[int32]kgo.Offset{}
	left, position := map[int32]int64{}, map[int32]int64{}
	var total, missing int64
	for id, end := range ends {
		if end > from[id] {
			start[id], left[id], position[id] = kgo.NewOffset().At(from[id]), end, from[id]
			total += end - from[id]
		}
	}
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(rd.brokers...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: start}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A partition may end in the marker of a transaction; it is what says
		// that the end is reached.
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(16 << 20), kgo.FetchMaxPartitionBytes(4 << 20),
	}, rd.options...)...)
	if err != nil {
		return fmt.Errorf("reading %s: %w", topic, err)
	}
	defer client.Close()
	for len(left) > 0 {
		fetches, err := rd.poll(ctx, client, topic, left)
		if errors.Is(err, errSilent) && compacted {
			// The last records were compacted away; the broker has answered.
			return nil
		}
		if err != nil {
			return err
		}
		reached, err := rd.handle(ctx, fetches, left, handle)
		if err != nil {
			return fmt.Errorf("reading %s: %w", topic, err)
		}
		for id, next := range reached {
			position[id] = next
			if next >= left[id] {
				delete(left, id)
				client.PauseFetchPartitions(map[string][]int32{topic: {id}})
			}
		}
		missing = 0
		for id, end := range left {
			missing += end - position[id]
		}
		rd.progress(topic, total-missing, total)
	}
	return nil
}

// errSilent: the broker answers, and has no more records.
var errSilent = errors.New("nothing comes")

// poll waits for records. A broker that hangs, and a partition whose last records
// were compacted away and which so never reaches its end, give nothing for a
// while: an error, so that half of the records are never taken for all.
func (rd *reader) poll(ctx context.Context, client *kgo.Client, topic string, left map[int32]int64) (kgo.Fetches, error) {
	patient, cancel := context.WithTimeout(ctx, rd.patience)
	defer cancel()
	fetches := client.PollFetches(patient)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var failed error
	fetches.EachError(func(topic string, partition int32, err error) {
		if failed == nil {
			failed = fmt.Errorf("reading %s/%d: %w", topic, partition, err)
		}
	})
	if patient.Err() == nil || failed == nil {
		return fetches, failed
	}
	if err := client.Ping(ctx); err != nil {
		return nil, fmt.Errorf("reading %s: %w", topic, err)
	}
	return nil, fmt.Errorf("reading %s: %w for %v, and %d partitions are not read to their ends", topic, errSilent, rd.patience, len(left))
}

// handle hands the records of each partition on and returns how far they went.
func (rd *reader) handle(ctx context.Context, fetches kgo.Fetches, left map[int32]int64, handle func(*kgo.Record) error) (map[int32]int64, error) {
	reached := map[int32]int64{}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		end, reading := left[p.Partition]
		if !reading || len(p.Records) == 0 {
			return
		}
		reached[p.Partition] = p.Records[len(p.Records)-1].Offset + 1
		g.Go(func() error {
			n := int64(0)
			defer func() { rd.records.Add(n) }()
			for _, r := range p.Records {
				if r.Offset >= end || r.Attrs.IsControl() {
					continue
				}
				n++
				if err := handle(r); err != nil {
					return fmt.Errorf("partition %d, offset %d: %w", r.Partition, r.Offset, err)
				}
			}
			return ctx.Err()
		})
	})
	return reached, g.Wait()
}
