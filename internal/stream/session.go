package stream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/stream/core"
)

// Why a session ends.
var (
	errRevoked      = errors.New("the partitions were revoked")
	errStopped      = errors.New("the session was stopped")
	errClaimEnded   = errors.New("a partition stopped processing")
	errNotCommitted = errors.New("the transaction was not committed")
	errForeign      = errors.New("a record came of a partition that the session does not own")
)

// fatal wraps errors after which the client must be made anew.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// session is the work on one assignment, from Goka's Setup to its Cleanup. All
// that Goka holds in it is dirty as soon as one transaction does not commit,
// so that ends it; the next one recovers from the log (rule 3).
type session struct {
	r          *Runner
	m          *member
	generation int
	owned      map[string][]int32
	claims     map[string][]*claim // by topic and partition

	ctx    context.Context // of Goka's work; ends with the cause
	cancel context.CancelCauseFunc

	// handling is held while records are in Goka's hands; revoke waits for it.
	handling sync.Mutex
	held     bool          // of handling, by the loop
	left     atomic.Int64  // records of the batch that Goka has not marked
	marked   chan struct{} // left reached zero

	messages   []sarama.ConsumerMessage // of the batch, used again for the next
	tally      tally
	produced   func(*kgo.Record, error)
	produceErr atomic.Pointer[error]
	tableEnds  []atomic.Int64 // by partition: last table record of the transaction
	lag        *lagMeter
	claiming   sync.WaitGroup
	oldest     atomic.Int64 // time of the oldest record of the last batch, Unix milliseconds
	begun      time.Time
}

// claim is one input partition as Goka sees it.
type claim struct {
	topic     string
	partition int32
	messages  chan *sarama.ConsumerMessage
}

// claimBuffer is how many messages may wait for Goka in one input partition.
const claimBuffer = 512

func newSession(ctx context.Context, r *Runner, m *member, owned map[string][]int32, generation int) *session {
	s := &session{r: r, m: m, generation: generation, owned: owned, claims: map[string][]*claim{}, marked: make(chan struct{}, 1), lag: newLagMeter(r.admin, r.proc.Group.Name, owned, r.metrics.lag)}
	// A stop lets the batch at hand finish: what Goka works under outlives ctx.
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	partitions := int32(0)
	for topic, ps := range owned {
		for _, p := range ps {
			partitions = max(partitions, p+1)
			for len(s.claims[topic]) <= int(p) {
				s.claims[topic] = append(s.claims[topic], nil)
			}
			s.claims[topic][p] = &claim{topic: topic, partition: p, messages: make(chan *sarama.ConsumerMessage, claimBuffer)}
		}
	}
	s.tableEnds = make([]atomic.Int64, partitions)
	s.produced = s.acknowledged
	return s
}

// records are used again when the client has done with them.
var records = sync.Pool{New: func() any { return new(kgo.Record) }}

// acknowledged is called for every record of the transaction, and takes it
// back.
func (s *session) acknowledged(r *kgo.Record, err error) {
	defer records.Put(r)
	switch {
	case err != nil:
		err = fmt.Errorf("%s: %w", r.Topic, err)
		s.produceErr.CompareAndSwap(nil, &err)
	case r.Topic == s.r.proc.Group.Table.Name:
		// The records of a partition are acknowledged in order.
		s.tableEnds[r.Partition].Store(r.Offset)
	}
}

// run works until the session ends and returns why; a revocation and a stop
// are no errors.
func (s *session) run(ctx context.Context, h sarama.ConsumerGroupHandler) error {
	if err := s.m.rewind(ctx); err != nil {
		return fatal{err}
	}
	if !s.m.enter(s) {
		return nil // the assignment changed meanwhile
	}
	defer s.m.exit()
	start := time.Now()
	stopped := context.AfterFunc(ctx, func() { s.cancel(errStopped) })
	err := h.Setup(s) // recovers the tables
	stopped()
	if err == nil && s.ctx.Err() == nil {
		s.r.ready(s, time.Since(start))
		s.claim(h)
		err = s.loop(ctx)
		s.r.unready()
	}
	s.end(err)
	s.claiming.Wait()
	// Rule 5: what went wrong in a partition comes back from Cleanup, and a
	// revocation in the middle of a batch waits until it is done.
	err = errors.Join(err, cleanup(h, s))
	s.release()
	if e := s.m.rewind(ctx); e != nil {
		return fatal{errors.Join(err, e)}
	}
	return s.cause(err)
}

