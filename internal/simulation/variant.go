package simulation

import (
	"context"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/transition"
)

// variant is a system that is broken on purpose. The zero value is the real one.
type variant struct {
	noFence                bool
	zombies                bool
	offsetsOfAnyGeneration bool
	unstableOffsets        bool
	ignoresRefusal         bool
	ignoresRefusedRecords  bool
	keepsDirtyTables       bool
	keepsSession           bool
	storesBeforeCommit     bool
	readsDiskOnly          bool
	readsUncommitted       bool
	recoveryStopsAtStable  bool
	endsAtRecordsOnly      bool
	plainOutputs           bool
	offsetsFirst           bool
	startsAtTheEnd         bool
	wrongHash              bool
	firesOnce              bool
	noIndexAfterRestart    bool
	stopsAtUndecodable     bool
	skipsUndecodable       bool
	marksFailures          bool
	buriesAtOnce           bool
	commitsPastUnfinished  bool
	putsOffAtOnce          bool
	putsOffNowhere         bool
	retriesUncounted       bool
	commitsBeforeBack      bool
	loadsLastComer         bool
	sumsRows               bool
	// freshKeys is how the paths end whose requests get a new idempotency key each.
	freshKeys string

	// handle wraps the handler of one group, call the gateway's.
	group  string
	handle func(w *world, next stream.Handler) stream.Handler
	call   func(w *world, next gatewayHandler) gatewayHandler
}

type gatewayHandler = func(context.Context, *transition.Message) ([]transition.Output, error)

// handler is the group's handler, broken if the variant says so.
func (v *variant) handler(w *world, p stream.Processor) stream.Handler {
	if v.handle != nil && v.group == p.Group.Name {
		return v.handle(w, p.Handle)
	}
	return p.Handle
}

func (v *variant) gateway(w *world, next gatewayHandler) gatewayHandler {
	if v.call != nil {
		return v.call(w, next)
	}
	return next
}
