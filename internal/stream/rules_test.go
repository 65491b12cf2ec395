package stream

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/transition"
)

// everyPartition returns a key of each partition.
func everyPartition() []string {
	keys := make([]string, testPartitions)
	for i, found := 0, 0; found < testPartitions; i++ {
		if p := Partition(key(i), testPartitions); keys[p] == "" {
			keys[p] = key(i)
			found++
		}
	}
	return keys
}

// transaction opens one under a transactional id and writes to every partition
// of a topic.
func (b *bench) transaction(id, topic string, n int64) *kgo.Client {
	b.t.Helper()
	cl := b.client(kgo.TransactionalID(id), kgo.TransactionTimeout(2*deadline))
	if err := cl.BeginTransaction(); err != nil {
		b.t.Fatal(err)
	}
	for _, k := range everyPartition() {
		if err := cl.ProduceSync(b.ctx, record(topic, k, n)).FirstErr(); err != nil {
			b.t.Fatal(err)
		}
	}
	return cl
}

// Rule 2: the predecessor died in the middle of a transaction that times out
// long after this test. Without a fence before recovery, its successor could
// not read the tables to their end until then; and the predecessor, should it
// wake, must not commit any more.
func TestFenceEndsThePredecessorsTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dead := b.transaction(count.Name+"/a", table.Name, 1_000_000)
	b.produce(numbers.Name, 20, 3)
	b.start(b.config("a"), Processor{Group: count, Handle: add})
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(20, 3)
	if err := dead.EndTransaction(b.ctx, kgo.TryCommit); err == nil {
		t.Fatal("the dead member's transaction committed")
	}
}

// Rule 3: three times the broker refuses the offsets, as when a rebalance comes
// between; End then says "not committed" without an error. Had the session gone
// on, its tables would hold sums that were never committed.
func TestARefusedCommitEndsTheSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var refused atomic.Int64
	b.cluster.ControlKey(int16(kmsg.TxnOffsetCommit), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if n := refused.Add(1); n == 1 || n > 4 { // the first one passes, so that there is something to lose
			return nil, nil, false
		}
		req := kreq.(*kmsg.TxnOffsetCommitRequest)
		resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewTxnOffsetCommitResponseTopic()
			st.Topic = rt.Topic
			for _, rp := range rt.Partitions {
				sp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				sp.Partition, sp.ErrorCode = rp.Partition, kerr.RebalanceInProgress.Code
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	cfg := b.config("a")
	cfg.BatchRecordsMax = 40
	b.produce(numbers.Name, 20, 20)
	r := b.start(cfg, Processor{Group: count, Handle: add})
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(20, 20)
	b.tableExact(r, 20, 20)
	if n := metric(t, cfg.Registerer, "session_restarts_total", ""); n != 3 {
		t.Fatalf("%v restarts, want 3", n)
	}
	if n := metric(t, cfg.Registerer, "transactions_total", "aborted"); n != 3 {
		t.Fatalf("%v aborts, want 3", n)
	}
}

// Rule 3, the harder way: the broker answers the end of a transaction with an
// error, so nobody knows how it ended. The client is made anew, which fences
// what was open.
func TestALostEndOfATransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var ends atomic.Int64
	b.cluster.ControlKey(int16(kmsg.EndTxn), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if n := ends.Add(1); n != 3 && n != 6 {
			return nil, nil, false
		}
		resp := kreq.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.InvalidProducerEpoch.Code
		return resp, nil, true
	})
	cfg := b.config("a")
	cfg.BatchRecordsMax = 30
	b.produce(numbers.Name, 20, 20)
	r := b.start(cfg, Processor{Group: count, Handle: add})
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(20, 20)
	b.tableExact(r, 20, 20)
}

// tableExact waits until every key's state is n, and fails if one is more. The
// local table follows the commit that others see already.
func (b *bench) tableExact(r running, keys, n int) {
	b.t.Helper()
	b.ready(r)
	for k := range keys {
		b.stateExact(r, key(k), n)
	}
}

// stateExact waits until the state of a key is n, and fails when it is more. What a
// member commits is in its own table a moment after others can read it.
func (b *bench) stateExact(r running, key string, n int) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("the state of %s is %d", key, n), func() bool {
		v, err := r.Get(key)
		if err == nil && v != nil && value(v) > int64(n) {
			b.t.Fatalf("the state of %s is %d, want %d", key, value(v), n)
		}
		return err == nil && v != nil && value(v) == int64(n)
	})
}

// A record that Kafka refuses stops the transaction, though Goka's promises do
// not wait for it: neither state nor offset nor the other outputs appear.
func TestARefusedRecordStopsTheTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var refused atomic.Int64
	b.cluster.ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		req := kreq.(*kmsg.ProduceRequest)
		if req.TransactionID == nil || refused.Add(1) > 2 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewProduceResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewProduceResponseTopicPartition()
				sp.Partition, sp.ErrorCode = rp.Partition, kerr.MessageTooLarge.Code
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	b.produce(numbers.Name, 20, 5)
	r := b.start(b.config("a"), Processor{Group: count, Handle: add})
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(20, 5)
	b.tableExact(r, 20, 5)
}

