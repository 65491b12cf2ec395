package clickhouse

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
	"github.com/eventpro/boxoffice/sinks/clickhouse/migrations"
)

// A database of the release before has payments, and no journal of money. The
// migration makes the journal, also when it is killed on its way and runs again;
// the rows are those that the loader makes of the same records.
func TestOldDatabaseGetsItsMovements(t *testing.T) {
	t.Parallel()
	name, db := newDatabase(t)
	if err := createDatabase(t.Context(), engineURL, name); err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectClickHouse, db, migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	old := oldPayments()
	for i, payment := range old {
		id, refund := uuid.UUID(payment.PaymentId), topology.RefundID(uuid.UUID(payment.PaymentId), 0)
		if _, err := db.Exec(fmt.Sprintf(`INSERT INTO payments (payment_id, registration_id, event_id, organiser, status, currency, method,
			provider_reference, captured_minor, fee_minor, refunded_minor, refunds.refund_id, refunds.amount_minor, refunds.status,
			refunds.provider_reference, refunds.refunded_at, refunds.requested_at, refunds.reason, requested_at, captured_at, version, topic, partition, offset)
			SELECT '%s', '%s', '%s', 'acme', 'captured', 'EUR', 'card', 'ch', %d, %d, 0, ['%s'], [%d], ['%s'],
			['re'], [fromUnixTimestamp64Milli(%d)], [now64(3)], ['r'], fromUnixTimestamp64Milli(%d), fromUnixTimestamp64Milli(%[10]d), %d, 'payment-events', 1, %d`,
			id, alice, conference, payment.CapturedMinor, payment.FeeMinor, refund, payment.Refunds[0].AmountMinor,
			refundStatusNames.name(uint64(payment.Refunds[0].Status)), payment.Refunds[0].RefundedAtUnixMs, payment.RequestedAtUnixMs,
			payment.Version, i)); err != nil {
			t.Fatal(err)
		}
	}
	const killed = "ALTER TABLE goose_db_version DELETE WHERE version_id >= 3 SETTINGS mutations_sync = 1"
	for range 2 {
		if _, err := Migrate(t.Context(), engineURL, name); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(killed); err != nil {
			t.Fatal(err)
		}
	}
	got := lines(t, db, "SELECT * FROM movements FINAL ORDER BY movement_id")
	if _, err := db.Exec("TRUNCATE TABLE movements"); err != nil {
		t.Fatal(err)
	}
	records := newBatch()
	for i, payment := range old {
		r := record(t, topology.PaymentEvents, alice.String(), payment)
		r.Partition, r.Offset = 1, int64(i)
		records.add(r)
	}
	load(t, name, records)
	if want := lines(t, db, "SELECT * FROM movements FINAL ORDER BY movement_id"); got != want || want == "" {
		t.Errorf("the migration made\n%s\nthe loader makes\n%s", got, want)
	}
	for query, want := range map[string]string{
		"SELECT count() FROM movements FINAL":                                                           "4\n",
		"SELECT sum(booked_at != captured_at) FROM payments":                                            "0\n",
		"SELECT line, amount_minor, status, booked_at = refunded_at FROM refunds ORDER BY amount_minor": "0\t100\tpending\t1\n0\t200\tdone\t1\n0\t300\tdone\t1\n",
	} {
		if got := lines(t, db, query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// oldPayments are a payment in two versions with a refund under way, then one
// that was charged in one month and refunded in another, and one that has a refund
// without a charge, which no processor makes.
func oldPayments() []*pb.Payment {
	payment := func(n string, version uint64, captured, refund int64, status pb.RefundStatus) *pb.Payment {
		id := topology.PaymentID(topology.RegistrationID("acme", n))
		refundID := topology.RefundID(id, 0)
		return &pb.Payment{
			PaymentId: id[:], RegistrationId: alice[:], EventId: conference[:], Organiser: "acme", Currency: "EUR", Method: "card",
			Status: pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, ProviderReference: "ch", CapturedMinor: captured, FeeMinor: captured / 100,
			CapturedAtUnixMs: noon, RequestedAtUnixMs: noon, Version: version,
			Refunds: []*pb.Refund{{RefundId: refundID[:], AmountMinor: refund, Status: status, ProviderReference: "re", RefundedAtUnixMs: noon + 40*24*60*min1}},
		}
	}
	return []*pb.Payment{
		payment("one", 1, 1_000, 100, pb.RefundStatus_REFUND_STATUS_UNSPECIFIED),
		payment("one", 2, 1_000, 100, pb.RefundStatus_REFUND_STATUS_PENDING),
		payment("two", 3, 2_000, 200, pb.RefundStatus_REFUND_STATUS_DONE),
		payment("three", 1, 0, 300, pb.RefundStatus_REFUND_STATUS_DONE),
	}
}
