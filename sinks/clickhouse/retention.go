package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Facts are kept for ever. The audit trail has a row a record and may be kept for
// some months only: its table has a time to live then, and ClickHouse drops parts
// whose records are all older. The topics keep everything in any case.

// retention is the time to live of the audit trail, as the table has it.
const retention = `SELECT toInt64OrZero(extract(engine_full, 'TTL toDateTime\\(time\\) \\+ toIntervalMonth\\((\\d+)\\)')), engine
	FROM system.tables WHERE database = currentDatabase() AND name = 'events'`

// AuditRetention is for how many months the audit trail of a database is kept; 0
// for ever.
func AuditRetention(ctx context.Context, db *sql.DB) (months int64, err error) {
	var engine string
	err = db.QueryRowContext(ctx, retention).Scan(&months, &engine)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading how long the audit trail is kept: %w", err)
	}
	return months, nil
}

// AuditedSince is the moment from which on an audit trail that is kept for so many
// months must have every record; the zero time when it is kept for ever.
func AuditedSince(months int64, now time.Time) time.Time {
	if months == 0 {
		return time.Time{}
	}
	// A day for clocks that differ.
	return now.AddDate(0, -int(months), 1)
}

// SetAuditRetention keeps the audit trail for so many months from now on, or for
// ever when there are 0. What was dropped does not come back. Doing it again changes
// nothing.
func SetAuditRetention(ctx context.Context, db *sql.DB, months int64) error {
	var now int64
	var engine string
	if err := db.QueryRowContext(ctx, retention).Scan(&now, &engine); err != nil {
		return fmt.Errorf("reading how long the audit trail is kept: %w", err)
	}
	statements := []string{"ALTER TABLE events REMOVE TTL"}
	switch {
	case now == months:
		return nil
	case engine != "ReplacingMergeTree":
		return fmt.Errorf("the audit trail has the engine %s: set the time to live on the tables below it by hand", engine)
	case months > 0:
		statements = []string{
			// Whole parts only: nothing is written anew for it.
			"ALTER TABLE events MODIFY SETTING ttl_only_drop_parts = 1",
			// Merges apply it; the statement itself does not read the table.
			fmt.Sprintf("ALTER TABLE events MODIFY TTL toDateTime(time) + toIntervalMonth(%d) SETTINGS materialize_ttl_after_modify = 0", months),
		}
	}
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("setting how long the audit trail is kept: %w", err)
		}
	}
	return nil
}

func (s *Sink) setRetention(ctx context.Context) (err error) {
	db, err := OpenDB(s.cfg.URL, s.cfg.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return SetAuditRetention(ctx, db, s.cfg.AuditRetentionMonths)
}
