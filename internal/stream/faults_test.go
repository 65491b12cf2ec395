package stream

import (
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/transition"
)

// Sizes of a fault story: enough for several transactions before the fault and
// after it.
const (
	faultKeys    = 20
	faultNumbers = 10 // of each key, in each of two inputs
	faultBatch   = 40 // records of a transaction
	faultAt      = 90 // the call of the handler at which the fault comes: in the middle of a transaction
)

// hits tells how often a fault took effect.
type hits func() int

// story is one fault that meets one member of the counting group in the middle
// of its work.
type story struct {
	name string
	// fault is injected from within the handler, so that the transaction at hand
	// meets it.
	fault func(*bench) hits
	// uncounted: a transaction may commit without the member knowing of it, which
	// then leaves its records out of the counters.
	uncounted bool
}

// says has brokers answer with an error.
func says(f kfake.Fault) func(*bench) hits {
	return func(b *bench) hits { return b.cluster.Fault(f).Hits }
}

// wires lets connections break.
func wires(key kmsg.Key, what act, times int, when func(kmsg.Request) bool) func(*bench) hits {
	return func(b *bench) hits { return b.wire.cut(key, what, times, when) }
}

// two is the partition that has the fault where not all have.
var two = []int32{2}

// ofTransaction selects the requests of transactional producers.
func ofTransaction(req kmsg.Request) bool {
	p, ok := req.(*kmsg.ProduceRequest)
	return ok && p.TransactionID != nil
}

func commits(req kmsg.Request) bool {
	e, ok := req.(*kmsg.EndTxnRequest)
	return ok && e.Commit
}

var wireStories = []story{
	// Produce, on one partition of the table, or of the outputs.
	{name: "produce: no leader, twice", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: table.Name, Partitions: two, Err: kerr.NotLeaderForPartition, Count: 2})},
	{name: "produce: too few replicas", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: sums.Name, Partitions: two, Err: kerr.NotEnoughReplicas, Count: 2})},
	{name: "produce: written, but timed out", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: table.Name, Partitions: two, Err: kerr.RequestTimedOut, Count: 2})},
	{name: "produce: refused for good", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: table.Name, Partitions: two, Err: kerr.MessageTooLarge, Count: 2})},
	{name: "produce: not allowed", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: sums.Name, Partitions: two, Err: kerr.TopicAuthorizationFailed, Count: 2})},
	{name: "produce: out of order", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: table.Name, Partitions: two, Err: kerr.OutOfOrderSequenceNumber, Count: 1})},
	{name: "produce: fenced", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: table.Name, Partitions: two, Err: kerr.InvalidProducerEpoch, Count: 1})},
	{name: "produce: connection lost before", fault: wires(kmsg.Produce, unsent, 2, ofTransaction)},
	{name: "produce: connection lost after", fault: wires(kmsg.Produce, unanswered, 2, ofTransaction)},
	{name: "produce: the last transaction's markers are still being written", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: table.Name, Partitions: two, Err: kerr.ConcurrentTransactions, Count: 4})},
	{name: "produce: never answered", fault: wires(kmsg.Produce, hanging, 1, ofTransaction)},

	// Offsets.
	{name: "offsets: rebalance", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RebalanceInProgress, Count: 2})},
	{name: "offsets: illegal generation", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration, Count: 2})},
	{name: "offsets: unknown member", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownMemberID, Count: 2})},
	{name: "offsets: coordinator loads", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.CoordinatorLoadInProgress, Count: 2})},
	{name: "offsets: stored, but timed out", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RequestTimedOut, Count: 1})},
	{name: "offsets: connection lost before", fault: wires(kmsg.TxnOffsetCommit, unsent, 2, nil)},
	{name: "offsets: connection lost after", fault: wires(kmsg.TxnOffsetCommit, unanswered, 2, nil)},

	// The end.
	{name: "end: coordinator loads", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.CoordinatorLoadInProgress, Count: 2})},
	{name: "end: concurrent transactions", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ConcurrentTransactions, Count: 2})},
	{name: "end: unknown error", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Count: 1})},
	{name: "end: invalid epoch", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.InvalidProducerEpoch, Count: 1})},
	{name: "end: fenced", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ProducerFenced, Count: 1})},
	{name: "end: connection lost before", fault: wires(kmsg.EndTxn, unsent, 2, commits)},
	{name: "end: connection lost after", fault: wires(kmsg.EndTxn, unanswered, 1, commits)},
	{name: "end: connection lost after, twice", fault: wires(kmsg.EndTxn, unanswered, 2, commits), uncounted: true},
	{name: "end: never answered", fault: wires(kmsg.EndTxn, hanging, 1, commits), uncounted: true},

	{name: "fence: concurrent transactions", fault: func(b *bench) hits {
		b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ProducerFenced})
		return says(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.ConcurrentTransactions, Count: 2})(b)
	}},

	// Coordinators and leaders.
	{name: "coordinators move", fault: (*bench).moveCoordinators},
	{name: "coordinator: unknown for a while", fault: func(b *bench) hits {
		b.moveCoordinators()
		return says(kfake.Fault{Keys: []kmsg.Key{kmsg.FindCoordinator}, Err: kerr.CoordinatorNotAvailable, Count: 3})(b)
	}},
	{name: "leaders move", fault: (*bench).moveLeaders},

	// Membership.
	{name: "heartbeat: unknown member", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.UnknownMemberID, Count: 1})},
	{name: "heartbeat: illegal generation", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.IllegalGeneration, Count: 1})},

	// Fetches.
	{name: "fetch: no leader", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: numbers.Name, Partitions: two, Err: kerr.NotLeaderForPartition, Count: 3})},
	{name: "fetch: unknown topic id", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: numbers.Name, Partitions: two, Err: kerr.UnknownTopicID, Count: 3})},
	{name: "fetch: corrupt", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: numbers.Name, Partitions: two, Err: kerr.CorruptMessage, Count: 3})},
	{name: "fetch: out of range", fault: says(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: numbers.Name, Partitions: two, Err: kerr.OffsetOutOfRange, Count: 1})},
	{name: "fetch: refused as a session begins", fault: func(b *bench) hits {
		b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RebalanceInProgress})
		return says(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: numbers.Name, Partitions: two, Err: kerr.TopicAuthorizationFailed, Count: 20})(b)
	}},
	{name: "fetch: connection lost", fault: wires(kmsg.Fetch, unanswered, 3, nil)},
}

