// Package topology is the one catalogue of topics, groups and tables: their
// names, keys, message types, partition counts and retention. Everything that
// touches Kafka takes its names from here.
package topology

import (
	"time"

	"google.golang.org/protobuf/proto"
)

// Cleanup is a topic's clean-up policy.
type Cleanup uint8

const (
	// Delete removes records older than the retention.
	Delete Cleanup = iota + 1
	// Compact keeps the last record of every key.
	Compact
)

// Topic describes one Kafka topic.
type Topic struct {
	Name string
	// Key says what the record key is, in words ("registration id").
	Key string
	// New returns an empty message of the one type that the topic carries; nil
	// for topics of raw bytes (dead letters).
	New     func() proto.Message
	Cleanup Cleanup
	// Retention is how long records stay; 0 means for ever.
	Retention time.Duration
	// About says what the topic is for, in one sentence.
	About string
}

// Kind says how a group runs.
type Kind uint8

const (
	// Stateful groups are Goka processors under Kafka transactions.
	Stateful Kind = iota + 1
	// Outside groups have effects outside Kafka and are at-least-once.
	Outside
)

// Group describes one consumer group.
type Group struct {
	Name   string
	Kind   Kind
	Key    string
	Inputs []Topic
	// Timers is the group's timer topic, one of Inputs; zero when the group has
	// no deadlines.
	Timers  Topic
	Outputs []Topic
	// Table is the group's compacted state topic ("<group>-table"); zero for
	// Outside groups.
	Table Topic
	About string
}

// DefaultPartitions and EmbeddedPartitions are the partition counts of every
// topic. A count is for ever: it decides which partition a key lives in. Two
// embedded ones keep two to four cores busy, because six groups work at once; four
// cost 5 to 10 % more CPU at 1,000 requests/s and eight another 15 %, since a
// transaction touches each partition of each topic.
const (
	DefaultPartitions  = 32
	EmbeddedPartitions = 2
)
