package payments

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

var (
	soldAtMs   = start.AddDate(-1, 0, 0).UnixMilli()
	returnedMs = start.AddDate(0, -6, 0).UnixMilli()
)

// importing is a charge that was captured at Eventbrite a year ago.
func importing(refunds ...*pb.ImportedRefund) *pb.PaymentCommand {
	c := charge()
	c.GetCharge().Imported = true
	c.GetCharge().ImportedMoney = &pb.ImportedMoney{
		Provider: "eventbrite", Reference: "1001", CapturedMinor: price, FeeMinor: 300, CapturedAtUnixMs: soldAtMs, Refunds: refunds,
	}
	return c
}

func givenBack(amount int64, line uint32) *pb.ImportedRefund {
	return &pb.ImportedRefund{AmountMinor: amount, Line: line, Reference: "r1", RefundedAtUnixMs: returnedMs}
}

func (s *story) wantNothingAsked() {
	s.t.Helper()
	if len(s.requests) > 0 || s.state.GetDeadlineUnixMs() != 0 || s.state.GetAttempts() != 0 {
		s.t.Fatalf("I3: our provider was asked about imported money: %v, %v", s.requests, s.state)
	}
}

// Money that moved elsewhere is in the books of the day and the month in which it
// moved, and our provider never hears of it.
func TestImportedMoneyIsWrittenDown(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.apply(importing(givenBack(4_000, 1)))
	s.wantStatus(paid)
	s.wantNothingAsked()
	p := s.state
	if p.CapturedMinor != price || p.FeeMinor != 300 || p.CapturedAtUnixMs != soldAtMs || p.BookedAtUnixMs != soldAtMs ||
		p.Provider != "eventbrite" || p.ProviderReference != "1001" || !p.Imported || len(p.Lines) != 2 {
		t.Errorf("captured as %v", p)
	}
	r := p.Refunds[0]
	if topology.UUID(r.RefundId) != refundID(0) || r.Line != 1 || r.RefundedAtUnixMs != returnedMs || r.BookedAtUnixMs != returnedMs || p.RefundedMinor != 4_000 {
		t.Errorf("given back as %v", r)
	}
	s.wantPoison(s.answer(&pb.GatewayRequest{PaymentId: payment[:], IdempotencyKey: payment[:], AmountMinor: price}, captured), "never_asked")
}

// An order that was refunded in full is at its end.
func TestImportedMoneyThatWentBack(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.apply(importing(givenBack(4_000, 1), givenBack(price-4_000, 0)))
	s.wantStatus(pb.PaymentStatus_PAYMENT_STATUS_REFUNDED)
	s.wantRejected(refund(2, 1), ReasonExceedsCaptured)
	s.wantReplayed(cancel())
	s.wantNothingAsked()
}

// An imported order is cancelled here: the money is owed and only the source can
// give it back. A person does, and says so; asking our provider is refused.
func TestRefundOfImportedMoneyWaitsForAPerson(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.apply(importing(givenBack(4_000, 1)))
	s.apply(refund(1, price-4_000))
	parked := s.state.Refunds[1]
	if parked.Status != pb.RefundStatus_REFUND_STATUS_PARKED || !strings.Contains(parked.Reason, "eventbrite") || !strings.Contains(parked.Reason, "1001") {
		t.Fatalf("the refund is %v", parked)
	}
	id := refundID(1)
	s.wantRejected(retryRefund(1, 1), ReasonImported)
	said := &pb.GatewayResult{
		PaymentId: payment[:], Operation: opQuery, IdempotencyKey: id[:], Attempt: 1, Outcome: declined, DeclineCode: "resolved_by_operator",
	}
	s.wantRejected(said, ReasonImported)
	s.wantNothingAsked()
	said.Outcome, said.ProviderReference, said.AmountMinor, said.ProviderTimeUnixMs = refunded, "eb-r2", price-4_000, start.UnixMilli()
	s.apply(said)
	s.wantStatus(pb.PaymentStatus_PAYMENT_STATUS_REFUNDED)
	if done := s.state.Refunds[1]; done.BookedAtUnixMs != s.now.UnixMilli() || done.ProviderReference != "eb-r2" {
		t.Errorf("the refund is %v", done)
	}
	s.wantNothingAsked()
}

