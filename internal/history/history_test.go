package history

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

var until = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

type kept []*kgo.Record

func (k *kept) Take(_ context.Context, r *kgo.Record) error {
	*k = append(*k, r)
	return nil
}

func write(t *testing.T, cfg Config) []*kgo.Record {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var records kept
	p, err := h.Write(t.Context(), &records, func(Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	if p.Registrations != cfg.Registrations || p.Records != len(records) || p.Events != h.Events() {
		t.Fatalf("%+v of %d records and %d registrations", p, len(records), cfg.Registrations)
	}
	return records
}

func decode[M proto.Message](t *testing.T, records []*kgo.Record, topic topology.Topic, into func() M) []M {
	t.Helper()
	var all []M
	for _, r := range records {
		if r.Topic != topic.Name {
			continue
		}
		m := into()
		if err := proto.Unmarshal(r.Value, m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// A past that is written twice is the same record by record, so that the second
// writing changes nothing; another seed makes another past.
func TestSameSeedSamePast(t *testing.T) {
	t.Parallel()
	cfg := Config{Days: 90, Registrations: 3_000, Until: until, Seed: 1}
	same := func(a, b *kgo.Record) bool {
		return a.Topic == b.Topic && a.Offset == b.Offset && a.Timestamp.Equal(b.Timestamp) && bytes.Equal(a.Key, b.Key)
	}
	first := write(t, cfg)
	if !slices.EqualFunc(first, write(t, cfg), same) {
		t.Error("the same seed made another past")
	}
	cfg.Seed = 2
	if slices.EqualFunc(first, write(t, cfg), same) {
		t.Error("another seed made the same past")
	}
	for _, r := range first {
		if r.Partition != Partition {
			t.Fatalf("a record of partition %d could be taken for the log's", r.Partition)
		}
	}
}

// The made-up books balance as real ones do: what was captured is what the lines
// cost, what was given back are the cancelled lines, and the seats sold are the
// tickets that stand (I1, I3, I4). Nothing lies outside of the past.
func TestThePastAddsUp(t *testing.T) {
	t.Parallel()
	cfg := Config{Days: 365, Registrations: 40_000, Events: 62, Until: until, Seed: 7}
	records := write(t, cfg)
	payments := map[string]*pb.Payment{}
	for _, p := range decode(t, records, topology.PaymentEvents, func() *pb.Payment { return &pb.Payment{} }) {
		payments[topology.KeyOf(p.RegistrationId)] = p
	}
	tickets, sold := map[string]int{}, map[string]int{}
	outcomes := map[pb.Outcome]int{}
	for _, r := range decode(t, records, topology.RegistrationEvents, func() *pb.Registration { return &pb.Registration{} }) {
		outcomes[r.Outcome]++
		at := time.UnixMilli(r.RequestTimeUnixMs)
		if at.Before(until.AddDate(0, 0, -365)) || !at.Before(until) {
			t.Fatalf("ordered at %v, outside of the past", at)
		}
		checkMoney(t, r, payments[topology.KeyOf(r.RegistrationId)])
		if r.Outcome == pb.Outcome_OUTCOME_CONFIRMED {
			for _, l := range r.Lines {
				if !l.Cancelled {
					tickets[topology.KeyOf(r.EventId)+l.TicketType] += int(l.Quantity)
				}
			}
		}
	}
	for _, b := range decode(t, records, topology.BlockEvents, func() *pb.BlockEvent { return &pb.BlockEvent{} }) {
		if b.Sold+b.Free+b.Held+b.Withdrawn != b.BlockSize || b.BlockSize > 64 {
			t.Fatalf("I1: %v", b)
		}
		sold[topology.KeyOf(b.EventId)+b.TicketType] += int(b.Sold)
	}
	for kind, n := range tickets {
		if sold[kind] != n {
			t.Errorf("%s: %d tickets stand, %d seats are sold", kind, n, sold[kind])
		}
	}
	for _, o := range []pb.Outcome{
		pb.Outcome_OUTCOME_CONFIRMED, pb.Outcome_OUTCOME_SOLD_OUT, pb.Outcome_OUTCOME_PAYMENT_FAILED, pb.Outcome_OUTCOME_EXPIRED,
		pb.Outcome_OUTCOME_CANCELLED,
	} {
		if outcomes[o] == 0 {
			t.Errorf("no registration ended as %v: %v", o, outcomes)
		}
	}
	cancelled, currencies := 0, map[string]bool{}
	for _, e := range decode(t, records, topology.CatalogEvents, func() *pb.Event { return &pb.Event{} }) {
		currencies[e.Currency] = true
		if e.Status == pb.EventStatus_EVENT_STATUS_CANCELLED {
			cancelled++
		}
	}
	if cancelled == 0 || len(currencies) < 4 {
		t.Errorf("%d events were cancelled, currencies %v", cancelled, currencies)
	}
}

func checkMoney(t *testing.T, r *pb.Registration, p *pb.Payment) {
	t.Helper()
	var total, cancelled int64
	for _, l := range r.Lines {
		total += l.TotalMinor
		if l.Cancelled {
			cancelled += l.TotalMinor
		}
	}
	stood := r.Outcome == pb.Outcome_OUTCOME_CONFIRMED || r.Outcome == pb.Outcome_OUTCOME_CANCELLED
	switch {
	case total != r.TotalMinor:
		t.Fatalf("lines of %d, a total of %d", total, r.TotalMinor)
	case stood && total > 0 && (p == nil || p.CapturedMinor != total || p.BookedAtUnixMs < p.CapturedAtUnixMs):
		t.Fatalf("I3: %v is confirmed, and its payment is %v", r, p)
	case !stood && p.GetCapturedMinor() > 0:
		t.Fatalf("I3: %v was charged", r)
	case p.GetRefundedMinor() != cancelled:
		t.Fatalf("I4: %d refunded for lines of %d", p.GetRefundedMinor(), cancelled)
	}
}

// More is bought in the evening than at night, on Fridays than on Sundays' eve, and
// a tour sells a large part in its first hour.
func TestTheShapeOfSales(t *testing.T) {
	t.Parallel()
	h, err := New(Config{Days: 300, Registrations: 60_000, Events: 40, Until: until, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	var byClock [24]int
	var byDay [7]int
	rush, opened := 0, 0
	for i, orders := range h.share() {
		e := h.plan(i, orders)
		for _, at := range h.arrivals(e, h.random(i, streamOrders)) {
			byClock[e.local(at).Hour()]++
			byDay[e.local(at).Weekday()]++
			if start := time.UnixMilli(e.pb.SaleStartsUnixMs); e.sort.rush > 0.5 && !start.Before(h.cfg.begin()) {
				opened++
				if at.Sub(start) < time.Hour {
					rush++
				}
			}
		}
	}
	if byClock[20] < 3*byClock[3] || byDay[time.Friday] < byDay[time.Saturday] {
		t.Errorf("by hour %v, by weekday %v", byClock, byDay)
	}
	if opened == 0 || rush < opened*35/100 || rush > opened*70/100 {
		t.Errorf("%d of %d orders of tours came in the first hour", rush, opened)
	}
}

// A past that cannot be is refused in words.
func TestConfigThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{Days: 0, Registrations: 1, Until: until},
		{Days: 1, Registrations: 0, Until: until},
		{Days: 1, Registrations: 1},
		{Days: 1, Registrations: 1, Events: -1, Until: until},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	// The smallest ones that can.
	for _, n := range []int{1, 2, 7} {
		write(t, Config{Days: 1, Registrations: n, Until: until, Seed: uint64(n)})
	}
}

func BenchmarkWrite(b *testing.B) {
	h, err := New(Config{Days: 365, Registrations: 20_000, Until: until, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := h.Write(b.Context(), &discarded{}, func(Progress) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*20_000)/b.Elapsed().Seconds(), "registrations/s")
}

type discarded struct{}

func (*discarded) Take(context.Context, *kgo.Record) error { return nil }
