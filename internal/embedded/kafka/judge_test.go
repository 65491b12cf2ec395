package kafka

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// onDisk describes a partition by what its batches say of producer 1.
func onDisk(number int32, openEpoch int16, ended *marker) *partition {
	p := &partition{topic: "t", number: number, open: map[int64]int16{}, ended: map[int64]marker{}}
	if openEpoch >= 0 {
		p.open[1] = openEpoch
	}
	if ended != nil {
		p.ended[1] = *ended
	}
	return p
}

// What recovery decides follows from the journal, the markers and the epochs; a
// transaction is committed only if its commit had begun.
func TestJudge(t *testing.T) {
	t.Parallel()
	const none = int16(-1)
	offsets := []journalEntry{{Kind: staged, Producer: 1, Epoch: 7, Group: "g"}}
	for _, c := range []struct {
		name       string
		partitions []*partition
		journal    *journalled // of the present epoch, 7
		markers    string      // partition:epoch:commit
		offsets    int
		epoch      int16 // 7 when nothing changes
		committed  bool
	}{
		{"nothing was open", []*partition{onDisk(0, none, &marker{6, true})}, nil, "", 0, 7, true},
		{"open, no commit began", []*partition{onDisk(0, 7, nil), onDisk(1, none, nil), onDisk(2, 7, nil)}, nil, "0:7:false 2:7:false", 0, 8, false},
		{"only offsets were staged", nil, &journalled{staged: offsets}, "", 0, 8, false},
		{"commit began, no marker yet", []*partition{onDisk(0, 7, nil), onDisk(1, 7, nil)}, &journalled{true, offsets}, "0:7:true 1:7:true", 1, 8, true},
		{"commit began, one marker", []*partition{onDisk(0, none, &marker{7, true}), onDisk(1, 7, nil)}, &journalled{true, offsets}, "1:7:true", 1, 8, true},
		{"commit complete, next epoch missing", []*partition{onDisk(0, none, &marker{7, true})}, &journalled{true, offsets}, "", 1, 8, true},
		{"abort began", []*partition{onDisk(0, none, &marker{7, false}), onDisk(1, 7, nil)}, &journalled{staged: offsets}, "1:7:false", 0, 8, false},
		{"abort complete, next epoch missing", []*partition{onDisk(0, none, &marker{7, false})}, nil, "", 0, 8, false},
		{"timed out, abort began with the next epoch", []*partition{onDisk(0, none, &marker{8, false}), onDisk(1, 7, nil)}, nil, "1:7:false", 0, 9, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			producers := map[int64]*producer{
				1: {id: 1, epoch: 7, transactional: "tx", lastCommitted: true},
				2: {id: 2, epoch: 3}, // idempotent only: nothing to decide
			}
			known := map[transaction]*journalled{
				{1, 6}: {true, offsets}, // long over
				{9, 7}: {true, offsets}, // of a producer that has gone on under another id
			}
			if c.journal != nil {
				known[transaction{1, 7}] = c.journal
			}
			before := fmt.Sprint(*producers[1])
			v := judge(producers, c.partitions, known)
			var markers []string
			for _, m := range v.markers {
				markers = append(markers, fmt.Sprintf("%d:%d:%v", m.partition.number, m.marker.epoch, m.marker.commit))
			}
			if got := strings.Join(markers, " "); got != c.markers {
				t.Errorf("markers %q, want %q", got, c.markers)
			}
			if len(v.offsets) != c.offsets {
				t.Errorf("%d offset commits, want %d", len(v.offsets), c.offsets)
			}
			after := *producers[1]
			if len(v.producers) == 1 {
				after = v.producers[0]
			}
			if len(v.producers) > 1 || after.epoch != c.epoch || after.lastCommitted != c.committed {
				t.Errorf("producers %+v, want epoch %d and committed %v", v.producers, c.epoch, c.committed)
			}
			if got := fmt.Sprint(*producers[1]); got != before {
				t.Errorf("judging changed the producer from %s to %s", before, got)
			}
		})
	}
}

