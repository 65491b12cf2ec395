package sagas

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Cluster is where the topics are.
type Cluster struct {
	Brokers []string
	// Options come on top, for TLS and SASL.
	Options []kgo.Opt
	// Progress is told how far the reading of a topic is; nil for nobody.
	Progress func(topic string, done, total int64)
}

// ErrUnknown says that no registration and no payment has an id.
var ErrUnknown = errors.New("no registration and no payment has this id")

// client is one for offsets; it owns nothing else.
func (c Cluster) client(more ...kgo.Opt) (*kgo.Client, error) {
	opts := append([]kgo.Opt{kgo.SeedBrokers(c.Brokers...)}, c.Options...)
	client, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return client, nil
}

// Open reads both tables and returns what is open in them: sagas that are not
// settled, and payments that wait for the provider or for a person.
func (c Cluster) Open(ctx context.Context) ([]*Saga, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := topicreader.Ends(ctx, kadm.NewClient(client), topology.RegistrationsTable, topology.PaymentsTable)
	if err != nil {
		return nil, err
	}
	open := openBook{registrations: map[uuid.UUID]*pb.Registration{}, payments: map[uuid.UUID]*pb.Payment{}}
	// Payments last: what a registration that was read waits for is known then.
	for _, t := range []topology.Topic{topology.RegistrationsTable, topology.PaymentsTable} {
		rd := topicreader.Reader{Brokers: c.Brokers, Options: c.Options, Progress: c.Progress}
		if err := rd.Read(ctx, t, nil, ends[t.Name], open.take); err != nil {
			return nil, err
		}
	}
	return open.join(), nil
}

// openBook holds the last values that are open; records of several partitions
// come at the same time.
type openBook struct {
	mu            sync.Mutex
	registrations map[uuid.UUID]*pb.Registration
	payments      map[uuid.UUID]*pb.Payment
}

func (b *openBook) take(r *kgo.Record) error {
	switch r.Topic {
	case topology.RegistrationsTable.Name:
		v := new(pb.Registration)
		if err := proto.Unmarshal(r.Value, v); err != nil {
			return err
		}
		keep(b, b.registrations, topology.UUID(v.RegistrationId), v, registrationOpen(v))
	case topology.PaymentsTable.Name:
		v := new(pb.Payment)
		if err := proto.Unmarshal(r.Value, v); err != nil {
			return err
		}
		keep(b, b.payments, topology.UUID(v.PaymentId), v, paymentOpen(v))
	}
	return nil
}

func keep[T any](b *openBook, in map[uuid.UUID]T, id uuid.UUID, v T, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if open {
		in[id] = v
	} else {
		delete(in, id)
	}
}

// join brings registrations and their payments together. A payment whose
// registration waits for nothing is a saga of its own: nobody else would see it.
func (b *openBook) join() []*Saga {
	sagas := make([]*Saga, 0, len(b.registrations))
	for id, r := range b.registrations {
		s := &Saga{ID: id, Registration: r}
		if r.Payment != nil {
			pid := topology.UUID(r.Payment.PaymentId)
			s.Payment = b.payments[pid]
			delete(b.payments, pid)
		}
		sagas = append(sagas, s)
	}
	for _, p := range b.payments {
		sagas = append(sagas, &Saga{ID: topology.UUID(p.RegistrationId), Payment: p})
	}
	return sagas
}

// Find reads the last values of one saga, open or not, by the id of its
// registration or of its payment.
func (c Cluster) Find(ctx context.Context, id uuid.UUID) (*Saga, error) {
	s := &Saga{ID: id}
	if err := c.last(ctx, topology.RegistrationsTable, id, func(value []byte) error {
		s.Registration = new(pb.Registration)
		return proto.Unmarshal(value, s.Registration)
	}); err != nil {
		return nil, err
	}
	payment := topology.PaymentID(id)
	if s.Registration.GetStep() == pb.Step_STEP_UNSPECIFIED {
		s.Registration, payment = nil, id
	}
	if err := c.last(ctx, topology.PaymentsTable, payment, func(value []byte) error {
		s.Payment = new(pb.Payment)
		return proto.Unmarshal(value, s.Payment)
	}); err != nil {
		return nil, err
	}
	switch {
	case s.Registration != nil:
		return s, nil
	case s.Payment == nil:
		return nil, fmt.Errorf("%s: %w", id, ErrUnknown)
	case payment != topology.PaymentID(topology.UUID(s.Payment.RegistrationId)):
		return nil, fmt.Errorf("payment %s does not belong to the registration that it names", id)
	}
	s.ID = topology.UUID(s.Payment.RegistrationId)
	return s, c.last(ctx, topology.RegistrationsTable, s.ID, func(value []byte) error {
		s.Registration = new(pb.Registration)
		return proto.Unmarshal(value, s.Registration)
	})
}

// last hands on the last value that a table has for a key.
func (c Cluster) last(ctx context.Context, table topology.Topic, id uuid.UUID, take func([]byte) error) error {
	var value []byte
	err := c.ofKey(ctx, table, id.String(), func(r *kgo.Record) error {
		value = r.Value
		return nil
	})
	if err != nil || value == nil {
		return err
	}
	return take(value)
}

// ofKey calls fn for the records of one key, in order. It reads the partition
// of the key only.
func (c Cluster) ofKey(ctx context.Context, t topology.Topic, key string, fn func(*kgo.Record) error) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := topicreader.Ends(ctx, kadm.NewClient(client), t)
	if err != nil {
		return err
	}
	partition := stream.Partition(key, len(ends[t.Name]))
	rd := topicreader.Reader{Brokers: c.Brokers, Options: c.Options, Progress: c.Progress}
	return rd.Read(ctx, t, nil, map[int32]int64{partition: ends[t.Name][partition]}, func(r *kgo.Record) error {
		if string(r.Key) != key {
			return nil
		}
		return fn(r)
	})
}