// A fault comes in the middle of the work of a member. Afterwards every number
// is counted once: table, outputs, offsets and counters are as if nothing had
// happened (I5, I6, I7).
func TestFaultsOnTheWire(t *testing.T) {
	t.Parallel()
	for _, s := range wireStories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.play(t)
		})
	}
}

func (s *story) play(t *testing.T) {
	b := newWiredBench(t)
	cfg := b.config("a")
	cfg.BatchRecordsMax, cfg.EndTimeout = faultBatch, 2*time.Second
	b.produce(numbers.Name, faultKeys, faultNumbers)
	var calls atomic.Int64
	var took hits
	injected := make(chan struct{})
	r := b.start(cfg, Processor{Group: count, Handle: func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		if calls.Add(1) == faultAt {
			took = s.fault(b)
			close(injected)
		}
		return add(state, m)
	}})
	<-injected
	b.produce(more.Name, faultKeys, faultNumbers) // so that every partition meets the fault
	b.consumed(count.Name, numbers.Name, more.Name)
	b.eventually("the fault has taken effect", func() bool { return took() > 0 })
	b.exact(r, 2*faultNumbers)
	b.eventually("the counters add up (I7)", func() bool {
		consumed, verdicts := metric(t, cfg.Registerer, "consumed_records_total", ""), metric(t, cfg.Registerer, "records_total", "")
		all := float64(2 * faultKeys * faultNumbers)
		if consumed > all {
			t.Fatalf("I7: %v of %v records are counted", consumed, all)
		}
		return consumed == verdicts && (consumed == all || s.uncounted)
	})
}

// exact fails unless the outputs, the live table and the table's log have every
// number of the keys once.
func (b *bench) exact(r running, n int) {
	b.t.Helper()
	b.sumsExact(faultKeys, n)
	b.tableExact(r, faultKeys, n)
	last := map[string]string{}
	for _, rec := range b.read(table.Name) {
		last[string(rec.Key)] = string(rec.Value)
	}
	for k := range faultKeys {
		if want := string(record("", "", int64(n)).Value); last[key(k)] != want {
			b.t.Fatalf("I9: the log's last state of %s is %q, want %q", key(k), last[key(k)], want)
		}
	}
}

