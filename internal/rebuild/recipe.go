package rebuild

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// recipe says how a group's table is made from the log.
type recipe struct {
	group  topology.Group
	source topology.Topic
	// commands: the source is the group's input, so that it counts up to what
	// the group has committed, and only while nothing of it has expired.
	commands bool
	// key is the table's key of a record, "" for a record that makes none.
	key func(r *kgo.Record, value proto.Message) string
	// next is the state after a record; nil when it changes nothing.
	next func(state proto.Message, key string, r *kgo.Record, value proto.Message) (proto.Message, error)
	// history clears what is no part of the version, in place, and reports
	// whether anything else is there.
	history func(m proto.Message) bool
	// carry takes over what is no part of the version from the live value.
	carry func(rebuilt, live proto.Message)
}

// recipeOf returns a group's recipe. Handlers are those of the groups whose
// commands are run again.
func recipeOf(group string, handlers map[string]stream.Handler) (*recipe, error) {
	switch group {
	case topology.Catalog.Name:
		return snapshots(topology.Catalog, topology.CatalogEvents, func(m proto.Message) ([]byte, uint64) {
			e := m.(*pb.Event)
			return e.EventId, e.Version
		}, historyOfEvent, carryEvent), nil
	case topology.Registrations.Name:
		return snapshots(topology.Registrations, topology.RegistrationEvents, func(m proto.Message) ([]byte, uint64) {
			r := m.(*pb.Registration)
			return r.RegistrationId, r.Version
		}, historyOfRegistration, carryRegistration), nil
	case topology.Payments.Name:
		return snapshots(topology.Payments, topology.PaymentEvents, func(m proto.Message) ([]byte, uint64) {
			p := m.(*pb.Payment)
			return p.PaymentId, p.Version
		}, historyOfPayment, carryPayment), nil
	case topology.Inventory.Name, topology.Attendees.Name:
		for _, g := range topology.Groups() {
			if g.Name == group && handlers[group] != nil {
				return execution(g, handlers[group]), nil
			}
		}
	}
	return nil, fmt.Errorf("group %q has no table that can be rebuilt; those that have: catalog, registrations, inventory, payments, attendees", group)
}

// snapshots makes a table of full snapshots: the last version of each key.
func snapshots(g topology.Group, events topology.Topic, identify func(proto.Message) (id []byte, version uint64),
	history func(proto.Message) bool, carry func(rebuilt, live proto.Message),
) *recipe {
	return &recipe{
		group: g, source: events, history: history, carry: carry,
		key: func(_ *kgo.Record, value proto.Message) string {
			id, version := identify(value)
			if version == 0 || len(id) != 16 {
				return ""
			}
			return topology.KeyOf(id)
		},
		next: func(state proto.Message, _ string, _ *kgo.Record, value proto.Message) (proto.Message, error) {
			if state != nil {
				_, had := identify(state)
				if _, has := identify(value); has <= had {
					return nil, nil
				}
			}
			return value, nil
		},
	}
}

// execution runs the commands of a group with one input through its handler.
func execution(g topology.Group, handle stream.Handler) *recipe {
	return &recipe{
		group: g, source: g.Inputs[0], commands: true,
		history: func(proto.Message) bool { return true },
		carry:   func(_, _ proto.Message) {},
		key:     func(r *kgo.Record, _ proto.Message) string { return string(r.Key) },
		next: func(state proto.Message, key string, r *kgo.Record, value proto.Message) (proto.Message, error) {
			effect, err := handle(state, &transition.Message{
				Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: key, Time: r.Timestamp, Value: value,
			})
			if _, poison := transition.AsPoison(err); poison {
				return nil, nil // a dead letter: it has changed nothing
			}
			return effect.State, err
		},
	}
}

func historyOfEvent(m proto.Message) bool {
	e := m.(*pb.Event)
	e.LastCommand = nil
	for _, t := range e.TicketTypes {
		t.BlockStates = nil
	}
	return e.Version > 0
}

func carryEvent(rebuilt, live proto.Message) {
	to, from := rebuilt.(*pb.Event), live.(*pb.Event)
	to.LastCommand = from.LastCommand
	if to.Version != from.Version || len(to.TicketTypes) != len(from.TicketTypes) {
		return
	}
	for i, t := range to.TicketTypes {
		if len(t.BlockStates) == len(from.TicketTypes[i].BlockStates) {
			t.BlockStates = from.TicketTypes[i].BlockStates
		}
	}
}

func historyOfRegistration(m proto.Message) bool {
	r := m.(*pb.Registration)
	r.LastCommand, r.Redrives, r.DeadlineUnixMs = nil, 0, 0
	return r.Version > 0
}

// carryRegistration keeps the answer to the last command: clients wait for it.
// The deadline is the snapshot's: one that has passed drives the saga at once.
func carryRegistration(rebuilt, live proto.Message) {
	if last := live.(*pb.Registration).LastCommand; last != nil {
		rebuilt.(*pb.Registration).LastCommand = last
	}
}

func historyOfPayment(m proto.Message) bool {
	p := m.(*pb.Payment)
	p.DeadlineUnixMs, p.AskedAtUnixMs, p.Attempts = 0, 0, 0
	for _, r := range p.Refunds {
		r.Attempts = 0
	}
	return p.Version > 0
}

// carryPayment keeps the larger count of attempts: an answer to a later one than
// the state knows of would not count. When it was asked last is part of what
// decides whether the provider may have forgotten the key (I3).
func carryPayment(rebuilt, live proto.Message) {
	to, from := rebuilt.(*pb.Payment), live.(*pb.Payment)
	to.Attempts = max(to.Attempts, from.Attempts)
	to.AskedAtUnixMs = max(to.AskedAtUnixMs, from.AskedAtUnixMs)
	for i, r := range to.Refunds {
		if i < len(from.Refunds) {
			r.Attempts = max(r.Attempts, from.Refunds[i].Attempts)
		}
	}
}