// Rule 5: a rebalance comes while a record is being handled. The group must not
// move on before that is over and Goka has closed its tables; what was done is
// aborted and done again.
func TestRevocationWaitsForGoka(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entered, release := make(chan struct{}, 1), make(chan struct{})
	var calls atomic.Int64
	handle := func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		if calls.Add(1) == 1 {
			entered <- struct{}{}
			<-release
		}
		return add(state, m)
	}
	r := b.start(b.config("a"), Processor{Group: count, Handle: handle})
	b.ready(r)
	b.produce(numbers.Name, 1, 1)
	<-entered
	m, s := r.member.Load(), r.session()
	owned := m.owned
	revoked := make(chan struct{})
	go func() {
		m.revoked(b.ctx, nil, nil)
		close(revoked)
	}()
	<-s.ctx.Done()
	select {
	case <-revoked:
		t.Fatal("the group moved on while a record was in the handler's hands")
	default:
	}
	close(release)
	<-revoked
	if _, open, _ := r.store.Committed(table.Name, Partition(key(0), testPartitions), key(0)); open {
		t.Fatal("the group moved on while Goka had the table open")
	}
	m.assigned(b.ctx, nil, owned)
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(1, 1)
}

// Rule 9: a handler fails, beyond the budget, while Goka is shutting down, so that
// its Fail returns. The record must not be marked as done.
func TestAFailureDuringShutdownIsNotMarked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var r running
	started := make(chan struct{})
	sessions := make(chan *session, 1)
	var calls atomic.Int64
	handle := func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		<-started
		if calls.Add(1) == 1 {
			s := r.session()
			sessions <- s
			<-s.ctx.Done()
			return transition.Effect{}, errors.New("too late")
		}
		return add(state, m)
	}
	runner, err := NewRunner(b.config("a"), Processor{Group: count, Handle: handle})
	if err != nil {
		t.Fatal(err)
	}
	runner.budget.max = 0
	r = running{runner, b.run(runner.Run)}
	close(started)
	b.ready(r)
	b.produce(numbers.Name, 1, 1)
	s := <-sessions
	s.cancel(errClaimEnded)
	b.consumed(count.Name, numbers.Name)
	if left := s.left.Load(); left != 1 {
		t.Fatalf("%d records of the failed session are unmarked, want 1", left)
	}
	b.sumsExact(1, 1)
}

