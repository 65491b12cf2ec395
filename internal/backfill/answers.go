package backfill

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// answers follows the tables of the catalogue, the registrations and the payments
// from now on, and tells what became of the commands that are waited for. A command leaves
// its position in its key's value whatever became of it, also when it came again.
type answers struct {
	client *kgo.Client
	mu     sync.Mutex
	// waiting are the commands without an answer, by topic and key.
	waiting map[string]*waiting
}

// waiting is a command and what is known of its key.
type waiting struct {
	at       stream.Position
	accepted bool
	value    proto.Message
	// done looks at a value; true ends the wait.
	done func(value proto.Message, at stream.Position) bool
}

func follow(ctx context.Context, c Cluster) (*answers, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted())}, c.Options...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	ends, err := topicreader.Ends(ctx, kadm.NewClient(client), topology.CatalogTable, topology.RegistrationsTable, topology.PaymentsTable)
	if err != nil {
		client.Close()
		return nil, err
	}
	from := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range ends {
		from[topic] = map[int32]kgo.Offset{}
		for id, end := range partitions {
			from[topic][id] = kgo.NewOffset().At(end)
		}
	}
	client.AddConsumePartitions(from)
	return &answers{client: client, waiting: map[string]*waiting{}}, nil
}

// run hands out answers until ctx ends.
func (a *answers) run(ctx context.Context) error {
	defer a.client.Close()
	for {
		fetches := a.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var failed error
		fetches.EachError(func(topic string, partition int32, err error) {
			failed = errors.Join(failed, fmt.Errorf("following %s/%d: %w", topic, partition, err))
		})
		fetches.EachRecord(func(r *kgo.Record) {
			if err := a.take(r); err != nil {
				failed = errors.Join(failed, fmt.Errorf("following %s/%d, offset %d: %w", r.Topic, r.Partition, r.Offset, err))
			}
		})
		if failed != nil {
			return failed
		}
	}
}

func (a *answers) take(r *kgo.Record) error {
	a.mu.Lock()
	w := a.waiting[r.Topic+string(r.Key)]
	a.mu.Unlock()
	if w == nil {
		return nil
	}
	var value proto.Message = new(pb.Registration)
	switch r.Topic {
	case topology.CatalogTable.Name:
		value = new(pb.Event)
	case topology.PaymentsTable.Name:
		value = new(pb.Payment)
	}
	if err := proto.Unmarshal(r.Value, value); err != nil {
		return err
	}
	a.mu.Lock()
	w.value = value
	a.mu.Unlock()
	a.look(r.Topic, string(r.Key))
	return nil
}

// expect waits for the answer to a command of a key, from before it is sent.
func (a *answers) expect(table topology.Topic, key string, done func(proto.Message, stream.Position) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[table.Name+key] = &waiting{done: done}
}

// accepted says where the command is in the log: only an answer to this one, or to
// a later one, is an answer.
func (a *answers) accepted(table topology.Topic, key string, at stream.Position) {
	a.mu.Lock()
	w := a.waiting[table.Name+key]
	w.at, w.accepted = at, true
	a.mu.Unlock()
	a.look(table.Name, key)
}

// look asks whether the wait for a key is over.
func (a *answers) look(topic, key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.waiting[topic+key]
	if w != nil && w.accepted && w.value != nil && w.done(w.value, w.at) {
		delete(a.waiting, topic+key)
	}
}

// first is a key that is waited for.
func (a *answers) first() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	least := ""
	for key := range a.waiting {
		if least == "" || key < least {
			least = key
		}
	}
	return least
}

// answered reports whether a value tells of a command, or of one after it.
func answered(last *pb.CommandResult, at stream.Position) bool {
	return last != nil && last.Partition == at.Partition && last.Offset >= at.Offset
}
