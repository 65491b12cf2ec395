package verify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const lastYear = noon - 365*86_400_000

var gina = topology.RegistrationID("acme", "import:eventbrite:1001") // one ticket that stands, one that was cancelled there

// bringIn is the small world after an order was imported.
func bringIn() *books {
	b := newBooks()
	b.register(gina, &pb.Line{TicketType: "paid", Quantity: 1, UnitPriceMinor: 5_000}, &pb.Line{TicketType: "paid", Quantity: 1, UnitPriceMinor: 5_000})
	money := &pb.ImportedMoney{
		Provider: "eventbrite", Reference: "1001", CapturedMinor: 10_000, FeeMinor: 40, CapturedAtUnixMs: lastYear,
		Refunds: []*pb.ImportedRefund{{AmountMinor: 5_000, Line: 2, RefundedAtUnixMs: lastYear + 86_400_000}},
	}
	for _, m := range []*message{b.find(topology.RegistrationEvents, gina.String(), -1), b.find(topology.RegistrationsTable, gina.String(), -1)} {
		m.value = claimed(b.last[gina.String()], money)
	}
	b.take(gina, []string{"paid"}, 0b100)
	b.pay(gina, func(p *pb.Payment) {
		p.Imported, p.Provider, p.ProviderReference = true, "eventbrite", "1001"
		p.Status, p.CapturedMinor, p.FeeMinor, p.CapturedAtUnixMs = pb.PaymentStatus_PAYMENT_STATUS_CAPTURED, 10_000, 40, lastYear
		id := topology.RefundID(topology.UUID(p.PaymentId), 0)
		p.Refunds = []*pb.Refund{{RefundId: id[:], AmountMinor: 5_000, Line: 2, Status: pb.RefundStatus_REFUND_STATUS_DONE, RefundedAtUnixMs: lastYear + 86_400_000}}
		p.RefundedMinor = 5_000
	})
	b.confirm(gina, "paid")
	return b
}

func claimed(r *pb.Registration, money *pb.ImportedMoney) *pb.Registration {
	r.Imported, r.Lines[1].Cancelled = true, true
	r.ImportedOrder = &pb.ImportedOrder{Source: "eventbrite", Reference: "1001", ConfirmedAtUnixMs: lastYear, Money: money}
	return proto.CloneOf(r)
}

// Money that moved elsewhere has no entry in our provider's ledger, and the books
// are right: its payments are held against their import, counted, and nothing else
// is exempt. ClickHouse has them like all others.
func TestImportedWorld(t *testing.T) {
	t.Parallel()
	o := bringIn().options(t)
	load(t, &o)
	r := verify(t, o)
	if !r.OK() || r.Open != 0 {
		t.Errorf("a correct import is found broken:\n%s", text(r))
	}
	if i, _ := r.Invariant("I4"); !strings.Contains(i.Detail, "1 payments were imported") || !strings.Contains(i.Detail, "captured 40,000, refunded 20,000, fees 130") {
		t.Errorf("I4: %s", i.Detail)
	}
}

// payments are the records of an import's payment: the event and the table's value.
func (b *books) payments(change func(*pb.Payment)) {
	for _, m := range []*message{b.find(topology.PaymentEvents, gina.String(), -1), b.find(topology.PaymentsTable, paymentKey(gina), -1)} {
		change(m.value.(*pb.Payment))
	}
}

// Imports are exempt from the ledger, and from nothing else: whatever differs from
// what was imported is found.
func TestBrokenImports(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breaks func(*books)
		broken []string
		said   string
	}{
		"our provider captured it as well": {
			func(b *books) {
				b.enter(provider.Entry{
					Kind: provider.KindCharge, Reference: paymentKey(gina), PaymentReference: paymentKey(gina), AmountMinor: 10_000,
					Currency: "EUR", At: time.UnixMilli(noon),
				})
			},
			[]string{"I3", "I4"},
			"our provider captured 10000",
		},
		"another amount than was imported": {
			func(b *books) { b.payments(func(p *pb.Payment) { p.CapturedMinor-- }) },
			[]string{"I3", "I4"},
			"no imported payment says so",
		},
		"another day than was imported": {
			func(b *books) { b.payments(func(p *pb.Payment) { p.CapturedAtUnixMs = noon }) },
			[]string{"I4"},
			"its import says 10000",
		},
		"a refund that was not imported": {
			func(b *books) { b.payments(func(p *pb.Payment) { p.Refunds[0].RefundedAtUnixMs++ }) },
			[]string{"I4"},
			"its import says 5000",
		},
		"more given back than was due": {
			func(b *books) {
				b.payments(func(p *pb.Payment) {
					r := proto.CloneOf(p.Refunds[0])
					id := topology.RefundID(topology.UUID(p.PaymentId), 1)
					r.RefundId, p.RefundedMinor, p.Status = id[:], 10_000, pb.PaymentStatus_PAYMENT_STATUS_REFUNDED
					p.Refunds = append(p.Refunds, r)
				})
			},
			[]string{"I3"},
			"so 0 of its 10000 was to be given back here, 5000 was",
		},
		"a sale that calls itself imported": {
			func(b *books) {
				for _, m := range []*message{b.find(topology.PaymentEvents, alice.String(), -1), b.find(topology.PaymentsTable, paymentKey(alice), -1)} {
					m.value.(*pb.Payment).Imported = true
				}
				b.ledger = slices.Delete(b.ledger, 0, 1)
			},
			[]string{"I3"},
			"says that it was imported",
		},
		"an import without its money": {
			func(b *books) {
				drop(b, topology.PaymentEvents, gina.String(), 0)
				drop(b, topology.PaymentsTable, paymentKey(gina), 0)
			},
			[]string{"I3"},
			"no imported payment says so",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bringIn()
			c.breaks(b)
			r := verify(t, b.options(t))
			var broken []string
			for _, i := range r.Invariants {
				if !i.OK {
					broken = append(broken, i.Name)
				}
			}
			first, _ := r.Invariant(c.broken[0])
			if !slices.Equal(broken, c.broken) || !strings.Contains(strings.Join(first.Offenders, "\n"), c.said) {
				t.Errorf("broken are %v, want %v with %q:\n%s", broken, c.broken, c.said, text(r))
			}
		})
	}
}
