package rebuild

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/pause"
	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// ClickHouseOptions say which database is rebuilt.
type ClickHouseOptions struct {
	Brokers []string
	// KafkaOptions come on top, for TLS and SASL.
	KafkaOptions []kgo.Opt
	// URL is the ClickHouse server, Database the loader's.
	URL, Database string
	// Swap puts the fresh tables in place when something differs.
	Swap bool
	// KeepOld keeps the tables that were swapped out, in a database of their own.
	KeepOld bool
	// By is who swaps; the audit trail wants a name.
	By     Person
	Logger *slog.Logger
	// LoadPatience is how long the loader may make no progress before what it has
	// not loaded is left out of the comparison; 20 s when 0.
	LoadPatience time.Duration
	// Patience is how long ClickHouse may refuse an insert; a minute when 0.
	Patience time.Duration
	// Progress is told how far the reading of a topic is; nil for nobody.
	Progress func(topic string, done, total int64)
}

// ClickHouseReport is what came of it.
type ClickHouseReport struct {
	Database string       `json:"database"`
	Records  int64        `json:"records"`
	Tables   []Comparison `json:"tables"`
	// Differ counts the rows that are missing, wrong or surplus.
	Differ  int64 `json:"differ"`
	Swapped bool  `json:"swapped"`
	// KeptAs is the database with the tables that were swapped out.
	KeptAs string `json:"kept_as,omitempty"`
	// Finished is the database of an earlier swap that was ended first.
	Finished  string  `json:"finished,omitempty"`
	DurationS float64 `json:"duration_s"`
}

const (
	loadPatience   = 20 * time.Second
	insertPatience = time.Minute
	// cleanMax bounds what is done after an interrupt.
	cleanMax = time.Minute
)

// ClickHouse recomputes the analytics database from the log and compares it with
// the live one.
//
// The topics are read by plain consumers, with the loader's code, into a database
// of its own beside the live one. A run that was interrupted starts over.
func ClickHouse(ctx context.Context, o ClickHouseOptions) (report ClickHouseReport, err error) {
	began := time.Now()
	if o.LoadPatience == 0 {
		o.LoadPatience = loadPatience
	}
	if o.Patience == 0 {
		o.Patience = insertPatience
	}
	d := &database{o: o, fresh: o.Database + rebuildInfix + uuid.NewString()[:8]}
	report.Database = o.Database
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	if err := d.open(ctx); err != nil {
		return report, err
	}
	if report.Finished, err = d.clearUp(ctx); err != nil {
		return report, err
	}
	if err := d.build(ctx); err != nil {
		return report, err
	}
	if report.Tables, err = d.compare(ctx); err != nil {
		return report, err
	}
	for _, t := range report.Tables {
		report.Differ += t.Missing + t.Wrong + t.Surplus
	}
	if o.Swap && report.Differ > 0 {
		if report.KeptAs, err = d.swap(ctx, report.Differ); err != nil {
			return report, err
		}
		report.Swapped = true
	}
	report.Records, report.DurationS = d.records.Load(), time.Since(began).Seconds()
	return report, nil
}

// rebuildInfix stands in the names of the databases that rebuilds make. Each run
// has a name of its own: a run whose database another one has taken away cannot
// swap that one's half-filled tables in.
const rebuildInfix = clickhouse.RebuildInfix

// database is a rebuild under way.
type database struct {
	o     ClickHouseOptions
	fresh string
	made  bool // the fresh database has to be dropped at the end
	db    *sql.DB
	admin *kadm.Client
	// person is the producer of the audit record. Its transactional id makes sure
	// that of two rebuilds only the later one swaps.
	person *kgo.Client
	schema int64
	// auditMonths is how long the live audit trail is kept, 0 for ever; audited is the
	// moment from which on it must have every record.
	auditMonths int64
	audited     time.Time
	starts      topicreader.Offsets
	// loaded is up to where the fresh tables have everything, compared up to where
	// the live ones must have it.
	loaded, compared topicreader.Offsets
	records          atomic.Int64
}

