package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// resume moves partitions back to where ClickHouse ends when that is before what
// the group has committed: a database that was lost, or was restored from an
// older copy, is loaded anew from the topics (I8). The facts of a record are
// written before its audit row, so where the audit trail ends nothing before it
// is missing. It usually ends a transaction marker or two early, which are read
// once more. A partition that has been quiet for longer than audit rows are kept
// ends where its facts do. Of tables that a rebuild has swapped in and did not fill
// up to the end, because it was killed, the newest rows may be missing below rows
// that were loaded since: they are loaded from where the swap began.
func (s *Sink) resume(ctx context.Context, from map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	var ends map[partition]int64
	err := s.persist(ctx, "reading where ClickHouse ends", func() (err error) {
		if ends, err = s.loadedEnds(ctx, auditEnds); err != nil {
			return err
		}
		if s.cfg.AuditRetentionMonths > 0 {
			quiet, err := s.loadedEnds(ctx, fmt.Sprintf(quietEnds, s.cfg.AuditRetentionMonths))
			if err != nil {
				return err
			}
			maps.Copy(quiet, ends)
			ends = quiet
		}
		return s.holes(ctx, ends)
	})
	if err != nil {
		return nil, err
	}
	var lost []string
	for topic, offsets := range from {
		for id, o := range offsets {
			end := ends[partition{topic, id}]
			if o.EpochOffset().Offset > end {
				offsets[id] = kgo.NewOffset().At(end)
				if end == 0 {
					lost = append(lost, fmt.Sprintf("%s/%d", topic, id))
				}
			}
		}
	}
	if len(lost) > 0 {
		slices.Sort(lost)
		s.log.Warn("ClickHouse lacks what was loaded before: it is loaded anew from the topics", "partitions", lost)
	}
	return from, nil
}

const (
	auditEnds = "SELECT topic, partition, max(offset) + 1 FROM events GROUP BY topic, partition"
	// quietEnds are those of partitions whose newest fact is older than any audit
	// row. A fact's batch is written whole, so nothing below it is missing; records
	// above it that have left no fact are loaded once more.
	quietEnds = `SELECT topic, partition, max(offset) + 1 FROM
	(
		SELECT topic, partition, offset, changed_at FROM registrations
		UNION ALL SELECT topic, partition, offset, changed_at FROM payments
		UNION ALL SELECT topic, partition, offset, changed_at FROM seat_blocks
		UNION ALL SELECT topic, partition, offset, changed_at FROM catalog_events
	)
	GROUP BY topic, partition HAVING max(changed_at) < now() - toIntervalMonth(%d)`
)

// RebuildInfix stands between the name of a database and what makes the name of one
// that a rebuild fills. SwapTable is in such a database from the moment at which its
// tables are swapped with the live ones, until nothing is missing in them any more:
// topic, partition and up to which offset they had everything.
const (
	RebuildInfix = "_rebuild_"
	SwapTable    = "swapped_at"
)

// holes moves ends back to where an unfinished swap began.
func (s *Sink) holes(ctx context.Context, ends map[partition]int64) error {
	names, err := s.unfinishedSwaps(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		began, err := s.loadedEnds(ctx, fmt.Sprintf("SELECT topic, partition, offset FROM `%s`.%s", name, SwapTable))
		if err != nil {
			return err
		}
		for p, at := range began {
			ends[p] = min(ends[p], at)
		}
	}
	return nil
}

// unfinishedSwaps are the databases of rebuilds that have begun a swap.
func (s *Sink) unfinishedSwaps(ctx context.Context) (names []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout)
	defer cancel()
	const query = "SELECT groupArray(database) FROM system.tables WHERE startsWith(database, concat(currentDatabase(), ?)) AND name = ?"
	if err := s.writer.conn.QueryRow(ctx, query, RebuildInfix, SwapTable).Scan(&names); err != nil {
		return nil, fmt.Errorf("looking for an unfinished swap: %w", err)
	}
	return names, nil
}

// loadedEnds is the offset after the last record of each partition, as a query has
// it.
func (s *Sink) loadedEnds(ctx context.Context, query string) (map[partition]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout)
	defer cancel()
	rows, err := s.writer.conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("reading where ClickHouse ends: %w", err)
	}
	defer rows.Close()
	ends := map[partition]int64{}
	for rows.Next() {
		var p partition
		var end int64
		if err := rows.Scan(&p.topic, &p.id, &end); err != nil {
			return nil, fmt.Errorf("reading where ClickHouse ends: %w", err)
		}
		ends[p] = end
	}
	return ends, rows.Err()
}
