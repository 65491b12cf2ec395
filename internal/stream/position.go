package stream

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Position is where a record is in the log.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// String returns topic/partition/offset.
func (p Position) String() string { return fmt.Sprintf("%s/%d/%d", p.Topic, p.Partition, p.Offset) }

func positionOf(r *kgo.Record) Position {
	return Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
}

// Header is a record header.
type Header = kgo.RecordHeader
