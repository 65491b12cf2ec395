package ingest

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
)

// command is a record that is ready to be written.
type command struct {
	kind  commandKind
	topic topology.Topic
	key   string
	value proto.Message
}

// enter counts a request in; leave counts it out, also one that was refused.
func (s *Server) enter() error {
	s.metrics.inFlight.Inc()
	if s.inFlight.Add(1) > int64(s.cfg.InFlightMax) {
		return problem.New(problem.Overloaded, "%d requests are being answered already; nothing was accepted. Repeat the request with the same idempotency key after Retry-After.", s.cfg.InFlightMax)
	}
	return nil
}

func (s *Server) leave() {
	s.inFlight.Add(-1)
	s.metrics.inFlight.Dec()
}

// produce writes a command and returns its position when all in-sync replicas
// have it. I2: nothing is answered as accepted before that. The error is a
// *problem.Problem: overloaded or kafka_unavailable.
func (s *Server) produce(ctx context.Context, cmd *command) (stream.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ProduceTimeout)
	defer cancel()
	start := time.Now()
	position, err := s.cfg.Producer.Emit(ctx, cmd.topic, cmd.key, cmd.value)
	s.produced(cmd.kind, start, err)
	return position, produceProblem(err)
}

// produced measures one attempt to write.
func (s *Server) produced(kind commandKind, start time.Time, err error) {
	s.metrics.produce.Observe(time.Since(start).Seconds())
	if err == nil {
		s.metrics.accepted[kind].Inc()
	}
}

func produceProblem(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stream.ErrFull):
		return problem.New(problem.Overloaded, "More comes in than can be written right now; nothing was accepted. Repeat the request with the same idempotency key after Retry-After.")
	}
	return problem.New(problem.KafkaUnavailable, "Kafka did not acknowledge the command in time, so it is not accepted as far as this instance knows. Repeat the request with the same idempotency key after Retry-After: it counts once.").Because(err)
}
