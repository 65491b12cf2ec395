package load

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// observer reads registration-events from where they ended when it was opened.
type observer struct {
	client *kgo.Client
}

// openObserver notes where the events end now, so that nothing of the run to
// come is missed and nothing older is read.
func openObserver(ctx context.Context, brokers []string) (*observer, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond),
	)
	if err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	topic := topology.RegistrationEvents.Name
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("observe %s: %w", topic, err)
	}
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) { from[o.Partition] = kgo.NewOffset().At(o.Offset) })
	if len(from) == 0 {
		client.Close()
		return nil, fmt.Errorf("observe %s: the topic has no partitions; create the topics first", topic)
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	return &observer{client}, nil
}

func (o *observer) close() { o.client.Close() }

// run passes what becomes visible of the event to the tracker until ctx ends. It
// goes on through errors, which may pass: if they don't, the run stalls.
func (o *observer) run(ctx context.Context, event uuid.UUID, t *tracker, log *slog.Logger) {
	for {
		fetches := o.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		fetches.EachError(func(topic string, partition int32, err error) {
			log.Warn("a partition cannot be observed now", "topic", topic, "partition", partition, "error", err)
		})
		fetches.EachRecord(func(record *kgo.Record) {
			v, err := readVersion(record.Value)
			if err != nil {
				log.Warn("a record is no registration", "topic", record.Topic, "partition", record.Partition, "offset", record.Offset, "error", err)
				return
			}
			if v.event == event {
				t.observe(v.id, v.outcome, v.settled, now)
			}
		})
	}
}

// version is what is read of a version of a registration.
type version struct {
	id, event uuid.UUID
	outcome   pb.Outcome
	settled   bool
}

// The field numbers of boxoffice.v1.Registration that are read.
const (
	fieldRegistrationID = 2
	fieldEventID        = 4
	fieldOutcome        = 11
	fieldSettled        = 13
)

// readVersion reads four fields of a registration and skips the others: decoding
// all of it would cost ten times as much for each version of each registration.
func readVersion(value []byte) (v version, err error) {
	for len(value) > 0 {
		number, kind, n := protowire.ConsumeTag(value)
		if n < 0 {
			return v, protowire.ParseError(n)
		}
		value = value[n:]
		switch {
		case kind == protowire.BytesType && (number == fieldRegistrationID || number == fieldEventID):
			var id []byte
			if id, n = protowire.ConsumeBytes(value); n >= 0 && len(id) == len(v.id) {
				if number == fieldRegistrationID {
					v.id = uuid.UUID(id)
				} else {
					v.event = uuid.UUID(id)
				}
			}
		case kind == protowire.VarintType && (number == fieldOutcome || number == fieldSettled):
			var x uint64
			if x, n = protowire.ConsumeVarint(value); number == fieldOutcome {
				v.outcome = pb.Outcome(x)
			} else {
				v.settled = x != 0
			}
		default:
			n = protowire.ConsumeFieldValue(number, kind, value)
		}
		if n < 0 {
			return v, protowire.ParseError(n)
		}
		value = value[n:]
	}
	return v, nil
}
