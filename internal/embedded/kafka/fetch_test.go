package kafka

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A reader is behind, and the answers to its fetches are as large as it allows, with
// several partitions in each. A transaction that was aborted stays invisible
// wherever an answer ends (I5).
func TestAbortedRecordsStayInvisibleInLargeAnswers(t *testing.T) {
	t.Parallel()
	c := openTest(t, t.TempDir())
	defer c.Close()
	const partitions, rounds = 6, 40
	createTopics(t, c.Brokers(), partitions, "large")
	writer := newClient(t, c.Brokers(), kgo.TransactionalID("writer"), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	filler := bytes.Repeat([]byte("x"), 2000)
	for round := range rounds {
		ending, what := kgo.TryCommit, "kept"
		if round%2 == 1 {
			ending, what = kgo.TryAbort, "aborted"
		}
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for partition := range int32(partitions) {
			writer.Produce(within(t), &kgo.Record{
				Topic: "large", Partition: partition, Value: fmt.Appendf(nil, "%s %d %d %s", what, partition, round, filler),
			}, nil)
		}
		if err := writer.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
		if err := writer.EndTransaction(within(t), ending); err != nil {
			t.Fatal(err)
		}
	}
	writer.Close() // before the broker, or it would look for it
	reader := newClient(t, c.Brokers(), kgo.ConsumeTopics("large"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(48<<10), kgo.FetchMaxPartitionBytes(32<<10))
	kept := 0
	for kept < partitions*rounds/2 {
		fetches := reader.PollFetches(within(t))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !bytes.HasPrefix(r.Value, []byte("kept")) {
				t.Errorf("a reader of committed records sees %q at %d/%d", r.Value[:16], r.Partition, r.Offset)
			}
			kept++
		})
	}
}
