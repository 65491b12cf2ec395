package simulation

import (
	"time"

	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// view serves the look-ups: it follows a table for clients, and the blocks for
// the availability indexes of the registrations.
type view struct {
	w             *world
	registrations map[string][]byte
	at            [partitions]int64
	table, blocks *topicLog
}

func newView(w *world) *view {
	return &view{
		w: w, registrations: map[string][]byte{},
		table: w.broker.topics[topology.RegistrationsTable.Name], blocks: w.broker.topics[topology.InventoryTable.Name],
	}
}

func (v *view) ready() bool {
	for part := range v.at {
		if v.table.partitions[part].next(v.at[part]) != nil {
			return true
		}
	}
	return v.behind() != nil
}

// behind is a process whose index misses something.
func (v *view) behind() *process {
	for _, s := range v.w.slots {
		p := s.current
		if p == nil || p.paused || p.index == nil {
			continue
		}
		for part := range p.followed {
			if v.blocks.partitions[part].next(p.followed[part]) != nil || !p.index.Recovered() {
				return p
			}
		}
	}
	return nil
}

// step follows a few records of everything.
func (v *view) step() {
	for part := range v.at {
		for range 8 {
			r := v.table.partitions[part].next(v.at[part])
			if r == nil {
				break
			}
			v.registrations[r.key], v.at[part] = r.value, r.offset+1
		}
	}
	if p := v.behind(); p != nil {
		p.follow(v.blocks)
	}
}

// follow feeds the index of a process.
func (p *process) follow(blocks *topicLog) {
	more := false
	for part := range p.followed {
		for range 8 {
			r := blocks.partitions[part].next(p.followed[part])
			if r == nil {
				break
			}
			p.followed[part] = r.offset + 1
			if err := p.index.ApplyRecord(r.value); err != nil {
				p.w.fail("error", "the view cannot read a block: %v", err)
				return
			}
		}
		more = more || blocks.partitions[part].next(p.followed[part]) != nil
	}
	p.index.SetRecovered(!more)
}

// hints is the index of a process, as the saga sees it.
type hints struct{ p *process }

func (h hints) index() *availability.Index { return h.p.index }

// Pick implements registrations.Availability.
func (h hints) Pick(event []byte, ticketType string, quantity uint32, exclude []uint32) (uint32, bool) {
	return h.index().Pick(event, ticketType, quantity, exclude)
}

// Known implements registrations.Availability.
func (h hints) Known(event []byte, ticketType string) bool {
	return h.index().Known(event, ticketType)
}

// Asked implements registrations.Availability.
func (h hints) Asked(event []byte, ticketType string, block uint32, hold []byte, quantity uint32, now time.Time) {
	h.index().Asked(event, ticketType, block, hold, quantity, now)
}

// Observe implements registrations.Availability.
func (h hints) Observe(e *pb.SeatEvent) { h.index().Observe(e) }
