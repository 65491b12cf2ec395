package provider

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"sync"
	"time"
)

// book is what the provider knows: an index over its ledger, the requests that
// are still travelling, and the rules of money.
type book struct {
	clock    func() time.Time
	lifetime time.Duration // of an idempotency key
	fee      Fee
	ledger   *ledger

	mu    sync.Mutex
	slots slots
	// byKey leads from an idempotency key to the entry that it decided. Keys past
	// their lifetime are dropped from oldest on.
	byKey  map[digest]uint32
	oldest uint64
	// byReference leads to the last entry with a reference; see slot.previous.
	// Declined charges are charges here.
	byReference map[digest]uint32
	travelling  map[digest]travel
	// failures counts the attempts answered 500, by reference, until one is
	// applied.
	failures map[string]int
}

// travel is a request that has arrived and is not answered yet.
type travel struct {
	body  digest
	kind  slotKind
	shown Entry // what queries may show of it
}

// refusal is an error that the caller is told.
type refusal struct {
	status  int
	code    string
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(status int, code, format string, args ...any) error {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

var errNotFound = &refusal{http.StatusNotFound, "not_found", "there is no such charge or refund"}

// openBook reads the ledger of a directory into an index.
func openBook(dir string, o Options) (*book, error) {
	b := &book{
		clock: o.Clock, lifetime: o.KeyLifetime, fee: *o.Fee, oldest: 1,
		byKey: map[digest]uint32{}, byReference: map[digest]uint32{},
		travelling: map[digest]travel{}, failures: map[string]int{},
	}
	var err error
	b.ledger, err = openLedger(dir, func(at span, l *ledgerLine) error {
		if l.entry.Seq != b.slots.count+1 {
			return fmt.Errorf("entry %d follows entry %d: restore the ledger from a copy", l.entry.Seq, b.slots.count)
		}
		if l.entry.Kind == KindRefund {
			charge, ok := b.capturedSlot(l.entry.ChargeID)
			if !ok {
				return fmt.Errorf("refund of %q, which the ledger does not have: restore the ledger from a copy", l.entry.ChargeID)
			}
			charge.refunded += l.entry.AmountMinor
		}
		b.index(at, l)
		return nil
	})
	return b, err
}

// index adds an entry whose line is in the file or on its way.
func (b *book) index(at span, l *ledgerLine) {
	e := &l.entry
	s := slot{
		offset: at.offset, lineLength: uint32(at.length), amount: e.AmountMinor,
		atMS: e.At.UnixMilli(), key: l.key, kind: slotKindOf(e.Kind),
	}
	reference := referenceDigest(s.kind, e.Reference)
	s.previous = b.byReference[reference]
	b.slots.add(s)
	seq := uint32(b.slots.count)
	b.byReference[reference] = seq
	b.byKey[l.key] = seq
	b.dropExpiredKeys(s.atMS)
}

func (b *book) dropExpiredKeys(nowMS int64) {
	for ; b.oldest < b.slots.count; b.oldest++ {
		s := b.slots.at(b.oldest)
		if s.atMS+b.lifetime.Milliseconds() > nowMS {
			return
		}
		// The key may have decided again since.
		if b.byKey[s.key] == uint32(b.oldest) {
			delete(b.byKey, s.key)
		}
	}
}

func referenceDigest(kind slotKind, reference string) digest {
	if kind == slotRefund {
		return digestOf([]byte("refund/" + reference))
	}
	return digestOf([]byte("charge/" + reference))
}

// begin admits a request, or returns the entry that its key decided before. The
// caller ends an admitted request with settle.
func (b *book) begin(key, body digest, shown Entry) (decided *Entry, attempt int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t, ok := b.travelling[key]; ok {
		if t.body != body {
			return nil, 0, errKeyReused
		}
		return nil, 0, errInProgress
	}
	if seq, ok := b.byKey[key]; ok && b.alive(seq) {
		line, err := b.read(uint64(seq))
		if err != nil {
			return nil, 0, err
		}
		if line.body != body {
			return nil, 0, errKeyReused
		}
		return &line.entry, 0, nil
	}
	b.travelling[key] = travel{body: body, kind: slotKindOf(shown.Kind), shown: shown}
	return nil, b.failures[shown.Reference], nil
}

var (
	errKeyReused  = &refusal{http.StatusUnprocessableEntity, "idempotency_key_reused", "the Idempotency-Key was used with another body: use a new key for a new request"}
	errInProgress = &refusal{http.StatusConflict, "idempotency_in_progress", "a request with this Idempotency-Key is still in progress: repeat it later with the same key and body"}
)

func (b *book) alive(seq uint32) bool {
	return b.clock().UnixMilli() < b.slots.at(uint64(seq)).atMS+b.lifetime.Milliseconds()
}

// settle ends a request that begin admitted.
func (b *book) settle(key digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.travelling, key)
}

// failed counts an attempt that applied nothing.
func (b *book) failed(reference string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures[reference]++
}

// charge decides a charge: captured, or declined when e has a decline code. It
// returns when the decision is on disk.
func (b *book) charge(key, body digest, e Entry) (Entry, error) {
	return b.record(key, body, func() (Entry, error) {
		e.PaymentReference = e.Reference
		e.Kind, e.FeeMinor = KindCharge, b.fee.Of(e.AmountMinor)
		if e.DeclineCode != "" {
			e.Kind, e.FeeMinor = KindDecline, 0
		}
		return e, nil
	}, chargePrefix)
}

// refund gives back a part of a captured charge, never more than is left of it.
func (b *book) refund(key, body digest, e Entry) (Entry, error) {
	return b.record(key, body, func() (Entry, error) {
		charge, ok := b.capturedSlot(e.ChargeID)
		if !ok {
			return Entry{}, refuse(http.StatusUnprocessableEntity, "charge_not_captured", "charge %s was not captured: there is nothing to refund", e.ChargeID)
		}
		if left := charge.amount - charge.refunded; e.AmountMinor > left {
			return Entry{}, refuse(http.StatusUnprocessableEntity, "refund_exceeds_charge", "a refund of %d is more than the %d that are left of charge %s", e.AmountMinor, left, e.ChargeID)
		}
		charge.refunded += e.AmountMinor
		e.Kind = KindRefund
		return e, nil
	}, refundPrefix)
}

// capturedSlot finds the slot of a captured charge by its id.
func (b *book) capturedSlot(id string) (*slot, bool) {
	seq, ok := seqOf(chargePrefix, id)
	if !ok || seq > b.slots.count || b.slots.at(seq).kind != slotCharge {
		return nil, false
	}
	return b.slots.at(seq), true
}

// record numbers the entry that decide returns, adds it to the ledger and waits
// for the disk.
func (b *book) record(key, body digest, decide func() (Entry, error), idPrefix string) (Entry, error) {
	e, g, err := b.enter(key, body, decide, idPrefix)
	if err != nil {
		return Entry{}, err
	}
	<-g.done
	return e, g.err
}

func (b *book) enter(key, body digest, decide func() (Entry, error), idPrefix string) (Entry, *group, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.slots.count >= math.MaxUint32 {
		return Entry{}, nil, errors.New("the ledger is full: start with a new directory")
	}
	e, err := decide()
	if err != nil {
		return Entry{}, nil, err
	}
	e.Seq = b.slots.count + 1
	e.ID = newID(idPrefix, e.Seq)
	e.At = b.clock().UTC().Truncate(time.Millisecond)
	line := ledgerLine{key: key, body: body, entry: e}
	at, g, err := b.ledger.add(&line)
	if err != nil {
		return Entry{}, nil, err
	}
	b.index(at, &line)
	delete(b.failures, e.Reference)
	return e, g, nil
}

// holding is a charge or refund as queries show it.
type holding struct {
	Entry
	pending  bool
	refunded int64
}

// byID returns a durable charge.
func (b *book) byID(id string) (holding, error) {
	seq, ok := seqOf(chargePrefix, id)
	if !ok {
		return holding{}, errNotFound
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq > b.ledger.durable.Load() || b.slots.at(seq).kind == slotRefund {
		return holding{}, errNotFound
	}
	return b.holding(seq)
}

// find returns all charges (with declined ones) or refunds with a reference, the
// oldest first, then what is still travelling unless that is to be denied.
func (b *book) find(kind slotKind, reference string, denyTravelling bool) ([]holding, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []holding
	for seq := b.byReference[referenceDigest(kind, reference)]; seq != 0; seq = b.slots.at(uint64(seq)).previous {
		// What is not on disk yet is still travelling.
		if uint64(seq) > b.ledger.durable.Load() {
			continue
		}
		h, err := b.holding(uint64(seq))
		if err != nil {
			return nil, err
		}
		found = append([]holding{h}, found...)
	}
	if !denyTravelling {
		for _, t := range b.travelling {
			if t.kind == kind && t.shown.Reference == reference {
				found = append(found, holding{Entry: t.shown, pending: true})
			}
		}
	}
	if len(found) == 0 {
		return nil, errNotFound
	}
	return found, nil
}

func (b *book) holding(seq uint64) (holding, error) {
	line, err := b.read(seq)
	return holding{Entry: line.entry, refunded: b.slots.at(seq).refunded}, err
}

// read returns a durable line.
func (b *book) read(seq uint64) (ledgerLine, error) {
	s := b.slots.at(seq)
	return b.ledger.lineAt(span{s.offset, int(s.lineLength)})
}

// linesAfter returns where the durable lines after a seq stand.
func (b *book) linesAfter(seq uint64) span {
	b.mu.Lock()
	defer b.mu.Unlock()
	durable := b.ledger.durable.Load()
	if seq >= durable {
		return span{}
	}
	first, last := b.slots.at(seq+1), b.slots.at(durable)
	return span{first.offset, int(last.offset - first.offset + int64(last.lineLength))}
}

// inherit gives a refund what it has from its charge.
func (b *book) inherit(e Entry) (Entry, error) {
	charge, err := b.byID(e.ChargeID)
	if err != nil {
		return Entry{}, err
	}
	e.PaymentReference, e.Currency, e.Method = charge.PaymentReference, charge.Currency, charge.Method
	if len(charge.Metadata) > 0 {
		merged := maps.Clone(charge.Metadata)
		maps.Copy(merged, e.Metadata)
		e.Metadata = merged
	}
	return e, nil
}
