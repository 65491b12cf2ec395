package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/pause"
)

// member is this process's place in a consumer group, and its transactional
// producer: one franz-go session for both (runtime rule 1). It knows which
// partitions it owns; the session that works on them is told when it loses
// them.
type member struct {
	cfg   *Config
	group string
	tx    *kgo.GroupTransactSession

	mu         sync.Mutex
	owned      map[string][]int32 // nil: no assignment
	generation int                // counts the assignments
	changed    chan struct{}      // an assignment came

	fenced     chan struct{} // closed when another process has our member id
	fencedOnce sync.Once

	session atomic.Pointer[session] // the running one, nil: none; set under mu

	// unsettled: records were polled or partitions revoked since the last rewind.
	unsettled atomic.Bool
}

// joinMember fences whoever used this member id before, then joins the group.
func joinMember(ctx context.Context, cfg *Config, group string, topics []string) (*member, error) {
	m := &member{cfg: cfg, group: group, changed: make(chan struct{}, 1), fenced: make(chan struct{})}
	opts := append(append(cfg.joining(), cfg.producing()...),
		kgo.TransactionalID(group+"/"+cfg.Member),
		kgo.TransactionTimeout(cfg.TransactionTimeout),
		// The flush before the commit ends the linger: a small transaction costs one
		// produce request for each broker.
		kgo.ProducerLinger(20*time.Millisecond),
		kgo.RetryBackoffFn(retryBackoff),
		kgo.MaxBufferedRecords(1<<20),
		kgo.ConsumerGroup(group),
		kgo.WithHooks(m),
		kgo.OnPartitionsAssigned(m.assigned),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.revoked),
	)
	tx, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	m.tx = tx
	// Rule 2: taking the producer id aborts what a dead predecessor left open,
	// so that the tables can be read to their end. The client joins the group
	// only when it has topics, so this comes before joining.
	fctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, _, err := tx.Client().ProducerID(fctx); err != nil {
		tx.Close()
		return nil, fmt.Errorf("fencing the predecessor of %s/%s: %w", group, cfg.Member, err)
	}
	tx.Client().AddConsumeTopics(topics...)
	return m, nil
}

// retryBackoff is the pause after so many failures one after the other. The first two
// are short: Kafka refuses a transaction's first records while it still writes the
// markers of the one before, which takes it some milliseconds. What lasts longer is
// a broker that is away, and gets the time that it needs.
func retryBackoff(failures int) time.Duration {
	pause := 5 * time.Second
	switch {
	case failures <= 1:
		pause = 5 * time.Millisecond
	case failures == 2:
		pause = 25 * time.Millisecond
	case failures < 8:
		pause = 250 * time.Millisecond << (failures - 3)
	}
	return pause*3/4 + rand.N(pause/2) //nolint:gosec // no secret
}

// leave closes the client. A static member keeps its partitions until the
// session timeout, so that a quick restart moves nothing.
func (m *member) leave() { m.tx.Close() }

// OnGroupManageError implements kgo.HookGroupManageError. The client retries
// these errors for ever; one of them does not pass. It has to be heard here,
// because nobody polls while there is no assignment.
func (m *member) OnGroupManageError(err error) {
	if errors.Is(err, kerr.FencedInstanceID) {
		m.fencedOnce.Do(func() { close(m.fenced) })
	}
}

// assigned is called when the group has settled, also when nothing changed.
func (m *member) assigned(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	m.mu.Lock()
	m.owned = make(map[string][]int32, len(partitions))
	for t, ps := range partitions {
		m.owned[t] = slices.Clone(ps)
	}
	m.generation++
	m.mu.Unlock()
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// revoked is called before the group moves on, or when it has moved on
// without us. It returns when no record of the generation that ends is in
// Goka's hands (rule 5).
//
// It must not wait for the transaction's end: franz-go holds the lock that
// GroupTransactSession.End needs while it calls this.
func (m *member) revoked(context.Context, *kgo.Client, map[string][]int32) {
	m.unsettled.Store(true)
	m.mu.Lock()
	m.owned = nil
	s := m.session.Load()
	m.mu.Unlock()
	if s != nil {
		s.revoke()
	}
}

// assignment waits for one that is in force.
func (m *member) assignment(ctx context.Context) (owned map[string][]int32, generation int, err error) {
	for {
		m.mu.Lock()
		owned, generation = maps.Clone(m.owned), m.generation
		m.mu.Unlock()
		if owned != nil {
			return owned, generation, nil
		}
		select {
		case <-m.changed:
		case <-m.fenced:
			return nil, 0, fatal{ErrMemberTaken}
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// enter makes s the running session, if its generation is still in force.
func (m *member) enter(s *session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owned == nil || m.generation != s.generation {
		return false
	}
	m.session.Store(s)
	return true
}

func (m *member) exit() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session.Store(nil)
}

// rewind aborts what is open, forgets a revocation that is over, and sets the
// position back to what is committed, so that records that were polled but not
// committed come again. It does nothing when nothing was polled or revoked:
// setting the position throws away what is being fetched.
func (m *member) rewind(ctx context.Context) error {
	if !m.unsettled.Swap(false) {
		return nil
	}
	ctx, cancel := m.endContext(ctx)
	defer cancel()
	if _, err := m.tx.End(ctx, kgo.TryAbort); err != nil {
		return fmt.Errorf("abort: %w", err)
	}
	return nil
}

// endContext bounds the end of a transaction. It outlives a stop: an open
// transaction would hold up every reader until its timeout.
func (m *member) endContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), m.cfg.EndTimeout)
}

// backoff is a growing pause.
type backoff struct {
	min, max time.Duration
	next     time.Duration
}

// wait pauses and reports whether ctx is still alive.
func (b *backoff) wait(ctx context.Context) bool {
	b.next = min(max(b.next, b.min), b.max)
	now := b.next
	b.next *= 2
	return pause.For(ctx, now)
}

func (b *backoff) reset() { b.next = 0 }