// moveCoordinators gives the groups and a member's transactions to other brokers.
func (b *bench) moveCoordinators() hits {
	ids := []string{count.Name, count.Name + "/a", outside.Name}
	moved := 0
	was := map[string]int32{}
	for _, id := range ids {
		was[id] = b.cluster.CoordinatorFor(id)
	}
	for moved < len(ids) {
		b.cluster.RehashCoordinators()
		moved = 0
		for _, id := range ids {
			if b.cluster.CoordinatorFor(id) != was[id] {
				moved++
			}
		}
	}
	return func() int { return moved }
}

// moveLeaders gives every partition to another broker.
func (b *bench) moveLeaders() hits {
	b.t.Helper()
	moved := 0
	for _, topic := range []string{numbers.Name, more.Name, sums.Name, table.Name} {
		for p := range int32(testPartitions) {
			if err := b.cluster.MoveTopicPartition(topic, p, (b.cluster.LeaderFor(topic, p)+1)%3); err != nil {
				b.t.Error(err)
				continue
			}
			moved++
		}
	}
	return func() int { return moved }
}

// The table's partition of one member refuses to be written for long. The other
// member goes on meanwhile, and nothing is missing once the partition is back.
func TestOnePartitionIsStuck(t *testing.T) {
	t.Parallel()
	b := newWiredBench(t)
	start := func(member string) running {
		cfg := b.config(member)
		cfg.BatchRecordsMax, cfg.EndTimeout = faultBatch, 200*time.Millisecond
		return b.start(cfg, Processor{Group: count, Handle: add})
	}
	one, other := start("one"), start("other")
	b.share(one, other)
	stuck := one.Assigned()[0]
	refused := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: table.Name, Partitions: []int32{stuck}, Err: kerr.NotEnoughReplicas, Count: -1})
	b.produce(numbers.Name, faultKeys, faultNumbers)
	for _, p := range other.Assigned() {
		b.eventually("the other member's partitions are done", func() bool { return b.committed(count.Name, numbers.Name, p) > 0 && b.atEnd(numbers.Name, p) })
	}
	b.eventually("the partition was refused", func() bool { return refused.Hits() > 2 })
	if at := b.committed(count.Name, numbers.Name, stuck); at > 0 {
		t.Errorf("offset %d is committed though the table has no record of it", at)
	}
	refused.Remove()
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(faultKeys, faultNumbers)
	b.share(one, other)
}

// atEnd reports whether the group has committed a partition to its end.
func (b *bench) atEnd(topic string, partition int32) bool {
	ends, err := b.adm.ListEndOffsets(b.ctx, topic)
	end, ok := ends.Lookup(topic, partition)
	return err == nil && ok && end.Err == nil && b.committed(count.Name, topic, partition) >= end.Offset
}

// share waits until every partition is owned by one of the members, and each of
// them has one at least.
func (b *bench) share(rs ...running) {
	b.t.Helper()
	b.eventually("the members share the partitions", func() bool {
		total := 0
		for _, r := range rs {
			n := len(r.Assigned())
			if n == 0 {
				return false
			}
			total += n
		}
		return total == testPartitions
	})
}

// A rebalance storm: whenever the group has got some records further, a member
// joins or leaves, until each of three has done so several times. The end is
// exact, and every partition has an owner.
func TestRebalanceStorm(t *testing.T) {
	t.Parallel()
	b := newWiredBench(t)
	var calls atomic.Int64
	handle := func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		calls.Add(1)
		return add(state, m)
	}
	members := []string{"one", "two", "three"}
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	var live [3]running
	toggle := func(i int) {
		if live[i].Runner != nil {
			if err := live[i].stop(); err != nil {
				t.Fatal(err)
			}
			live[i] = running{}
			return
		}
		cfg := b.config(members[i])
		cfg.DataDir, cfg.BatchRecordsMax = dirs[i], faultBatch
		cfg.SessionTimeout, cfg.HeartbeatInterval = 400*time.Millisecond, 50*time.Millisecond
		live[i] = b.start(cfg, Processor{Group: count, Handle: handle})
	}
	rounds := 0
	advance := func() {
		before := calls.Load()
		b.produce(numbers.Name, faultKeys, faultNumbers)
		b.produce(more.Name, faultKeys, faultNumbers)
		rounds++
		b.eventually("the group gets on", func() bool { return calls.Load() >= before+faultBatch })
	}
	toggle(0)
	for turn := range 12 {
		advance()
		toggle(1 + turn%2)
	}
	toggle(0) // who was there all the time leaves
	toggle(1)
	advance()
	toggle(0)
	b.consumed(count.Name, numbers.Name, more.Name)
	b.sumsExact(faultKeys, 2*faultNumbers*rounds)
	var rs []running
	for _, r := range live {
		if r.Runner != nil {
			rs = append(rs, r)
		}
	}
	b.share(rs...)
}

