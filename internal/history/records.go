package history

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Partition is the one that the records carry; no topic has it.
const Partition = -1

// writer makes records of what has happened.
type writer struct {
	to      Taker
	offsets map[string]int64
	records int
}

func (w *writer) order(ctx context.Context, o order) error {
	key := topology.KeyOf(o.registration.RegistrationId)
	if o.payment != nil {
		if err := w.put(ctx, topology.PaymentEvents, key, o.payment.ChangedAtUnixMs, o.payment); err != nil {
			return err
		}
	}
	return w.put(ctx, topology.RegistrationEvents, key, o.registration.ChangedAtUnixMs, o.registration)
}

// event is the event as it stood in the end, and its seat blocks.
func (w *writer) event(ctx context.Context, e *event) error {
	key := topology.KeyOf(e.pb.EventId)
	if err := w.put(ctx, topology.CatalogEvents, key, e.pb.ChangedAtUnixMs, e.pb); err != nil {
		return err
	}
	for i, t := range e.pb.TicketTypes {
		sold := uint32(e.sold[i])
		for n, size := range t.BlockSizes {
			b := &pb.BlockEvent{
				Kind: pb.BlockEventKind_BLOCK_EVENT_KIND_OPENED, EventId: e.pb.EventId, TicketType: t.Id, Block: uint32(n + 1),
				BlockVersion: 1, BlockSize: size, Changed: true,
			}
			if e.cancelled.IsZero() {
				b.Sold = min(sold, size)
				sold -= b.Sold
				b.Free = size - b.Sold
			} else {
				// Every owner was given the money back, and nobody can have the seats.
				b.Kind, b.Withdrawn = pb.BlockEventKind_BLOCK_EVENT_KIND_CLOSED, size
			}
			b.BlockVersion += 2 * uint64(b.Sold)
			if err := w.put(ctx, topology.BlockEvents, key, e.pb.ChangedAtUnixMs, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) put(ctx context.Context, topic topology.Topic, key string, atMs int64, m proto.Message) error {
	value, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("history: %s: %w", topic.Name, err)
	}
	r := &kgo.Record{
		Topic: topic.Name, Partition: Partition, Offset: w.offsets[topic.Name], Key: []byte(key), Value: value, Timestamp: time.UnixMilli(atMs),
	}
	w.offsets[topic.Name]++
	w.records++
	return w.to.Take(ctx, r)
}
