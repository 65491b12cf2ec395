package clickhouse

import (
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The brokers refuse the commits of what was loaded, and no more records come. The
// commit is repeated all the same: the loader is not behind for ever.
func TestAFailedCommitIsRepeated(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	const refusals = 3
	var refused atomic.Int64
	cluster.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		asked := request.(*kmsg.OffsetCommitRequest)
		if refused.Load() == refusals {
			return nil, nil, false
		}
		refused.Add(1)
		answer := asked.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, topic := range asked.Topics {
			said := kmsg.NewOffsetCommitResponseTopic()
			said.Topic, said.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				about := kmsg.NewOffsetCommitResponseTopicPartition()
				about.Partition, about.ErrorCode = p.Partition, kerr.UnknownServerError.Code
				said.Partitions = append(said.Partitions, about)
			}
			answer.Topics = append(answer.Topics, said)
		}
		return answer, nil, true
	})
	brokers := cluster.ListenAddrs()
	records := story(t)
	produce(t, brokers, records...)
	cfg, name := sinkConfig(t, brokers)
	s, _ := start(t, impatient(cfg))
	caughtUp(t, s)
	if n := committed(t, brokers); n != int64(len(records)) {
		t.Errorf("%d records are committed, want %d", n, len(records))
	}
	if got := testutil.ToFloat64(s.metrics.commitFails); got != refusals {
		t.Errorf("%v commits failed, want %d", got, refusals)
	}
	golden(t, "story.golden.txt", facts(t, name))
}
