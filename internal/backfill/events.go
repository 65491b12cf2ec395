package backfill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// openEvents makes the events that are missing, gives others more places, and
// waits until all of that is on sale: the commands of orders follow.
func (i *importer) openEvents(ctx context.Context) error {
	for _, e := range i.plan.Events {
		var err error
		switch {
		case e.Create != nil:
			err = i.openEvent(ctx, e)
		case e.Event.Status == pb.EventStatus_EVENT_STATUS_OPENING:
			err = i.awaitOpen(ctx, e)
		}
		if err != nil {
			return fmt.Errorf("event %q: %w", e.Key, err)
		}
		for _, t := range slices.Sorted(maps.Keys(e.Grow)) {
			capacity := e.Grow[t]
			err := i.change(ctx, e, &pb.CatalogCommand{
				Command: &pb.CatalogCommand_SetCapacity{SetCapacity: &pb.SetCapacity{TicketType: t, Capacity: capacity}},
			}, func(now *pb.Event) bool { return capacityOf(now, t, blockOpen) >= capacity })
			if err != nil {
				return fmt.Errorf("event %q, %d places of ticket type %s: %w", e.Key, capacity, t, err)
			}
		}
	}
	return nil
}

func (i *importer) openEvent(ctx context.Context, e *PlannedEvent) error {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(e.Create)
	if err != nil {
		return err
	}
	digest := i.Sealing.Digest("import event", body)
	return i.change(ctx, e, &pb.CatalogCommand{
		BodyDigest: digest[:], Command: &pb.CatalogCommand_CreateEvent{CreateEvent: e.Create},
	}, func(now *pb.Event) bool { return now.Status == pb.EventStatus_EVENT_STATUS_ON_SALE })
}

// change sends a command for an event and waits until it has taken effect.
func (i *importer) change(ctx context.Context, e *PlannedEvent, c *pb.CatalogCommand, effective func(*pb.Event) bool) error {
	key := e.ID.String()
	c.EventId, c.Organiser, c.RequestTimeUnixMs = e.ID[:], i.plan.targets.Organiser, i.Clock().UnixMilli()
	if len(c.BodyDigest) == 0 {
		digest := i.Sealing.Digest("import event", []byte(c.String()))
		c.BodyDigest = digest[:]
	}
	done := make(chan shown, 1)
	i.answers.expect(topology.CatalogTable, key, func(value proto.Message, at stream.Position) bool {
		now := value.(*pb.Event)
		last := now.LastCommand
		if last.GetPartition() == at.Partition && last.GetOffset() == at.Offset && last.GetVerdict() == pb.CommandVerdict_COMMAND_VERDICT_REJECTED {
			done <- shown{err: fmt.Errorf("the catalogue refuses it: %s", last.Reason)}
			return true
		}
		if !answered(last, at) || !effective(now) {
			return false
		}
		done <- shown{event: now}
		return true
	})
	at, err := i.emitter.Emit(ctx, topology.CatalogCommands, key, c)
	if err != nil {
		return err
	}
	i.answers.accepted(topology.CatalogTable, key, at)
	return i.awaitEvent(ctx, e, done)
}

// shown is what the catalogue shows of an event that is waited for.
type shown struct {
	event *pb.Event
	err   error
}

// awaitOpen waits for an event whose blocks have not all answered: an earlier run
// made it and was killed.
func (i *importer) awaitOpen(ctx context.Context, e *PlannedEvent) error {
	key, done := e.ID.String(), make(chan shown, 1)
	i.answers.expect(topology.CatalogTable, key, func(value proto.Message, _ stream.Position) bool {
		now := value.(*pb.Event)
		if now.Status == pb.EventStatus_EVENT_STATUS_OPENING {
			return false
		}
		done <- shown{event: now}
		return true
	})
	i.answers.accepted(topology.CatalogTable, key, stream.Position{})
	// It may have come on sale before its table was followed.
	events, err := i.Cluster.Events(ctx)
	if now := events[e.ID]; err != nil || now.GetStatus() != pb.EventStatus_EVENT_STATUS_OPENING {
		if now != nil {
			e.Event = now
		}
		return err
	}
	return i.awaitEvent(ctx, e, done)
}

// awaitEvent waits until an event is what it is to be, but not for ever.
func (i *importer) awaitEvent(ctx context.Context, e *PlannedEvent, done <-chan shown) error {
	patience := time.NewTimer(i.Patience)
	defer patience.Stop()
	for {
		select {
		case s := <-done:
			if s.err == nil {
				e.Event = s.event
			}
			return s.err
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			return errors.New("it is not on sale yet: are the processors running? Run the import again to go on")
		case <-i.decided:
			i.mu.Lock()
			failed := i.failed
			i.mu.Unlock()
			if failed != nil {
				return failed
			}
		}
	}
}
