package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// probeInterval is how often a partition that has not been at its end yet, and
// from which nothing comes, is asked whether it has come to one.
const probeInterval = 50 * time.Millisecond

// probe finds ends of the log that no record stands for (rule 6).
func (r *reader) probe() {
	t := time.NewTicker(probeInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-r.ctx.Done():
			return
		}
		for _, p := range r.stuck() {
			from := p.next.Load()
			end, err := logEnd(r.ctx, r.asker, p.topic, p.partition, from)
			if err != nil || end < 0 {
				continue // it is not known yet: ask again
			}
			r.do(func() { r.ended(p, from, end) })
		}
	}
}

// stuck returns the unproven partitions that have not moved since the last
// call.
func (r *reader) stuck() []*partitionReader {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*partitionReader
	for p, before := range r.unproven {
		next := p.next.Load()
		if next == before {
			out = append(out, p)
		}
		r.unproven[p] = next
	}
	return out
}

// ended passes on that nothing comes before end.
func (r *reader) ended(p *partitionReader, from, end int64) {
	if r.open[p.topic][p.partition] != p || p.proven || p.next.Load() != from {
		return
	}
	r.prove(p)
	r.ends.Store(topicPartition{p.topic, p.partition}, end)
	if from < end {
		p.send(&sarama.ConsumerMessage{Topic: p.topic, Partition: p.partition, Offset: end - 1, Key: []byte(controlKey)})
	}
}

// logEnd returns the high-water mark of a partition if no committed record and
// no open transaction lies between from and it, and -1 if one does. A fetch
// shows it: the client does not tell its position when it gets no record. cl
// must not consume itself, because a broker answers the fetches of a connection
// one after the other.
func logEnd(ctx context.Context, cl *kgo.Client, topic string, partition int32, from int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	topics, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	if err != nil {
		return -1, fmt.Errorf("topic %s: %w", topic, err)
	}
	detail := topics[topic]
	leader, ok := detail.Partitions[partition]
	if !ok || detail.Err != nil || leader.Err != nil {
		return -1, fmt.Errorf("%s/%d has no leader: %w", topic, partition, errors.Join(detail.Err, leader.Err))
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 1, 0, 1<<20
	req.IsolationLevel = 1 // read committed
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = topic, detail.ID
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = partition, from, 1<<20
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)

	raw, err := cl.Broker(int(leader.Leader)).Request(ctx, req)
	if err != nil {
		return -1, fmt.Errorf("fetch %s/%d: %w", topic, partition, err)
	}
	resp := raw.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return -1, fmt.Errorf("fetch %s/%d: %w", topic, partition, err)
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return -1, fmt.Errorf("fetch %s/%d: the answer is of another partition", topic, partition)
	}
	part := &resp.Topics[0].Partitions[0]
	if part.ErrorCode == kerr.OffsetOutOfRange.Code {
		return endAfterStart(ctx, cl, topic, partition, from)
	}
	if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
		return -1, fmt.Errorf("fetch %s/%d: %w", topic, partition, err)
	}
	f, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: from, IsolationLevel: kgo.ReadCommitted(), KeepControlRecords: true, Topic: topic, Partition: partition,
	}, part, kgo.DefaultDecompressor(), nil)
	nothing := len(f.Records) == 0 && (len(part.RecordBatches) == 0 || next >= part.HighWatermark)
	if nothing && part.LastStableOffset >= part.HighWatermark {
		return part.HighWatermark, nil
	}
	return -1, nil
}

// endAfterStart is logEnd for an offset that the log does not hold any more.
func endAfterStart(ctx context.Context, cl *kgo.Client, topic string, partition int32, from int64) (int64, error) {
	starts, err := kadm.NewClient(cl).ListStartOffsets(ctx, topic)
	if err != nil {
		return -1, fmt.Errorf("offsets of %s: %w", topic, err)
	}
	start, ok := starts.Lookup(topic, partition)
	if !ok || start.Err != nil || start.Offset <= from {
		return -1, fmt.Errorf("%s/%d has no offset %d: %w", topic, partition, from, errors.Join(kerr.OffsetOutOfRange, start.Err))
	}
	return logEnd(ctx, cl, topic, partition, start.Offset)
}
