package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// insertPatience is for how long a failing insert is repeated.
const insertPatience = time.Minute

// Target is where a past is loaded into.
type Target struct {
	// URL is the server's, Database is one with the present schema, of version Schema.
	URL, Database string
	Schema        int64
	Logger        *slog.Logger
}

// Load writes the whole past and brings the database to where a loader and the
// server would have it in time: every month is one part, the rollups and the orders
// beside their money are as their facts. settling is called when all is written.
func (h *History) Load(ctx context.Context, to Target, shown func(Progress), settling func()) (p Progress, err error) {
	bulk, err := clickhouse.OpenBulk(to.URL, to.Database, to.Schema, insertPatience, to.Logger)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, bulk.Close()) }()
	if p, err = h.Write(ctx, bulk, shown); err != nil {
		return p, err
	}
	if err := bulk.Flush(ctx); err != nil {
		return p, err
	}
	settling()
	db, err := clickhouse.OpenDB(to.URL, to.Database)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return p, settle(ctx, db)
}

func settle(ctx context.Context, db *sql.DB) error {
	if _, err := clickhouse.RefreshPaidOrders(ctx, db, clickhouse.Restraint{}); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "OPTIMIZE TABLE movements FINAL SETTINGS optimize_skip_merged_partitions = 1"); err != nil {
		return fmt.Errorf("merging the journal of money: %w", err)
	}
	_, err := clickhouse.RefreshRollups(ctx, db)
	return err
}
