package clickhouse

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

var (
	conference = topology.EventID("acme", "conference")
	alice      = topology.RegistrationID("acme", "alice")
	bob        = topology.RegistrationID("acme", "bob")
)

const (
	noon = 1_790_000_000_000 // 2026-09-21 14:13:20 UTC
	min1 = 60_000
)

// story is a sale: an event with one block, Alice who buys two tickets and gives
// one back, Bob who comes too late.
func story(t testing.TB) []*kgo.Record {
	registration := func(id uuid.UUID, version uint64, change func(*pb.Registration)) *kgo.Record {
		r := &pb.Registration{
			RegistrationId: id[:], EventId: conference[:], Organiser: "acme", Currency: "EUR",
			Lines: []*pb.Line{{
				Line: 1, TicketType: "standard", Quantity: 2, UnitPriceMinor: 5_000,
				TaxRateBp: 1_900, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, TaxMinor: 1_597, TotalMinor: 10_000,
			}},
			TotalMinor: 10_000, Step: pb.Step_STEP_HOLDING, RequestTimeUnixMs: noon, ChangedAtUnixMs: noon + int64(version),
			Channel: "web", Region: "eu", PaymentMethod: "card", Version: version,
		}
		change(r)
		return record(t, topology.RegistrationEvents, id.String(), r)
	}
	paid := topology.PaymentID(alice)
	payment := func(version uint64, change func(*pb.Payment)) *kgo.Record {
		p := &pb.Payment{
			PaymentId: paid[:], RegistrationId: alice[:], EventId: conference[:], Organiser: "acme", AmountMinor: 10_000,
			Currency: "EUR", Method: "card", Status: pb.PaymentStatus_PAYMENT_STATUS_PENDING, RequestedAtUnixMs: noon,
			ChangedAtUnixMs: noon + int64(version), Version: version,
			Channel: "web", Region: "eu", Lines: []*pb.ChargeLine{{
				Line: 1, TicketType: "standard", Quantity: 2, UnitPriceMinor: 5_000,
				TaxRateBp: 1_900, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, TaxMinor: 1_597, TotalMinor: 10_000,
			}},
		}
		change(p)
		return record(t, topology.PaymentEvents, alice.String(), p)
	}
	captured := func(p *pb.Payment) {
		p.Status, p.CapturedMinor, p.FeeMinor = pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, 10_000, 290
		p.CapturedAtUnixMs, p.ProviderReference = noon+min1, "ch_1"
		p.Provider, p.BookedAtUnixMs = "simulated", noon+min1+500
	}
	seats := func(id uuid.UUID, e *pb.SeatEvent) *kgo.Record {
		e.EventId, e.TicketType, e.Block, e.RegistrationId, e.BlockSize = conference[:], "standard", 1, id[:], 2
		return record(t, topology.SeatEvents, id.String(), e)
	}
	refund := topology.RefundID(paid, 0)
	return []*kgo.Record{
		record(t, topology.CatalogEvents, conference.String(), &pb.Event{
			EventId: conference[:], Organiser: "acme", Name: "Conference",
			Currency: "EUR", Version: 1, Status: pb.EventStatus_EVENT_STATUS_ON_SALE,
			TicketTypes: []*pb.TicketType{{Id: "standard", Name: "Standard", PriceMinor: 5_000, BlockSizes: []uint32{2}}},
		}),
		record(t, topology.BlockEvents, conference.String(), &pb.BlockEvent{
			Kind:    pb.BlockEventKind_BLOCK_EVENT_KIND_OPENED,
			EventId: conference[:], TicketType: "standard", Block: 1, BlockVersion: 1, BlockSize: 2, Free: 2,
		}),
		registration(alice, 1, func(*pb.Registration) {}),
		registration(bob, 1, func(*pb.Registration) {}),
		seats(alice, &pb.SeatEvent{Kind: pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED, Seats: 3, BlockVersion: 2, Held: 2, Changed: true}),
		seats(bob, &pb.SeatEvent{Kind: pb.SeatEventKind_SEAT_EVENT_KIND_REFUSED, Reason: "full", BlockVersion: 2, Held: 2}),
		registration(alice, 2, func(r *pb.Registration) {
			r.Step, r.HeldAtUnixMs = pb.Step_STEP_CHARGING, noon+10
			r.Payment = &pb.PaymentState{PaymentId: paid[:], AmountMinor: 10_000}
		}),
		payment(1, func(*pb.Payment) {}),
		payment(2, captured),
		registration(bob, 2, func(r *pb.Registration) {
			r.Step, r.Outcome, r.Reason = pb.Step_STEP_SETTLED, pb.Outcome_OUTCOME_SOLD_OUT, "sold_out"
			r.Settled, r.DecidedAtUnixMs = true, noon+20
		}),
		registration(alice, 3, func(r *pb.Registration) {
			r.Step, r.Outcome, r.DecidedAtUnixMs = pb.Step_STEP_SETTLING, pb.Outcome_OUTCOME_CONFIRMED, noon+min1
			r.Payment = &pb.PaymentState{PaymentId: paid[:], AmountMinor: 10_000, CapturedMinor: 10_000}
		}),
		seats(alice, &pb.SeatEvent{Kind: pb.SeatEventKind_SEAT_EVENT_KIND_SOLD, Seats: 3, BlockVersion: 3, Sold: 2, Changed: true}),
		payment(3, func(p *pb.Payment) {
			captured(p)
			p.RefundedMinor = 5_000
			p.Refunds = []*pb.Refund{{
				RefundId: refund[:], AmountMinor: 5_000, Status: pb.RefundStatus_REFUND_STATUS_DONE,
				ProviderReference: "re_2", RefundedAtUnixMs: noon + 2*min1, Reason: "cancelled",
				Line: 1, BookedAtUnixMs: noon + 2*min1 + 500,
			}}
		}),
	}
}

