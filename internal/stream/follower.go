package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
)

// Follower reads all partitions of topics from their start, read committed,
// and keeps nothing. It is for indexes in memory.
type Follower struct {
	cfg      Config
	topics   []string
	fn       func(*kgo.Record)
	caughtUp chan struct{}
	once     sync.Once
}

// NewFollower checks the configuration; Run connects. fn is called from one
// goroutine, for each partition in log order. Records may come again after a
// connection was lost for good, so fn must bear a repetition.
func NewFollower(cfg Config, topics []topology.Topic, fn func(*kgo.Record)) (*Follower, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(topics) == 0 || fn == nil {
		return nil, errors.New("a follower needs topics and a function")
	}
	return &Follower{cfg: cfg.withDefaults(), topics: names(topics), fn: fn, caughtUp: make(chan struct{})}, nil
}

// CaughtUp is closed when everything that was in the topics when Run began has
// been passed on.
func (f *Follower) CaughtUp() <-chan struct{} { return f.caughtUp }

// Run reads until ctx ends (nil), through whatever may pass.
func (f *Follower) Run(ctx context.Context) error {
	pause := backoff{min: f.cfg.RestartBackoffMin, max: f.cfg.RestartBackoffMax}
	for {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		f.cfg.Logger.Warn("follower starts again", "topics", f.topics, "cause", err)
		if !pause.wait(ctx) {
			return nil
		}
	}
}

func (f *Follower) follow(ctx context.Context) error {
	cl, err := kgo.NewClient(append(f.cfg.consuming(), kgo.KeepControlRecords())...) // control records show how far it is
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	asker, err := newAdmin(&f.cfg)
	if err != nil {
		return err
	}
	defer asker.Close()
	goal, start, err := f.span(ctx, kadm.NewClient(asker))
	if err != nil {
		return err
	}
	cl.AddConsumePartitions(start)
	for {
		if len(goal) == 0 {
			f.once.Do(func() { close(f.caughtUp) })
		}
		poll, cancel := f.pollContext(ctx, goal)
		fetches := cl.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fetchError(fetches); err != nil {
			return err
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				if !r.Attrs.IsControl() {
					f.fn(r)
				}
				goal.reached(p.Topic, p.Partition, r.Offset+1)
			}
		})
		if fetches.NumRecords() == 0 {
			goal.probe(ctx, asker)
		}
	}
}

// pollContext lets a poll end early while the goal is not reached, to probe
// for ends that no record stands for.
func (f *Follower) pollContext(ctx context.Context, g goal) (context.Context, context.CancelFunc) {
	if len(g) == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, 2*probeInterval)
}

// goal is how far it is to the ends seen at the start, by partition; those
// that were reached are deleted.
type goal map[topicPartition]span

type topicPartition struct {
	topic     string
	partition int32
}

type span struct{ next, end int64 }

// span lists where the partitions start and end.
func (f *Follower) span(ctx context.Context, adm *kadm.Client) (goal, map[string]map[int32]kgo.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	starts, err := adm.ListStartOffsets(ctx, f.topics...)
	if err != nil {
		return nil, nil, fmt.Errorf("offsets: %w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, f.topics...)
	if err != nil {
		return nil, nil, fmt.Errorf("offsets: %w", err)
	}
	if err := errors.Join(starts.Error(), ends.Error()); err != nil {
		return nil, nil, fmt.Errorf("offsets: %w", err)
	}
	g, from := goal{}, map[string]map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		if from[end.Topic] == nil {
			from[end.Topic] = map[int32]kgo.Offset{}
		}
		from[end.Topic][end.Partition] = kgo.NewOffset().At(start.Offset)
		if start.Offset < end.Offset {
			g[topicPartition{end.Topic, end.Partition}] = span{start.Offset, end.Offset}
		}
	})
	return g, from, nil
}

func (g goal) reached(topic string, partition int32, next int64) {
	at := topicPartition{topic, partition}
	s, ok := g[at]
	if !ok {
		return
	}
	if next >= s.end {
		delete(g, at)
		return
	}
	s.next = next
	g[at] = s
}

// probe asks whether the partitions that are not there yet have an end that no
// record stands for.
func (g goal) probe(ctx context.Context, cl *kgo.Client) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for at, s := range g {
		if end, err := logEnd(ctx, cl, at.topic, at.partition, s.next); err == nil && end >= s.end {
			delete(g, at)
		}
	}
}
