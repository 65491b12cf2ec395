package stream

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/pause"
	"github.com/eventpro/boxoffice/internal/stream/core"
	"github.com/eventpro/boxoffice/internal/transition"
)

// tenure is a stage's work on one assignment. What it has not committed when it
// ends comes again to the next owner.
type tenure struct {
	r      *StageRunner
	ctx    context.Context // of the handlers
	cancel context.CancelFunc
	open   context.Context // ends before ctx: nothing new starts after it
	stop   context.CancelFunc
	lag    *lagMeter
	unlag  func()

	lanes    *lanes
	inFlight chan struct{} // one for each message that waits or is handled

	prefixes map[topicPartition]*prefix // fixed: one for each owned partition
	commits  sync.Mutex                 // one commit at a time
	done     sync.WaitGroup

	busy     sync.Mutex // held while a batch is handled
	batch    []*item    // poll goroutine's
	batchDue time.Time
}

type (
	prefix = core.Prefix[letter]
	entry  = core.Entry[letter]
)

// item is one record with all that is needed to finish it.
type item struct {
	record  *kgo.Record
	message transition.Message
	bad     *Undecodable
	prefix  *prefix
	entry   *entry
}

func newTenure(r *StageRunner, owned map[string][]int32) *tenure {
	t := &tenure{
		r: r, lanes: newLanes(r.stage.Workers),
		inFlight: make(chan struct{}, r.stage.Workers*inFlightPerWorker),
		prefixes: map[topicPartition]*prefix{},
		lag:      newLagMeter(r.adm, r.stage.Group.Name, owned, r.metrics.lag),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.open, t.stop = context.WithCancel(t.ctx)
	for topic, ps := range owned {
		for _, p := range ps {
			t.prefixes[topicPartition{topic, p}] = new(prefix)
		}
	}
	t.unlag = t.lag.watch(t.ctx)
	t.done.Go(t.commitAlways)
	return t
}

// room waits until there is room for more messages; false means that the
// tenure or ctx has ended.
func (t *tenure) room(ctx context.Context) bool {
	select {
	case t.inFlight <- struct{}{}:
		<-t.inFlight
		return true
	case <-t.open.Done():
	case <-ctx.Done():
	}
	return false
}

// take takes over what was polled.
func (t *tenure) take(fetches kgo.Fetches) {
	fetches.EachRecord(func(rec *kgo.Record) {
		p := t.prefixes[topicPartition{rec.Topic, rec.Partition}]
		it := &item{record: rec, prefix: p, entry: p.Add(rec.Offset, rec.LeaderEpoch)}
		it.message = transition.Message{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Key: string(rec.Key), Time: rec.Timestamp}
		if t.r.stage.Forward == nil {
			it.message.Value, it.bad = core.Decode(t.r.types[rec.Topic], rec.Value)
		}
		if t.r.stage.Batch != nil {
			if len(t.batch) == 0 {
				t.batchDue = time.Now().Add(t.r.stage.BatchWait)
			}
			t.batch = append(t.batch, it)
			return
		}
		t.submit(it)
	})
	full := len(t.batch) >= t.r.stage.BatchRecordsMax || !time.Now().Before(t.batchDue)
	if len(t.batch) > 0 && full {
		items := t.batch
		t.batch = nil
		t.r.cl.AllowRebalance() // a batch may take long; end waits for it
		t.handleBatch(items)
	}
}

// submit hands a message to its key's lane. One poll may bring more than there
// is room for; the excess only delays the next poll.
func (t *tenure) submit(it *item) {
	select {
	case t.inFlight <- struct{}{}:
		t.lanes.submit(it.message.Key, func() {
			t.handle(it)
			<-t.inFlight
		})
	default:
		t.lanes.submit(it.message.Key, func() { t.handle(it) })
	}
}

// handle works on a message until it is finished, or the tenure ends.
func (t *tenure) handle(it *item) {
	if t.r.stage.Due != nil {
		t.pause(t.r.stage.Due(it.record).Sub(t.r.cfg.Clock()))
	}
	for n := 1; ; n++ {
		if t.open.Err() != nil {
			return // unfinished: it comes again to the next owner
		}
		records, dead, err := t.attempt(it)
		if err == nil {
			err = t.publish(records)
		}
		if err == nil {
			it.prefix.Finish(it.entry, dead)
			return
		}
		if t.open.Err() == nil {
			t.pause(t.failed(n, it.record, err))
		}
	}
}

// pause waits until the time is over or the tenure ends. It gives its worker
// away meanwhile.
func (t *tenure) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	if w := t.r.stage.Waiting; w != nil {
		w.Inc()
		defer w.Dec()
	}
	t.lanes.idle(func() { pause.For(t.open, d) })
}

