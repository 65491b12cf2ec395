package kafka

import (
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The partitions of a topic are led by the broker that was asked for: as soon as
// it is created, and again after a restart.
func TestPartitionsHaveTheirLeaders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	leader := func(topic string, _ int32) int32 { return map[string]int32{"second": 1, "third": 2}[topic] }
	open := func() *Cluster {
		c, err := Open(Options{Dir: dir, Logger: slog.New(slog.DiscardHandler), Leader: leader})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open()
	createTopics(t, c.Brokers(), 4, "first", "second", "third")
	for _, topic := range []string{"first", "second", "third"} {
		for partition := range int32(4) {
			awaitLeader(t, c, topic, partition, leader(topic, partition))
		}
	}
	client := newClient(t, c.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for partition := range int32(4) {
		record := &kgo.Record{Topic: "second", Partition: partition, Value: []byte("kept")}
		if err := client.ProduceSync(within(t), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	client.Close() // before the broker, or it would look for it
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open()
	defer c.Close()
	for partition := range int32(4) {
		if at := c.kfake.LeaderFor("second", partition); at != 1 {
			t.Errorf("partition %d is led by broker %d after a restart, want 1", partition, at)
		}
	}
}

func awaitLeader(t *testing.T, c *Cluster, topic string, partition, want int32) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx := within(t); c.kfake.LeaderFor(topic, partition) != want; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s/%d is led by broker %d, want %d", topic, partition, c.kfake.LeaderFor(topic, partition), want)
		}
	}
}
