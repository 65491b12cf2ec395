package verify

import (
	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/wire"
)

// An imported payment was captured in another system, before it came here, so our
// provider's ledger knows nothing of it and must not. In the ledger's place stands
// what the import said, which the registration carries (I3, I4). The exemption is
// one of payments whose registration was imported, and of no other.

// claim is what an import said.
type claim struct {
	captured, fee, capturedAt int64
	refunds                   []refund
	// ended: the order was cancelled there.
	ended bool
	// cancelled is what the lines cost that had been cancelled there.
	cancelled int64
}

// back is what was given back there.
func (c *claim) back() (sum int64) {
	for _, r := range c.refunds {
		sum += r.amount
	}
	return sum
}

func decodeClaim(b []byte) (*claim, error) {
	c := &claim{}
	var inner error
	err := wire.Scan(b, func(f wire.Field) {
		switch f.ID {
		case 4:
			c.ended = f.Number != 0
		case 5:
			inner = decodeImportedMoney(f.Bytes, c)
		}
	})
	if err == nil {
		err = inner
	}
	return c, err
}

func decodeImportedMoney(b []byte, c *claim) error {
	var inner error
	err := wire.Scan(b, func(f wire.Field) {
		switch f.ID {
		case 3:
			c.captured = int64(f.Number)
		case 4:
			c.fee = int64(f.Number)
		case 5:
			c.capturedAt = int64(f.Number)
		case 6:
			var r refund
			if err := wire.Scan(f.Bytes, func(f wire.Field) {
				switch f.ID {
				case 1:
					r.amount = int64(f.Number)
				case 4:
					r.at = int64(f.Number)
				}
			}); err != nil {
				inner = err
			}
			c.refunds = append(c.refunds, r)
		}
	})
	if err == nil {
		err = inner
	}
	return err
}

// checkImported holds an imported payment against what its import said.
func (w *world) checkImported(id uuid.UUID, p *payment) {
	if p.ledger.charges > 0 || len(p.ledger.refunds) > 0 {
		w.found.fail("I3", "payment %s was imported, and our provider captured %d and gave %d back", id, p.ledger.captured, p.ledger.refunded)
	}
	r := w.registrations.get(p.registration)
	if r == nil || r.version == 0 || r.claim == nil {
		if !w.report.Moving {
			w.found.fail("I3", "payment %s says that it was imported, and its registration %s was not", id, p.registration)
		}
		return
	}
	c := r.claim
	if p.captured != c.captured || p.fee != c.fee || p.capturedAt != c.capturedAt || p.currency != r.currency {
		w.found.fail("I4", "payment %s: captured %d with fee %d at %s, its import says %d with fee %d at %s", id,
			p.captured, p.fee, stamp(p.capturedAt), c.captured, c.fee, stamp(c.capturedAt))
	}
	done := int64(0)
	for i, refund := range p.refunds {
		if refund.done() {
			done += refund.amount
		}
		if i < len(c.refunds) && (!refund.done() || refund.amount != c.refunds[i].amount || refund.at != c.refunds[i].at) {
			w.found.fail("I4", "payment %s: refund %s of %d at %s, its import says %d at %s", id, refund.id,
				refund.amount, stamp(refund.at), c.refunds[i].amount, stamp(c.refunds[i].at))
		}
	}
	if done != p.refunded || done > p.captured || len(p.refunds) < len(c.refunds) {
		w.found.fail("I4", "payment %s: refunded %d of %d, its %d refunds that are done add up to %d, its import has %d", id,
			p.refunded, p.captured, len(p.refunds), done, len(c.refunds))
	}
	w.checkImportWanted(id, p, r, done)
}

// checkImportWanted: I3, what was cancelled here was given back, as far as the
// source had not done so. What the source kept of orders that it cancelled is its
// own affair.
func (w *world) checkImportWanted(id uuid.UUID, p *payment, r *registration, done int64) {
	if w.report.Moving || !p.final() || r.open() {
		return // listed as open
	}
	c := r.claim
	left := p.captured - c.back()
	due := left
	switch {
	case r.stands():
		due = r.cancelledMinor() - c.cancelled
	case r.confirmed:
		due = r.total - c.cancelled
	case c.ended:
		due = 0
	}
	if due = min(due, left); done-c.back() != due {
		w.found.fail("I3", "payment %s: registration %s is %s, so %d of its %d was to be given back here, %d was",
			id, p.registration, name(r.outcome), due, p.captured, done-c.back())
	}
}

// checkImportPaid: I3, what was paid for elsewhere is in our books.
func (w *world) checkImportPaid(id uuid.UUID, r *registration) {
	if p := w.payments.get(paymentOf(id)); p == nil || !p.imported || p.captured != r.total || p.registration != id {
		w.found.fail("I3", "registration %s was imported for %d %s, and no imported payment says so", id, r.total, w.symbols.name(r.currency))
	}
}
