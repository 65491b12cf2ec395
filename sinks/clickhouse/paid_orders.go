package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// How paid_orders is kept: every order beside its money, a month at a time.
//
//	the month's parts become one ─> which parts are there? ─> join of the month ─> paid_orders
//	                                         └──────────────> paid_orders_snapshots, when all is written
//
// The list of parts is read before the join, so the join has seen all their rows. A
// row in any other part may be newer than the join, and readers take its order from
// the facts. A part never changes under its name, so nothing that happens later makes
// a snapshot wrong: it only leaves more orders to be joined by readers, all of the
// month when a listed part is gone.

const (
	// snapshotBucket is how many registrations are joined at a time: about 60 MB.
	snapshotBucket = 250_000
	// snapshotGrace is for how long a snapshot stays beside the one that has replaced it,
	// for queries that have begun, and one that was never finished.
	snapshotGrace = time.Hour
)

// paidOrdersSources are the tables that are joined.
var paidOrdersSources = []string{"registrations", "payments"}

// Restraint spares a server from joining a month again and again while it is loaded,
// and its readers from surprises. The zero value has none.
type Restraint struct {
	// Notice is for how long readers do not use a new snapshot: longer than a query takes
	// from looking at the tables to looking at the snapshots.
	Notice time.Duration
	// Calm is for how long nothing was written to a month that is joined at once.
	Calm time.Duration
	// Busy is how long the last join of any other month must be over, and BusyRows how
	// many rows of orders or of payments it must have: readers join fewer themselves
	// within a second, while merging and joining them takes cores from the sale that
	// fills the month.
	Busy     time.Duration
	BusyRows uint64
}

// defaultRestraint joins a month that is being loaded once an hour.
var defaultRestraint = Restraint{Notice: time.Minute, Calm: 20 * time.Minute, Busy: time.Hour, BusyRows: 250_000}

// RefreshPaidOrders joins the months whose orders readers have to join themselves, and
// returns how many it joined. The open items are right with it and without; they are
// quick with it. A month that cannot be joined keeps no other from it.
func RefreshPaidOrders(ctx context.Context, db *sql.DB, restraint Restraint) (joined int, err error) {
	p := &paidOrders{db: db, exec: executor(db), restraint: restraint, bucket: snapshotBucket, grace: snapshotGrace}
	return p.run(ctx)
}

// paidOrders is one refresh of paid_orders.
type paidOrders struct {
	db        *sql.DB
	exec      func(ctx context.Context, statement string) error
	restraint Restraint
	bucket    uint64
	grace     time.Duration
}

func (p *paidOrders) run(ctx context.Context) (joined int, err error) {
	for _, table := range paidOrdersSources {
		if _, err := onOneServer(ctx, p.db, table); err != nil {
			return 0, err
		}
	}
	if err := p.clearUp(ctx); err != nil {
		return 0, err
	}
	due, err := p.due(ctx)
	if err != nil {
		return 0, err
	}
	for _, m := range due {
		if failed := p.join(ctx, m); failed != nil {
			err = errors.Join(err, fmt.Errorf("joining the orders of %d with their money: %w", m.month, failed))
			continue
		}
		joined++
	}
	return joined, err
}

// clearUp drops snapshots that were replaced, and what was never finished.
func (p *paidOrders) clearUp(ctx context.Context) error {
	const old = `SELECT partition, '' FROM system.parts
		WHERE database = currentDatabase() AND table = 'paid_orders' AND active AND partition NOT IN
		(
			SELECT arrayJoin([toString(argMax(snapshot, made_at)), toString(argMaxIf(snapshot, made_at, counts_from <= now64(3) - %[1]d))])
			FROM paid_orders_snapshots GROUP BY month
		)
		GROUP BY partition HAVING max(modification_time) <= now() - %[1]d`
	left, err := texts(ctx, p.db, fmt.Sprintf(old, int(p.grace.Seconds())))
	if err != nil {
		return err
	}
	for snapshot := range left {
		if err := p.exec(ctx, "ALTER TABLE paid_orders DROP PARTITION '"+snapshot+"'"); err != nil {
			return fmt.Errorf("dropping an old snapshot of paid orders: %w", err)
		}
	}
	return nil
}

