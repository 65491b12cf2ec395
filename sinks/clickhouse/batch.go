package clickhouse

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/wire"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// partition names one partition of one topic.
type partition struct {
	topic string
	id    int32
}

// span is the records of one partition that a batch holds: offsets from first
// up to, not including, next.
type span struct {
	first, next int64
	leaderEpoch int32
	// newest is the timestamp of the last record.
	newest time.Time
}

// winner is the last version of a key that the batch has seen.
type winner struct {
	version uint64
	record  *kgo.Record
}

// maxInterned bounds the ticket types that are remembered between batches.
const maxInterned = 10_000

// batch gathers records until they are written. Of every key it keeps the last
// version only, undecoded, and of every record an audit row.
type batch struct {
	spans   map[partition]span
	records int
	bytes   int
	// undecodable counts records that nobody can read; the first is described.
	undecodable int
	firstError  error

	registrations lastVersions
	payments      lastVersions
	catalog       lastVersions
	blocks        map[blockID]blockState
	ticketTypes   map[string]string // interned

	registrationRows *registrationRows
	movementRows     *movementRows
	paymentRows      *paymentRows
	blockRows        *blockRows
	catalogRows      *catalogRows
	auditRows        *auditRows
}

type lastVersions map[uuid.UUID]winner

// keep keeps a record if no later version of its key is there.
func (l lastVersions) keep(key uuid.UUID, version uint64, r *kgo.Record) {
	if last, ok := l[key]; !ok || version >= last.version {
		l[key] = winner{version: version, record: r}
	}
}

func newBatch() *batch {
	return &batch{
		spans:            map[partition]span{},
		registrations:    lastVersions{},
		payments:         lastVersions{},
		catalog:          lastVersions{},
		blocks:           map[blockID]blockState{},
		ticketTypes:      map[string]string{},
		registrationRows: newRegistrationRows(),
		movementRows:     newMovementRows(),
		paymentRows:      newPaymentRows(),
		blockRows:        newBlockRows(),
		catalogRows:      newCatalogRows(),
		auditRows:        newAuditRows(),
	}
}

// reset empties the batch and keeps its memory for the next one.
func (b *batch) reset() {
	clear(b.spans)
	clear(b.registrations)
	clear(b.payments)
	clear(b.catalog)
	clear(b.blocks)
	if len(b.ticketTypes) > maxInterned {
		clear(b.ticketTypes)
	}
	b.records, b.bytes, b.undecodable, b.firstError = 0, 0, 0, nil
	for _, t := range b.tables() {
		t.reset()
	}
}

// tables lists the facts before the audit trail, so that whoever sees the audit
// row of a version sees the version.
func (b *batch) tables() []*table {
	return []*table{
		&b.catalogRows.table, &b.blockRows.table, &b.movementRows.table, &b.paymentRows.table,
		&b.registrationRows.table, &b.auditRows.table,
	}
}

// add takes one record. Control records of transactions only move the span.
func (b *batch) add(r *kgo.Record) {
	at := partition{topic: r.Topic, id: r.Partition}
	s, ok := b.spans[at]
	if !ok {
		s.first = r.Offset
	}
	s.next, s.leaderEpoch, s.newest = r.Offset+1, r.LeaderEpoch, r.Timestamp
	b.spans[at] = s
	if r.Attrs.IsControl() {
		return
	}
	b.records++
	b.bytes += len(r.Key) + len(r.Value)
	key, kind, version, err := b.take(r)
	if err != nil {
		b.refuse(r, err)
		kind = undecodable
	}
	b.auditRows.add(positionOf(r), r.Timestamp.UnixMilli(), key, kind, version)
}

var errNoValue = errors.New("the record has no value")

