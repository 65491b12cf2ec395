package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// row is what ClickHouse shows of one registration, payment or block.
type row struct {
	times   uint8 // how often
	version uint64
	// figures are what it amounts to: total and outcome; captured and refunded;
	// the seats of a block, two figures in each.
	figures [2]int64
}

// pair is two of a block's figures, each at most 64.
func pair[N uint8 | uint32](a, b N) int64 { return int64(a)<<32 | int64(b) }

func (r *row) see(version uint64, figures [2]int64) {
	r.times++
	r.version, r.figures = version, figures
}

// auditTotals are the audit rows of one partition.
type auditTotals struct{ records, last, versions int64 }

// reportsSchema is the version of ClickHouse's schema from which on there is all
// that reports read.
const reportsSchema = 6

// readClickHouse takes what ClickHouse shows, the audit trail first: facts are
// written before it.
func (w *world) readClickHouse(ctx context.Context, db *sql.DB) error {
	months, err := clickhouse.AuditRetention(ctx, db)
	if err != nil {
		return err
	}
	w.audited = clickhouse.AuditedSince(months, time.Now())
	since := map[string]string{"since": queries.Time(time.UnixMilli(max(w.audited.UnixMilli(), 0)))}
	read := func(name string, values map[string]string, scan func(*sql.Rows) error) (err error) {
		rows, err := queries.Run(ctx, db, name, values)
		if err != nil {
			return fmt.Errorf("reading ClickHouse: %w", err)
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			if err := scan(rows); err != nil {
				return fmt.Errorf("reading ClickHouse, query %s: %w", name, err)
			}
		}
		return rows.Err()
	}
	err = errors.Join(
		read(queries.AuditTotals, since, w.scanAudit),
		read(queries.RegistrationVersions, nil, w.scanRegistration),
		read(queries.PaymentVersions, nil, w.scanPayment),
		read(queries.BlockVersions, nil, w.scanBlock),
		read(queries.MoneyByDay, nil, func(rows *sql.Rows) error { return w.scanMoney(rows, w.loadedBooks) }),
	)
	if err != nil {
		return err
	}
	schema, err := clickhouse.SchemaVersion(ctx, w.options.ClickHouseURL, w.options.ClickHouseDB)
	if err != nil {
		return err
	}
	if schema < reportsSchema {
		// An earlier release left it, and no loader has migrated it yet.
		w.journal = nil
		return nil
	}
	if err := read(queries.MovementsByDay, nil, func(rows *sql.Rows) error { return w.scanMoney(rows, w.journal) }); err != nil {
		return err
	}
	w.reported, w.unbalanced, err = reports.LedgerTotals(ctx, db)
	return err
}

func (w *world) scanAudit(rows *sql.Rows) error {
	var topic string
	var partition int32
	var records, versions uint64
	var first, last int64
	if err := rows.Scan(&topic, &partition, &records, &first, &last, &versions); err != nil {
		return err
	}
	w.audit[part{topic, partition}] = auditTotals{int64(records), last, int64(versions)}
	return nil
}

func (w *world) scanRegistration(rows *sql.Rows) error {
	var id uuid.UUID
	var version uint64
	var total int64
	var outcome string
	if err := rows.Scan(&id, &version, &total, &outcome); err != nil {
		return err
	}
	figure := [2]int64{total, int64(w.symbols.of([]byte(outcome)))}
	w.registrations.update(id, func(r *registration) { r.row.see(version, figure) })
	return nil
}

func (w *world) scanPayment(rows *sql.Rows) error {
	var id uuid.UUID
	var version uint64
	var captured, refunded int64
	if err := rows.Scan(&id, &version, &captured, &refunded); err != nil {
		return err
	}
	w.payments.update(id, func(p *payment) { p.row.see(version, [2]int64{captured, refunded}) })
	return nil
}

func (w *world) scanBlock(rows *sql.Rows) error {
	var event uuid.UUID
	var ticketType string
	var number, held, sold, free, withdrawn uint32
	var version uint64
	if err := rows.Scan(&event, &ticketType, &number, &version, &held, &sold, &free, &withdrawn); err != nil {
		return err
	}
	id := blockID{w.symbols.of(event[:]), w.symbols.of([]byte(ticketType)), number}
	w.blocks.update(id, func(b *block) {
		b.row.see(version, [2]int64{pair(held, sold), pair(free, withdrawn)})
	})
	return nil
}

func (w *world) scanMoney(rows *sql.Rows, into map[page]sums) error {
	var event uuid.UUID
	var currency, day string
	var s sums
	if err := rows.Scan(&event, &currency, &day, &s.captured, &s.refunded, &s.fee); err != nil {
		return err
	}
	into[page{w.symbols.of(event[:]), w.symbols.of([]byte(currency)), day}] = s
	return nil
}

