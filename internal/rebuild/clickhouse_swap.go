package rebuild

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

const (
	// swapTable is in a fresh database while its tables are being swapped.
	swapTable = clickhouse.SwapTable
	// swapMax bounds a swap, which an interrupt does not stop.
	swapMax = 10 * time.Minute
)

// swap exchanges each live table with the fresh one while the loader writes on,
// and returns the name of the database that the old ones are kept in.
//
// An exchange is atomic for one table, and an insert that is under way goes to
// the table that it began with. So what the loader wrote before the exchange to
// the old table, and what lies above the offsets that the fresh one has, is
// missing afterwards. All of that was committed to the topics before the last
// exchange. Hence this order:
//
//  1. load what has come since the fresh tables were loaded, so that little will
//     be missing;
//  2. the audit record, under the transactional id that a later rebuild takes;
//  3. write down up to where the fresh tables have everything: a run that finds
//     this goes on with step 5, and a loader that starts again goes back to there
//     (clickhouse.Sink), which loads what is missing, whatever was exchanged;
//  4. exchange the tables;
//  5. load from there to where the topics end now. The loader writes some of the
//     same records; a row that is there twice is one at read.
//
// Between steps 4 and 5 the newest rows are missing for a moment. A kill in
// between leaves them missing until the loader or a rebuild starts again; verify
// finds them.
func (d *database) swap(ctx context.Context, differ int64) (kept string, err error) {
	if d.loaded, err = d.load(ctx, d.fresh, d.loaded); err != nil {
		return "", err
	}
	if err := d.audit(ctx, differ); err != nil {
		return "", err
	}
	// From here on an interrupt would only leave more to do.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), swapMax)
	defer cancel()
	if err := d.noteSwap(ctx); err != nil {
		return "", err
	}
	d.made = false // it has what ends the swap, and then the old tables
	for _, t := range clickhouse.Tables() {
		if err := d.exec(ctx, "EXCHANGE TABLES "+quoted(d.o.Database, t)+" AND "+quoted(d.fresh, t)); err != nil {
			return "", fmt.Errorf("%w; run the rebuild again", err)
		}
	}
	if err := d.loadTail(ctx, d.loaded); err != nil {
		return "", fmt.Errorf("the tables are swapped, and the newest rows are still missing: run the rebuild again (%w)", err)
	}
	if err := d.live(func(db *sql.DB) error { return clickhouse.SetAuditRetention(ctx, db, d.auditMonths) }); err != nil {
		return "", err
	}
	d.refreshRollups(ctx)
	d.made = !d.o.KeepOld
	if !d.o.KeepOld {
		return "", nil
	}
	kept = d.o.Database + "_old_" + time.Now().UTC().Format("20060102_150405")
	if err := d.exec(ctx, "RENAME DATABASE "+quoted(d.fresh)+" TO "+quoted(kept)); err != nil {
		return "", err
	}
	return kept, d.exec(ctx, "DROP TABLE "+quoted(kept, swapTable)+" SYNC")
}

// refreshRollups brings the rollups up to the tables that were swapped in, which
// the loader would do a while later as well.
func (d *database) refreshRollups(ctx context.Context) {
	err := d.live(func(db *sql.DB) error {
		_, err := clickhouse.RefreshRollups(ctx, db)
		return err
	})
	if err != nil && !errors.Is(err, clickhouse.ErrNoRollups) {
		d.o.Logger.Warn("the rollups still show the tables that were swapped out, until the loader refreshes them", "error", err)
	}
}

// audit writes who swaps what and why.
func (d *database) audit(ctx context.Context, differ int64) error {
	done, err := d.o.By.record("clickhouse", fmt.Sprintf("database %s, %d rows differ, tables: %s", d.o.Database, differ, strings.Join(clickhouse.Tables(), ", ")))
	if err != nil {
		return err
	}
	if err := d.person.BeginTransaction(); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	produced := d.person.ProduceSync(ctx, done).FirstErr()
	if err := errors.Join(produced, d.person.EndTransaction(context.WithoutCancel(ctx), produced == nil)); err != nil {
		return fmt.Errorf("writing the audit record, unless another rebuild has begun since: %w", err)
	}
	return nil
}

// noteSwap writes down up to where the fresh tables have everything.
func (d *database) noteSwap(ctx context.Context) error {
	at := quoted(d.fresh, swapTable)
	if err := d.exec(ctx, "CREATE TABLE "+at+" (topic String, partition Int32, offset Int64) ENGINE = MergeTree ORDER BY (topic, partition)"); err != nil {
		return err
	}
	var rows []string
	for topic, partitions := range d.loaded {
		for id, offset := range partitions {
			rows = append(rows, fmt.Sprintf("('%s', %d, %d)", topic, id, offset))
		}
	}
	slices.Sort(rows)
	return d.exec(ctx, "INSERT INTO "+at+" (topic, partition, offset) VALUES "+strings.Join(rows, ", "))
}

// unfinished reads what noteSwap wrote; nothing when no exchange has begun.
func (d *database) unfinished(ctx context.Context, name string) (from topicreader.Offsets, err error) {
	var there bool
	err = d.db.QueryRowContext(ctx, "SELECT count() > 0 FROM system.tables WHERE database = ? AND name = ?", name, swapTable).Scan(&there)
	if err != nil || !there {
		return nil, err
	}
	rows, err := d.db.QueryContext(ctx, "SELECT topic, partition, offset FROM "+quoted(name, swapTable))
	if err != nil {
		return nil, fmt.Errorf("reading how far the swap of %s came: %w", name, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	from = topicreader.Offsets{}
	for rows.Next() {
		var topic string
		var id int32
		var offset int64
		if err := rows.Scan(&topic, &id, &offset); err != nil {
			return nil, err
		}
		if from[topic] == nil {
			from[topic] = map[int32]int64{}
		}
		from[topic][id] = offset
	}
	return from, rows.Err()
}

// loadTail loads into the live tables what fresh ones that were swapped in lack.
func (d *database) loadTail(ctx context.Context, from topicreader.Offsets) error {
	_, err := d.load(ctx, d.o.Database, from)
	return err
}