// facts is what analysts see of the story, whatever was loaded how often.
func facts(t testing.TB, name string) (got string) {
	t.Helper()
	db, err := OpenDB(engineURL, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range []string{
		`SELECT name, status, currency, toString(ticket_types.capacity) FROM catalog_events FINAL`,
		`SELECT outcome, version, toString(lines.quantity), total_minor, toString(request_time), toString(decided_at) FROM registrations FINAL ORDER BY outcome`,
		`SELECT status, version, captured_minor, fee_minor, refunded_minor, toString(refunds.amount_minor), toString(refunds.refunded_at), toString(refunds.status)
		   FROM payments FINAL`,
		`SELECT kind, line, ticket_type, quantity, amount_minor, tax_minor, fee_minor, provider, channel, toString(occurred_at), toString(booked_at), version
		   FROM movements FINAL ORDER BY kind`,
		`SELECT ticket_type, quantity, total_minor, outcome, cancelled FROM registration_lines ORDER BY outcome`,
		`SELECT line, amount_minor, status, reason, provider, toString(booked_at) FROM refunds`,
		`SELECT block, size, held, sold, free, version FROM seat_blocks FINAL`,
		`SELECT topic, kind, count(), sum(version) FROM events FINAL GROUP BY topic, kind ORDER BY topic, kind`,
	} {
		got += lines(t, db, query) + "\n"
	}
	return got
}

func sinkConfig(t testing.TB, brokers []string) (Config, string) {
	t.Helper()
	name, _ := newDatabase(t)
	return Config{Brokers: brokers, URL: engineURL, Database: name}, name
}

// What is in the topics is in ClickHouse with its last version, and the audit
// trail has every record.
func TestLoadsTheStory(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	produce(t, brokers, story(t)...)
	cfg, name := sinkConfig(t, brokers)
	s, _ := start(t, cfg)
	caughtUp(t, s)
	if err := s.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
	golden(t, "story.golden.txt", facts(t, name))
}

// I8: every record comes again, one by one and in other batches, because offsets
// were lost; what analysts see stays the same.
func TestReplayChangesNothing(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	produce(t, brokers, story(t)...)
	cfg, name := sinkConfig(t, brokers)
	s, stop := start(t, cfg)
	caughtUp(t, s)
	stop()
	before := facts(t, name)
	for i := range 3 {
		again := cfg
		again.Group = fmt.Sprintf("again-%d", i)
		again.MaxRecords = 1 + i
		s, stop := start(t, again)
		caughtUp(t, s)
		stop()
		if got := facts(t, name); got != before {
			t.Fatalf("after replay %d:\n%s\nwant:\n%s", i+1, got, before)
		}
	}
}

// The named queries run on the schema and give the story's figures.
func TestNamedQueries(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	produce(t, brokers, story(t)...)
	cfg, name := sinkConfig(t, brokers)
	s, _ := start(t, cfg)
	caughtUp(t, s)
	db, err := OpenDB(engineURL, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	values := map[string]string{
		"from": queries.Time(time.UnixMilli(noon)), "to": queries.Time(time.UnixMilli(noon + 2*min1 + 1)),
		"zone": "UTC", "basis": "booked",
		"organiser": queries.All, "event": queries.All, "currency": queries.All, "test_mode": "false", "since": queries.Time(time.UnixMilli(0)), "decide_within": "60",
		"key": "reference", "provider": queries.All,
	}
	var got strings.Builder
	for _, name := range queries.Names() {
		if name == queries.AsOf {
			continue // the clock of the brokers
		}
		q, err := queries.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		used := map[string]string{}
		for p := range q.Params {
			used[p] = values[p]
		}
		args, err := q.Args(used)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s\n%s\n", name, sorted(lines(t, db, q.SQL, args...)))
	}
	golden(t, "queries.golden.txt", got.String())
}

func sorted(text string) string {
	rows := slices.Sorted(strings.Lines(text))
	return strings.Join(rows, "")
}

// Two members share the partitions while one joins and one leaves in the middle
// of the story; what is loaded is the same.
func TestMembersJoinAndLeave(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	cfg, name := sinkConfig(t, brokers)
	cfg.MaxRecords = 2
	records := story(t)
	first, leave := start(t, cfg)
	produce(t, brokers, records[:5]...)
	caughtUp(t, first)
	second, _ := start(t, cfg)
	produce(t, brokers, records[5:9]...)
	caughtUp(t, second)
	leave()
	produce(t, brokers, records[9:]...)
	caughtUp(t, second)
	golden(t, "story.golden.txt", facts(t, name))
}