// checkClickHouse: I8, ClickHouse shows each registration, payment and block
// once, with its last version; I4, its books are ours.
func (w *world) checkClickHouse() {
	n := 0
	w.registrations.each(func(id uuid.UUID, r *registration) {
		if r.version == 0 && r.row.times == 0 || r.event == 0 && r.row.times == 0 {
			return // never an event: the trace of a refused command
		}
		n++
		w.checkRow("registration "+id.String(), r.row, r.version, r.inCut,
			[2]int64{r.total, int64(w.symbols.of([]byte(name(r.outcome))))})
	})
	w.payments.each(func(id uuid.UUID, p *payment) {
		if p.version == 0 && p.row.times == 0 {
			return
		}
		n++
		w.checkRow("payment "+id.String(), p.row, p.version, p.inCut, [2]int64{p.captured, p.refunded})
	})
	for id, b := range w.blocks.byID {
		n++
		version, figures := uint64(0), [2]int64{}
		if len(b.deeds) > 0 {
			last := b.deeds[len(b.deeds)-1] // checkBlocks has sorted them
			version = uint64(last.version)
			figures = [2]int64{pair(last.after.held, last.after.sold), pair(last.after.free, last.after.withdrawn)}
		}
		w.checkRow("block "+w.blockName(id), b.row, version, b.inCut, figures)
	}
	records := w.checkAudit()
	w.found.checked("I8", n)
	w.found.detail("I8", "%v registrations, payments and blocks, %v audit rows", n, records)
	w.found.checked("I8", int(records))
	switch {
	case w.report.Moving:
		w.found.detail("I4", "the sums of ClickHouse were not compared while payments arrive")
		return
	case w.report.NotLoaded > 0:
		w.found.detail("I8", "%v records are not loaded yet", w.report.NotLoaded)
		w.found.detail("I4", "the sums of ClickHouse were not compared, it has not loaded everything yet")
		return
	}
	w.compareBooks("ClickHouse", w.books, w.loadedBooks)
	if w.journal == nil {
		w.found.detail("I4", "journal and reports were not compared: the loader makes them when it starts")
		return
	}
	w.compareBooks("the journal of ClickHouse", w.books, w.journal)
	w.checkReports()
}

// checkRow: what lay below the loaded cut must be loaded; what came later may be.
func (w *world) checkRow(what string, r row, version, inCut uint64, figures [2]int64) {
	switch {
	case r.times > 1:
		w.found.fail("I8", "%s is in ClickHouse %d times", what, r.times)
	case r.times == 0 && inCut > 0:
		w.found.fail("I8", "%s is not in ClickHouse", what)
	case r.times == 0:
	case r.version > version:
		w.found.fail("I8", "%s: ClickHouse shows version %d, its log ends at version %d", what, r.version, version)
	case r.version < inCut:
		w.found.fail("I8", "%s: ClickHouse shows version %d, its log had version %d", what, r.version, inCut)
	case r.version == version && r.figures != figures:
		w.found.fail("I8", "%s, version %d: ClickHouse shows other figures than its log", what, version)
	}
}

// tail sums up the records of one partition as they are read, up to the last one
// that the audit trail has.
type tail struct {
	records, versions int64
	// missing is the first record below the loaded cut that lies above it.
	missing int64
	lacks   bool
}

// countAudit counts one record of an event topic, with the version that it shows.
func (w *world) countAudit(r *kgo.Record, version uint64) {
	if w.audit == nil || !loads(r.Topic) || r.Timestamp.Before(w.audited) {
		return
	}
	at, offset := part{r.Topic, r.Partition}, r.Offset
	loaded, known := w.audit[at]
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tails[at]
	if t == nil {
		t = &tail{}
		w.tails[at] = t
	}
	switch {
	case known && offset <= loaded.last:
		t.records++
		t.versions += int64(version)
	case offset >= w.loaded[at] && offset < w.first[at]:
		w.report.NotLoaded++
	case offset < w.loaded[at] && !t.lacks:
		t.lacks, t.missing = true, offset
	}
}

// checkAudit: I8, the audit trail has every record once.
func (w *world) checkAudit() (records int64) {
	for at, t := range w.tails {
		loaded := w.audit[at]
		records += loaded.records
		if t.lacks {
			w.found.fail("I8", "%s/%d: the audit trail ends before offset %d", at.topic, at.id, t.missing)
		}
		if t.records != loaded.records || t.versions != loaded.versions {
			w.found.fail("I8", "%s/%d: up to offset %d the log has %d records with versions of %d in sum, the audit trail %d with %d",
				at.topic, at.id, loaded.last, t.records, t.versions, loaded.records, loaded.versions)
		}
	}
	for at, loaded := range w.audit {
		if w.tails[at] == nil {
			w.found.fail("I8", "%s/%d: the audit trail has %d records, the log none", at.topic, at.id, loaded.records)
		}
	}
	return records
}

// loads reports whether the loader reads a topic.
func loads(topic string) bool {
	return slices.ContainsFunc(topology.ClickHouseSink.Inputs, func(t topology.Topic) bool { return t.Name == topic })
}

// loaderGroup is the consumer group whose offsets say what was loaded.
var loaderGroup = topology.ClickHouseSink.Name
