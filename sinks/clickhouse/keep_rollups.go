package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/eventpro/boxoffice/internal/pause"
	"github.com/eventpro/boxoffice/internal/topology"
)

// refreshShare bounds the share of time that refreshes take: the pause after one is
// this many times as long as it took.
const refreshShare = 4

// keepRollups refreshes the rollups until ctx ends, as long as this is the member
// of the group that does.
func (s *Sink) keepRollups(ctx context.Context, db *sql.DB) {
	interval := s.cfg.RollupInterval
	for pause.For(ctx, interval) {
		interval = s.cfg.RollupInterval
		if !s.keepsRollups() {
			continue
		}
		began := time.Now()
		asOf, err := RefreshRollups(ctx, db)
		took := time.Since(began)
		interval = max(interval, refreshShare*took)
		switch {
		case errors.Is(err, ErrNoRollups):
			s.log.Info("the rollups are not kept", "reason", err)
			return
		case err != nil && ctx.Err() == nil:
			s.metrics.rollupFails.Inc()
			s.log.Warn("refreshing the rollups failed and will be repeated", "error", err)
		case err == nil:
			s.metrics.rollupSeconds.Set(took.Seconds())
			s.metrics.rollupAsOf.Set(float64(asOf.UnixMilli()) / 1000)
		}
	}
}

// keepPaidOrders joins orders with their money until ctx ends, as long as this is the
// member of the group that does.
func (s *Sink) keepPaidOrders(ctx context.Context, db *sql.DB) {
	if !pause.For(ctx, s.cfg.RollupInterval/4) { // not at the same moment as the rollups
		return
	}
	for pause.For(ctx, s.cfg.RollupInterval) {
		if !s.keepsRollups() {
			continue
		}
		_, err := RefreshPaidOrders(ctx, db, defaultRestraint)
		switch {
		case errors.Is(err, ErrNoRollups):
			return // keepRollups says it
		case err != nil && ctx.Err() == nil:
			s.metrics.paidOrdersFails.Inc()
			s.log.Warn("joining orders with their money failed and will be repeated; reports of open items are slower until then", "error", err)
		}
	}
}

// keepsRollups says whether this member refreshes the rollups: the one that loads
// the first partition of the payments. Two do so at once for a moment when
// partitions move, which costs work and no exactness.
func (s *Sink) keepsRollups() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, mine := s.owned[partition{topology.PaymentEvents.Name, 0}]
	return mine
}