// cleanup is Goka's Cleanup. It panics when Setup failed before it started the
// partitions; such a processor is of no more use.
func cleanup(h sarama.ConsumerGroupHandler, s *session) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fatal{fmt.Errorf("cleanup after a failed setup: %v", p)}
		}
	}()
	return h.Cleanup(s)
}

// cause keeps what should be reported.
func (s *session) cause(err error) error {
	switch why := context.Cause(s.ctx); {
	case isFatal(err):
		return err
	case isFatal(why):
		return why
	case errors.Is(why, errRevoked), errors.Is(why, errStopped):
		return nil
	case err != nil:
		return err
	default:
		return why
	}
}

func isFatal(err error) bool {
	var f fatal
	return errors.As(err, &f)
}

// end stops Goka's work.
func (s *session) end(err error) {
	if err == nil {
		err = errStopped
	}
	s.cancel(err)
}

// revoke ends the session and returns when nothing is in Goka's hands.
func (s *session) revoke() {
	s.cancel(errRevoked)
	s.handling.Lock()
	s.handling.Unlock() //nolint:staticcheck // it only waits
}

// hold keeps revoke waiting until release.
func (s *session) hold() {
	s.handling.Lock()
	s.held = true
}

func (s *session) release() {
	if s.held {
		s.held = false
		s.handling.Unlock()
	}
}

// claim starts Goka's consumers. Any that returns ends the session (rule 5).
func (s *session) claim(h sarama.ConsumerGroupHandler) {
	for _, claims := range s.claims {
		for _, c := range claims {
			if c == nil {
				continue
			}
			s.claiming.Go(func() {
				err := h.ConsumeClaim(s, c)
				s.cancel(errors.Join(errClaimEnded, err))
			})
		}
	}
}