// Rule 6: a table's log was compacted, and ends in transaction markers behind
// an aborted transaction. A member with an empty disk, and a view, must recover
// to the end, and neither may see what was aborted.
func TestRecoveryOverMarkersInACompactedLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cfg := b.config("a")
	r := b.start(cfg, Processor{Group: count, Handle: add})
	b.ready(r)
	for range 5 {
		b.produce(numbers.Name, 20, 2)
		b.consumed(count.Name, numbers.Name)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	aborted := b.transaction("somebody", table.Name, 1_000_000)
	if err := aborted.EndTransaction(b.ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	b.cluster.Compact()

	cfg.DataDir = t.TempDir()
	r = b.start(cfg, Processor{Group: count, Handle: add})
	b.tableExact(r, 20, 10)
	v, _ := b.view(b.config("v"))
	b.eventually("the view is ready", v.Ready)
	for k := range 20 {
		if m, err := v.Get(key(k)); err != nil || value(m) != 10 {
			t.Fatalf("the view has %v, %v", m, err)
		}
	}
}

// A probe tells an end that no record stands for from one that is still to
// come: an open transaction, or records that were not read yet.
func TestLogEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k := everyPartition()[1]
	b.write(record(table.Name, k, 1), record(table.Name, k, 2))
	end := func(from int64) int64 {
		end, err := logEnd(b.ctx, b.cl, table.Name, 1, from)
		if err != nil {
			t.Fatal(err)
		}
		return end
	}
	if got := end(1); got != -1 {
		t.Fatalf("a record lies before the end, got %d", got)
	}
	if got := end(2); got != 2 {
		t.Fatalf("the end is 2, got %d", got)
	}
	tx := b.transaction("somebody", table.Name, 5)
	if got := end(2); got != -1 {
		t.Fatalf("a transaction is open, got %d", got)
	}
	if err := tx.EndTransaction(b.ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	b.eventually("the marker is there", func() bool { return end(4) == 4 })
}

// Rule 6: nothing is left between where a reader starts and the end of the log.
// Goka waits for a record at the end, so one is made up there, and only there.
func TestReaderEndsWhereNoRecordIs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k := everyPartition()[1]
	for range 5 {
		b.write(record(table.Name, k, 1))
	}
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: table.Name, Partition: 1, At: 5})
	if _, err := b.adm.DeleteRecords(b.ctx, gone); err != nil {
		t.Fatal(err)
	}
	cfg := b.config("r")
	r, err := newReader(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := r.ConsumePartition(table.Name, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	next := func() *sarama.ConsumerMessage {
		t.Helper()
		select {
		case m := <-p.Messages():
			return m
		case err := <-p.Errors():
			t.Fatal(err)
		case <-time.After(deadline):
			t.Fatal("nothing comes")
		}
		return nil
	}
	if m := next(); m.Offset != 4 || string(m.Key) != controlKey || m.Value != nil {
		t.Fatalf("got %+v, want the end at offset 4", m)
	}
	b.write(record(table.Name, k, 7))
	if m := next(); m.Offset != 5 || string(m.Key) != k {
		t.Fatalf("got %+v, want the new record", m)
	}
}

// A partition is closed and read again from its start, as when a session
// follows another: what was polled for the first reader must not reach the
// second, and none is missing.
func TestReaderReadsAPartitionAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k := everyPartition()[0]
	for i := range 50 {
		b.write(record(table.Name, k, int64(i)))
	}
	cfg := b.config("r")
	r, err := newReader(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for turn := range 20 {
		p, err := r.ConsumePartition(table.Name, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for want := range int64(turn) {
			if m := <-p.Messages(); m.Offset != want {
				t.Fatalf("turn %d: offset %d came where %d belongs", turn, m.Offset, want)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Rule 4 and a restart: the member stops and starts again on its own disk. It
// reads only what the log holds beyond that, not the table.
func TestARestartReadsOnlyTheTail(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cfg := b.config("a")
	r := b.start(cfg, Processor{Group: count, Handle: add})
	b.ready(r)
	b.produce(numbers.Name, 100, 20)
	b.consumed(count.Name, numbers.Name)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := b.config("a")
	again.DataDir = cfg.DataDir
	r = b.start(again, Processor{Group: count, Handle: add})
	b.tableExact(r, 100, 20)
	// The table has 100 keys and 2,000 records; beyond the stored offsets lie
	// the last markers.
	if n := metric(t, again.Registerer, "recovered_records_total", ""); n > 2*testPartitions {
		t.Fatalf("%v records were read again", n)
	}
}

// The brokers were set up anew under an old data directory: what is on the disk
// belongs to another log and must not be mixed with this one.
func TestAForeignLogDropsTheLocalTable(t *testing.T) {
	t.Parallel()
	first, second := newBench(t), newBench(t)
	cfg := first.config("a")
	r := first.start(cfg, Processor{Group: count, Handle: add})
	first.produce(numbers.Name, 20, 5)
	first.consumed(count.Name, numbers.Name)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := second.config("a")
	again.DataDir = cfg.DataDir
	r = second.start(again, Processor{Group: count, Handle: add})
	second.produce(numbers.Name, 20, 9)
	second.consumed(count.Name, numbers.Name)
	second.tableExact(r, 20, 9)
	second.sumsExact(20, 9)
}

// Headers of an input travel to the outputs.
func TestHeadersArePassedOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in := record(numbers.Name, key(0), 1)
	in.Headers = []kgo.RecordHeader{{Key: "trace", Value: []byte("abc")}, {Key: HeaderReason, Value: []byte("redriven")}}
	b.write(in)
	b.start(b.config("a"), Processor{Group: count, Handle: add})
	b.eventually("the output is there", func() bool { return len(b.read(sums.Name)) == 1 })
	out := b.read(sums.Name)[0]
	if header(out, "trace") != "abc" || header(out, HeaderReason) != "" {
		t.Fatalf("headers %v", out.Headers)
	}
}

// Members come and go while numbers pour in: two join, one leaves, one comes
// back. Records of a generation that ended, given to a session of another,
// would be lost or counted twice.
func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	start := func(member, dir string) running {
		cfg := b.config(member)
		cfg.SessionTimeout, cfg.HeartbeatInterval = time.Second, 50*time.Millisecond
		if dir != "" {
			cfg.DataDir = dir
		}
		return b.start(cfg, Processor{Group: count, Handle: add})
	}
	n := 0
	pour := func() {
		for range 10 {
			b.produce(numbers.Name, 30, 10)
			b.produce(more.Name, 30, 10)
			n += 20
		}
	}
	one := start("one", "")
	pour()
	b.share(one)
	two := start("two", "")
	pour()
	b.share(one, two)
	three := start("three", "")
	pour()
	b.share(one, two, three)
	if err := two.stop(); err != nil {
		t.Fatal(err)
	}
	pour()
	b.share(one, three)
	two = start("two", two.cfg.DataDir)
	pour()
	b.consumed(count.Name, numbers.Name, more.Name)
	b.sumsExact(30, n)
	b.share(one, two, three)
	b.eventually("each key has its sum, at one member", func() bool {
		found := 0
		for k := range 30 {
			for _, r := range []running{one, two, three} {
				if v, err := r.Get(key(k)); err == nil && value(v) == int64(n) {
					found++
				}
			}
		}
		return found == 30
	})
}
