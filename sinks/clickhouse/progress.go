package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
)

func (s *Sink) assigned(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, ids := range partitions {
		for _, id := range ids {
			s.owned[partition{topic, id}] = time.Time{}
		}
	}
}

// revoked forgets partitions. Their records in the batch are still written; only
// their offsets are left to the next owner.
func (s *Sink) revoked(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, ids := range partitions {
		for _, id := range ids {
			delete(s.owned, partition{topic, id})
			delete(s.vouched, partition{topic, id})
		}
	}
}

// CaughtUp returns nil once everything that is committed to the topics at the time
// of the call is in ClickHouse, whichever member of the group loads it.
func (s *Sink) CaughtUp(ctx context.Context) error {
	ends, err := endOffsets(ctx, s.admin)
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		behind, err := s.behind(ctx, s.cfg.Group, ends)
		if err == nil && len(behind) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d partitions are not in ClickHouse yet (%w): %w",
				len(behind), context.Cause(ctx), errors.Join(err, s.Ready()))
		case <-tick.C:
		}
	}
}

// endOffsets are the last stable offsets of the input topics: where a reader of
// committed records ends.
func endOffsets(ctx context.Context, admin *kadm.Client) (map[partition]int64, error) {
	listed, err := topicreader.Ends(ctx, admin, topology.ClickHouseSink.Inputs...)
	if err != nil {
		return nil, err
	}
	ends := map[partition]int64{}
	for topic, partitions := range listed {
		for id, end := range partitions {
			ends[partition{topic, id}] = end
		}
	}
	return ends, nil
}

// behind returns how many records a group lacks in each partition before it reaches
// ends.
func (s *Sink) behind(ctx context.Context, group string, ends map[partition]int64) (map[partition]int64, error) {
	committed, err := topicreader.Committed(ctx, s.admin, group)
	if err != nil {
		return nil, err
	}
	behind := map[partition]int64{}
	for p, end := range ends {
		if at := committed[p.topic][p.id]; at < end {
			behind[p] = end - at
		}
	}
	return behind, nil
}

// watchLag measures lag until ctx ends.
func (s *Sink) watchLag(ctx context.Context) {
	tick := time.NewTicker(s.cfg.LagInterval)
	defer tick.Stop()
	for {
		if err := s.measureLag(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("measuring the loader's lag", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Sink) measureLag(ctx context.Context) error {
	now := time.Now()
	ends, err := endOffsets(ctx, s.admin)
	if err != nil {
		return err
	}
	behind, err := s.behind(ctx, s.cfg.Group, ends)
	if err != nil {
		return err
	}
	records, oldest := map[string]int64{}, map[string]time.Time{}
	fresh, known := now, true
	s.mu.Lock()
	for p, n := range behind {
		records[p.topic] += n
		newest, mine := s.owned[p]
		if !mine || newest.IsZero() {
			known = false // another member's, or nothing loaded yet
			continue
		}
		if at, ok := oldest[p.topic]; !ok || newest.Before(at) {
			oldest[p.topic] = newest
		}
		if newest.Before(fresh) {
			fresh = newest
		}
	}
	s.mu.Unlock()
	for _, t := range topology.ClickHouseSink.Inputs {
		seconds := 0.0
		if at, ok := oldest[t.Name]; ok {
			seconds = now.Sub(at).Seconds()
		}
		s.metrics.lagRecords.WithLabelValues(t.Name).Set(float64(records[t.Name]))
		s.metrics.lagSeconds.WithLabelValues(t.Name).Set(seconds)
	}
	if known {
		s.metrics.freshness.Set(float64(fresh.UnixMilli()) / 1000)
	}
	return nil
}
