package deadletters

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/time/rate"

	"github.com/eventpro/boxoffice/internal/audit"
	"github.com/eventpro/boxoffice/internal/stream"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// transactionalID is one for all: whoever opens a desk ends what another has left
// open there, so that a letter is never redriven twice side by side.
const transactionalID = "boxoffice-dead-letters"

// transactionTimeout is how long a transaction outlives a desk that died.
const transactionTimeout = 10 * time.Second

// Desk is where letters are acted on. Each letter is one Kafka transaction of the
// audit record and, for a redrive, the record that is sent again: both are there
// or neither, also when the process is killed between the two.
type Desk struct {
	options    Options
	order      Order
	client     *kgo.Client
	partitions map[string]int
	letters    []*Letter
}

// OpenDesk connects for an order, ends what a desk before has left open, and only
// then reads the letters: what it reads is what happened. A dry run ends nothing.
func OpenDesk(ctx context.Context, o Options, order Order) (*Desk, error) {
	if err := order.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(o.Brokers...),
		kgo.TransactionalID(transactionalID),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
	)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	d := &Desk{options: o, order: order, client: client}
	if err := d.open(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return d, nil
}

func (d *Desk) open(ctx context.Context) error {
	var err error
	if d.partitions, err = partitions(ctx, d.client, d.options); err != nil {
		return err
	}
	if !d.order.DryRun {
		fencing, cancel := context.WithTimeout(ctx, d.options.Patience)
		defer cancel()
		if _, _, err := d.client.ProducerID(fencing); err != nil {
			return fmt.Errorf("ending what an earlier redrive left open: %w", err)
		}
	}
	d.letters, err = read(ctx, d.options)
	return err
}

// Letters are those that there were when the desk was opened.
func (d *Desk) Letters() []*Letter { return d.letters }

// Close disconnects.
func (d *Desk) Close() { d.client.Close() }

// Order is what to do with letters, and who wants it.
type Order struct {
	// Kind is OPERATOR_ACTION_KIND_REDRIVE or OPERATOR_ACTION_KIND_DISCARD.
	Kind     pb.OperatorActionKind
	Operator string
	// Note says why; a discard needs one.
	Note string
	// Again also takes letters that something was done with already.
	Again bool
	// DryRun tells what would be done.
	DryRun bool
	// PerSecond bounds how many letters are redriven in a second; 0 for no bound.
	PerSecond float64
}

// Validate says what is missing, for the person who gave the order.
func (o *Order) Validate() error {
	var errs []error
	if o.Operator == "" {
		errs = append(errs, errors.New("nobody is named as the operator: set --operator"))
	}
	if o.Kind == pb.OperatorActionKind_OPERATOR_ACTION_KIND_DISCARD && o.Note == "" {
		errs = append(errs, errors.New("a discard needs a reason: say it with --note"))
	}
	if o.PerSecond < 0 {
		errs = append(errs, errors.New("the rate must not be negative"))
	}
	return errors.Join(errs...)
}

// Outcome is what became of one letter.
type Outcome struct {
	Letter *Letter
	// Done: it was acted on, or would be.
	Done bool
	// Impossible: it was to be acted on, and cannot be. What is neither done nor
	// impossible was settled before.
	Impossible bool
	// Text says what was, or would be, done, or why not.
	Text string
}

// Execute carries out the order on letters, one after the other, and tells each outcome.
// It is safe to repeat: what was done is not done again. An error ends it; what was
// told as done is.
func (d *Desk) Execute(ctx context.Context, letters []*Letter, tell func(Outcome)) error {
	o := d.order
	limit := rate.Inf
	if o.PerSecond > 0 {
		limit = rate.Limit(o.PerSecond)
	}
	limiter := rate.NewLimiter(limit, 1)
	for _, l := range letters {
		records, text, err := d.plan(l)
		if err != nil {
			tell(Outcome{Letter: l, Impossible: l.State() == Open || o.Again, Text: "left alone: " + err.Error()})
			continue
		}
		if !o.DryRun {
			if err := limiter.Wait(ctx); err != nil {
				return err
			}
			if err := d.commit(ctx, records); err != nil {
				return fmt.Errorf("letter %s: %w; what was told as done is done, run the same command again for the rest", l.ID, err)
			}
		}
		tell(Outcome{Letter: l, Done: true, Text: text})
	}
	return nil
}

// plan returns the records of one letter's transaction, or why it is left alone.
func (d *Desk) plan(l *Letter) (records []*kgo.Record, text string, err error) {
	o := d.order
	if state := l.State(); state != Open && !o.Again {
		return nil, "", fmt.Errorf("it was %s already (--again does it nevertheless)", state)
	}
	a := &pb.OperatorAction{
		Kind: o.Kind, Operator: o.Operator, Note: o.Note, TimeUnixMs: d.options.Clock().UnixMilli(),
		Topic: l.At.Topic, Partition: l.At.Partition, Offset: l.At.Offset, Key: l.Key, Detail: "letter " + l.ID,
	}
	text = "discarded"
	if o.Kind == pb.OperatorActionKind_OPERATOR_ACTION_KIND_REDRIVE {
		again, err := d.again(l)
		if err != nil {
			return nil, "", err
		}
		text = fmt.Sprintf("sent to %s/%d", again.Topic, again.Partition)
		a.Detail += " " + text
		records = append(records, again)
	}
	written, err := audit.Record(a)
	if err != nil {
		return nil, "", err
	}
	written.Partition = stream.Partition(a.Key, d.partitions[written.Topic])
	return append(records, written), text, nil
}

// again is the record as it was, for its topic and the partition of its key. It
// says which letter it was, so that a second death is known as one.
func (d *Desk) again(l *Letter) (*kgo.Record, error) {
	if l.Class == classUnreadable {
		return nil, errors.New(l.Detail)
	}
	n := d.partitions[l.Original.Topic]
	if n == 0 {
		return nil, fmt.Errorf("there is no topic %q (any more)", l.Original.Topic)
	}
	headers := append(stream.Travelling(l.record.Headers),
		kgo.RecordHeader{Key: stream.HeaderRedriveOf, Value: []byte(l.ID)},
		kgo.RecordHeader{Key: stream.HeaderAttempt, Value: []byte(strconv.Itoa(l.Attempts))},
		kgo.RecordHeader{Key: stream.HeaderFirstFailedAt, Value: []byte(l.FirstFailedAt)})
	return &kgo.Record{
		Topic: l.Original.Topic, Partition: stream.Partition(l.Key, n),
		Key: l.record.Key, Value: l.record.Value, Headers: headers,
	}, nil
}

// commit writes records together or not at all.
func (d *Desk) commit(ctx context.Context, records []*kgo.Record) error {
	if err := d.client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	end := kgo.TryCommit
	err := d.client.ProduceSync(ctx, records...).FirstErr()
	if err != nil {
		end = kgo.TryAbort
	}
	// The end outlives an interrupt: half of a letter is none.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.options.Patience)
	defer cancel()
	err = errors.Join(err, d.client.EndTransaction(ending, end))
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
		return fmt.Errorf("another redrive or discard was begun meanwhile: %w", err)
	}
	return err
}
