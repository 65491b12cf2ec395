package clickhouse

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// resume moves partitions back to where ClickHouse ends when that is before what
// the group has committed: a database that was lost, or was restored from an
// older copy, is loaded anew from the topics (I8). The facts of a record are
// written before its audit row, so where the audit trail ends nothing before it
// is missing. It usually ends a transaction marker or two early, which are read
// once more.
func (s *Sink) resume(ctx context.Context, from map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	var ends map[partition]int64
	err := s.persist(ctx, "reading where ClickHouse ends", func() (err error) {
		ends, err = s.loadedEnds(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	lost := false
	for topic, offsets := range from {
		for id, o := range offsets {
			end := ends[partition{topic, id}]
			if o.EpochOffset().Offset > end {
				offsets[id] = kgo.NewOffset().At(end)
				lost = lost || end == 0
			}
		}
	}
	if lost {
		s.log.Warn("ClickHouse lacks what was loaded before: it is loaded anew from the topics")
	}
	return from, nil
}

// loadedEnds is the offset after the last record of each partition that the
// audit trail has.
func (s *Sink) loadedEnds(ctx context.Context) (map[partition]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout)
	defer cancel()
	rows, err := s.writer.conn.Query(ctx, "SELECT topic, partition, max(offset) + 1 FROM events GROUP BY topic, partition")
	if err != nil {
		return nil, fmt.Errorf("reading the end of the audit trail: %w", err)
	}
	defer rows.Close()
	ends := map[partition]int64{}
	for rows.Next() {
		var p partition
		var end int64
		if err := rows.Scan(&p.topic, &p.id, &end); err != nil {
			return nil, fmt.Errorf("reading the end of the audit trail: %w", err)
		}
		ends[p] = end
	}
	return ends, rows.Err()
}
