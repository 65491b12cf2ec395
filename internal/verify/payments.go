package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/wire"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// payment is what is kept of one: its last snapshot, its table value, and what
// the provider's ledger says of it.
type payment struct {
	registration    uuid.UUID
	event, currency symbol
	amount          int64
	captured, fee   int64
	refunded        int64
	capturedAt      int64
	status          pb.PaymentStatus
	version, inCut  uint64
	digest          uint64
	refunds         []refund
	imported        bool

	table struct {
		known   bool
		version uint64
		digest  uint64
	}
	ledger struct {
		charges       uint32
		currency      symbol
		captured, fee int64
		capturedAt    int64
		refunded      int64
		refunds       []refund
	}
	row row
}

type refund struct {
	id     uuid.UUID
	amount int64
	at     int64
	status pb.RefundStatus
}

func (r refund) done() bool { return r.status == pb.RefundStatus_REFUND_STATUS_DONE }

// final reports whether no answer of the provider is waited for.
func (p *payment) final() bool {
	if p.status == pb.PaymentStatus_PAYMENT_STATUS_PENDING || p.status == pb.PaymentStatus_PAYMENT_STATUS_PARKED {
		return false
	}
	for _, r := range p.refunds {
		if !r.done() {
			return false
		}
	}
	return true
}

// unversionedOfPayment: deadline, attempts and when it was asked for change
// without a new version.
func unversionedOfPayment(id int32) bool { return id == 1 || id == 18 || id == 25 }

// unversionedOfRefund: attempts of a refund, which is field 15 of a payment.
var unversionedOfRefund = map[int32]func(int32) bool{15: func(id int32) bool { return id == 8 }}

func (w *world) decodePayment(b []byte, id *uuid.UUID, p *payment) error {
	var inner error
	err := wire.Scan(b, func(f wire.Field) {
		switch f.ID {
		case 2:
			*id = idOf(f.Bytes)
		case 3:
			p.registration = idOf(f.Bytes)
		case 4:
			p.event = w.symbols.of(f.Bytes)
		case 6:
			p.amount = int64(f.Number)
		case 7:
			p.currency = w.symbols.of(f.Bytes)
		case 9:
			p.status = pb.PaymentStatus(f.Number)
		case 11:
			p.fee = int64(f.Number)
		case 12:
			p.captured = int64(f.Number)
		case 13:
			p.capturedAt = int64(f.Number)
		case 14:
			p.refunded = int64(f.Number)
		case 15:
			if err := decodeRefund(f.Bytes, p); err != nil {
				inner = err
			}
		case 19:
			p.version = f.Number
		case 23:
			p.imported = f.Number != 0
		}
	})
	if err == nil {
		err = inner
	}
	return err
}

func decodeRefund(b []byte, p *payment) error {
	var r refund
	err := wire.Scan(b, func(f wire.Field) {
		switch f.ID {
		case 1:
			r.id = idOf(f.Bytes)
		case 2:
			r.amount = int64(f.Number)
		case 3:
			r.status = pb.RefundStatus(f.Number)
		case 5:
			r.at = int64(f.Number)
		}
	})
	p.refunds = append(p.refunds, r)
	return err
}

// readPayment reads a record of payment-events or payments-table.
func (w *world) readPayment(r *kgo.Record, p *payment) (id uuid.UUID, err error) {
	err = w.decodePayment(r.Value, &id, p)
	if err == nil && (id == (uuid.UUID{}) || p.registration == (uuid.UUID{})) {
		err = errNoID
	}
	if err == nil {
		p.digest, err = digest(r.Value, unversionedOfPayment, unversionedOfRefund)
	}
	return id, err
}

