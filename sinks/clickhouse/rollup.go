package clickhouse

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

//go:embed rollups/*.sql
var rollupFiles embed.FS

// rollup is a table with the sums of a fact table. A month of it is computed of
// the same month of the facts, by the statement in rollups/NAME.sql.
type rollup struct {
	name, source string
	// month is the column whose months are the rollup's partitions.
	month string
}

var rollups = []rollup{
	{name: "revenue_by_quarter_hour", source: "movements", month: "occurred_at"},
	{name: "orders_by_quarter_hour", source: "registrations", month: "requested_at"},
}

// scratchInfix stands in the names of tables that a refresh makes. Each refresh
// has its own, so that two at once cannot mix their rows.
const scratchInfix = "_scratch_"

// refreshMax bounds one refresh.
const refreshMax = 30 * time.Minute

// Rollups lists the tables that RefreshRollups computes.
func Rollups() []string {
	names := make([]string, len(rollups))
	for i, r := range rollups {
		names[i] = r.name
	}
	return names
}

// RefreshRollups brings the rollups of a database up to its facts, and returns as
// of when they are exact: everything up to then is in them.
//
// A month is recomputed when the parts that hold the facts are others than those
// it was computed of, whatever the reason: new records, records that came late or
// again, a mutation, a swap of tables. Parts never change under their name, so a
// month whose parts are the same is right as it is.
//
// The new table is built beside the old one, of its unchanged months (no data is
// copied) and the recomputed ones, and exchanged with it. So readers see one
// refresh or the other and never a mix; a crash at any point leaves the old table,
// or the new one, and a scratch table that a later refresh drops. What a month was
// computed of is in its rows, hence always tells the truth about them, also when
// two refreshes run at once: should the older one win, the next refresh finds
// that out. (REPLACE PARTITION would be simpler. But after a crash of the server
// the parts that it replaced can come back beside the new ones.)
func RefreshRollups(ctx context.Context, db *sql.DB) (asOf time.Time, err error) {
	r := &refresh{db: db, abandoned: refreshMax, exec: executor(db)}
	return r.run(ctx)
}

// executor executes statements on a database.
func executor(db *sql.DB) func(ctx context.Context, statement string) error {
	return func(ctx context.Context, statement string) error {
		_, err := db.ExecContext(ctx, statement)
		return err
	}
}

// ErrNoRollups says that the facts are not on this one server, so that rollups of
// them are not kept. They have no row in rollup_refreshes then.
var ErrNoRollups = errors.New("rollups are kept on one server only")

// refresh is one refresh of all rollups.
type refresh struct {
	db   *sql.DB
	exec func(ctx context.Context, statement string) error
	asOf time.Time
	// abandoned is the age from which on a scratch table is nobody's.
	abandoned time.Duration
}

func (r *refresh) run(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, refreshMax)
	defer cancel()
	if err := r.clearUp(ctx); err != nil {
		return time.Time{}, err
	}
	// First: facts are written before their audit rows, so that what is read from
	// here on has all of them.
	if err := r.db.QueryRowContext(ctx, "SELECT max(time) FROM events").Scan(&r.asOf); err != nil {
		return time.Time{}, fmt.Errorf("reading the end of the audit trail: %w", err)
	}
	for _, of := range rollups {
		if err := r.refresh(ctx, of); err != nil {
			return time.Time{}, fmt.Errorf("refreshing %s: %w", of.name, err)
		}
	}
	return r.asOf, nil
}

// clearUp drops what refreshes that were interrupted have left.
func (r *refresh) clearUp(ctx context.Context) error {
	left, err := texts(ctx, r.db, fmt.Sprintf("SELECT name, '' FROM system.tables WHERE database = currentDatabase() AND position(name, '%s') > 0 AND metadata_modification_time <= now() - %d",
		scratchInfix, int(r.abandoned.Seconds())))
	if err != nil {
		return err
	}
	for name := range left {
		if err := r.exec(ctx, "DROP TABLE IF EXISTS "+name+" SYNC"); err != nil {
			return fmt.Errorf("dropping what an earlier refresh has left: %w", err)
		}
	}
	return nil
}

