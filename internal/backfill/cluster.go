package backfill

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Cluster is where the topics are.
type Cluster struct {
	Brokers []string
	// Options come on top, for TLS and SASL.
	Options []kgo.Opt
	// Progress is told how far the reading of a topic is; nil for nobody.
	Progress func(topic string, done, total int64)
}

// values calls take with the last value of every key of a table, one at a time.
func (c Cluster) values(ctx context.Context, table topology.Topic, take func(value []byte) error) error {
	var mu sync.Mutex
	rd := topicreader.Reader{Brokers: c.Brokers, Options: c.Options, Progress: c.Progress}
	return rd.ReadAll(ctx, table, func(r *kgo.Record) error {
		mu.Lock()
		defer mu.Unlock()
		return take(r.Value)
	})
}

// Events reads the catalogue.
func (c Cluster) Events(ctx context.Context) (map[uuid.UUID]*pb.Event, error) {
	events := map[uuid.UUID]*pb.Event{}
	err := c.values(ctx, topology.CatalogTable, func(value []byte) error {
		e := new(pb.Event)
		if err := proto.Unmarshal(value, e); err != nil {
			return err
		}
		if e.Status != pb.EventStatus_EVENT_STATUS_UNKNOWN {
			events[topology.UUID(e.EventId)] = e
		}
		return nil
	})
	return events, err
}

// seating is a ticket type of an event.
type seating struct {
	event      uuid.UUID
	ticketType string
}

// free counts the seats without an owner of open blocks, of all events.
func (c Cluster) free(ctx context.Context) (map[seating]uint32, error) {
	blocks := map[string]*pb.Block{}
	err := c.values(ctx, topology.InventoryTable, func(value []byte) error {
		b := new(pb.Block)
		if err := proto.Unmarshal(value, b); err != nil {
			return err
		}
		blocks[topology.BlockKey(b.EventId, b.TicketType, b.Number)] = b
		return nil
	})
	free := map[seating]uint32{}
	for _, b := range blocks {
		if b.Status == pb.BlockStatus_BLOCK_STATUS_OPEN {
			free[seating{topology.UUID(b.EventId), b.TicketType}] += b.Free
		}
	}
	return free, err
}

// known reads the registrations of ids that are here already.
func (c Cluster) known(ctx context.Context, ids map[uuid.UUID]bool) (map[uuid.UUID]*pb.Registration, error) {
	known := map[uuid.UUID]*pb.Registration{}
	err := c.values(ctx, topology.RegistrationsTable, func(value []byte) error {
		r := new(pb.Registration)
		if err := proto.Unmarshal(value, r); err != nil {
			return err
		}
		if id := topology.UUID(r.RegistrationId); ids[id] && r.Step != pb.Step_STEP_UNSPECIFIED {
			known[id] = r
		}
		return nil
	})
	return known, err
}

// needs counts the seats that the orders are still going to ask for in events that
// exist. What is decided already asks for none, whatever the files say of it now.
func (p *Plan) needs(known map[uuid.UUID]*pb.Registration) map[seating]uint32 {
	need := map[seating]uint32{}
	for _, o := range p.Orders {
		r := known[o.ID]
		if o.Event.Create != nil || r != nil && r.Outcome != pb.Outcome_OUTCOME_UNSPECIFIED {
			continue
		}
		for _, l := range o.Lines {
			if !l.Cancelled {
				need[seating{o.Event.ID, l.TicketType}] += l.Quantity - min(l.Quantity, kept(r, l.Line))
			}
		}
	}
	return need
}

// kept counts the seats that a line owns.
func kept(r *pb.Registration, line uint32) (n uint32) {
	for _, h := range r.GetHolds() {
		if h.Line == line && h.Status == pb.HoldStatus_HOLD_STATUS_KEPT {
			n += uint32(bits.OnesCount64(h.Seats))
		}
	}
	return n
}

// Room compares what the orders need with what is free, gives events that imports
// have made what they lack, and says where others lack places: there a part of the
// orders would end as sold out, for ever.
func (p *Plan) Room(ctx context.Context, c Cluster) (short []string, err error) {
	need := p.needs(nil)
	if len(need) == 0 {
		return nil, nil
	}
	free, err := c.free(ctx)
	if err != nil || fits(need, free) {
		return nil, err
	}
	ids := make(map[uuid.UUID]bool, len(p.Orders))
	for _, o := range p.Orders {
		ids[o.ID] = true
	}
	known, err := c.known(ctx, ids)
	if err != nil {
		return nil, err
	}
	need = p.needs(known)
	for _, e := range p.Events {
		for _, t := range e.Event.TicketTypes {
			s := seating{e.ID, t.Id}
			switch {
			case need[s] <= free[s]:
			case e.Ours && p.targets.CreateEvents:
				e.Grow[t.Id] = capacityOf(e.Event, t.Id, blockOpening, blockOpen) + need[s] - free[s]
			default:
				short = append(short, fmt.Sprintf("ticket type %s of event %s has %d places for %d tickets", t.Id, e.ID, free[s], need[s]))
			}
		}
	}
	return short, nil
}

func fits(need, free map[seating]uint32) bool {
	for s, n := range need {
		if n > free[s] {
			return false
		}
	}
	return true
}

// The values of TicketType.block_states for blocks that are open, or will be.
const (
	blockOpening byte = iota
	blockOpen
)

// capacityOf is what the blocks of a ticket type hold that are in one of the states.
func capacityOf(e *pb.Event, ticketType string, states ...byte) (n uint32) {
	for _, t := range e.TicketTypes {
		for i, size := range t.BlockSizes {
			if t.Id == ticketType && i < len(t.BlockStates) && slices.Contains(states, t.BlockStates[i]) {
				n += size
			}
		}
	}
	return n
}