// paidMonth is a month of the facts.
type paidMonth struct {
	month uint32
	rows  uint64 // of registrations or of payments, whichever are more
}

// due are the months that have to be joined, the newest first: it is asked for most.
func (p *paidOrders) due(ctx context.Context) (due []paidMonth, err error) {
	rows, err := p.db.QueryContext(ctx, fmt.Sprintf(`
		SELECT toUInt32(partition) AS month, greatest(sumIf(rows, table = 'registrations'), sumIf(rows, table = 'payments')) AS most_rows
		FROM system.parts
		LEFT JOIN
		(
			SELECT month, max(s.made_at) AS made_at FROM paid_orders_snapshots AS s WHERE tables = (%s) GROUP BY month
		) AS last ON last.month = toUInt32(partition)
		WHERE database = currentDatabase() AND table IN ('registrations', 'payments') AND active AND rows > 0
		  AND toUInt32(partition) NOT IN (SELECT month FROM (%s))
		GROUP BY month
		HAVING any(made_at) <= now64(3) - %d
			AND (max(modification_time) <= now() - %d OR any(made_at) <= now64(3) - %d AND most_rows >= %d)
		ORDER BY month DESC`,
		queries.SnapshotTables(), queries.SnapshotsThatStand(),
		int(p.restraint.Notice.Seconds()), int(p.restraint.Calm.Seconds()), int(p.restraint.Busy.Seconds()), p.restraint.BusyRows))
	if err != nil {
		return nil, fmt.Errorf("looking for months whose orders have changed: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var m paidMonth
		if err := rows.Scan(&m.month, &m.rows); err != nil {
			return nil, fmt.Errorf("looking for months whose orders have changed: %w", err)
		}
		due = append(due, m)
	}
	return due, rows.Err()
}

// join makes a snapshot of a month.
func (p *paidOrders) join(ctx context.Context, m paidMonth) error {
	ctx, cancel := context.WithTimeout(ctx, refreshMax)
	defer cancel()
	for _, table := range paidOrdersSources {
		// One part each: small ones would soon be merged away.
		merge := fmt.Sprintf("OPTIMIZE TABLE %s PARTITION %d FINAL SETTINGS optimize_skip_merged_partitions = 1", table, m.month)
		if err := p.exec(ctx, merge); err != nil {
			return fmt.Errorf("merging %s: %w", table, err)
		}
	}
	var tables, parts string
	err := p.db.QueryRowContext(ctx, fmt.Sprintf("SELECT (%s), toString((%s AND partition = '%d'))", queries.SnapshotTables(), queries.SnapshotParts(), m.month)).Scan(&tables, &parts)
	if err != nil {
		return fmt.Errorf("looking for the parts of the month: %w", err)
	}
	snapshot := uuid.New()
	buckets := int(m.rows/p.bucket) + 1 //nolint:gosec // a number of rows
	for n := range buckets {
		of := queries.PaidOrdersSnapshot{Snapshot: snapshot, Month: m.month, Bucket: n, Buckets: buckets}
		if err := p.exec(ctx, "INSERT INTO paid_orders ("+queries.PaidOrdersColumns()+") "+of.SQL()); err != nil {
			return err
		}
	}
	return p.exec(ctx, fmt.Sprintf("INSERT INTO paid_orders_snapshots SELECT %d, '%s', '%s', %s, count(), now64(3) AS now, now + %d FROM paid_orders WHERE snapshot = '%s'",
		m.month, snapshot, tables, parts, int(p.restraint.Notice.Seconds()), snapshot))
}
