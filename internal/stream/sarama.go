package stream

import (
	"context"
	"errors"
	"hash"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// This file fits the member and its sessions into the interfaces through which
// Goka consumes and produces (runtime rule 1).

// consumerGroup is the member as Goka's consumer group.
type consumerGroup struct {
	r *Runner
	m *member
}

var _ sarama.ConsumerGroup = consumerGroup{}

// Consume runs session after session until ctx ends or the client is spent.
// It does not return to Goka in between: Goka would pause for five seconds.
func (g consumerGroup) Consume(ctx context.Context, _ []string, h sarama.ConsumerGroupHandler) error {
	pause := backoff{min: g.r.cfg.RestartBackoffMin, max: g.r.cfg.RestartBackoffMax}
	for ctx.Err() == nil {
		owned, generation, err := g.m.assignment(ctx)
		if isFatal(err) {
			return err
		}
		if err != nil {
			return nil // stopped
		}
		s := newSession(ctx, g.r, g.m, owned, generation)
		before := g.r.progress()
		err = s.run(ctx, h)
		switch {
		case err == nil:
			pause.reset()
			continue
		case isFatal(err):
			return err
		}
		g.r.restarted(err)
		if g.r.progress() > before {
			pause.reset()
		}
		pause.wait(ctx)
	}
	return nil
}

func (g consumerGroup) Errors() <-chan error    { return nil } // errors come back from Consume
func (g consumerGroup) Close() error            { return nil } // the runner closes the client
func (consumerGroup) Pause(map[string][]int32)  {}
func (consumerGroup) Resume(map[string][]int32) {}
func (consumerGroup) PauseAll()                 {}
func (consumerGroup) ResumeAll()                {}

var _ sarama.ConsumerGroupSession = (*session)(nil)

// Claims implements sarama.ConsumerGroupSession.
func (s *session) Claims() map[string][]int32 { return s.owned }

// MemberID implements sarama.ConsumerGroupSession.
func (s *session) MemberID() string { return s.r.cfg.Member }

// GenerationID implements sarama.ConsumerGroupSession.
func (s *session) GenerationID() int32 { return int32(s.generation) }

// Context implements sarama.ConsumerGroupSession.
func (s *session) Context() context.Context { return s.ctx }

// MarkOffset counts a record that Goka has done with. Which one does not
// matter: the transaction ends when all are.
func (s *session) MarkOffset(string, int32, int64, string) {
	if s.left.Add(-1) == 0 {
		s.marked <- struct{}{}
	}
}

// MarkMessage implements sarama.ConsumerGroupSession.
func (s *session) MarkMessage(*sarama.ConsumerMessage, string) { s.MarkOffset("", 0, 0, "") }

// Commit implements sarama.ConsumerGroupSession; the transaction commits.
func (s *session) Commit() {}

// ResetOffset implements sarama.ConsumerGroupSession; Goka does not use it.
func (s *session) ResetOffset(string, int32, int64, string) {}

var _ sarama.ConsumerGroupClaim = (*claim)(nil)

func (c *claim) Topic() string                            { return c.topic }
func (c *claim) Partition() int32                         { return c.partition }
func (c *claim) InitialOffset() int64                     { return sarama.OffsetOldest }
func (c *claim) HighWaterMarkOffset() int64               { return 0 }
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }

// producer is the member's session as Goka's producer.
type producer struct {
	m *member
	// kept are promises that are kept already; they answer every emit in turn.
	// They are several because Goka calls back under a promise's lock.
	kept [64]*goka.Promise
	turn atomic.Uint32
}

var _ goka.Producer = (*producer)(nil)

func newProducer(m *member) *producer {
	p := &producer{m: m}
	for i := range p.kept {
		p.kept[i] = promise(nil)
	}
	return p
}

// promise returns one that is kept, or broken.
func promise(err error) *goka.Promise {
	p, finish := goka.NewPromiseWithFinisher()
	finish(nil, err)
	return p
}

func (p *producer) builder([]string, string, func() hash.Hash32) (goka.Producer, error) {
	return p, nil
}

// Emit implements goka.Producer.
func (p *producer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

// EmitWithHeaders adds a record to the open transaction. The promise is kept
// at once: Goka needs no acknowledgement to go on, because the transaction
// flushes before it commits, and does not commit when a record was refused.
// So Goka marks an input when its callback returns, and a batch costs one
// wait for the broker instead of one for each record.
func (p *producer) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	s := p.m.session.Load()
	if s == nil {
		return promise(errors.New("emit outside of a session"))
	}
	r := records.Get().(*kgo.Record)
	*r = *kgo.KeyStringRecord(key, "")
	r.Topic, r.Value = topic, value
	for k, v := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: v})
	}
	p.m.tx.Produce(context.Background(), r, s.produced)
	return p.kept[p.turn.Add(1)%uint32(len(p.kept))]
}

// Close implements goka.Producer; the runner closes the client.
func (p *producer) Close() error { return nil }
