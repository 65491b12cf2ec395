package verify

import (
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/wire"
)

// snapshot is the last version of an event of the catalog, in its log and in
// its table.
type snapshot struct {
	version, digest           uint64
	known                     bool
	tableVersion, tableDigest uint64
}

// The answers of blocks are noted in the table before all have come, without a
// new version: block_states is field 7 of a ticket type, which is field 8.
func unversionedOfEvent(id int32) bool { return id == 19 }

var unversionedOfTicketType = map[int32]func(int32) bool{8: func(id int32) bool { return id == 7 }}

func readEvent(r *kgo.Record) (id uuid.UUID, version, sum uint64, err error) {
	err = wire.Scan(r.Value, func(f wire.Field) {
		switch f.ID {
		case 1:
			id = idOf(f.Bytes)
		case 14:
			version = f.Number
		}
	})
	if err == nil && id == (uuid.UUID{}) {
		err = errNoID
	}
	if err == nil {
		sum, err = digest(r.Value, unversionedOfEvent, unversionedOfTicketType)
	}
	return id, version, sum, err
}

// onEvent takes a record of catalog-events.
func (w *world) onEvent(r *kgo.Record) error {
	id, version, sum, err := readEvent(r)
	if err != nil {
		return w.undecodable(r, err)
	}
	w.countAudit(r, version)
	w.catalog.update(id, func(s *snapshot) {
		if version != s.version+1 {
			w.found.fail("I9", "event %s: version %d comes after version %d in the log", id, version, s.version)
		}
		s.version, s.digest = version, sum
	})
	return nil
}

// onTableEvent takes a record of catalog-table.
func (w *world) onTableEvent(r *kgo.Record) error {
	id, version, sum, err := readEvent(r)
	if err != nil {
		return w.undecodable(r, err)
	}
	w.catalog.update(id, func(s *snapshot) { s.known, s.tableVersion, s.tableDigest = true, version, sum })
	return nil
}

func (w *world) checkCatalog() {
	n := 0
	w.catalog.each(func(id uuid.UUID, s *snapshot) {
		n++
		w.checkTable("event", id.String(), s.version, s.digest, s.known, s.tableVersion, s.tableDigest)
	})
	w.found.checked("I9", n)
	w.found.detail("I9", "registrations, payments, blocks and %v events compared with their logs", n)
}
