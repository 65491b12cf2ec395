package testsystem

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
)

func read(ctx context.Context, brokers []string, t topology.Topic) ([]*kgo.Record, error) {
	var mu sync.Mutex
	var records []*kgo.Record
	rd := topicreader.Reader{Brokers: brokers}
	err := rd.ReadAll(ctx, t, func(r *kgo.Record) error {
		mu.Lock()
		defer mu.Unlock()
		records = append(records, r)
		return nil
	})
	return records, err
}
