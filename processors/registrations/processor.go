package registrations

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	"github.com/eventpro/boxoffice/internal/wire"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Availability is the Picker of the running group, which also learns from the
// group's own traffic; *availability.Index is one. It must be safe for concurrent
// use.
type Availability interface {
	Picker
	// Asked is told of a hold that was asked, and when.
	Asked(event []byte, ticketType string, block uint32, hold []byte, quantity uint32, now time.Time)
	// Observe is told what a block answered.
	Observe(e *pb.SeatEvent)
}

// Config configures the group. Zero Rules take DefaultRules.
type Config struct {
	Rules        Rules
	Availability Availability
	// Clock is the present for the age of unanswered holds; nil is time.Now. No
	// transition sees it.
	Clock func() time.Time
}

// Validate says what is missing or contradictory.
func (c Config) Validate() error {
	if c.Availability == nil {
		return errors.New("registrations: no availability index given")
	}
	if c.Rules == (Rules{}) {
		return nil
	}
	return c.Rules.Validate()
}

// New wires the saga into its group.
func New(cfg Config) stream.Processor {
	if cfg.Rules == (Rules{}) {
		cfg.Rules = DefaultRules()
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return stream.Processor{Group: topology.Registrations, Handle: cfg.handle, Deadline: Deadline, Timer: Timer}
}

func (c *Config) handle(state proto.Message, m *transition.Message) (transition.Effect, error) {
	r, ok := state.(*pb.Registration)
	if state != nil && !ok {
		return transition.Effect{}, fmt.Errorf("registrations: the table holds a %T for %s", state, m.Key)
	}
	if e, ok := m.Value.(*pb.SeatEvent); ok {
		c.Availability.Observe(e) // before the next block is picked
	}
	effect, err := Apply(r, m, &c.Rules, c.Availability)
	if err != nil {
		return effect, err
	}
	for _, o := range effect.Outputs {
		if s, ok := o.Value.(*pb.SeatCommand); ok && s.GetHold() != nil {
			c.Availability.Asked(s.EventId, s.TicketType, s.Block, s.HoldId, s.GetHold().Quantity, c.Clock())
		}
	}
	return effect, nil
}

// Deadline reads from an encoded Registration when it wants to be woken, in Unix
// milliseconds; open is false when it waits for nothing. It is field 1, so that
// the rest need not be decoded.
func Deadline(value []byte) (unixMillis int64, open bool) { return wire.Deadline(value) }

// Timer makes the message that wakes a registration.
func Timer(_ string, now time.Time) proto.Message {
	return &pb.Timer{NowUnixMs: now.UnixMilli()}
}