// failed reports a failed attempt and returns how long to wait for the next.
func (t *tenure) failed(attempt int, at *kgo.Record, err error) time.Duration {
	t.r.metrics.retries.Inc()
	t.r.cfg.Logger.Warn("attempt failed", "group", t.r.stage.Group.Name, "record", positionOf(at).String(), "attempt", attempt, "cause", err)
	return Backoff{t.r.cfg.RestartBackoffMin, t.r.cfg.RestartBackoffMax}.Pause(attempt, positionOf(at).String())
}

// attempt calls the handler once. It returns what to publish: the outputs, or
// the dead letter.
func (t *tenure) attempt(it *item) (records []*kgo.Record, dead *letter, err error) {
	if it.bad != nil {
		return t.dead(it, it.bad)
	}
	outputs, records, err := t.call(it)
	if bad := (*Undecodable)(nil); errors.As(err, &bad) || isPoison(err) {
		return t.dead(it, err)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, o := range outputs {
		if !t.r.outputs[o.Topic] {
			return nil, nil, fmt.Errorf("topic %q is not among the outputs of group %q", o.Topic, t.r.stage.Group.Name)
		}
		value, err := proto.Marshal(o.Value)
		if err != nil {
			return nil, nil, fmt.Errorf("encoding an output to %q: %w", o.Topic, err)
		}
		records = append(records, &kgo.Record{Topic: o.Topic, Key: []byte(o.Key), Value: value, Headers: Travelling(it.record.Headers)})
	}
	return records, nil, nil
}

func isPoison(err error) bool {
	_, ok := transition.AsPoison(err)
	return ok
}

// call turns a panic of the handler into an error.
func (t *tenure) call(it *item) (outputs []transition.Output, records []*kgo.Record, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	if t.r.stage.Forward != nil {
		records, err = t.r.stage.Forward(t.ctx, it.record)
		return nil, records, err
	}
	outputs, err = t.r.stage.Handle(t.ctx, &it.message)
	return outputs, nil, err
}

func (t *tenure) dead(it *item, cause error) ([]*kgo.Record, *letter, error) {
	l := newLetter(positionOf(it.record), it.record.Headers, t.r.cfg.Clock(), cause)
	t.r.cfg.Logger.Warn("dead letter", "group", t.r.stage.Group.Name, "record", positionOf(it.record).String(), "class", l.class, "reason", l.reason, "detail", l.detail)
	return []*kgo.Record{{
		Topic: DeadLetterTopic.Name, Key: it.record.Key, Value: it.record.Value,
		Headers: l.dead(t.r.stage.Group.Name, it.record.Headers),
	}}, &l, nil
}

// publish waits until Kafka has the records.
func (t *tenure) publish(records []*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	return t.r.cl.ProduceSync(t.ctx, records...).FirstErr()
}

// handleBatch works on a batch until it is finished, or the tenure ends.
func (t *tenure) handleBatch(items []*item) {
	t.busy.Lock()
	defer t.busy.Unlock()
	for n := 1; ; n++ {
		if t.open.Err() != nil {
			return
		}
		err := t.attemptBatch(items)
		if err == nil {
			break
		}
		if t.open.Err() == nil {
			pause.For(t.open, t.failed(n, items[0].record, err))
		}
	}
	t.commit(t.ctx)
}

// attemptBatch calls the handler once for all that can be decoded, and buries
// the rest. When the handler finds poison in the batch, the messages are
// handled one by one, to bury only what is poisonous.
func (t *tenure) attemptBatch(items []*item) error {
	dead := map[*item]*letter{}
	var letters []*kgo.Record
	bury := func(it *item, cause error) {
		records, why, _ := t.dead(it, cause)
		dead[it] = why
		letters = append(letters, records...)
	}
	messages := make([]*transition.Message, 0, len(items))
	for _, it := range items {
		if it.bad != nil {
			bury(it, it.bad)
			continue
		}
		messages = append(messages, &it.message)
	}
	err := t.callBatch(messages)
	if isPoison(err) {
		err = t.oneByOne(items, bury)
	}
	if err != nil {
		return err
	}
	if err := t.publish(letters); err != nil {
		return err
	}
	for _, it := range items {
		it.prefix.Finish(it.entry, dead[it])
	}
	return nil
}

// oneByOne handles the messages of a batch that has poison in it.
func (t *tenure) oneByOne(items []*item, bury func(*item, error)) error {
	for _, it := range items {
		if it.bad != nil {
			continue
		}
		err := t.callBatch([]*transition.Message{&it.message})
		if isPoison(err) {
			bury(it, err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tenure) callBatch(messages []*transition.Message) (err error) {
	if len(messages) == 0 {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return t.r.stage.Batch(t.ctx, messages)
}

// commitAlways commits what is finished from time to time.
func (t *tenure) commitAlways() {
	tick := time.NewTicker(commitInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.commit(t.ctx)
		case <-t.open.Done():
			return
		}
	}
}

// commit commits the finished prefixes. A commit that fails is made again with
// the next one: what it covers is still there.
func (t *tenure) commit(ctx context.Context) {
	t.commits.Lock()
	defer t.commits.Unlock()
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for at, p := range t.prefixes {
		if e := p.Offer(); e != nil { // I6
			if offsets[at.topic] == nil {
				offsets[at.topic] = map[int32]kgo.EpochOffset{}
			}
			offsets[at.topic][at.partition] = kgo.EpochOffset{Epoch: e.Epoch, Offset: e.Next}
		}
	}
	if len(offsets) == 0 {
		return
	}
	if err := t.send(ctx, offsets); err != nil {
		t.r.cfg.Logger.Debug("commit failed", "group", t.r.stage.Group.Name, "cause", err)
		return
	}
	for topic, ps := range offsets {
		for p, o := range ps {
			t.count(t.prefixes[topicPartition{topic, p}].Accept())
			t.lag.consumed(topic, p, o.Offset)
		}
	}
}

// send commits offsets and waits for the answer.
func (t *tenure) send(ctx context.Context, offsets map[string]map[int32]kgo.EpochOffset) error {
	ctx, cancel := context.WithTimeout(ctx, t.r.cfg.EndTimeout)
	defer cancel()
	answer := make(chan error, 1)
	t.r.cl.CommitOffsetsSync(ctx, offsets, commitAnswer(answer))
	return <-answer
}

// count counts committed records (I7).
func (t *tenure) count(entries []*entry) {
	var tally tally
	for _, e := range entries {
		if e.Dead != nil {
			tally.dead(*e.Dead)
		} else {
			tally.verdict(transition.Applied, "")
		}
	}
	t.r.metrics.add(len(entries), &tally)
}

// end ends the work. When the partitions are still ours, it waits for what is
// being handled, so that the next owner does not handle it at the same time,
// and commits it.
func (t *tenure) end(ours bool) {
	t.stop()
	if ours {
		idle := make(chan struct{})
		go func() {
			t.lanes.wait()
			t.busy.Lock()
			t.busy.Unlock() //nolint:staticcheck // it only waits
			close(idle)
		}()
		timeout := time.NewTimer(drainTimeout)
		defer timeout.Stop()
		select {
		case <-idle:
		case <-timeout.C:
			t.r.cfg.Logger.Warn("partitions are handed over while messages are still being handled", "group", t.r.stage.Group.Name)
		}
		t.commit(t.ctx)
	}
	t.cancel()
	t.unlag()
	t.done.Wait()
}