func (b *batch) refuse(r *kgo.Record, err error) {
	b.undecodable++
	if b.firstError == nil {
		b.firstError = fmt.Errorf("%s/%d at offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
}

func positionOf(r *kgo.Record) position {
	return position{topic: r.Topic, partition: r.Partition, offset: r.Offset}
}

// take reads what the audit row shows and keeps the record for its fact.
func (b *batch) take(r *kgo.Record) (key uuid.UUID, kind string, version uint64, err error) {
	if len(r.Value) == 0 {
		// Decoded it would be a fact about nobody.
		return key, "", 0, errNoValue
	}
	switch r.Topic {
	case topology.RegistrationEvents.Name:
		return b.takeRegistration(r)
	case topology.PaymentEvents.Name:
		return b.takePayment(r)
	case topology.CatalogEvents.Name:
		return b.takeEvent(r)
	case topology.SeatEvents.Name:
		return b.takeSeats(r, seatFields)
	case topology.BlockEvents.Name:
		return b.takeSeats(r, blockFields)
	}
	return key, "", 0, fmt.Errorf("topic %s is no input of the loader", r.Topic)
}

func (b *batch) takeRegistration(r *kgo.Record) (key uuid.UUID, kind string, version uint64, err error) {
	var registration, event []byte
	var step, outcome uint64
	err = wire.Scan(r.Value, func(f wire.Field) {
		switch f.ID {
		case 2:
			registration = f.Bytes
		case 4:
			event = f.Bytes
		case 10:
			step = f.Number
		case 11:
			outcome = f.Number
		case 14:
			version = f.Number
		}
	})
	if err == nil {
		key, err = id(registration)
	}
	if err != nil {
		return key, "", 0, err
	}
	// A registration without an event is only the trace of a command for an
	// unknown key: an audit row, no fact.
	if len(event) > 0 {
		b.registrations.keep(key, version, r)
	}
	if outcome != 0 && step != uint64(pb.Step_STEP_SETTLED) {
		return key, outcomeNames.name(outcome), version, nil
	}
	return key, stepNames.name(step), version, nil
}

func (b *batch) takePayment(r *kgo.Record) (key uuid.UUID, kind string, version uint64, err error) {
	var payment, registration []byte
	var status uint64
	err = wire.Scan(r.Value, func(f wire.Field) {
		switch f.ID {
		case 2:
			payment = f.Bytes
		case 3:
			registration = f.Bytes
		case 9:
			status = f.Number
		case 19:
			version = f.Number
		}
	})
	if err != nil {
		return key, "", 0, err
	}
	if key, err = id(registration); err != nil {
		return key, "", 0, err
	}
	paid, err := id(payment)
	if err != nil {
		return key, "", 0, err
	}
	b.payments.keep(paid, version, r)
	return key, paymentStatusNames.name(status), version, nil
}

func (b *batch) takeEvent(r *kgo.Record) (key uuid.UUID, kind string, version uint64, err error) {
	var event []byte
	var status uint64
	err = wire.Scan(r.Value, func(f wire.Field) {
		switch f.ID {
		case 1:
			event = f.Bytes
		case 12:
			status = f.Number
		case 14:
			version = f.Number
		}
	})
	if err == nil {
		key, err = id(event)
	}
	if err != nil {
		return key, "", 0, err
	}
	b.catalog.keep(key, version, r)
	return key, eventStatusNames.name(status), version, nil
}

// rows decodes what is left into columns and returns the tables that have rows to
// write, the audit trail last.
func (b *batch) rows() []*table {
	decodeAll(b, b.registrations, &pb.Registration{}, b.registrationRows.add)
	decodeAll(b, b.payments, &pb.Payment{}, func(p *pb.Payment, at position) {
		b.movementRows.add(p, at)
		b.paymentRows.add(p, at)
	})
	decodeAll(b, b.catalog, &pb.Event{}, b.catalogRows.add)
	for key, state := range b.blocks {
		b.blockRows.add(key, &state)
	}
	return slices.DeleteFunc(b.tables(), func(t *table) bool { return t.rows() == 0 })
}

// decodeAll decodes the kept records one after the other into one message.
func decodeAll[M proto.Message](b *batch, kept lastVersions, into M, add func(M, position)) {
	for _, w := range kept {
		if err := proto.Unmarshal(w.record.Value, into); err != nil {
			b.refuse(w.record, err)
			continue
		}
		add(into, positionOf(w.record))
	}
}
