package ingest

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/stream"
)

// batch is a stream of orders and of their answers, as both doors have it.
type batch interface {
	// next returns the next order and its idempotency key. The order is valid
	// until the next call. A *problem.Problem is an order that cannot be read;
	// io.EOF ends the batch, and so does any other error.
	next() (key string, o *order, err error)
	// accepted and refused answer the order with that index.
	accepted(index uint64, id uuid.UUID, position stream.Position) error
	refused(index uint64, p *problem.Problem) error
	// flush sends what was answered.
	flush() error
	// interrupt makes a next that hangs return.
	interrupt()
}

// pending is an order of a batch on its way.
type pending struct {
	registering
	// err is why the order was refused before it was written.
	err   error
	start time.Time
	done  chan written
}

type written struct {
	position stream.Position
	err      error
}

// pipeline answers a batch in order. One side reads, prepares and writes to
// Kafka without waiting; the other waits for the acknowledgements in order and
// answers. What is between them is bounded, so a slow reader of answers, or a
// slow Kafka, slows the reading of orders down.
func (s *Server) pipeline(ctx context.Context, caller *apikey.Identity, b batch) error {
	queue := make(chan *pending, s.cfg.BatchInFlightMax)
	read := make(chan struct{})
	go func() {
		select {
		case <-s.draining:
			b.interrupt()
		case <-read:
		}
	}()
	answered := make(chan error, 1)
	go func() { answered <- s.answerAll(ctx, b, queue) }()
	last := s.readAll(ctx, caller, b, queue)
	close(read)
	close(queue)
	if err := <-answered; err != nil {
		return err
	}
	if last.err == nil {
		return nil
	}
	p := problem.From(last.err)
	s.note(ctx, p)
	if err := b.refused(last.index, p); err != nil {
		return err
	}
	return b.flush()
}

// ending is where a batch ended: err is nil when all of it was read, otherwise
// it says why the order with that index and those after it were not taken.
type ending struct {
	index uint64
	err   error
}

func (s *Server) readAll(ctx context.Context, caller *apikey.Identity, b batch, queue chan<- *pending) ending {
	for index := uint64(0); ; index++ {
		key, o, err := b.next()
		var p *problem.Problem
		switch {
		case errors.Is(err, io.EOF):
			return ending{}
		case s.stopping():
			return ending{index, problem.New(problem.ShuttingDown, "This instance is shutting down; send this line and those after it again, with the same idempotency keys.")}
		case err != nil && !errors.As(err, &p):
			return ending{index, problem.New(problem.MalformedJSON, "The batch ended early; send this line and those after it again.").Because(err)}
		}
		queue <- s.start(ctx, caller, key, o, err)
	}
}

// start prepares an order and hands it to Kafka without waiting.
func (s *Server) start(ctx context.Context, caller *apikey.Identity, key string, o *order, err error) *pending {
	p := &pending{err: err, start: time.Now()}
	if err == nil {
		p.registering, p.err = s.prepare(ctx, caller, key, o)
	}
	if p.err == nil {
		p.done = make(chan written, 1)
		s.emit(p)
	}
	return p
}

func (s *Server) emit(p *pending) {
	done := p.done
	s.cfg.Producer.EmitAsync(p.topic, p.key, p.value, func(position stream.Position, err error) {
		done <- written{position, err} // never blocks: one answer for each attempt, taken before the next
	})
}

func (s *Server) answerAll(ctx context.Context, b batch, queue <-chan *pending) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var failed error
	for index := uint64(0); ; index++ {
		p, ok := s.take(b, queue)
		if !ok {
			break
		}
		position, err := s.settle(ctx, b, p, timer)
		if failed != nil {
			continue // nobody hears the answers any more; the queue must still drain
		}
		if failed = s.answer(ctx, b, index, p, position, err); failed != nil {
			b.interrupt()
		}
	}
	if failed != nil {
		return failed
	}
	return b.flush()
}

// take returns the next order. When there is none yet, what was answered so far
// is sent.
func (s *Server) take(b batch, queue <-chan *pending) (*pending, bool) {
	select {
	case p, ok := <-queue:
		return p, ok
	default:
	}
	_ = b.flush() // an error comes again with the next answer
	p, ok := <-queue
	return p, ok
}

func (s *Server) answer(ctx context.Context, b batch, index uint64, p *pending, position stream.Position, err error) error {
	if err == nil {
		s.metrics.batchAccepted.Inc()
		return b.accepted(index, p.id, position)
	}
	s.metrics.batchRefused.Inc()
	refusal := problem.From(err)
	s.note(ctx, refusal)
	return b.refused(index, refusal)
}

// settle waits for the acknowledgement of an order. A full buffer is no refusal
// here: the order is tried again, and the caller slowed down.
func (s *Server) settle(ctx context.Context, b batch, p *pending, timer *time.Timer) (stream.Position, error) {
	if p.err != nil {
		return stream.Position{}, p.err
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		w := s.await(b, p, timer)
		s.produced(p.kind, p.start, w.err)
		if w.err == nil {
			s.recent.accepted(p.id, p.digest)
			return w.position, nil
		}
		if !errors.Is(w.err, stream.ErrFull) || time.Since(p.start) >= s.cfg.ProduceTimeout || ctx.Err() != nil {
			return stream.Position{}, problem.From(produceProblem(w.err)).About(registrationPath(p.id))
		}
		timer.Reset(pause)
		<-timer.C
		s.emit(p)
	}
}

func (s *Server) await(b batch, p *pending, timer *time.Timer) written {
	select {
	case w := <-p.done:
		return w
	default:
	}
	_ = b.flush() // an error comes again with the next answer
	timer.Reset(time.Until(p.start.Add(s.cfg.ProduceTimeout)))
	select {
	case w := <-p.done:
		return w
	case <-timer.C:
		return written{err: context.DeadlineExceeded}
	}
}
