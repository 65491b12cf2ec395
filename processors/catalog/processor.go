package catalog

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Config configures the group, which has nothing to configure: what an
// event needs is in its commands.
type Config struct{}

// New wires the events into their group.
func New(Config) stream.Processor {
	return stream.Processor{Group: topology.Catalog, Handle: handle}
}

func handle(state proto.Message, m *transition.Message) (transition.Effect, error) {
	v, ok := state.(*pb.Event)
	if state != nil && !ok {
		return transition.Effect{}, fmt.Errorf("catalog: the table holds a %T for %s", state, m.Key)
	}
	return Apply(v, m)
}