// The saga gave up before its import came, from the retries: that the money moved
// elsewhere remains true, so it is in the books and owed.
func TestCancelOvertakesAnImport(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.apply(cancel())
	s.apply(importing(givenBack(4_000, 1)))
	s.wantStatus(paid)
	if r := s.state.Refunds[1]; r.AmountMinor != price-4_000 || r.Status != pb.RefundStatus_REFUND_STATUS_PARKED {
		t.Errorf("what is owed is %v", r)
	}
	s.wantNothingAsked()
}

// No correct importer sends these: each is refused whole.
func TestNonsenseIsNotImported(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*pb.Charge){
		"no money":           func(c *pb.Charge) { c.ImportedMoney = nil },
		"not marked":         func(c *pb.Charge) { c.Imported = false },
		"another amount":     func(c *pb.Charge) { c.ImportedMoney.CapturedMinor-- },
		"no lines":           func(c *pb.Charge) { c.Lines = nil },
		"no provider":        func(c *pb.Charge) { c.ImportedMoney.Provider = "" },
		"no reference":       func(c *pb.Charge) { c.ImportedMoney.Reference = "" },
		"no time":            func(c *pb.Charge) { c.ImportedMoney.CapturedAtUnixMs = 0 },
		"a negative fee":     func(c *pb.Charge) { c.ImportedMoney.FeeMinor = -1 },
		"more than all back": func(c *pb.Charge) { c.ImportedMoney.Refunds = []*pb.ImportedRefund{givenBack(price+1, 0)} },
		"nothing back":       func(c *pb.Charge) { c.ImportedMoney.Refunds = []*pb.ImportedRefund{givenBack(0, 0)} },
		"a part of a line":   func(c *pb.Charge) { c.ImportedMoney.Refunds = []*pb.ImportedRefund{givenBack(3_999, 1)} },
		"a line that is not": func(c *pb.Charge) { c.ImportedMoney.Refunds = []*pb.ImportedRefund{givenBack(4_000, 3)} },
		"a line twice": func(c *pb.Charge) {
			c.ImportedMoney.Refunds = []*pb.ImportedRefund{givenBack(4_000, 1), givenBack(4_000, 1)}
		},
		"back before captured": func(c *pb.Charge) {
			c.ImportedMoney.CapturedAtUnixMs = returnedMs + 1
			c.ImportedMoney.Refunds = []*pb.ImportedRefund{givenBack(1, 0)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := importing()
			spoil(c.GetCharge())
			newStory(t).wantPoison(c, "invalid_import")
		})
	}
	s := newStory(t)
	s.apply(charge())
	s.wantPoison(importing(), "charge_conflict")
}

// Whatever is asked of imported money, in whatever order and however often, our
// provider is asked for nothing, and no more is owed than was captured. The story
// holds every step against the laws (I3, I4, I5).
func TestImportedMoneyModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newStory(rt)
		back := rapid.Int64Range(0, price).Draw(rt, "given back there")
		var refunds []*pb.ImportedRefund
		if back > 0 {
			refunds = append(refunds, givenBack(back, 0))
		}
		moves := []proto.Message{importing(refunds...), cancel()}
		known := false
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			m := rapid.SampledFrom(moves).Draw(rt, "message")
			if !known {
				m = rapid.SampledFrom([]proto.Message{moves[0], cancel()}).Draw(rt, "first")
				for i := range uint32(3) {
					moves = append(moves, refund(i+1, rapid.Int64Range(1, price).Draw(rt, "amount")))
				}
				known = true
			}
			effect, err := s.try(m)
			if p, ok := transition.AsPoison(err); err != nil && (!ok || p.Reason != "refund_conflict") {
				rt.Fatal(err)
			}
			_ = effect
			s.wantNothingAsked()
		}
	})
}
