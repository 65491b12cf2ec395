package clickhouse

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// The field numbers that are read off the wire are the contract's: a batch with
// one record of each topic reads back what the messages say.
func TestFieldsReadOffTheWire(t *testing.T) {
	t.Parallel()
	event, reg, paid := uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}
	b := newBatch()
	for _, r := range []*kgo.Record{
		record(t, topology.RegistrationEvents, "", &pb.Registration{
			DeadlineUnixMs: 1, RegistrationId: reg[:], EventId: event[:],
			Step: pb.Step_STEP_SETTLING, Outcome: pb.Outcome_OUTCOME_EXPIRED, Version: 11,
		}),
		record(t, topology.PaymentEvents, "", &pb.Payment{
			PaymentId: paid[:], RegistrationId: reg[:], EventId: event[:],
			Status: pb.PaymentStatus_PAYMENT_STATUS_PARKED, Version: 12,
		}),
		record(t, topology.CatalogEvents, "", &pb.Event{EventId: event[:], Status: pb.EventStatus_EVENT_STATUS_CANCELLED, Version: 13}),
		record(t, topology.SeatEvents, "", &pb.SeatEvent{
			Kind: pb.SeatEventKind_SEAT_EVENT_KIND_REVOKED, EventId: event[:], TicketType: "a",
			Block: 7, RegistrationId: reg[:], BlockVersion: 14, BlockSize: 50, Held: 1, Sold: 2, Free: 3, Withdrawn: 44,
		}),
		record(t, topology.BlockEvents, "", &pb.BlockEvent{
			Kind: pb.BlockEventKind_BLOCK_EVENT_KIND_CLOSED, EventId: event[:], TicketType: "b",
			Block: 8, BlockVersion: 15, BlockSize: 51, Held: 4, Sold: 5, Free: 6, Withdrawn: 36,
		}),
	} {
		r.Timestamp = time.UnixMilli(99)
		b.add(r)
	}
	if b.undecodable != 0 {
		t.Fatal(b.firstError)
	}
	b.rows()
	if want := []string{"expired", "parked", "cancelled", "revoked", "closed"}; !slices.Equal(b.auditRows.kind.values, want) {
		t.Errorf("kinds %q, want %q", b.auditRows.kind.values, want)
	}
	if want := []uint64{11, 12, 13, 14, 15}; !slices.Equal(b.auditRows.version.values, want) {
		t.Errorf("versions %v, want %v", b.auditRows.version.values, want)
	}
	if want := []uuid.UUID{reg, reg, event, reg, event}; !slices.Equal(b.auditRows.key.values, want) {
		t.Errorf("keys %v, want %v", b.auditRows.key.values, want)
	}
	seats := blockState{version: 14, size: 50, held: 1, sold: 2, free: 3, withdrawn: 44, timeMs: 99, at: position{topic: "seat-events"}}
	if got := b.blocks[blockID{event, "a", 7}]; got != seats {
		t.Errorf("block after a seat event: %+v, want %+v", got, seats)
	}
	block := blockState{version: 15, size: 51, held: 4, sold: 5, free: 6, withdrawn: 36, timeMs: 99, at: position{topic: "block-events"}}
	if got := b.blocks[blockID{event, "b", 8}]; got != block {
		t.Errorf("block after a block event: %+v, want %+v", got, block)
	}
}

// A batch writes the last version of a key only, whichever order answers of a
// block came in.
func TestOnlyTheLastVersionOfABatch(t *testing.T) {
	t.Parallel()
	reg, event := uuid.UUID{2}, uuid.UUID{1}
	b := newBatch()
	for _, version := range []uint64{1, 3, 2} {
		b.add(record(t, topology.RegistrationEvents, "", &pb.Registration{RegistrationId: reg[:], EventId: event[:], Version: version}))
		b.add(record(t, topology.SeatEvents, "", &pb.SeatEvent{EventId: event[:], RegistrationId: reg[:], TicketType: "a", Block: 1, BlockVersion: version}))
	}
	b.rows()
	if got := b.registrationRows.version.values; !slices.Equal(got, []uint64{3}) {
		t.Errorf("registration versions %v, want only 3", got)
	}
	if got := b.blockRows.version.values; !slices.Equal(got, []uint64{3}) {
		t.Errorf("block versions %v, want only 3", got)
	}
	if n := b.auditRows.rows(); n != 6 {
		t.Errorf("%d audit rows, want one for each of 6 records", n)
	}
}

// A registration that is only the trace of a command for an unknown key has no
// event; it is an audit row and no fact, because its sorting key would change
// when the real registration comes.
func TestTraceWithoutEventIsNoFact(t *testing.T) {
	t.Parallel()
	reg := uuid.UUID{2}
	b := newBatch()
	b.add(record(t, topology.RegistrationEvents, "", &pb.Registration{RegistrationId: reg[:], Version: 1}))
	b.rows()
	if b.registrationRows.rows() != 0 || b.auditRows.rows() != 1 {
		t.Errorf("%d registrations and %d audit rows, want 0 and 1", b.registrationRows.rows(), b.auditRows.rows())
	}
}

// The same offsets give the same token, other offsets or another schema another
// one: a batch is never taken for one that it is not.
func TestToken(t *testing.T) {
	t.Parallel()
	spans := map[partition]span{{"a", 1}: {first: 3, next: 9}, {"b", 0}: {first: 1, next: 2}}
	same := map[partition]span{{"b", 0}: {first: 1, next: 2, newest: time.Now()}, {"a", 1}: {first: 3, next: 9}}
	other := map[partition]span{{"b", 0}: {first: 1, next: 2}, {"a", 1}: {first: 3, next: 10}}
	if token(1, spans) != token(1, same) {
		t.Error("equal offsets have different tokens")
	}
	if token(1, spans) == token(1, other) || token(1, spans) == token(2, spans) {
		t.Error("different rows have equal tokens")
	}
}

// Values of a later release keep their number (I10).
func TestUnknownEnumValueIsItsNumber(t *testing.T) {
	t.Parallel()
	if got := outcomeNames.name(1); got != "confirmed" {
		t.Errorf("outcome 1 is %q", got)
	}
	if got := outcomeNames.name(99); got != "99" {
		t.Errorf("outcome 99 is %q", got)
	}
}
