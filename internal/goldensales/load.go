package goldensales

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// Load loads batches of records into a new database with the real loader, one after
// the other, and opens it.
func Load(ctx context.Context, url, database string, batches ...[]*kgo.Record) (db *sql.DB, err error) {
	schema, err := clickhouse.Migrate(ctx, url, database)
	if err != nil {
		return nil, err
	}
	for _, batch := range batches {
		if err := load(ctx, url, database, schema, batch); err != nil {
			return nil, err
		}
	}
	if db, err = clickhouse.OpenDB(url, database); err != nil {
		return nil, err
	}
	if _, err := clickhouse.RefreshPaidOrders(ctx, db, clickhouse.Restraint{}); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func load(ctx context.Context, url, database string, schema int64, records []*kgo.Record) (err error) {
	bulk, err := clickhouse.OpenBulk(url, database, schema, 10*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bulk.Close()) }()
	for _, r := range records {
		if err := bulk.Take(ctx, r); err != nil {
			return err
		}
	}
	return bulk.Flush(ctx)
}
