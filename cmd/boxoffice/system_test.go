package main

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
)

// A data directory of an older release has other partitions, and its first start was
// killed before all topics were there: another count would put keys in two places.
func TestADataDirectoryKeepsItsPartitions(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	topics := topology.Topics()
	if n, err := partitionsOf(t.Context(), client, topics); n != topology.EmbeddedPartitions || err != nil {
		t.Errorf("a new directory gets %d partitions, %v", n, err)
	}
	const older = 2 * topology.EmbeddedPartitions
	last := topics[len(topics)-1].Name
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), older, 1, nil, last); err != nil {
		t.Fatal(err)
	}
	if n, err := partitionsOf(t.Context(), client, topics); n != older || err != nil {
		t.Errorf("it had %d partitions and gets %d, %v", older, n, err)
	}
}
