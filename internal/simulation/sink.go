package simulation

import (
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// warehouse is where the sink loads to: a table in which the last version of a
// key wins, as in ReplacingMergeTree, and an audit trail by position.
type warehouse struct {
	w    *world
	rows map[string]fact
	// trail counts how often each position was loaded.
	trail map[position]int
	// sums counts rows as they come; only a broken sink answers with it.
	sums int
}

type fact struct {
	version uint64
	value   string
}

type position struct {
	log    *partitionLog
	offset int64
}

func (p position) String() string { return describe(p.log, &record{offset: p.offset}) }

// load writes a batch. The answer may be lost: then the batch comes again.
func (h *warehouse) load(s *stage, items []*item) bool {
	for _, it := range items {
		h.trail[position{it.log, it.record.offset}]++
		if it.bad != nil {
			continue
		}
		key, version := versioned(it.message.Value)
		if key == "" {
			continue
		}
		h.sums++
		if h.w.broken.loadsLastComer || version >= h.rows[key].version {
			h.rows[key] = fact{version, string(it.record.value)}
		}
	}
	if h.w.fault(loadAnswerLost) {
		h.w.tell(s.name, "writes %d rows, and the answer is lost", len(items))
		return false
	}
	h.w.tell(s.name, "writes %d rows", len(items))
	return true
}

// versioned is the row's key and version; "" for what is no fact.
func versioned(m proto.Message) (key string, version uint64) {
	switch v := m.(type) {
	case *pb.Registration:
		return "registration " + string(v.RegistrationId), v.Version
	case *pb.Payment:
		return "payment " + string(v.PaymentId), v.Version
	case *pb.Event:
		return "event " + string(v.EventId), v.Version
	}
	return "", 0
}

// isSnapshot reports whether a topic carries snapshots with versions.
func isSnapshot(topic string) bool {
	switch topic {
	case topology.RegistrationEvents.Name, topology.PaymentEvents.Name, topology.CatalogEvents.Name:
		return true
	}
	return false
}
