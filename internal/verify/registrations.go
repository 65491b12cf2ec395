package verify

import (
	"math/bits"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/wire"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// registration is what is kept of one: its last snapshot and what its commands
// and its table value say.
type registration struct {
	event, currency symbol
	total           int64
	version         uint64
	// inCut is the last version below the loaded cut: ClickHouse must have it.
	inCut     uint64
	step      pb.Step
	outcome   pb.Outcome
	settled   bool
	confirmed bool // at any time
	// deadline is when the outcome is due, in Unix milliseconds.
	deadline int64
	lines    []line
	holds    []hold
	digest   uint64
	// claim is what its import said; nil when it was sold here.
	claim *claim

	table struct {
		known   bool
		version uint64
		digest  uint64
		// command is the position of the last command that was answered, and
		// its partition.
		command   int64
		partition int32
		answered  bool
	}
	registers uint32 // commands that ask for tickets
	commands  uint32
	row       row
}

type line struct {
	number, quantity uint32
	ticketType       symbol
	total            int64
	cancelled        bool
}

// hold is one that the registration lists.
type hold struct {
	id     uuid.UUID
	seats  uint64
	line   uint32
	block  uint32
	status pb.HoldStatus
	// owned: the block says so as well.
	owned bool
}

// live reports whether the registration counts on the hold's seats.
func (h *hold) live() bool {
	switch h.status {
	case pb.HoldStatus_HOLD_STATUS_KEPT, pb.HoldStatus_HOLD_STATUS_CONFIRMING, pb.HoldStatus_HOLD_STATUS_SOLD:
		return true
	}
	return false
}

// stands reports whether the registration is confirmed now.
func (r *registration) stands() bool { return r.outcome == pb.Outcome_OUTCOME_CONFIRMED }

// open reports whether the saga is still under way.
func (r *registration) open() bool { return !r.settled }

// cancelledMinor is what the cancelled lines cost.
func (r *registration) cancelledMinor() (sum int64) {
	for _, l := range r.lines {
		if l.cancelled {
			sum += l.total
		}
	}
	return sum
}

// The fields that no snapshot tells of: deadline, last command, re-drives.
func unversionedOfRegistration(id int32) bool { return id == 1 || id == 29 || id == 31 }

// onSnapshot takes a record of registration-events.
func (w *world) onSnapshot(r *kgo.Record) error {
	next := w.scratch.Get().(*registration)
	defer w.scratch.Put(next)
	*next = registration{lines: next.lines[:0], holds: next.holds[:0]}
	var id uuid.UUID
	err := w.decodeRegistration(r.Value, &id, next)
	if err == nil && id == (uuid.UUID{}) {
		err = errNoID
	}
	if err == nil {
		next.digest, err = digest(r.Value, unversionedOfRegistration, nil)
	}
	if err != nil {
		return w.undecodable(r, err)
	}
	w.countAudit(r, next.version)
	w.registrations.update(id, func(s *registration) {
		w.checkStep(id, s, next)
		next.inCut = s.inCut
		if r.Offset < w.loaded[part{r.Topic, r.Partition}] {
			next.inCut = next.version
		}
		next.confirmed = s.confirmed || next.stands()
		if next.claim != nil {
			if next.claim.cancelled = next.cancelledMinor(); s.claim != nil {
				next.claim.cancelled = s.claim.cancelled // as the first snapshot had it
			}
		}
		next.table, next.registers, next.commands, next.row = s.table, s.registers, s.commands, s.row
		// A registration has a handful of snapshots; each is kept in the place of
		// the one before.
		lines, holds := append(s.lines[:0], next.lines...), append(s.holds[:0], next.holds...)
		*s = *next
		s.lines, s.holds = lines, holds
	})
	return nil
}

// checkStep holds a snapshot against the one before it. I2: an outcome is decided
// once; only a confirmed one may be cancelled, which is a second decision. I9:
// the log has every version, once.
func (w *world) checkStep(id uuid.UUID, before, now *registration) {
	if now.version != before.version+1 {
		w.found.fail("I9", "registration %s: version %d comes after version %d in the log", id, now.version, before.version)
	}
	decided := before.outcome != pb.Outcome_OUTCOME_UNSPECIFIED
	second := before.outcome == pb.Outcome_OUTCOME_CONFIRMED && now.outcome == pb.Outcome_OUTCOME_CANCELLED
	if decided && now.outcome != before.outcome && !second {
		w.found.fail("I2", "registration %s was decided %s and became %s", id, name(before.outcome), name(now.outcome))
	}
	if before.version > 0 && now.total != before.total {
		w.found.fail("I4", "registration %s: its total went from %d to %d", id, before.total, now.total)
	}
}

func (w *world) decodeRegistration(b []byte, id *uuid.UUID, r *registration) error {
	var inner error
	keep := func(err error) {
		if inner == nil {
			inner = err
		}
	}
	err := wire.Scan(b, func(f wire.Field) {
		switch f.ID {
		case 1:
			r.deadline = int64(f.Number)
		case 2:
			*id = idOf(f.Bytes)
		case 4:
			r.event = w.symbols.of(f.Bytes)
		case 6:
			r.currency = w.symbols.of(f.Bytes)
		case 7:
			keep(w.decodeLine(f.Bytes, r))
		case 8:
			keep(decodeHold(f.Bytes, r))
		case 10:
			r.step = pb.Step(f.Number)
		case 11:
			r.outcome = pb.Outcome(f.Number)
		case 13:
			r.settled = f.Number != 0
		case 14:
			r.version = f.Number
		case 21:
			r.total = int64(f.Number)
		case 38:
			c, err := decodeClaim(f.Bytes)
			keep(err)
			r.claim = c
		}
	})
	if err == nil {
		err = inner
	}
	return err
}

func (w *world) decodeLine(b []byte, r *registration) error {
	var l line
	err := wire.Scan(b, func(f wire.Field) {
		switch f.ID {
		case 1:
			l.number = uint32(f.Number)
		case 2:
			l.ticketType = w.symbols.of(f.Bytes)
		case 3:
			l.quantity = uint32(f.Number)
		case 9:
			l.total = int64(f.Number)
		case 10:
			l.cancelled = f.Number != 0
		}
	})
	r.lines = append(r.lines, l)
	return err
}

func decodeHold(b []byte, r *registration) error {
	var h hold
	err := wire.Scan(b, func(f wire.Field) {
		switch f.ID {
		case 1:
			h.id = idOf(f.Bytes)
		case 2:
			h.line = uint32(f.Number)
		case 4:
			h.block = uint32(f.Number)
		case 6:
			h.seats = f.Number
		case 7:
			h.status = pb.HoldStatus(f.Number)
		}
	})
	r.holds = append(r.holds, h)
	return err
}

// onTableRegistration takes a record of registrations-table; the last one of a
// key counts.
func (w *world) onTableRegistration(r *kgo.Record) error {
	var id uuid.UUID
	var version uint64
	var last []byte
	err := wire.Scan(r.Value, func(f wire.Field) {
		switch f.ID {
		case 2:
			id = idOf(f.Bytes)
		case 14:
			version = f.Number
		case 29:
			last = f.Bytes
		}
	})
	if err != nil {
		return w.undecodable(r, err)
	}
	d, err := digest(r.Value, unversionedOfRegistration, nil)
	if err != nil {
		return w.undecodable(r, err)
	}
	var command int64
	var partition int32
	if err := wire.Scan(last, func(f wire.Field) {
		switch f.ID {
		case 1:
			partition = int32(f.Number)
		case 2:
			command = int64(f.Number)
		}
	}); err != nil {
		return w.undecodable(r, err)
	}
	w.registrations.update(id, func(s *registration) {
		s.table.known, s.table.version, s.table.digest = true, version, d
		s.table.command, s.table.partition, s.table.answered = command, partition, last != nil
	})
	return nil
}

// checkRegistrations checks what concerns one registration at a time.
func (w *world) checkRegistrations(now time.Time) {
	n, confirmed := 0, 0
	outcomes := map[pb.Outcome]int{}
	w.registrations.each(func(id uuid.UUID, r *registration) {
		w.checkTableRegistration(id, r)
		if r.version == 0 {
			return
		}
		n++
		outcomes[r.outcome]++
		if r.stands() {
			confirmed++
			w.checkSeatsOf(id, r)
		}
		w.checkSettled(id, r, now)
	})
	w.report.Registrations, w.report.Confirmed = int64(n), int64(confirmed)
	w.found.checked("I2", n)
	w.found.checked("I9", n)
	w.found.detail("I2", "%v registrations, %v confirmed, %v sold out, %v payment failed, %v expired, %v cancelled, %v rejected, %v undecided",
		n, outcomes[pb.Outcome_OUTCOME_CONFIRMED], outcomes[pb.Outcome_OUTCOME_SOLD_OUT], outcomes[pb.Outcome_OUTCOME_PAYMENT_FAILED],
		outcomes[pb.Outcome_OUTCOME_EXPIRED], outcomes[pb.Outcome_OUTCOME_CANCELLED], outcomes[pb.Outcome_OUTCOME_REJECTED],
		outcomes[pb.Outcome_OUTCOME_UNSPECIFIED])
}

// checkSettled lists what is open. I2: settled means that something was decided
// and no hold waits for an answer.
func (w *world) checkSettled(id uuid.UUID, r *registration, now time.Time) {
	if !r.settled {
		w.open(id.String(), r.outcome == pb.Outcome_OUTCOME_UNSPECIFIED && r.deadline > 0 &&
			now.UnixMilli() > r.deadline+time.Minute.Milliseconds())
		return
	}
	if r.outcome == pb.Outcome_OUTCOME_UNSPECIFIED {
		w.found.fail("I2", "registration %s is settled and has no outcome", id)
	}
	for i := range r.holds {
		switch h := &r.holds[i]; h.status {
		case pb.HoldStatus_HOLD_STATUS_ASKED, pb.HoldStatus_HOLD_STATUS_RELEASING, pb.HoldStatus_HOLD_STATUS_CONFIRMING,
			pb.HoldStatus_HOLD_STATUS_KEPT:
			w.found.fail("I2", "registration %s is settled and its hold %s is %s", id, h.id, name(h.status))
		}
	}
}

// checkSeatsOf: I1, a confirmed registration has exactly the seats of its lines,
// and the blocks say so too, at every moment.
func (w *world) checkSeatsOf(id uuid.UUID, r *registration) {
	for _, l := range r.lines {
		if l.cancelled {
			continue
		}
		w.tickets[ticketType{r.event, l.ticketType}] += int64(l.quantity)
		seats := 0
		for i := range r.holds {
			h := &r.holds[i]
			if h.line != l.number || !h.live() {
				continue
			}
			seats += bits.OnesCount64(h.seats)
			if !h.owned && !w.report.Moving {
				w.found.fail("I1", "registration %s is confirmed, but block %d does not know its hold %s", id, h.block, h.id)
			}
		}
		if seats != int(l.quantity) {
			w.found.fail("I1", "registration %s is confirmed for %d tickets in line %d and holds %d seats", id, l.quantity, l.number, seats)
		}
	}
}

// checkTableRegistration: I9, the table has the last snapshot.
func (w *world) checkTableRegistration(id uuid.UUID, r *registration) {
	w.checkTable("registration", id.String(), r.version, r.digest, r.table.known, r.table.version, r.table.digest)
}

// checkTable compares a table's value with the last snapshot of its log. Tables
// were read first, so that they may only be behind, and only while records arrive.
func (w *world) checkTable(kind, id string, version, digest uint64, known bool, tableVersion, tableDigest uint64) {
	switch {
	case !known && version > 0:
		if !w.report.Moving {
			w.found.fail("I9", "%s %s has events and no table value", kind, id)
		}
	case tableVersion > version:
		w.found.fail("I9", "%s %s: the table has version %d, its log only version %d", kind, id, tableVersion, version)
	case tableVersion < version:
		if !w.report.Moving {
			w.found.fail("I9", "%s %s: the table has version %d, its log version %d", kind, id, tableVersion, version)
		}
	case version > 0 && tableDigest != digest:
		w.found.fail("I9", "%s %s: the table's version %d differs from the event's", kind, id, version)
	}
}
