package clickhouse

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// paid is a captured payment of two lines, 119.00 for two standard tickets (19 %
// in it) and 40.00 for a premium one (exempt), with a fee of 4.90.
func paid(change func(*pb.Payment)) *pb.Payment {
	id := topology.PaymentID(alice)
	p := &pb.Payment{
		PaymentId: id[:], CapturedMinor: 15_900, FeeMinor: 490, CapturedAtUnixMs: 1_000, BookedAtUnixMs: 2_000,
		Lines: []*pb.ChargeLine{
			{Line: 1, TicketType: "standard", Quantity: 2, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, TaxRateBp: 1_900, TaxMinor: 1_900, DiscountMinor: 100, TotalMinor: 11_900},
			{Line: 2, TicketType: "premium", Quantity: 1, TaxMode: pb.TaxMode_TAX_MODE_EXEMPT, TotalMinor: 4_000},
		},
	}
	change(p)
	return p
}

func done(line uint32, amount int64) *pb.Refund {
	return &pb.Refund{Line: line, AmountMinor: amount, Status: pb.RefundStatus_REFUND_STATUS_DONE, RefundedAtUnixMs: 3_000, BookedAtUnixMs: 4_000}
}

// What was charged and given back is told apart by line where the payment says
// enough, and is one row of line 0 where it does not: never left out, never guessed.
func TestMovementsByLine(t *testing.T) {
	t.Parallel()
	charged := []string{"charge 1 standard 2 11900 tax 1900 fee 490 at 1000 2000", "charge 2 premium 1 4000 tax 0 fee 0 at 1000 2000"}
	refunds := func(all ...*pb.Refund) func(*pb.Payment) {
		return func(p *pb.Payment) {
			for i, r := range all {
				id := topology.RefundID(topology.PaymentID(alice), uint32(i))
				r.RefundId = id[:]
			}
			p.Refunds = all
		}
	}
	pending := done(1, 11_900)
	pending.Status = pb.RefundStatus_REFUND_STATUS_PENDING
	unbooked := done(2, 4_000)
	unbooked.BookedAtUnixMs = 0
	for name, c := range map[string]struct {
		change func(*pb.Payment)
		want   []string // after those of the charge
	}{
		"captured":           {change: func(*pb.Payment) {}},
		"a line":             {change: refunds(done(2, 4_000)), want: []string{"refund 2 premium 1 4000 tax 0 fee 0 at 3000 4000"}},
		"pending":            {change: refunds(pending)},
		"of before bookings": {change: refunds(unbooked), want: []string{"refund 2 premium 1 4000 tax 0 fee 0 at 3000 3000"}},
		"everything": {change: refunds(done(0, 15_900)), want: []string{
			"refund 1 standard 2 11900 tax 1900 fee 0 at 3000 4000", "refund 2 premium 1 4000 tax 0 fee 0 at 3000 4000",
		}},
		"the rest": {change: refunds(done(2, 4_000), done(0, 11_900)), want: []string{
			"refund 2 premium 1 4000 tax 0 fee 0 at 3000 4000", "refund 1 standard 2 11900 tax 1900 fee 0 at 3000 4000",
		}},
		"the rest while a line is pending": {change: refunds(pending, done(0, 4_000)), want: []string{"refund 2 premium 1 4000 tax 0 fee 0 at 3000 4000"}},
		"a rest that is no lines":          {change: refunds(done(0, 5_000)), want: []string{"refund 0  0 5000 tax 0 fee 0 at 3000 4000"}},
		// What comes later must not change the rows of what is done.
		"the rest before a line": {change: refunds(done(0, 11_900), done(2, 4_000)), want: []string{
			"refund 0  0 11900 tax 0 fee 0 at 3000 4000", "refund 2 premium 1 4000 tax 0 fee 0 at 3000 4000",
		}},
		"a part of a line": {change: refunds(done(1, 1_190)), want: []string{"refund 1 standard 0 1190 tax 190 fee 0 at 3000 4000"}},
		"an unknown line":  {change: refunds(done(7, 4_000)), want: []string{"refund 0  0 4000 tax 0 fee 0 at 3000 4000"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantMovements(t, paid(c.change), append(slices.Clone(charged), c.want...))
		})
	}
	unknown := []string{"charge 0  0 15900 tax 0 fee 490 at 1000 2000"}
	wantMovements(t, paid(func(p *pb.Payment) { p.Lines = nil }), unknown)
	wantMovements(t, paid(func(p *pb.Payment) { p.Lines[0].TotalMinor++ }), unknown)
	wantMovements(t, paid(func(p *pb.Payment) { p.Lines[1].Line = 1 }), unknown)
	wantMovements(t, paid(func(p *pb.Payment) { p.Lines[1].Line = 0 }), unknown)
	wantMovements(t, paid(func(p *pb.Payment) { p.CapturedMinor = 0 }), nil)
	wantMovements(t, paid(func(p *pb.Payment) { p.Lines, p.BookedAtUnixMs = nil, 0 }), []string{"charge 0  0 15900 tax 0 fee 490 at 1000 1000"})
}

