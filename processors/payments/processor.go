package payments

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	"github.com/eventpro/boxoffice/internal/wire"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// New wires the money state machine into its group.
func New(cfg Config) stream.Processor {
	cfg = cfg.withDefaults()
	return stream.Processor{
		Group: topology.Payments,
		Handle: func(state proto.Message, m *transition.Message) (transition.Effect, error) {
			if state == nil {
				return cfg.Apply(nil, m)
			}
			p, ok := state.(*pb.Payment)
			if !ok {
				return transition.Effect{}, fmt.Errorf("payments: the table holds a %T for %s", state, m.Key)
			}
			return cfg.Apply(p, m)
		},
		Deadline: Deadline,
		Timer:    Timer,
	}
}

// Deadline reads from an encoded Payment when it wants to be woken, in Unix
// milliseconds; open is false when it waits for nothing.
func Deadline(value []byte) (unixMillis int64, open bool) { return wire.Deadline(value) }

// Timer makes the message that wakes a payment.
func Timer(_ string, now time.Time) proto.Message {
	return &pb.Timer{NowUnixMs: now.UnixMilli()}
}