// loop runs one transaction after the other until the session ends.
func (s *session) loop(ctx context.Context) error {
	polling, cancel := context.WithCancel(s.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	defer s.lag.watch(polling)()
	defer s.r.timers.watch(polling, s.r.Assigned(), s.reached)()
	for polling.Err() == nil {
		fetches, n, err := s.gather(polling)
		if err != nil {
			return err
		}
		if n == 0 || s.ctx.Err() != nil {
			continue
		}
		if err := s.transaction(ctx, fetches, n); err != nil {
			return err
		}
	}
	return nil
}

// transaction handles one batch: its outputs, its table records and its
// offsets are committed together or not at all (I5).
func (s *session) transaction(ctx context.Context, fetches kgo.Fetches, n int) error {
	s.begun = time.Now()
	s.tally.reset()
	s.r.budget.begin()
	s.produceErr.Store(nil)
	for i := range s.tableEnds {
		s.tableEnds[i].Store(-1)
	}
	s.hold()
	if s.ctx.Err() != nil {
		return nil // run releases, after Cleanup
	}
	if err := s.m.tx.Begin(); err != nil {
		return fatal{fmt.Errorf("begin: %w", err)}
	}
	s.hand(fetches, n)
	select {
	case <-s.marked:
	case <-s.ctx.Done():
		s.r.metrics.aborted.Inc()
		return nil // still held: the records are in Goka's hands until Cleanup
	}
	if s.ctx.Err() != nil {
		return nil // revoked with the last mark; run releases
	}
	s.release()
	if err := s.commit(ctx); err != nil {
		s.r.metrics.aborted.Inc()
		return err
	}
	return s.committed(fetches, n)
}

// hand gives the records to Goka's consumers.
func (s *session) hand(fetches kgo.Fetches, n int) {
	if cap(s.messages) < n {
		s.messages = make([]sarama.ConsumerMessage, n)
	}
	// Goka copies the fields of each message before it marks it, so the
	// messages of the last batch are free.
	s.messages = s.messages[:n]
	s.left.Store(int64(n))
	i := 0
	fetches.EachRecord(func(r *kgo.Record) {
		msg := &s.messages[i]
		i++
		*msg = sarama.ConsumerMessage{
			Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
			Key: r.Key, Value: r.Value, Timestamp: r.Timestamp, Headers: saramaHeaders(r.Headers),
		}
		c := s.claimed(r.Topic, r.Partition)
		if c == nil {
			s.cancel(errForeign)
			return
		}
		select {
		case c.messages <- msg:
		case <-s.ctx.Done():
		}
	})
}

// claimed returns nil for a partition that the session does not own. Rule 5
// excludes that; if it came about nevertheless, the record must come again.
func (s *session) claimed(topic string, partition int32) *claim {
	if claims := s.claims[topic]; int(partition) < len(claims) {
		return claims[partition]
	}
	return nil
}

// commit ends the transaction. An answer of "not committed" without an error
// (a rebalance came between) is as final as an error (rule 3).
func (s *session) commit(ctx context.Context) error {
	ctx, cancel := s.m.endContext(ctx)
	defer cancel()
	if err := s.m.tx.Client().Flush(ctx); err != nil {
		return fatal{fmt.Errorf("flush: %w", err)}
	}
	// Goka's promises do not wait for the broker, so this is where a record
	// that was refused stops the transaction.
	if err := s.produceErr.Load(); err != nil {
		return fmt.Errorf("produce: %w", *err)
	}
	committed, err := s.m.tx.End(ctx, kgo.TryCommit)
	if err != nil {
		return fatal{fmt.Errorf("commit: %w", err)}
	}
	if !committed {
		return errNotCommitted
	}
	return nil
}

// committed writes the tables' overlays and counts.
func (s *session) committed(fetches kgo.Fetches, n int) error {
	table := s.r.proc.Group.Table.Name
	if err := s.r.store.Commit(table, func(p int32) int64 { return s.tableEnds[p].Load() }); err != nil {
		return err // the log has it: the next session recovers it
	}
	s.r.batches.Add(1)
	s.r.metrics.committed.Inc()
	s.r.metrics.duration.Observe(time.Since(s.begun).Seconds())
	s.r.metrics.add(n, &s.tally)
	oldest := int64(math.MaxInt64)
	defer func() { s.oldest.Store(oldest) }()
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		oldest = min(oldest, p.Records[0].Timestamp.UnixMilli())
		next := p.Records[len(p.Records)-1].Offset + 1
		s.lag.consumed(p.Topic, p.Partition, next)
	})
	s.r.budget.committed(n)
	return nil
}

// reached returns up to which moment the inputs have been handled: the present
// when nothing waits, else the time of the oldest record of the last batch.
func (s *session) reached(now time.Time) time.Time {
	return core.Reached(now, time.UnixMilli(s.oldest.Load()), s.lag.idleFor() >= idleAfter)
}

// idleAfter is how long a fetch waits until nothing waits for the consumer.
const idleAfter = 100 * time.Millisecond

// fetchError returns what is worth a new session: the client retries the rest.
func fetchError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.Canceled) || errors.Is(e.Err, context.DeadlineExceeded) {
			continue
		}
		err := fmt.Errorf("fetch %s/%d: %w", e.Topic, e.Partition, e.Err)
		if loss := (*kgo.ErrDataLoss)(nil); errors.Is(e.Err, kerr.OffsetOutOfRange) || errors.As(e.Err, &loss) {
			err = fmt.Errorf("%w; the log does not hold what was to be read next, and going on elsewhere would leave records out or count them twice: find out what was lost, then set the group's offsets to where it shall go on", err)
		}
		if errors.Is(e.Err, kgo.ErrClientClosed) || e.Topic == "" {
			return fatal{err}
		}
		return err
	}
	return nil
}

func saramaHeaders(headers []kgo.RecordHeader) []*sarama.RecordHeader {
	if len(headers) == 0 {
		return nil
	}
	out := make([]*sarama.RecordHeader, len(headers))
	for i, h := range headers {
		out[i] = &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value}
	}
	return out
}
