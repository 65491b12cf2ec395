package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
)

// ErrFull says that too many records wait for the brokers' acknowledgement:
// refuse the work, or try again later.
var ErrFull = errors.New("the emit buffer is full")

// deliveryTimeout bounds how long a record waits to be written while Kafka is
// away.
const deliveryTimeout = 10 * time.Second

// Emitter produces from outside of transactions: idempotent, acknowledged by
// all in-sync replicas, partitioned like everything else.
type Emitter struct {
	cl  *kgo.Client
	out outbox
}

// NewEmitter makes an emitter. It connects when it is first used.
func NewEmitter(cfg Config) (*Emitter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	cl, err := kgo.NewClient(append(append(cfg.client(), cfg.producing()...),
		kgo.ProducerLinger(max(cfg.Linger, 0)),
		kgo.MaxBufferedRecords(cfg.BufferedRecordsMax),
		// Without a bound a record would be written minutes after its caller was
		// told that it was not.
		kgo.RecordDeliveryTimeout(deliveryTimeout),
	)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return &Emitter{cl: cl, out: outbox{cl: cl, every: cfg.QuietWait}}, nil
}

// Emit writes one record and returns its position once all in-sync replicas
// have it. It returns ErrFull, without waiting for a broker, when the buffer is
// full. When ctx ends first, the record may have been written, or be written yet:
// it is given up after ten seconds.
func (e *Emitter) Emit(ctx context.Context, topic topology.Topic, key string, value proto.Message, headers ...Header) (Position, error) {
	type answer struct {
		at  Position
		err error
	}
	answers := make(chan answer, 1)
	e.emit(ctx, topic, key, value, func(at Position, err error) { answers <- answer{at, err} }, headers)
	select {
	case a := <-answers:
		return a.at, a.err
	case <-ctx.Done():
		return Position{}, ctx.Err()
	}
}

// EmitAsync is Emit with the answer given to done, which must not block. The
// order of the records of a key is that of the calls.
func (e *Emitter) EmitAsync(topic topology.Topic, key string, value proto.Message, done func(Position, error), headers ...Header) {
	e.emit(context.Background(), topic, key, value, done, headers)
}

func (e *Emitter) emit(ctx context.Context, topic topology.Topic, key string, value proto.Message, done func(Position, error), headers []Header) {
	data, err := proto.Marshal(value)
	if err != nil {
		done(Position{}, fmt.Errorf("encoding for %s: %w", topic.Name, err))
		return
	}
	r := &kgo.Record{Topic: topic.Name, Key: []byte(key), Value: data, Headers: headers}
	e.out.produce(ctx, r, func(r *kgo.Record, err error) {
		switch {
		case errors.Is(err, kgo.ErrMaxBuffered):
			done(Position{}, ErrFull)
		case err != nil:
			done(Position{}, fmt.Errorf("emit to %s: %w", topic.Name, err))
		default:
			done(positionOf(r), nil)
		}
	})
}

// Buffered returns how many records wait for their acknowledgement.
func (e *Emitter) Buffered() int64 { return e.out.size() + e.cl.BufferedProduceRecords() }

// Close waits until everything that was accepted is acknowledged, or until ctx
// ends, and disconnects.
func (e *Emitter) Close(ctx context.Context) error {
	defer e.cl.Close()
	e.out.close()
	if err := e.cl.Flush(ctx); err != nil {
		return fmt.Errorf("%d records were not acknowledged: %w", e.cl.BufferedProduceRecords(), err)
	}
	return nil
}
