package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// controlKey is the key under which transaction markers, and ends of the log
// that no record stands for, are passed to Goka. They have no value and only
// move the offset.
const controlKey = "\x00control"

// readerBuffer is how many records of one partition may wait for Goka.
const readerBuffer = 1024

// reader is a sarama.Consumer on franz-go for tables: one client for all
// partitions, read committed (runtime rule 6).
//
// Goka's recovery ends only at a record whose offset is the high-water mark
// less one. A transaction marker is no record, and there may be none at all
// where the tail was compacted away. So markers are passed on as control
// records, and where the log ends without one, the prober finds out and one is
// made up.
//
// One goroutine owns the client's subscriptions and all sending; adding and
// removing partitions is done by it, between two polls, so that what was
// polled for a partition never reaches a later reader of the same partition.
type reader struct {
	cfg    *Config
	cl     *kgo.Client
	asker  *kgo.Client // for the prober: its fetches would wait behind those of cl
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex
	tasks    []func() // for the owner goroutine
	wake     context.CancelFunc
	unproven map[*partitionReader]int64 // see probe

	open map[string]map[int32]*partitionReader // owner goroutine's
	ends sync.Map                              // topicPartition -> high-water mark
}

var _ sarama.Consumer = (*reader)(nil)

// partitionReader is one partition as Goka reads it.
type partitionReader struct {
	r         *reader
	topic     string
	partition int32
	messages  chan *sarama.ConsumerMessage
	errs      chan *sarama.ConsumerError
	closing   chan struct{}
	once      sync.Once

	next   atomic.Int64 // first offset not passed on
	proven bool         // was at the end of the log once; owner goroutine's
}

var _ sarama.PartitionConsumer = (*partitionReader)(nil)

func newReader(cfg *Config) (*reader, error) {
	cl, err := kgo.NewClient(append(cfg.consuming(), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	asker, err := newAdmin(cfg)
	if err != nil {
		cl.Close()
		return nil, err
	}
	r := &reader{cfg: cfg, cl: cl, asker: asker, open: map[string]map[int32]*partitionReader{}, unproven: map[*partitionReader]int64{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.done.Go(r.own)
	r.done.Go(r.probe)
	return r, nil
}

// own is the owner goroutine.
func (r *reader) own() {
	defer r.closeAll()
	for r.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(r.ctx)
		r.mu.Lock()
		tasks := r.tasks
		r.tasks, r.wake = nil, cancel
		r.mu.Unlock()
		for _, task := range tasks {
			task()
		}
		if len(tasks) == 0 {
			r.dispatch(r.cl.PollFetches(ctx))
		}
		cancel()
	}
}

// do has the owner goroutine run task soon.
func (r *reader) do(task func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks = append(r.tasks, task)
	if r.wake != nil {
		r.wake()
	}
}

// ConsumePartition implements sarama.Consumer.
func (r *reader) ConsumePartition(topic string, partition int32, offset int64) (sarama.PartitionConsumer, error) {
	p := &partitionReader{
		r: r, topic: topic, partition: partition,
		messages: make(chan *sarama.ConsumerMessage, readerBuffer),
		errs:     make(chan *sarama.ConsumerError, 1),
		closing:  make(chan struct{}),
	}
	at := kgo.NewOffset().AtStart()
	if offset >= 0 {
		at = kgo.NewOffset().At(offset)
		p.next.Store(offset)
	}
	result := make(chan error, 1)
	r.do(func() { result <- r.add(p, at) })
	select {
	case err := <-result:
		return p, err
	case <-r.ctx.Done():
		return nil, errors.New("the reader is closed")
	}
}

func (r *reader) add(p *partitionReader, at kgo.Offset) error {
	if r.open[p.topic][p.partition] != nil {
		return fmt.Errorf("%s/%d is being read already", p.topic, p.partition)
	}
	if r.open[p.topic] == nil {
		r.open[p.topic] = map[int32]*partitionReader{}
	}
	r.open[p.topic][p.partition] = p
	r.mu.Lock()
	r.unproven[p] = -1
	r.mu.Unlock()
	r.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{p.topic: {p.partition: at}})
	return nil
}

func (r *reader) remove(p *partitionReader) {
	if r.open[p.topic][p.partition] != p {
		return
	}
	delete(r.open[p.topic], p.partition)
	r.prove(p)
	r.cl.RemoveConsumePartitions(map[string][]int32{p.topic: {p.partition}})
	close(p.messages)
	close(p.errs)
}

func (r *reader) closeAll() {
	for _, ps := range r.open {
		for _, p := range ps {
			r.remove(p)
		}
	}
}

// dispatch passes on what was polled.
func (r *reader) dispatch(fetches kgo.Fetches) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		p := r.open[f.Topic][f.Partition]
		if p == nil {
			return
		}
		if f.Err != nil {
			p.fail(f.Err)
			return
		}
		r.ends.Store(topicPartition{f.Topic, f.Partition}, f.HighWatermark)
		for _, rec := range f.Records {
			p.pass(rec)
		}
		if p.next.Load() >= f.HighWatermark {
			r.prove(p)
		}
	})
}