func (r *refresh) refresh(ctx context.Context, of rollup) error {
	now, err := r.sourceStates(ctx, of)
	if err != nil {
		return err
	}
	computed, err := texts(ctx, r.db, "SELECT toString(toYYYYMM("+of.month+")) AS month, if(uniqExact(source) = 1, any(source), '') FROM "+of.name+" GROUP BY month")
	if err != nil {
		return err
	}
	var keep, changed []string
	for month, state := range now {
		if computed[month] == state {
			keep = append(keep, month)
		} else {
			changed = append(changed, month)
		}
	}
	if len(changed) > 0 || len(computed) != len(now) {
		slices.Sort(changed)
		if err := r.rebuild(ctx, of, keep, changed, now); err != nil {
			return err
		}
	}
	return r.note(ctx, of, len(changed))
}

// sourceStates tells the months that the facts have, each with what stands for
// the parts that hold it.
func (r *refresh) sourceStates(ctx context.Context, of rollup) (map[string]string, error) {
	// The table's id comes first: should the table be exchanged in between, the
	// old id beside the new parts is no state that could come again.
	id, err := onOneServer(ctx, r.db, of.source)
	if err != nil {
		return nil, err
	}
	return texts(ctx, r.db, fmt.Sprintf(`SELECT partition, lower(hex(sipHash128('%s', arraySort(groupArray(name)))))
		FROM system.parts WHERE database = currentDatabase() AND table = '%s' AND active AND rows > 0 GROUP BY partition`, id, of.source))
}

// onOneServer returns a fact table's id, or ErrNoRollups when this server has not all
// of it.
func onOneServer(ctx context.Context, db *sql.DB, table string) (id uuid.UUID, err error) {
	var engine string
	err = db.QueryRowContext(ctx, "SELECT uuid, engine FROM system.tables WHERE database = currentDatabase() AND name = '"+table+"'").Scan(&id, &engine)
	switch {
	case err != nil:
		return id, fmt.Errorf("looking for table %s: %w", table, err)
	case engine != "ReplacingMergeTree":
		return id, fmt.Errorf("%w: table %s has the engine %s", ErrNoRollups, table, engine)
	}
	return id, nil
}

// rebuild makes the table anew and puts it in place.
func (r *refresh) rebuild(ctx context.Context, of rollup, keep, changed []string, states map[string]string) error {
	query, err := rollupFiles.ReadFile("rollups/" + of.name + ".sql")
	if err != nil {
		return err
	}
	scratch := of.name + scratchInfix + uuid.NewString()[:8]
	statements := []string{"CREATE TABLE " + scratch + " AS " + of.name}
	for _, month := range keep {
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FROM %s", scratch, month, of.name))
	}
	for _, month := range changed {
		statements = append(statements, fmt.Sprintf("INSERT INTO %s SELECT *, '%s', toDateTime64('%s', 3, 'UTC') FROM (%s) SETTINGS max_threads = 1",
			scratch, states[month], queries.Time(r.asOf), strings.ReplaceAll(string(query), "{month:UInt32}", month)))
	}
	statements = append(statements, "EXCHANGE TABLES "+of.name+" AND "+scratch, "DROP TABLE "+scratch+" SYNC")
	for _, s := range statements {
		if err := r.exec(ctx, s); err != nil {
			return fmt.Errorf("%.60s: %w", s, err)
		}
	}
	return nil
}

// note writes down as of when the rollup is exact, when that is news. After the
// exchange: what the table says is never later than what it has.
func (r *refresh) note(ctx context.Context, of rollup, recomputed int) error {
	at := queries.Time(r.asOf)
	noted, err := texts(ctx, r.db, "SELECT rollup, toString(as_of) FROM rollup_refreshes FINAL")
	if err != nil || noted[of.name] == at && recomputed == 0 {
		return err
	}
	return r.exec(ctx, fmt.Sprintf("INSERT INTO rollup_refreshes SELECT '%s', toDateTime64('%s', 3, 'UTC'), now64(3), %d", of.name, at, recomputed))
}

// texts reads two columns into a map.
func texts(ctx context.Context, db *sql.DB, query string) (all map[string]string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("asking ClickHouse: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = map[string]string{}
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return nil, fmt.Errorf("asking ClickHouse: %w", err)
		}
		all[key] = value
	}
	return all, rows.Err()
}
