package topicreader_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
)

func cluster(t *testing.T) (brokers []string, client *kgo.Client) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topology.CatalogEvents.Name, topology.CatalogTable.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client, err = kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("writer"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return c.ListenAddrs(), client
}

// A partition that does not reach its end is an error and not a reading of half
// the records; only a compacted one may have lost its last records.
func TestSilentPartition(t *testing.T) {
	t.Parallel()
	brokers, _ := cluster(t)
	rd := &topicreader.Reader{Brokers: brokers, Patience: 100 * time.Millisecond}
	nothing := func(*kgo.Record) error { return nil }
	if err := rd.Read(t.Context(), topology.CatalogEvents, nil, map[int32]int64{0: 1_000}, nothing); !errors.Is(err, topicreader.ErrSilent) {
		t.Errorf("reading past the end of a log: %v, want %v", err, topicreader.ErrSilent)
	}
	if err := rd.Read(t.Context(), topology.CatalogTable, nil, map[int32]int64{0: 1_000}, nothing); err != nil {
		t.Errorf("reading past the end of a table: %v", err)
	}
}

// A log with a committed, an aborted and an open transaction: what was committed
// is read, once and in order, and nothing else, and the reading ends.
func TestReadsWhatIsCommitted(t *testing.T) {
	t.Parallel()
	brokers, client := cluster(t)
	write := func(value string, end ...kgo.TransactionEndTry) {
		t.Helper()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: topology.CatalogEvents.Name, Key: []byte("k"), Value: []byte(value)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		for _, how := range end {
			if err := client.EndTransaction(context.WithoutCancel(t.Context()), how); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("first", kgo.TryCommit)
	write("aborted", kgo.TryAbort)
	write("second", kgo.TryCommit)
	write("open")
	rd := &topicreader.Reader{Brokers: brokers}
	ends, err := topicreader.Ends(t.Context(), kadm.NewClient(client), topology.CatalogEvents)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	err = rd.Read(t.Context(), topology.CatalogEvents, nil, ends[topology.CatalogEvents.Name], func(r *kgo.Record) error {
		have = append(have, string(r.Value))
		return nil
	})
	if err != nil || len(have) != 2 || have[0] != "first" || have[1] != "second" || rd.Records() != 2 {
		t.Fatalf("read %v (%d), %v", have, rd.Records(), err)
	}
}
