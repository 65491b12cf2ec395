package stream

import (
	"strings"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/internal/topology"
)

// Topics are created with their settings, and asking again changes nothing.
func TestEnsureCreatesTopics(t *testing.T) {
	t.Parallel()
	week := topology.Topic{Name: "week", New: newInt, Cleanup: topology.Delete, Retention: 7 * 24 * time.Hour}
	b := newBench(t, table, week, numbers)
	if err := Ensure(b.ctx, b.cl, []topology.Topic{table, week, numbers}, testPartitions, 3); err != nil {
		t.Fatal(err)
	}
	ds, err := Describe(b.ctx, b.cl, []topology.Topic{table, week, numbers, sums}, testPartitions, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[string]string{
		{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2"},
		{"cleanup.policy": "delete", "retention.ms": "604800000"},
		{"cleanup.policy": "delete", "retention.ms": "-1"},
	} {
		if !ds[i].Exists || ds[i].Partitions != testPartitions || len(ds[i].Differences) != 0 {
			t.Errorf("%+v", ds[i])
		}
		for k, v := range want {
			if ds[i].Settings[k] != v {
				t.Errorf("%s: %s=%s, want %s", ds[i].Topic, k, ds[i].Settings[k], v)
			}
		}
	}
	if ds[3].Exists || len(ds[3].Differences) != 1 {
		t.Errorf("a missing topic is described as %+v", ds[3])
	}
}

// Rule 7: somebody made the topic with other partitions, or let the broker
// delete what must be kept. Going on would put keys in two places, or lose
// tables; the message says what to do.
func TestEnsureFailsOnAMismatch(t *testing.T) {
	t.Parallel()
	b := newBench(t, numbers)
	missing := topology.Topic{Name: "missing", Key: "name", New: newInt, Cleanup: topology.Delete}
	err := Ensure(b.ctx, b.cl, []topology.Topic{missing, numbers}, 2*testPartitions, 3)
	if err == nil || !strings.Contains(err.Error(), "has 4 partitions, 8 are configured") {
		t.Errorf("partitions: %v", err)
	}
	if there, err := b.adm.ListTopics(b.ctx); err != nil || there.Has(missing.Name) {
		t.Errorf("a topic was made with a count that is wrong for the others: %v", err)
	}
	compacted := numbers
	compacted.Cleanup = topology.Compact
	err = Ensure(b.ctx, b.cl, []topology.Topic{compacted}, testPartitions, 3)
	if err == nil || !strings.Contains(err.Error(), "cleanup.policy=delete, it must be compact: kafka-configs") {
		t.Errorf("clean-up: %v", err)
	}
	err = Ensure(b.ctx, b.cl, []topology.Topic{numbers}, testPartitions, 1)
	if err == nil || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("replication: %v", err)
	}
}