// onPayment takes a record of payment-events.
func (w *world) onPayment(r *kgo.Record) error {
	var next payment
	id, err := w.readPayment(r, &next)
	if err != nil {
		return w.undecodable(r, err)
	}
	w.countAudit(r, next.version)
	if copied(r) {
		return nil
	}
	w.payments.update(id, func(p *payment) {
		if next.version != p.version+1 {
			w.found.fail("I9", "payment %s: version %d comes after version %d in the log", id, next.version, p.version)
		}
		if p.captured > 0 && (next.captured != p.captured || next.refunded < p.refunded) {
			w.found.fail("I3", "payment %s: captured went from %d to %d, refunded from %d to %d", id, p.captured, next.captured, p.refunded, next.refunded)
		}
		next.inCut = p.inCut
		if r.Offset < w.loaded[part{r.Topic, r.Partition}] {
			next.inCut = next.version
		}
		next.table, next.ledger, next.row = p.table, p.ledger, p.row
		*p = next
	})
	return nil
}

// onTablePayment takes a record of payments-table.
func (w *world) onTablePayment(r *kgo.Record) error {
	var next payment
	id, err := w.readPayment(r, &next)
	if err != nil {
		return w.undecodable(r, err)
	}
	w.payments.update(id, func(p *payment) {
		p.table.known, p.table.version, p.table.digest = true, next.version, next.digest
	})
	return nil
}

// readLedger takes all of the provider's ledger. I3: one capture per payment and
// one entry per refund, whatever was redelivered.
func (w *world) readLedger(ctx context.Context, url string) error {
	entries := 0
	err := provider.ReadLedger(ctx, url, func(e provider.Entry) error {
		entries++
		id, err := uuid.Parse(e.PaymentReference)
		if err != nil {
			w.found.fail("I3", "ledger entry %d: its payment %q is no id of ours", e.Seq, e.PaymentReference)
			return nil
		}
		w.payments.update(id, func(p *payment) {
			switch e.Kind {
			case provider.KindCharge:
				w.onCharge(id, p, e)
			case provider.KindRefund:
				w.onLedgerRefund(id, p, e)
			}
		})
		return nil
	})
	if err != nil {
		return err
	}
	w.found.checked("I3", entries)
	w.found.detail("I3", "%v ledger entries", entries)
	return nil
}

func (w *world) onCharge(id uuid.UUID, p *payment, e provider.Entry) {
	l := &p.ledger
	l.charges++
	if l.charges > 1 {
		w.found.fail("I3", "payment %s was captured %d times: ledger entry %d is one too many", id, l.charges, e.Seq)
	}
	l.captured += e.AmountMinor
	l.fee += e.FeeMinor
	l.capturedAt = e.At.UnixMilli()
	l.currency = w.symbols.of([]byte(e.Currency))
}

func (w *world) onLedgerRefund(id uuid.UUID, p *payment, e provider.Entry) {
	refunded, err := uuid.Parse(e.Reference)
	if err != nil {
		w.found.fail("I3", "ledger entry %d: its refund %q is no id of ours", e.Seq, e.Reference)
		return
	}
	for _, r := range p.ledger.refunds {
		if r.id == refunded {
			w.found.fail("I3", "refund %s of payment %s was given back twice: ledger entry %d is one too many", refunded, id, e.Seq)
		}
	}
	p.ledger.refunded += e.AmountMinor
	p.ledger.refunds = append(p.ledger.refunds, refund{id: refunded, amount: e.AmountMinor, at: e.At.UnixMilli()})
}

// checkPayments checks I3, I4 and I9 of every payment.
func (w *world) checkPayments() {
	n := 0
	w.payments.each(func(id uuid.UUID, p *payment) {
		n++
		w.checkTable("payment", id.String(), p.version, p.digest, p.table.known, p.table.version, p.table.digest)
		if p.imported {
			w.checkImported(id, p)
		} else {
			w.checkLedgerOf(id, p)
			w.checkWanted(id, p)
		}
		if p.version > 0 && !p.final() {
			w.open("payment "+id.String(), false)
		}
	})
	w.found.checked("I9", n)
	w.found.checked("I4", n)
	w.registrations.each(func(id uuid.UUID, r *registration) { w.checkPaid(id, r) })
	w.checkBooks()
}

