package simulation

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/processors/payments"
	"github.com/eventpro/boxoffice/processors/registrations"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// wrote checks a value at the moment that it is committed.
func (b *books) wrote(h *handled, before, after *row) {
	switch v := after.message.(type) {
	case *pb.Block:
		b.block(h.record.key, v)
	case *pb.Registration:
		var was *pb.Registration
		if before != nil {
			was = before.message.(*pb.Registration)
		}
		b.registration(h, was, v)
	case *pb.Payment:
		b.payment(v)
		var was *pb.Payment
		if before != nil {
			was = before.message.(*pb.Payment)
		}
		b.asked(h.record.key, was, v)
	case *pb.Attendee:
		b.attendee(h.record.key, v)
	}
}

// block is I1 of one block, and that every seat that a saga keeps is its own.
func (b *books) block(key string, v *pb.Block) {
	union := uint64(0)
	for i, seats := range v.Seats {
		if seats == 0 || seats&union != 0 || v.Size < 64 && seats>>v.Size != 0 || seats&v.Sold != 0 && seats&^v.Sold != 0 {
			b.w.fail("I1", "hold %d of %s owns the seats %b of %b, sold are %b", i, nick(key), seats, union, v.Sold)
			return
		}
		union |= seats
	}
	if v.Sold&^union != 0 || v.Free+v.Withdrawn+uint32(bits.OnesCount64(union)) != v.Size {
		b.w.fail("I1", "%s: free %d, withdrawn %d, owned %b, sold %b of %d", nick(key), v.Free, v.Withdrawn, union, v.Sold, v.Size)
		return
	}
	for _, r := range b.held {
		b.owns(r, key)
	}
}

// owns: what a registration keeps in a block (any, if key is empty) is its own.
func (b *books) owns(r *pb.Registration, key string) {
	for _, hold := range r.Holds {
		if !keeps(hold) {
			continue
		}
		at := topology.BlockKey(r.EventId, lineOf(r, hold.Line).TicketType, hold.Block)
		if key != "" && at != key {
			continue
		}
		block, _ := b.row(topology.Inventory.Name, at).(*pb.Block)
		if seats := ownedBy(block, hold.HoldId, r.RegistrationId); seats != hold.Seats {
			b.w.fail("I1", "%s keeps the seats %b in %s, of which %b are its own", nick(topology.KeyOf(r.RegistrationId)), hold.Seats, nick(at), seats)
			return
		}
	}
}

func keeps(h *pb.Hold) bool {
	return h.Status == pb.HoldStatus_HOLD_STATUS_KEPT || h.Status == pb.HoldStatus_HOLD_STATUS_CONFIRMING ||
		h.Status == pb.HoldStatus_HOLD_STATUS_SOLD
}

func lineOf(r *pb.Registration, number uint32) *pb.Line {
	for _, l := range r.Lines {
		if l.Line == number {
			return l
		}
	}
	return &pb.Line{}
}

func ownedBy(block *pb.Block, hold, registration []byte) uint64 {
	for i, seats := range block.GetSeats() {
		if bytes.Equal(block.HoldIds[i*16:(i+1)*16], hold) && bytes.Equal(block.RegistrationIds[i*16:(i+1)*16], registration) {
			return seats
		}
	}
	return 0
}

// registration checks a saga: decided once (I2), confirmed only with its seats
// (I1) and its money (I3), and every change is a version (I9).
func (b *books) registration(h *handled, was, r *pb.Registration) {
	name := nick(h.record.key)
	if same := proto.Equal(historyOf(was), historyOf(r)); same != (was.GetVersion() == r.Version) {
		b.w.fail("I9", "%s goes from version %d to %d, changed: %v", name, was.GetVersion(), r.Version, !same)
		return
	}
	decidedBefore := was.GetOutcome() != pb.Outcome_OUTCOME_UNSPECIFIED
	second := was.GetOutcome() == pb.Outcome_OUTCOME_CONFIRMED && r.Outcome == pb.Outcome_OUTCOME_CANCELLED
	if decidedBefore && was.Outcome != r.Outcome && !second {
		b.w.fail("I2", "%s was decided %v and becomes %v", name, was.Outcome, r.Outcome)
		return
	}
	if !decidedBefore {
		b.decision(h, was, r)
	}
	if second {
		b.w.count(cancelConfirmed)
	}
	if r.Step != pb.Step_STEP_UNSPECIFIED {
		b.held[h.record.key] = r
		b.owns(r, "")
	}
}

// decision checks an outcome at the moment that it is decided.
func (b *books) decision(h *handled, was, r *pb.Registration) {
	name := nick(h.record.key)
	switch r.Outcome {
	case pb.Outcome_OUTCOME_CONFIRMED:
		b.w.count(confirmed)
		b.importTaken(r)
		id := topology.KeyOf(r.GetPayment().GetPaymentId())
		if !r.Imported && r.TotalMinor > 0 && b.w.provider.captured[id] != r.TotalMinor {
			b.w.fail("I3", "%s is confirmed, and %d of %d are captured", name, b.w.provider.captured[id], r.TotalMinor)
		}
		for _, l := range r.Lines {
			if n := seatsOf(r, l.Line); n != l.Quantity && !l.Cancelled {
				b.w.fail("I1", "%s is confirmed with %d of %d seats in line %d", name, n, l.Quantity, l.Line)
			}
		}
	case pb.Outcome_OUTCOME_EXPIRED:
		b.w.count(expired)
		if r.Imported {
			b.w.fail("I2", "%s was sold elsewhere, and expires", name)
		}
		// Due means that the time in the timer has come to the deadline.
		if t, ok := h.message.Value.(*pb.Timer); !ok || t.NowUnixMs < was.GetDeadlineUnixMs() {
			b.w.fail("I2", "%s expires by %v, and its deadline is %s", name, h.message.Value, clockTime(was.GetDeadlineUnixMs()))
		}
	case pb.Outcome_OUTCOME_SOLD_OUT:
		b.w.count(soldOut)
		if r.Reason == registrations.ReasonSoldOut && !r.SecondLook {
			b.w.fail("I1", "%s is sold out without a second look", name)
		}
	case pb.Outcome_OUTCOME_PAYMENT_FAILED:
		b.w.count(paymentFailed)
	case pb.Outcome_OUTCOME_CANCELLED:
		if r.Reason == registrations.ReasonCancelledAtSource {
			b.w.count(importEnded)
			b.importTaken(r)
			return
		}
		b.w.count(cancelOpen)
	case pb.Outcome_OUTCOME_REJECTED:
		if r.Reason == registrations.ReasonLimitReached {
			b.w.count(limitReached)
		}
	}
}

