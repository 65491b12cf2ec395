package clickhouse

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// writer inserts one batch after the other.
type writer struct {
	conn    driver.Conn
	timeout time.Duration
	// schema is the schema's version; it is part of the deduplication token,
	// because another schema makes other rows of the same records.
	schema int64
	// cluster are the settings of an insert into a cluster; none for one server.
	cluster ch.Settings
}

// insert writes one table of a batch in one columnar insert. It returns when
// ClickHouse has answered; an error leaves unknown whether the rows are there,
// and then the same insert is repeated with the same token.
func (w *writer) insert(ctx context.Context, t *table, token string) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	ctx = ch.Context(ctx, ch.WithColumnNamesAndTypes(t.wire), ch.WithSettings(w.settings(token)))
	b, err := w.conn.PrepareBatch(ctx, t.insert())
	if err != nil {
		return fmt.Errorf("preparing an insert into %s: %w", t.name, err)
	}
	for i, c := range t.columns {
		if err := c.appendTo(b.Column(i)); err != nil {
			_ = b.Abort() // nothing was sent; the first error tells more
			return fmt.Errorf("column %s.%s: %w", t.name, t.wire[i].Name, err)
		}
	}
	if err := b.Send(); err != nil {
		return fmt.Errorf("inserting %d rows into %s: %w", t.rows(), t.name, err)
	}
	return nil
}

func (w *writer) settings(token string) ch.Settings {
	s := ch.Settings{
		"insert_deduplication_token": token,
		// A backfill writes many months at once.
		"max_partitions_per_insert_block": 0,
	}
	maps.Copy(s, w.cluster)
	return s
}

// token stands for the records of a batch and the schema that they become rows
// of: equal tokens, equal rows.
func token(schema int64, spans map[partition]span) string {
	parts := make([]partition, 0, len(spans))
	for p := range spans {
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b partition) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.id, b.id))
	})
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%s/%d:%d-%d\n", p.topic, p.id, spans[p].first, spans[p].next)
	}
	return fmt.Sprintf("boxoffice-%d-%s", schema, hex.EncodeToString(h.Sum(nil)[:16]))
}
