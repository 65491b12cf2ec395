package stream

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// gather polls what the next transaction handles: whatever comes until the last one
// began QuietWait ago, or as much as BatchRecordsMax; after that what comes first.
//
// It polls all the time that it waits. The client fetches again only when what it has
// was taken: one poll at the end would get what the groups before this one had
// committed when the last transaction began, and what they have committed since would
// wait for the transaction after the next. It returns nothing when ctx ends; what was
// polled then comes again when the session sets the position back.
func (s *session) gather(ctx context.Context) (fetches kgo.Fetches, n int, err error) {
	resting, cancel := context.WithDeadline(ctx, s.begun.Add(s.r.cfg.QuietWait))
	defer cancel()
	for n < s.r.cfg.BatchRecordsMax && (n == 0 || resting.Err() == nil) {
		polling := ctx
		if n > 0 {
			polling = resting
		}
		more, err := s.poll(polling, s.r.cfg.BatchRecordsMax-n, n == 0)
		if err != nil || ctx.Err() != nil {
			return nil, 0, err
		}
		if got := more.NumRecords(); got > 0 {
			fetches, n = append(fetches, more...), n+got
		}
	}
	return fetches, n, nil
}

// poll waits for records until ctx ends. Idle says that none are at hand: then the
// group is as far as its inputs while it waits.
func (s *session) poll(ctx context.Context, limit int, idle bool) (kgo.Fetches, error) {
	if idle {
		s.lag.waiting(true)
	}
	fetches := s.m.tx.PollRecords(ctx, limit)
	s.lag.waiting(false)
	err := fetchError(fetches)
	if fetches.NumRecords() > 0 || err != nil {
		// Records that came along with an error are not handled: they must come again.
		s.m.unsettled.Store(true)
	}
	return fetches, err
}