func (d *database) open(ctx context.Context) (err error) {
	if d.db, err = clickhouse.OpenDB(d.o.URL, "default"); err != nil {
		return err
	}
	if err := d.checkLive(ctx); err != nil {
		return err
	}
	d.person, err = kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(d.o.Brokers...),
		kgo.TransactionalID("boxoffice-rebuild/clickhouse/" + d.o.Database), kgo.TransactionTimeout(10 * time.Second),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	}, d.o.KafkaOptions...)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	d.admin = kadm.NewClient(d.person)
	if d.starts, err = topicreader.Starts(ctx, d.admin, topology.ClickHouseSink.Inputs...); err != nil {
		return err
	}
	for topic, partitions := range d.starts {
		for id, at := range partitions {
			if at > 0 {
				return fmt.Errorf("%s/%d begins at offset %d: its first records are gone, so that ClickHouse, which has them, cannot be recomputed", topic, id, at)
			}
		}
	}
	if _, _, err := d.person.ProducerID(ctx); err != nil {
		return fmt.Errorf("taking over from an earlier rebuild: %w", err)
	}
	return nil
}

// checkLive says what keeps the live database from being rebuilt.
func (d *database) checkLive(ctx context.Context) error {
	var engine string
	err := d.db.QueryRowContext(ctx, "SELECT engine FROM system.databases WHERE name = ?", d.o.Database).Scan(&engine)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("ClickHouse has no database %s: the loader makes it and loads everything, there is nothing to rebuild", d.o.Database)
	case err != nil:
		return fmt.Errorf("asking ClickHouse: %w", err)
	case engine != "Atomic":
		return fmt.Errorf("database %s has the engine %s, whose tables cannot be exchanged: drop the database and start the loader again, which loads everything", d.o.Database, engine)
	}
	shards, err := d.strings(ctx, "SELECT name FROM system.tables WHERE database = ? AND name = 'registrations_local'", d.o.Database)
	if err != nil {
		return err
	}
	if len(shards) > 0 {
		return fmt.Errorf("database %s is a cluster's, whose tables cannot be exchanged on all servers at once: drop the database ON CLUSTER and start the loader again, which loads everything", d.o.Database)
	}
	if d.schema, err = clickhouse.SchemaVersion(ctx, d.o.URL, d.o.Database); err != nil {
		return err
	}
	err = d.live(func(db *sql.DB) (err error) {
		d.auditMonths, err = clickhouse.AuditRetention(ctx, db)
		return err
	})
	d.audited = clickhouse.AuditedSince(d.auditMonths, time.Now())
	return err
}

// live does something with the live database.
func (d *database) live(do func(*sql.DB) error) error {
	db, err := clickhouse.OpenDB(d.o.URL, d.o.Database)
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}

// clearUp takes away what earlier runs have left, and ends a swap that one of
// them began.
func (d *database) clearUp(ctx context.Context) (finished string, err error) {
	left, err := d.strings(ctx, "SELECT name FROM system.databases WHERE startsWith(name, ?) ORDER BY name", d.o.Database+rebuildInfix)
	if err != nil {
		return "", err
	}
	for _, name := range left {
		from, err := d.unfinished(ctx, name)
		if err != nil {
			return "", err
		}
		if len(from) > 0 {
			d.o.Logger.Info("an earlier swap did not come to its end; what it left out is loaded now", "database", name)
			if err := d.loadTail(ctx, from); err != nil {
				return "", fmt.Errorf("ending the swap of %s: %w", name, err)
			}
			finished = name
		}
		if err := d.drop(ctx, name); err != nil {
			return "", err
		}
	}
	return finished, nil
}

