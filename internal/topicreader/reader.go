// Package topicreader reads whole topics up to their ends as they are at one
// moment, committed records only, for whoever recomputes something from the log.
package topicreader

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/eventpro/boxoffice/internal/topology"
)

// Reader reads topics from offsets to offsets.
type Reader struct {
	Brokers []string
	// Options come on top, for TLS and SASL.
	Options []kgo.Opt
	// Patience is how long nothing may come before a read is given up; 30 s
	// when 0.
	Patience time.Duration
	// Progress is told after every poll; nil for nobody.
	Progress func(topic string, done, total int64)

	records atomic.Int64
	// newest is the latest time stamp of the last records of the fetches, in Unix
	// milliseconds.
	newest atomic.Int64
}

// Records counts what was read.
func (rd *Reader) Records() int64 { return rd.records.Load() }

// Newest is when the latest of the last records of the fetches was written, in Unix
// milliseconds; 0 when nothing was read.
func (rd *Reader) Newest() int64 { return rd.newest.Load() }

// patienceDefault is how long a broker may be silent.
const patienceDefault = 30 * time.Second

// Read calls handle for every committed record of a topic from the offsets on
// (nil: from the beginning) up to the ends. Records of one partition come in
// order, those of several partitions at the same time.
func (rd *Reader) Read(ctx context.Context, t topology.Topic, from, ends map[int32]int64, handle func(*kgo.Record) error) error {
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
		kgo.SeedBrokers(rd.Brokers...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: start}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A partition may end in the marker of a transaction; it is what says
		// that the end is reached.
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(16 << 20), kgo.FetchMaxPartitionBytes(4 << 20),
	}, rd.Options...)...)
	if err != nil {
		return fmt.Errorf("reading %s: %w", topic, err)
	}
	defer client.Close()
	for len(left) > 0 {
		fetches, err := rd.poll(ctx, client, topic, left)
		if errors.Is(err, ErrSilent) && compacted {
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
		if rd.Progress != nil {
			rd.Progress(topic, total-missing, total)
		}
	}
	return nil
}

// ReadAll calls handle for every committed record that a topic has now, as Read does.
func (rd *Reader) ReadAll(ctx context.Context, t topology.Topic, handle func(*kgo.Record) error) error {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(rd.Brokers...)}, rd.Options...)...)
	if err != nil {
		return fmt.Errorf("reading %s: %w", t.Name, err)
	}
	defer client.Close()
	ends, err := Ends(ctx, kadm.NewClient(client), t)
	if err != nil {
		return err
	}
	return rd.Read(ctx, t, nil, ends[t.Name], handle)
}

// ErrSilent says that the broker answers, and has no more records.
var ErrSilent = errors.New("nothing comes")

// poll waits for records. A broker that hangs, and a partition whose last records
// were compacted away and which so never reaches its end, give nothing for a
// while: an error, so that half of the records are never taken for all.
func (rd *Reader) poll(ctx context.Context, client *kgo.Client, topic string, left map[int32]int64) (kgo.Fetches, error) {
	patience := rd.Patience
	if patience == 0 {
		patience = patienceDefault
	}
	patient, cancel := context.WithTimeout(ctx, patience)
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
	return nil, fmt.Errorf("reading %s: %w for %v, and %d partitions are not read to their ends", topic, ErrSilent, patience, len(left))
}

// handle hands the records of each partition on and returns how far they went.
func (rd *Reader) handle(ctx context.Context, fetches kgo.Fetches, left map[int32]int64, handle func(*kgo.Record) error) (map[int32]int64, error) {
	reached := map[int32]int64{}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		end, reading := left[p.Partition]
		if !reading || len(p.Records) == 0 {
			return
		}
		last := p.Records[len(p.Records)-1]
		reached[p.Partition] = last.Offset + 1
		rd.newest.Store(max(rd.newest.Load(), last.Timestamp.UnixMilli()))
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
