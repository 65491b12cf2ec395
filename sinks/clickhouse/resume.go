package clickhouse

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// resume moves partitions back to where ClickHouse ends when that is before what
// the group has committed: a database that was lost, or was restored from an
// older copy, is loaded anew from the topics (I8). The facts of a record are
// written before its audit row, so where the audit trail ends nothing before it
// is missing. It usually ends a transaction marker or two early, which are read
// once more. A partition that has been quiet for longer than audit rows are kept
// ends where its facts do.
func (s *Sink) resume(ctx context.Context, from map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	var ends map[partition]int64
	err := s.persist(ctx, "reading where ClickHouse ends", func() (err error) {
		if ends, err = s.loadedEnds(ctx, auditEnds); err != nil || s.cfg.AuditRetentionMonths == 0 {
			return err
		}
		quiet, err := s.loadedEnds(ctx, fmt.Sprintf(quietEnds, s.cfg.AuditRetentionMonths))
		for p, end := range quiet {
			if _, known := ends[p]; !known {
				ends[p] = end
			}
		}
		return err
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