// build makes the fresh database and loads everything that is committed now.
func (d *database) build(ctx context.Context) error {
	d.made = true
	schema, err := clickhouse.Migrate(ctx, d.o.URL, d.fresh)
	if err != nil {
		return err
	}
	if schema != d.schema {
		return fmt.Errorf("database %s has schema version %d, and this program makes %d: update the loader, or take its version of this program", d.o.Database, d.schema, schema)
	}
	if d.loaded, err = d.load(ctx, d.fresh, topicreader.Offsets{}); err != nil {
		return err
	}
	d.compared, err = d.awaitLoader(ctx)
	return err
}

// load loads what is committed now, from the offsets on, into a database. It
// returns up to where.
func (d *database) load(ctx context.Context, into string, from topicreader.Offsets) (ends topicreader.Offsets, err error) {
	if ends, err = topicreader.Ends(ctx, d.admin, topology.ClickHouseSink.Inputs...); err != nil {
		return nil, err
	}
	bulk, err := clickhouse.OpenBulk(d.o.URL, into, d.schema, d.o.Patience, d.o.Logger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bulk.Close()) }()
	rd := topicreader.Reader{Brokers: d.o.Brokers, Options: d.o.KafkaOptions, Progress: d.o.Progress}
	for _, t := range topology.ClickHouseSink.Inputs {
		if err := rd.Read(ctx, t, from[t.Name], ends[t.Name], func(r *kgo.Record) error { return bulk.Take(ctx, r) }); err != nil {
			return nil, loadingFailed(into, err)
		}
	}
	if err := bulk.Flush(ctx); err != nil {
		return nil, loadingFailed(into, err)
	}
	d.records.Add(rd.Records())
	return ends, nil
}

func loadingFailed(database string, err error) error {
	if clickhouse.Gone(err) {
		return fmt.Errorf("database %s is gone, has another rebuild begun? %w", database, err)
	}
	return fmt.Errorf("loading database %s: %w", database, err)
}

// awaitLoader waits until the loader has committed what the fresh tables have,
// and returns up to where it has: all below is in ClickHouse (I6). A loader that
// stands still is not waited for.
func (d *database) awaitLoader(ctx context.Context) (topicreader.Offsets, error) {
	var before int64 = -1
	moved := time.Now()
	for {
		committed, err := topicreader.Committed(ctx, d.admin, topology.ClickHouseSink.Name)
		if err != nil {
			return nil, err
		}
		cut, done, behind := topicreader.Offsets{}, int64(0), int64(0)
		for topic, ends := range d.loaded {
			cut[topic] = map[int32]int64{}
			for id, end := range ends {
				at := min(committed[topic][id], end)
				cut[topic][id] = at
				done, behind = done+at, behind+end-at
			}
		}
		if done > before {
			before, moved = done, time.Now()
		}
		if behind == 0 {
			return cut, nil
		}
		if time.Since(moved) > d.o.LoadPatience {
			d.o.Logger.Warn("the loader stands still; what it has not loaded is not compared", "records", behind)
			return cut, nil
		}
		if !pause.For(ctx, lookPause) {
			return nil, ctx.Err()
		}
	}
}

func (d *database) close(ctx context.Context) error {
	var errs []error
	if d.made {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanMax)
		defer cancel()
		errs = append(errs, d.drop(ctx, d.fresh))
	}
	if d.person != nil {
		d.person.Close()
	}
	if d.db != nil {
		errs = append(errs, d.db.Close())
	}
	return errors.Join(errs...)
}

func (d *database) drop(ctx context.Context, name string) error {
	return d.exec(ctx, "DROP DATABASE IF EXISTS "+quoted(name)+" SYNC")
}

func (d *database) exec(ctx context.Context, statement string) error {
	if _, err := d.db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("ClickHouse, %.80s: %w", statement, err)
	}
	return nil
}

// strings reads one column.
func (d *database) strings(ctx context.Context, query string, args ...any) (all []string, err error) {
	rows, err := d.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("asking ClickHouse: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// quoted is an identifier; ours have no backticks.
func quoted(names ...string) string { return "`" + strings.Join(names, "`.`") + "`" }