func wantMovements(t *testing.T, p *pb.Payment, want []string) {
	t.Helper()
	var got []string
	movements(p, func(m *movement) {
		got = append(got, fmt.Sprintf("%s %d %s %d %d tax %d fee %d at %d %d", m.kind, m.line.GetLine(), m.line.GetTicketType(), m.line.GetQuantity(),
			m.line.GetTotalMinor(), m.line.GetTaxMinor(), m.feeMinor, m.occurredMs, m.bookedMs))
	})
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// I4: for any payment at all the rows sum up to what was captured, to its fee and
// to what each refund gave back, no two rows have one key, and a later version
// has every row of an earlier one unchanged.
func TestMovementsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPayment(t)
		rows := movementsByKey(t, p)
		sums := map[string]int64{}
		var fees int64
		for _, m := range rows {
			sums[string(m.id)] += m.line.GetTotalMinor()
			fees += m.feeMinor
		}
		if p.CapturedMinor != sums[string(p.PaymentId)] || p.CapturedMinor != 0 && fees != p.FeeMinor {
			t.Fatalf("captured %d (fee %d), the rows have %d (%d)", p.CapturedMinor, p.FeeMinor, sums[string(p.PaymentId)], fees)
		}
		for _, r := range p.Refunds {
			want := r.AmountMinor
			if r.Status != pb.RefundStatus_REFUND_STATUS_DONE {
				want = 0
			}
			if got := sums[string(r.RefundId)]; got != want {
				t.Fatalf("a refund (%v) of %d, the rows have %d", r.Status, want, got)
			}
		}
		later := movementsByKey(t, successor(t, p))
		for key, row := range rows {
			if after, ok := later[key]; !ok || describe(after) != describe(row) {
				t.Fatalf("the row %s became %s", describe(row), describe(after))
			}
		}
	})
}

func describe(m movement) string {
	return fmt.Sprint(m.kind, m.line, m.feeMinor, m.reference, m.occurredMs, m.bookedMs)
}

func movementsByKey(t *rapid.T, p *pb.Payment) map[string]movement {
	rows := map[string]movement{}
	movements(p, func(m *movement) {
		key := fmt.Sprintf("%x/%d", m.id, m.line.GetLine())
		if _, ok := rows[key]; ok {
			t.Fatalf("two rows of %s", key)
		}
		rows[key] = *m
	})
	return rows
}

// drawPayment draws payments as they are, and some that no processor makes.
func drawPayment(t *rapid.T) *pb.Payment {
	id := topology.PaymentID(alice)
	p := &pb.Payment{PaymentId: id[:], FeeMinor: rapid.Int64Range(0, 500).Draw(t, "fee"), CapturedAtUnixMs: 1_000}
	var total int64
	for i := range rapid.IntRange(0, 4).Draw(t, "lines") {
		line := &pb.ChargeLine{
			Line: uint32(i + 1), Quantity: 1, TotalMinor: rapid.Int64Range(0, 3).Draw(t, "total"),
			TaxMode: pb.TaxMode_TAX_MODE_ON_TOP, TaxRateBp: 700, TaxMinor: rapid.Int64Range(0, 1).Draw(t, "tax"),
		}
		if rapid.IntRange(0, 20).Draw(t, "odd") == 0 {
			line.Line = rapid.Uint32Range(0, 3).Draw(t, "number")
		}
		total += line.TotalMinor
		p.Lines = append(p.Lines, line)
	}
	p.CapturedMinor = rapid.SampledFrom([]int64{total, total, total, total + 1, 0}).Draw(t, "captured")
	for range rapid.IntRange(0, 4).Draw(t, "refunds") {
		addRefund(t, p)
	}
	return p
}

func addRefund(t *rapid.T, p *pb.Payment) {
	id := topology.RefundID(topology.PaymentID(alice), uint32(len(p.Refunds)))
	r := &pb.Refund{
		RefundId: id[:], Line: rapid.Uint32Range(0, 4).Draw(t, "line"), AmountMinor: rapid.Int64Range(1, 6).Draw(t, "amount"),
		Status: pb.RefundStatus(rapid.IntRange(1, 3).Draw(t, "status")), RefundedAtUnixMs: rapid.Int64Range(1, 9).Draw(t, "at"),
	}
	if line := number(p.Lines, r.Line); line != nil && rapid.Bool().Draw(t, "whole") {
		r.AmountMinor = line.TotalMinor
	}
	p.Refunds = append(p.Refunds, r)
}

// successor is a later version: what was on its way is done, and more is asked.
func successor(t *rapid.T, p *pb.Payment) *pb.Payment {
	later := &pb.Payment{
		PaymentId: p.PaymentId, FeeMinor: p.FeeMinor, CapturedAtUnixMs: p.CapturedAtUnixMs, Lines: p.Lines, CapturedMinor: p.CapturedMinor,
	}
	for _, r := range p.Refunds {
		again := &pb.Refund{RefundId: r.RefundId, Line: r.Line, AmountMinor: r.AmountMinor, Status: r.Status, RefundedAtUnixMs: r.RefundedAtUnixMs}
		if rapid.Bool().Draw(t, "done now") {
			again.Status = pb.RefundStatus_REFUND_STATUS_DONE
		}
		later.Refunds = append(later.Refunds, again)
	}
	addRefund(t, later)
	return later
}