// prove notes that p has come to an end of the log.
func (r *reader) prove(p *partitionReader) {
	if p.proven {
		return
	}
	p.proven = true
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.unproven, p)
}

// end is the high-water mark of a partition as of the last fetch, 0 before.
func (r *reader) end(topic string, partition int32) int64 {
	end, _ := r.ends.Load(topicPartition{topic, partition})
	hwm, _ := end.(int64)
	return hwm
}

// HighWaterMarks implements sarama.Consumer.
func (r *reader) HighWaterMarks() map[string]map[int32]int64 { return nil }

// Partitions implements sarama.Consumer.
func (r *reader) Partitions(topic string) ([]int32, error) {
	return topicManager{kadm.NewClient(r.asker)}.Partitions(topic)
}

// Topics implements sarama.Consumer; Goka does not use it.
func (r *reader) Topics() ([]string, error) { return nil, errors.New("not supported") }

// Close implements sarama.Consumer.
func (r *reader) Close() error {
	r.cancel()
	r.done.Wait()
	r.cl.Close()
	r.asker.Close()
	return nil
}

func (*reader) Pause(map[string][]int32)  {}
func (*reader) Resume(map[string][]int32) {}
func (*reader) PauseAll()                 {}
func (*reader) ResumeAll()                {}

// pass sends one record to Goka.
func (p *partitionReader) pass(rec *kgo.Record) {
	msg := &sarama.ConsumerMessage{
		Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset,
		Key: rec.Key, Value: rec.Value, Timestamp: rec.Timestamp,
	}
	if rec.Attrs.IsControl() {
		msg.Key, msg.Value = []byte(controlKey), nil
	}
	p.send(msg)
}

func (p *partitionReader) send(msg *sarama.ConsumerMessage) {
	select {
	case p.messages <- msg:
		p.next.Store(msg.Offset + 1)
	case <-p.closing:
	case <-p.r.ctx.Done():
	}
}

func (p *partitionReader) fail(err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	select {
	case p.errs <- &sarama.ConsumerError{Topic: p.topic, Partition: p.partition, Err: err}:
	case <-p.closing:
	case <-p.r.ctx.Done():
	}
}

func (p *partitionReader) AsyncClose() {
	p.once.Do(func() {
		close(p.closing)
		p.r.do(func() { p.r.remove(p) })
	})
}

func (p *partitionReader) Close() error {
	p.AsyncClose()
	for range p.messages {
	}
	return nil
}

func (p *partitionReader) Messages() <-chan *sarama.ConsumerMessage { return p.messages }
func (p *partitionReader) Errors() <-chan *sarama.ConsumerError     { return p.errs }
func (p *partitionReader) HighWaterMarkOffset() int64               { return p.r.end(p.topic, p.partition) }
func (p *partitionReader) Pause()                                   {}
func (p *partitionReader) Resume()                                  {}
func (p *partitionReader) IsPaused() bool                           { return false }
