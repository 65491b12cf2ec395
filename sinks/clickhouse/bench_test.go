package clickhouse

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// sold is the records of one paid registration for one ticket: four versions of
// it, three of its payment, two answers of its block.
func sold(t testing.TB, i int) []*kgo.Record {
	reg := topology.RegistrationID("acme", fmt.Sprint(i))
	attendee := uuid.NewSHA1(reg, nil)
	paid := topology.PaymentID(reg)
	block := uint32(1 + i/50%1_600)
	hold := topology.HoldID(reg, 1, 1, block)
	var out []*kgo.Record
	for version := range uint64(4) {
		out = append(out, record(t, topology.RegistrationEvents, reg.String(), &pb.Registration{
			RegistrationId: reg[:], EventId: conference[:], Organiser: "acme", AttendeeId: attendee[:], Currency: "EUR",
			Lines: []*pb.Line{{
				Line: 1, TicketType: "standard", Quantity: 1, UnitPriceMinor: 49_900,
				TaxRateBp: 1_900, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, TaxMinor: 7_967, TotalMinor: 49_900,
			}},
			Holds:      []*pb.Hold{{HoldId: hold[:], Line: 1, Attempt: 1, Block: block, Quantity: 1, Seats: 1, Status: pb.HoldStatus_HOLD_STATUS_KEPT}},
			Payment:    &pb.PaymentState{PaymentId: paid[:], AmountMinor: 49_900, ProviderReference: "ch_0000000000000001"},
			TotalMinor: 49_900, Step: pb.Step(version + 2), RequestTimeUnixMs: noon + int64(i), ChangedAtUnixMs: noon + int64(i) + int64(version),
			HeldAtUnixMs: noon + int64(i) + 2, DecidedAtUnixMs: noon + int64(i) + 3, BodyDigest: make([]byte, 32),
			Channel: "web", Region: "eu-central", PaymentMethod: "card", Version: version + 1, EventVersion: 3, KeyId: "2026-01",
		}))
	}
	for version := range uint64(3) {
		out = append(out, record(t, topology.PaymentEvents, reg.String(), &pb.Payment{
			PaymentId: paid[:], RegistrationId: reg[:], EventId: conference[:], Organiser: "acme", AmountMinor: 49_900,
			Currency: "EUR", Method: "card", Status: pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, RequestedAtUnixMs: noon + int64(i),
			CapturedMinor: 49_900, FeeMinor: 1_477, CapturedAtUnixMs: noon + int64(i), ProviderReference: "ch_0000000000000001", Version: version + 1,
			Provider: "simulated", Channel: "web", Region: "eu-central", BookedAtUnixMs: noon + int64(i) + 80, Lines: []*pb.ChargeLine{{
				Line: 1, TicketType: "standard", Quantity: 1, UnitPriceMinor: 49_900,
				TaxRateBp: 1_900, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, TaxMinor: 7_967, TotalMinor: 49_900,
			}},
		}))
	}
	for version := range uint64(2) {
		out = append(out, record(t, topology.SeatEvents, reg.String(), &pb.SeatEvent{
			Kind: pb.SeatEventKind(1 + 3*version), EventId: conference[:], TicketType: "standard", Block: block,
			RegistrationId: reg[:], HoldId: hold[:], Seats: 1, BlockVersion: uint64(i%50)*2 + version + 1, BlockSize: 50,
			Held: 1, Sold: 20, Free: 29, Changed: true,
		}))
	}
	for offset, r := range out {
		r.Partition, r.Offset, r.Timestamp = int32(i%8), int64(10*i+offset), time.UnixMilli(noon+int64(i))
	}
	return out
}

const benchRegistrations = 4_000

// BenchmarkRows is the Go side without any I/O: nine records a registration to
// columns, in batches of 4,000 registrations. ns/registration is the figure.
func BenchmarkRows(b *testing.B) {
	var records []*kgo.Record
	for i := range benchRegistrations {
		records = append(records, sold(b, i)...)
	}
	batch := newBatch()
	b.ReportAllocs()
	for b.Loop() {
		batch.reset()
		for _, r := range records {
			batch.add(r)
		}
		batch.rows()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchRegistrations), "ns/registration")
}

// BenchmarkInsert writes such batches into the embedded engine: rows/s is the
// figure, audit rows included.
func BenchmarkInsert(b *testing.B) {
	name, _ := newDatabase(b)
	schema, err := Migrate(b.Context(), engineURL, name)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := openWriter(engineURL, name, func(int) {})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	w := &writer{conn: conn, timeout: time.Minute, schema: schema}
	batch := newBatch()
	rows, first := 0, 0
	for b.Loop() {
		b.StopTimer()
		batch.reset()
		var records []*kgo.Record
		for i := range benchRegistrations {
			records = append(records, sold(b, first+i)...)
		}
		first += benchRegistrations
		b.StartTimer()
		for _, r := range records {
			batch.add(r)
		}
		tables := batch.rows()
		token := token(schema, batch.spans)
		for _, t := range tables {
			if err := w.insert(b.Context(), t, token); err != nil {
				b.Fatal(err)
			}
			rows += t.rows()
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkLoad is the whole loader on a backlog of 360,000 records, brokers and
// engine in this process.
func BenchmarkLoad(b *testing.B) {
	const registrations = 40_000
	brokers := newKafka(b)
	var records []*kgo.Record
	for i := range registrations {
		records = append(records, sold(b, i)...)
	}
	produce(b, brokers, records...)
	name, _ := newDatabase(b)
	for i := 0; b.Loop(); i++ {
		s, err := New(Config{Brokers: brokers, URL: engineURL, Database: name, Group: fmt.Sprint("bench-", i), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		caughtUp(b, s)
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(records))/b.Elapsed().Seconds(), "records/s")
}
