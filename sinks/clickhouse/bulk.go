package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/pause"
)

// Tables lists the tables that are loaded, in the order in which a batch is
// written: the audit trail last.
func Tables() []string {
	tables := newBatch().tables()
	names := make([]string, 0, len(tables))
	for _, t := range tables {
		names = append(names, t.name)
	}
	return names
}

// SchemaVersion is the version of a database's schema; nothing is migrated.
func SchemaVersion(ctx context.Context, url, database string) (version int64, err error) {
	db, err := OpenDB(url, database)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var v sql.NullInt64
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version WHERE is_applied = 1").Scan(&v); err != nil {
		return 0, fmt.Errorf("reading the schema's version: %w", err)
	}
	return v.Int64, nil
}

// Bulk writes records that its caller reads as the loader does, without being a
// member of its group and without committing anything.
type Bulk struct {
	log      *slog.Logger
	conn     driver.Conn
	writer   *writer
	patience time.Duration

	mu sync.Mutex
	// batch gathers; other is empty or being written.
	batch, other *batch
	writing      bool
	// written tells how the writing of the other batch ended.
	written chan error
}

// The same as the loader's defaults.
const (
	bulkRecords = 50_000
	bulkBytes   = 64 << 20
)

// OpenBulk opens a bulk load into a database of that schema version. A failed
// insert is repeated until it has failed for as long as patience.
func OpenBulk(url, database string, schema int64, patience time.Duration, log *slog.Logger) (*Bulk, error) {
	conn, err := openWriter(url, database, func(int) {})
	if err != nil {
		return nil, err
	}
	return &Bulk{
		log: log, conn: conn, patience: patience, batch: newBatch(), other: newBatch(), written: make(chan error, 1),
		writer: &writer{conn: conn, timeout: Config{}.withDefaults().InsertTimeout, schema: schema},
	}, nil
}

// Take gathers one record. When there are many they are written while more are
// gathered; an error of that is returned by a later call, and is final. Records of one partition
// must come in order. It may be called at the same time for several partitions.
func (b *Bulk) Take(ctx context.Context, r *kgo.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batch.add(r)
	if b.batch.records < bulkRecords && b.batch.bytes < bulkBytes {
		return nil
	}
	return b.turn(ctx)
}

// Flush writes what is left, and returns when all is written.
func (b *Bulk) Flush(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.turn(ctx); err != nil {
		return err
	}
	return b.await()
}

// turn begins to write what was gathered, once the batch before it is written.
func (b *Bulk) turn(ctx context.Context) error {
	if err := b.await(); err != nil {
		return err
	}
	full := b.batch
	b.batch, b.other, b.writing = b.other, full, true
	go func() {
		err := b.write(ctx, full)
		full.reset()
		b.written <- err
	}()
	return nil
}

// await returns when nothing is being written.
func (b *Bulk) await() error {
	if !b.writing {
		return nil
	}
	b.writing = false
	return <-b.written
}

func (b *Bulk) write(ctx context.Context, full *batch) error {
	tables := full.rows()
	token := token(b.writer.schema, full.spans)
	for _, t := range tables {
		if err := b.insert(ctx, t, token); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bulk) insert(ctx context.Context, t *table, token string) error {
	backoff, deadline := 50*time.Millisecond, time.Now().Add(b.patience)
	for {
		err := b.writer.insert(ctx, t, token)
		if err == nil || ctx.Err() != nil || Gone(err) || time.Now().After(deadline) {
			return err
		}
		b.log.Warn("an insert failed and is repeated", "table", t.name, "error", err)
		if !pause.For(ctx, backoff) {
			return ctx.Err()
		}
		backoff = min(2*backoff, 5*time.Second)
	}
}

// Gone says that the database or the table is not there any more, which no
// waiting mends.
func Gone(err error) bool {
	const unknownTable, unknownDatabase = 60, 81
	var e *ch.Exception
	return errors.As(err, &e) && (e.Code == unknownTable || e.Code == unknownDatabase)
}

// Close lets go of the connection; what was not flushed may be lost.
func (b *Bulk) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.await(), b.conn.Close())
}
