package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// vouch notes the offsets of a batch that ClickHouse has answered for, those of them
// that are still this member's, to be committed.
func (s *Sink) vouch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, span := range s.batch.spans {
		if _, mine := s.owned[p]; mine {
			s.owned[p] = span.newest
			s.vouched[p] = kgo.EpochOffset{Epoch: span.leaderEpoch, Offset: span.next}
		}
	}
}

// commit commits what the member vouches for. A failed commit is no failure of the
// load: whoever reads the records again changes nothing. It is repeated after a
// pause, or with the next batch: else a quiet topic would look as if it were not
// loaded.
func (s *Sink) commit(ctx context.Context) {
	s.commitAgain = time.Time{}
	s.mu.Lock()
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for p, at := range s.vouched {
		if offsets[p.topic] == nil {
			offsets[p.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[p.topic][p.id] = at
	}
	s.mu.Unlock()
	if len(offsets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout)
	defer cancel()
	var failed error
	s.client.CommitOffsetsSync(ctx, offsets, commitResult(&failed))
	if failed != nil {
		s.metrics.commitFails.Inc()
		s.log.Warn("committing the loader's offsets failed and will be repeated", "error", failed, "pause", s.cfg.BackoffMax)
		s.commitAgain = time.Now().Add(s.cfg.BackoffMax)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.vouched)
}

// commitDue says that a failed commit is to be repeated now.
func (s *Sink) commitDue() bool { return !s.commitAgain.IsZero() && !time.Now().Before(s.commitAgain) }

func commitResult(failed *error) func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	return func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			*failed = err
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					*failed = fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
				}
			}
		}
	}
}
