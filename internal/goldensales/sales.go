package goldensales

import (
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// The events' ids.
var (
	Festival = uuid.MustParse("00000000-0000-0000-0000-00000000000a")
	Gala     = uuid.MustParse("00000000-0000-0000-0000-00000000000b")
	Tokyo    = uuid.MustParse("00000000-0000-0000-0000-00000000000c")
)

const (
	included = pb.TaxMode_TAX_MODE_INCLUDED
	onTop    = pb.TaxMode_TAX_MODE_ON_TOP
	exempt   = pb.TaxMode_TAX_MODE_EXEMPT
	provider = "simulated"
)

// Records are the sales' records in the order in which the system writes them,
// each topic with one partition. The last is of 2026-10-31 23:30 UTC.
func Records() []*kgo.Record {
	var l log
	l.festivalInSeptember()
	l.festivalInOctober()
	l.tokyo()
	l.gala()
	l.add(topology.CatalogEvents, Gala, at("2026-10-31 23:30:00"), gala(2))
	return l.records
}

func festival() *pb.Event {
	return &pb.Event{
		EventId: Festival[:], Organiser: "acme", Name: "Festival", Region: "eu", Currency: "EUR",
		Status: pb.EventStatus_EVENT_STATUS_ON_SALE, Version: 1, CreatedAtUnixMs: at("2026-08-01 08:00:00").UnixMilli(),
		TicketTypes: []*pb.TicketType{
			{Id: "standard", Name: "Standard", PriceMinor: 50_00, TaxRateBp: 1900, TaxMode: included, BlockSizes: []uint32{12}},
			{Id: "vip", Name: "VIP", PriceMinor: 120_00, TaxRateBp: 700, TaxMode: included, BlockSizes: []uint32{4}},
			{Id: "workshop", Name: "Workshop", PriceMinor: 49_95, TaxRateBp: 2000, TaxMode: included, BlockSizes: []uint32{5}},
		},
	}
}

func (l *log) festivalInSeptember() {
	e := festival()
	l.add(topology.CatalogEvents, Festival, at("2026-08-01 08:00:00"), e)
	l.block(e, "standard", 12, 2, 10, 0, at("2026-08-01 08:00:01"))
	l.block(e, "vip", 4, 0, 1, 1, at("2026-08-01 08:00:01"))
	l.block(e, "workshop", 5, 0, 1, 0, at("2026-08-01 08:00:01"))

	imported := func(r *pb.Registration) {
		r.Imported, r.Channel, r.PaymentMethod = true, "import", "invoice"
	}
	l.request("F10", e, at("2026-08-20 09:00:00"), imported, line(e, "standard", 2, 0, 15_97, 100_00)).
		hold(at("2026-09-02 09:00:00")).
		capture("legacy", 0, at("2026-08-20 09:00:05"), at("2026-09-02 09:00:00.1")).confirm(at("2026-09-02 09:00:00.2"))

	f3 := l.request("F3", e, at("2026-09-10 10:00:00"), nil, line(e, "vip", 1, 0, 7_85, 120_00)).
		hold(at("2026-09-10 10:00:01")).
		capture(provider, 1_85, at("2026-09-10 10:00:02"), at("2026-09-10 10:00:02.1")).confirm(at("2026-09-10 10:00:02.2"))

	l.request("F7", e, at("2026-09-12 12:00:00"), nil, line(e, "standard", 1, 0, 7_98, 50_00)).
		hold(at("2026-09-12 12:00:01")).decline(at("2026-09-12 12:00:02")).
		decide(pb.Outcome_OUTCOME_PAYMENT_FAILED, "declined", at("2026-09-12 12:00:02.1"))

	l.request("F9", e, at("2026-09-15 12:00:00"), func(r *pb.Registration) { r.TestMode = true }, line(e, "vip", 1, 0, 7_85, 120_00)).
		hold(at("2026-09-15 12:00:01")).
		capture(provider, 1_85, at("2026-09-15 12:00:02"), at("2026-09-15 12:00:02.1")).confirm(at("2026-09-15 12:00:02.2"))

	f1 := l.request("F1", e, at("2026-09-29 08:00:00"), nil,
		line(e, "standard", 2, 0, 15_97, 100_00), line(e, "vip", 1, 20_00, 6_54, 100_00)).
		hold(at("2026-09-29 08:00:01")).
		capture(provider, 3_05, at("2026-09-29 08:00:02"), at("2026-09-29 08:00:02.1")).confirm(at("2026-09-29 08:00:02.2"))

	f8 := l.request("F8", e, at("2026-09-30 10:00:00"), nil,
		line(e, "standard", 1, 0, 7_98, 50_00), line(e, "workshop", 1, 0, 8_33, 49_95)).
		hold(at("2026-09-30 10:00:01")).
		decide(pb.Outcome_OUTCOME_EXPIRED, "not_paid_in_time", at("2026-09-30 10:15:00"))
	f8.payment.Unwanted = true
	f8.capture(provider, 1_40, at("2026-09-30 10:16:00"), at("2026-09-30 10:16:05")).
		askBack(at("2026-09-30 10:16:05"), 99_95, 0).
		refund(at("2026-09-30 22:00:00"), at("2026-09-30 22:00:02"))

	box := func(r *pb.Registration) { r.Channel, r.PaymentMethod = "box_office", "sepa" }
	l.request("F2", e, at("2026-09-30 21:59:57"), box, line(e, "standard", 1, 0, 7_98, 50_00)).
		hold(at("2026-09-30 21:59:58")).
		capture(provider, 90, at("2026-09-30 21:59:59.5"), at("2026-09-30 22:00:01")).confirm(at("2026-09-30 22:00:01.05"))

	f1.cancel(at("2026-10-03 10:00:00"), 2).refund(at("2026-10-03 10:00:01"), at("2026-10-03 10:00:01.2"))
	f3.cancel(at("2026-10-05 08:00:00"), 1).refund(at("2026-10-05 08:00:01"), at("2026-10-05 08:00:01.5"))
}

func (l *log) festivalInOctober() {
	e := festival()
	l.request("F11", e, at("2026-10-02 12:00:00"), nil, line(e, "vip", 10, 0, 78_50, 1200_00)).
		decide(pb.Outcome_OUTCOME_SOLD_OUT, "sold_out", at("2026-10-02 12:00:01"))

	app := func(r *pb.Registration) { r.Channel = "app" }
	for _, o := range []struct {
		name  string
		line  *pb.Line
		fee   int64
		begin string
	}{
		{"F4", line(e, "workshop", 1, 0, 8_33, 49_95), 90, "2026-10-25 00:29:58"},
		{"F5", line(e, "standard", 3, 0, 23_95, 150_00), 2_35, "2026-10-25 01:29:58"},
	} {
		begin := at(o.begin)
		l.request(o.name, e, begin, app, o.line).hold(begin.Add(time.Second)).
			capture(provider, o.fee, begin.Add(2*time.Second), begin.Add(2100*time.Millisecond)).confirm(begin.Add(2200 * time.Millisecond))
	}
	l.request("F6", e, at("2026-10-25 22:59:58"), nil, line(e, "standard", 1, 50_00, 0, 0)).
		hold(at("2026-10-25 22:59:59")).confirm(at("2026-10-25 22:59:59.999"))
	l.request("F12", e, at("2026-10-31 22:00:00"), nil, line(e, "standard", 2, 0, 15_97, 100_00)).
		hold(at("2026-10-31 22:00:01"))
	l.request("F13", e, at("2026-10-31 22:59:50"), nil, line(e, "standard", 1, 0, 7_98, 50_00)).
		hold(at("2026-10-31 22:59:51")).
		capture(provider, 90, at("2026-10-31 22:59:58"), at("2026-10-31 22:59:59.5")).confirm(at("2026-10-31 23:00:00"))
}

func (l *log) tokyo() {
	e := &pb.Event{
		EventId: Tokyo[:], Organiser: "acme", Name: "東京", Region: "apac", Currency: "JPY",
		Status: pb.EventStatus_EVENT_STATUS_ON_SALE, Version: 1, CreatedAtUnixMs: at("2026-09-01 00:00:00").UnixMilli(),
		SaleStartsUnixMs: at("2026-09-15 00:00:00").UnixMilli(),
		TicketTypes:      []*pb.TicketType{{Id: "day", Name: "Day", PriceMinor: 1005, TaxRateBp: 1000, TaxMode: onTop, BlockSizes: []uint32{3}}},
	}
	l.add(topology.CatalogEvents, Tokyo, at("2026-09-01 00:00:00"), e)
	l.block(e, "day", 3, 0, 3, 0, at("2026-09-01 00:00:01"))
	konbini := func(r *pb.Registration) { r.Channel, r.Region, r.PaymentMethod = "app", "apac", "konbini" }
	l.request("J1", e, at("2026-09-15 03:00:00"), konbini, line(e, "day", 1, 0, 101, 1106)).
		hold(at("2026-09-15 03:00:01")).
		capture(provider, 40, at("2026-09-15 03:00:02"), at("2026-09-15 03:00:02.1")).confirm(at("2026-09-15 03:00:02.2"))
	l.request("J2", e, at("2026-10-10 03:00:00"), konbini, line(e, "day", 2, 5, 201, 2206)).
		hold(at("2026-10-10 03:00:01")).
		capture(provider, 79, at("2026-10-10 03:00:02"), at("2026-10-10 03:00:02.1")).confirm(at("2026-10-10 03:00:02.2"))
}

func gala(version uint64) *pb.Event {
	return &pb.Event{
		EventId: Gala[:], Organiser: "gulf", Name: "=Gala", Region: "me", Currency: "KWD",
		Status: pb.EventStatus_EVENT_STATUS_ON_SALE, Version: version, CreatedAtUnixMs: at("2026-09-01 00:00:00").UnixMilli(),
		TicketTypes: []*pb.TicketType{
			{Id: "seat", Name: "Seat", PriceMinor: 12_345, TaxRateBp: 500, TaxMode: onTop, BlockSizes: []uint32{4}},
			{Id: "table", Name: "Table", PriceMinor: 12_350, TaxRateBp: 500, TaxMode: onTop, BlockSizes: []uint32{4}},
			{Id: "guest", Name: "Guest", PriceMinor: 1_000, TaxMode: exempt, BlockSizes: []uint32{2}},
		},
	}
}

func (l *log) gala() {
	e := gala(1)
	l.add(topology.CatalogEvents, Gala, at("2026-09-01 00:00:00"), e)
	l.block(e, "seat", 4, 0, 1, 0, at("2026-09-01 00:00:01"))
	l.block(e, "table", 4, 0, 1, 0, at("2026-09-01 00:00:01"))
	l.block(e, "guest", 2, 0, 0, 0, at("2026-09-01 00:00:01"))
	me := func(r *pb.Registration) { r.Region = "me" }
	l.request("K1", e, at("2026-09-20 18:00:00"), me, line(e, "seat", 1, 0, 617, 12_962), line(e, "table", 1, 0, 618, 12_968)).
		hold(at("2026-09-20 18:00:01")).
		capture(provider, 750, at("2026-09-20 18:00:02"), at("2026-09-20 18:00:02.1")).confirm(at("2026-09-20 18:00:02.2"))
	l.request("K2", e, at("2026-10-31 21:00:00"), me, line(e, "guest", 1, 0, 0, 1_000)).
		hold(at("2026-10-31 21:00:01")).
		capture(provider, 29, at("2026-10-31 21:00:02"), at("2026-10-31 21:00:02.1")).confirm(at("2026-10-31 21:00:02.2")).
		cancel(at("2026-10-31 22:00:00"), 1)
}