// checkLedgerOf: I4, what a payment says happened stands in the ledger, to the
// cent, the currency and the millisecond; and what stands in the ledger is known,
// unless the answer is still on its way.
func (w *world) checkLedgerOf(id uuid.UUID, p *payment) {
	l := &p.ledger
	// The ledger is read last: it may be ahead of the topics, and by right
	// while the payment waits for the provider's answer.
	waits := w.report.Moving || !p.final()
	if p.captured != l.captured && (p.captured != 0 || !waits) {
		w.found.fail("I4", "payment %s: captured %d, the ledger shows %d", id, p.captured, l.captured)
	}
	if p.captured > 0 && p.captured == l.captured && (p.fee != l.fee || p.currency != l.currency || p.capturedAt != l.capturedAt) {
		w.found.fail("I4", "payment %s: captured with fee %d in %s at %s, the ledger shows fee %d in %s at %s", id,
			p.fee, w.symbols.name(p.currency), stamp(p.capturedAt), l.fee, w.symbols.name(l.currency), stamp(l.capturedAt))
	}
	if l.refunded > l.captured {
		w.found.fail("I3", "payment %s: the ledger shows %d given back of %d", id, l.refunded, l.captured)
	}
	done := int64(0)
	for _, r := range p.refunds {
		if !r.done() {
			continue
		}
		done += r.amount
		if !contains(l.refunds, r) {
			w.found.fail("I4", "payment %s: refund %s of %d at %s is not in the ledger so", id, r.id, r.amount, stamp(r.at))
		}
	}
	if done != p.refunded {
		w.found.fail("I4", "payment %s: refunded %d, its refunds add up to %d", id, p.refunded, done)
	}
	if done != l.refunded && !waits {
		w.found.fail("I4", "payment %s: refunded %d, the ledger shows %d", id, done, l.refunded)
	}
}

func contains(refunds []refund, want refund) bool {
	for _, r := range refunds {
		if r.id == want.id && r.amount == want.amount && r.at == want.at {
			return true
		}
	}
	return false
}

func stamp(unixMs int64) string {
	return time.UnixMilli(unixMs).UTC().Format("2006-01-02T15:04:05.000Z")
}

// checkWanted: I3, captured money belongs to a confirmed registration, or was
// given back: in full, or the part of its cancelled lines.
func (w *world) checkWanted(id uuid.UUID, p *payment) {
	if p.ledger.captured == 0 {
		return
	}
	if p.version == 0 {
		if !w.report.Moving {
			w.found.fail("I3", "payment %s: the provider captured %d %s and no event tells of it", id, p.ledger.captured, w.symbols.name(p.ledger.currency))
		}
		return
	}
	r := w.registrations.get(p.registration)
	if w.report.Moving || !p.final() || (r != nil && r.version > 0 && r.open()) {
		return // still being settled; listed as open
	}
	owed, why := p.ledger.captured, "is not confirmed"
	if r != nil && r.stands() {
		owed, why = r.cancelledMinor(), "is confirmed but for its cancelled lines"
	}
	if p.ledger.refunded != owed {
		w.found.fail("I3", "payment %s: registration %s %s, so %d of %d was to be given back, the ledger shows %d",
			id, p.registration, why, owed, p.ledger.captured, p.ledger.refunded)
	}
}