// A commit that the broker refused is followed by other requests: it never began,
// and the transaction that goes on with the same epoch is open.
func TestRefusedCommitIsNotPending(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := newJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	end := &kmsg.EndTxnRequest{Version: 5, ProducerID: 1, ProducerEpoch: 7, Commit: true}
	stage := &kmsg.TxnOffsetCommitRequest{ProducerID: 1, ProducerEpoch: 7, Group: "g"}
	for _, note := range []func() error{func() error { return j.end(end) }, func() error { return j.stage(stage) }} {
		if err := note(); err != nil {
			t.Fatal(err)
		}
	}
	known, err := readJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := known[transaction{1, 7}]; got.committing || len(got.staged) != 1 {
		t.Errorf("journal: %+v", got)
	}
}

// The journal is begun anew when it is long; what was staged by transactions that
// are still open stays.
func TestJournalBeginsAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := newJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 1<<20)
	stage := func(producer int64) {
		req := &kmsg.TxnOffsetCommitRequest{ProducerID: producer, ProducerEpoch: 1, Group: long}
		if err := j.stage(req); err != nil {
			t.Fatal(err)
		}
	}
	stage(1)
	for producer := int64(2); producer < 40; producer++ {
		stage(producer)
		if err := j.end(&kmsg.EndTxnRequest{Version: 5, ProducerID: producer, ProducerEpoch: 1, Commit: true}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, journalFile))
	if err != nil || info.Size() > journalMax+(2<<20) {
		t.Fatalf("journal: %v, %v", info, err)
	}
	known, err := readJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	if open := known[transaction{1, 1}]; open == nil || len(open.staged) != 1 {
		t.Error("the open transaction's offsets are gone")
	}
	if last := known[transaction{39, 1}]; last == nil || !last.committing {
		t.Error("the last commit is gone")
	}
}

// kfake's log of producers is read as kfake reads it, but for what it forgets: the
// outcome of the last transaction.
func TestReadProducers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	yes := true
	var log []byte
	for _, e := range []producerEntry{
		{Type: "init", ID: 1, Epoch: 0, Transactional: "a", TimeoutMS: 10},
		{Type: "endtx", ID: 1, Epoch: 0, Commit: &yes},
		{Type: "init", ID: 1, Epoch: 1, Transactional: "a", TimeoutMS: 10},
		{Type: "init", ID: 2, Epoch: 0, Transactional: "b", TimeoutMS: 10},
		{Type: "endtx", ID: 2, Epoch: 0, Commit: &yes},
		{Type: "init", ID: 2, Epoch: 1, Transactional: "b", TimeoutMS: 10},
		{Type: "init", ID: 2, Epoch: 2, Transactional: "b", TimeoutMS: 10}, // a fresh start
		{Type: "init", ID: 3, Epoch: 0},
		{Type: "init", ID: 4, Epoch: 32766, Transactional: "c"},
		{Type: "endtx", ID: 4, Epoch: 32766, Commit: &yes},
		{Type: "init", ID: 5, Epoch: 0, Transactional: "c"}, // epochs used up
	} {
		var err error
		if log, err = appendFrame(log, e); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, producersLog)
	if err := os.WriteFile(path, append(log, "torn"...), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[int64]*producer{
		1: {1, 1, "a", 10, true}, 2: {2, 2, "b", 10, false}, 3: {3, 0, "", 0, false}, 5: {5, 0, "c", 0, false},
	}
	for _, name := range []string{"as kfake wrote it", "as recovery wrote it"} {
		got, err := readProducers(dir)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", name, slices.Sorted(maps.Keys(got)), err)
		}
		if err := writeProducers(dir, got); err != nil {
			t.Fatal(err)
		}
	}
}

// The disk refuses a write: kfake would go on with a log that has a hole; the
// cluster ends instead.
func TestFailedWriteEndsTheCluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := openTest(t, dir)
	createTopics(t, c.Brokers(), 1, "facts")
	if err := os.WriteFile(filepath.Join(dir, logDir, "partitions"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cl := newClient(t, c.Brokers(), kgo.DefaultProduceTopic("facts"))
	answered := make(chan error, 1)
	go func() { answered <- cl.ProduceSync(context.Background(), kgo.StringRecord("1")).FirstErr() }()
	if err := c.Serve(within(t)); err == nil || !strings.Contains(err.Error(), "the broker cannot write its log") {
		t.Errorf("Serve ended with %v", err)
	}
	cl.Close()
	if err := <-answered; err == nil {
		t.Error("a record that is not on disk was acknowledged")
	}
}