// importTaken: an import is decided with its money in the books (I3).
func (b *books) importTaken(r *pb.Registration) {
	if !r.Imported {
		return
	}
	b.w.count(importTaken)
	p, _ := b.row(topology.Payments.Name, topology.KeyOf(r.GetPayment().GetPaymentId())).(*pb.Payment)
	if p.GetCapturedMinor() != r.TotalMinor {
		b.w.fail("I3", "%s is decided, and %d of %d are in the books", nick(topology.KeyOf(r.RegistrationId)), p.GetCapturedMinor(), r.TotalMinor)
	}
}

func seatsOf(r *pb.Registration, line uint32) uint32 {
	n := 0
	for _, h := range r.Holds {
		if h.Line == line && keeps(h) {
			n += bits.OnesCount64(h.Seats)
		}
	}
	return uint32(n)
}

// historyOf is a registration without what is no part of its history: the last
// command, and when it is asked again.
func historyOf(r *pb.Registration) *pb.Registration {
	if r.GetStep() == pb.Step_STEP_UNSPECIFIED {
		return nil
	}
	r = proto.CloneOf(r)
	r.LastCommand, r.Redrives, r.DeadlineUnixMs = nil, 0, 0
	r.Version, r.ChangedAtUnixMs = 0, 0
	return r
}

// payment: nothing is parked because the provider refuses it, and what is called captured or refunded is in the provider's ledger (I4).
func (b *books) payment(p *pb.Payment) {
	id := topology.KeyOf(p.PaymentId)
	if p.Imported {
		b.importedPayment(id, p)
		return
	}
	if p.CapturedMinor > 0 && p.CapturedMinor != b.w.provider.captured[id] || p.RefundedMinor > b.w.provider.refunded[id] ||
		p.RefundedMinor > p.CapturedMinor {
		b.w.fail("I4", "%s has %d captured and %d refunded; the provider has %d and %d", nick(id),
			p.CapturedMinor, p.RefundedMinor, b.w.provider.captured[id], b.w.provider.refunded[id])
	}
	reasons := []string{p.Reason}
	for _, r := range p.Refunds {
		reasons = append(reasons, r.Reason)
	}
	for _, reason := range reasons {
		if strings.HasPrefix(reason, payments.ParkedImpossible) {
			b.w.fail("I4", "%s is parked: %s", nick(id), reason)
		}
	}
}

// importedPayment: what moved elsewhere is in our books as it moved, and never
// at our provider (I3, I4).
func (b *books) importedPayment(id string, p *pb.Payment) {
	if b.w.provider.captured[id] != 0 || p.Attempts != 0 || p.DeadlineUnixMs != 0 {
		b.w.fail("I3", "%s was imported, and is asked of our provider", nick(id))
	}
	if p.CapturedMinor != p.AmountMinor || p.RefundedMinor > p.CapturedMinor || p.BookedAtUnixMs != p.CapturedAtUnixMs {
		b.w.fail("I4", "%s was imported with %d captured of %d, %d refunded", nick(id), p.CapturedMinor, p.AmountMinor, p.RefundedMinor)
	}
}

// asksMax bounds how often a payment is asked in asksWithin milliseconds: its pauses
// grow from half a second on, and a change of its owner's clock takes one away.
const (
	asksMax    = 8
	asksWithin = 5_000
)

// asked: an outcome is asked for again with pauses, and in no loop (I2).
func (b *books) asked(key string, was, p *pb.Payment) {
	if attempts(p) == attempts(was) {
		return
	}
	times := slices.DeleteFunc(b.asks[key], func(at int64) bool { return at < b.w.now-asksWithin })
	b.asks[key] = append(times, b.w.now)
	if n := len(b.asks[key]); n > asksMax {
		b.w.fail("I2", "%s is asked %d times in %d ms", nick(key), n, asksWithin)
	}
}

func attempts(p *pb.Payment) uint32 {
	n := p.GetAttempts()
	for _, r := range p.GetRefunds() {
		n += r.Attempts
	}
	return n
}

// attendee: what counts never exceeds the limit.
func (b *books) attendee(key string, a *pb.Attendee) {
	counted := uint32(0)
	for _, e := range a.Registrations {
		// What was sold elsewhere was not limited.
		if !e.Released && !e.Refused && !b.w.client.imports(e.RegistrationId) {
			counted += e.Quantity
		}
	}
	if limit := b.w.client.limit; limit > 0 && counted > limit {
		b.w.fail("I1", "%s has %d tickets, the limit is %d", nick(key), counted, limit)
	}
}