// A broker goes away in the middle of the work, with the leaders and coordinators
// that it had, and comes back later: the work goes on without it and with it.
func TestABrokerGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	b := newWiredBench(t)
	var calls atomic.Int64
	r := b.start(b.config("a"), Processor{Group: count, Handle: func(state proto.Message, m *transition.Message) (transition.Effect, error) {
		calls.Add(1)
		return add(state, m)
	}})
	b.ready(r)
	node := b.cluster.CoordinatorFor(count.Name)
	address := b.brokers[node]
	b.produce(numbers.Name, faultKeys, faultNumbers)
	b.eventually("some are handled", func() bool { return calls.Load() > faultBatch })
	port := b.remove(node, address)
	b.produce(numbers.Name, faultKeys, faultNumbers)
	b.consumed(count.Name, numbers.Name)
	b.sumsExact(faultKeys, 2*faultNumbers)
	if _, _, err := b.cluster.AddNode(node, port); err != nil {
		t.Fatal(err)
	}
	b.wire.back(address)
	b.produce(numbers.Name, faultKeys, faultNumbers)
	b.consumed(count.Name, numbers.Name)
	b.exact(r, 3*faultNumbers)
}

// remove takes a broker and its connections away; its leaders and coordinators
// move.
func (b *bench) remove(node int32, address string) (port int) {
	b.t.Helper()
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		b.t.Fatal(err)
	}
	if port, err = strconv.Atoi(p); err != nil {
		b.t.Fatal(err)
	}
	if err := b.cluster.RemoveNode(node); err != nil {
		b.t.Fatal(err)
	}
	if n := b.wire.away(address); n == 0 {
		b.t.Fatal("nobody was connected to the broker")
	}
	return port
}

// Records that the group has not read are gone from the log. It must not go on
// behind them as if they had never been there, nor at the start: it says so, and
// goes on when somebody has set its offsets.
func TestALogWithoutTheNextRecordStopsTheGroup(t *testing.T) {
	t.Parallel()
	b := newWiredBench(t)
	cfg := b.config("a")
	said := &lines{}
	cfg.SessionTimeout, cfg.HeartbeatInterval = 400*time.Millisecond, 50*time.Millisecond
	cfg.Logger = slog.New(slog.NewTextHandler(said, nil))
	r := b.start(cfg, Processor{Group: count, Handle: add})
	b.produce(numbers.Name, faultKeys, faultNumbers)
	b.consumed(count.Name, numbers.Name)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	k := everyPartition()[2]
	b.write(record(numbers.Name, k, 1), record(numbers.Name, k, 1), record(numbers.Name, k, 1))
	at := b.committed(count.Name, numbers.Name, 2)
	if err := b.cluster.DeleteRecords(numbers.Name, 2, at+2); err != nil {
		t.Fatal(err)
	}
	again := b.config("a")
	again.DataDir, again.Logger, again.SessionTimeout, again.HeartbeatInterval = cfg.DataDir, cfg.Logger, cfg.SessionTimeout, cfg.HeartbeatInterval
	r = b.start(again, Processor{Group: count, Handle: add})
	b.eventually("it says what is wrong", func() bool { return strings.Contains(said.String(), "set the group's offsets") })
	if now := b.committed(count.Name, numbers.Name, 2); now != at {
		t.Fatalf("the group went on at %d, it was at %d", now, at)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	decided := kadm.Offsets{}
	decided.Add(kadm.Offset{Topic: numbers.Name, Partition: 2, At: at + 2})
	b.eventually("the group is empty and takes offsets", func() bool { return b.adm.CommitAllOffsets(b.ctx, count.Name, decided) == nil })
	last := b.config("a")
	last.DataDir = cfg.DataDir
	r = b.start(last, Processor{Group: count, Handle: add})
	b.consumed(count.Name, numbers.Name)
	b.ready(r)
	b.stateExact(r, k, faultNumbers+1)
}

// lines keeps what a logger writes.
type lines struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