// checkPaid: I3, a registration that was ever confirmed was paid in full.
func (w *world) checkPaid(id uuid.UUID, r *registration) {
	if !r.confirmed && (r.claim == nil || !r.claim.ended || r.open()) {
		return
	}
	w.found.checked("I3", 1)
	if r.total == 0 {
		return
	}
	if r.claim != nil {
		w.checkImportPaid(id, r)
		return
	}
	p := w.payments.get(paymentOf(id))
	switch {
	case p == nil || p.ledger.charges == 0:
		w.found.fail("I3", "registration %s was confirmed for %d %s and the provider captured nothing", id, r.total, w.symbols.name(r.currency))
	case p.captured != r.total || p.ledger.captured < r.total:
		w.found.fail("I3", "registration %s was confirmed for %d, its payment captured %d, the ledger shows %d", id, r.total, p.captured, p.ledger.captured)
	case p.currency != r.currency:
		w.found.fail("I4", "registration %s is in %s, its payment in %s", id, w.symbols.name(r.currency), w.symbols.name(p.currency))
	case p.registration != id:
		w.found.fail("I3", "registration %s: its payment belongs to registration %s", id, p.registration)
	}
}

// page is one page of the books.
type page struct {
	event, currency symbol
	day             string
}

// sums are its figures.
type sums struct{ captured, refunded, fee int64 }

func day(unixMs int64) string { return time.UnixMilli(unixMs).UTC().Format(time.DateOnly) }

// checkBooks: I4, per event, currency and UTC day of the provider the payments
// add up to what the ledger adds up to. An entry whose answer is on its way is
// left out of both, and so is what was imported, which has no entry.
func (w *world) checkBooks() {
	ours, ledger, asked := map[page]sums{}, map[page]sums{}, map[page]sums{}
	imported := 0
	add := func(to map[page]sums, p *payment, currency symbol, at, captured, refunded, fee int64) {
		k := page{p.event, currency, day(at)}
		s := to[k]
		to[k] = sums{s.captured + captured, s.refunded + refunded, s.fee + fee}
	}
	w.payments.each(func(_ uuid.UUID, p *payment) {
		waits := w.report.Moving || !p.final()
		book := func(at, captured, refunded, fee int64) {
			add(ours, p, p.currency, at, captured, refunded, fee)
			if !p.imported {
				add(asked, p, p.currency, at, captured, refunded, fee)
			}
		}
		if p.imported {
			imported++
		}
		if p.captured > 0 {
			book(p.capturedAt, p.captured, 0, p.fee)
		}
		if p.ledger.captured > 0 && (p.captured > 0 || !waits) {
			add(ledger, p, p.ledger.currency, p.ledger.capturedAt, p.ledger.captured, 0, p.ledger.fee)
		}
		for _, r := range p.refunds {
			if r.done() {
				book(r.at, 0, r.amount, 0)
			}
		}
		for _, r := range p.ledger.refunds {
			if !waits || contains(p.refunds, r) {
				add(ledger, p, p.ledger.currency, r.at, 0, r.amount, 0)
			}
		}
	})
	w.books = ours
	w.compareBooks("the ledger", asked, ledger)
	if imported > 0 {
		w.found.detail("I4", "%v payments were imported: their money moved elsewhere and is held against their imports", imported)
	}
	total := map[symbol]sums{}
	for k, s := range ours {
		t := total[k.currency]
		total[k.currency] = sums{t.captured + s.captured, t.refunded + s.refunded, t.fee + s.fee}
	}
	for c, s := range total {
		w.found.detail("I4", "%s: captured %v, refunded %v, fees %v", w.symbols.name(c), s.captured, s.refunded, s.fee)
	}
}

func (w *world) compareBooks(whose string, ours, theirs map[page]sums) {
	pages := map[page]bool{}
	for k := range ours {
		pages[k] = true
	}
	for k := range theirs {
		pages[k] = true
	}
	for k := range pages {
		if ours[k] != theirs[k] {
			w.found.fail("I4", "event %s, %s, %s: payments show %s, %s shows %s", w.symbols.event(k.event), w.symbols.name(k.currency), k.day,
				ours[k], whose, theirs[k])
		}
	}
}

func (s sums) String() string {
	return fmt.Sprintf("captured %d, refunded %d, fees %d", s.captured, s.refunded, s.fee)
}
