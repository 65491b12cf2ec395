package deadletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/audit"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Options say where Kafka is. Brokers is required.
type Options struct {
	Brokers []string
	// Logger is told what could not be read; nil for nobody.
	Logger *slog.Logger
	// Patience is how long Kafka may bring nothing; 15 s when 0.
	Patience time.Duration
	// Clock is the present for audit records; nil is time.Now.
	Clock func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Patience == 0 {
		o.Patience = 15 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o
}

// Read reads all dead letters and what was done with them, the oldest first.
func Read(ctx context.Context, o Options) ([]*Letter, error) {
	o = o.withDefaults()
	client, err := kgo.NewClient(kgo.SeedBrokers(o.Brokers...))
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	if _, err := partitions(ctx, client, o); err != nil {
		return nil, err
	}
	return read(ctx, o)
}

// partitions returns how many each topic has, and fails when Kafka does not answer
// or has no dead letters.
func partitions(ctx context.Context, client *kgo.Client, o Options) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	details, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("kafka at %v does not answer: %w", o.Brokers, err)
	}
	n := map[string]int{}
	for _, t := range topology.Topics() {
		if details.Has(t.Name) {
			n[t.Name] = len(details[t.Name].Partitions)
		}
	}
	for _, t := range []topology.Topic{topology.DeadLetters, topology.OperatorActions} {
		if n[t.Name] == 0 {
			return nil, fmt.Errorf("kafka at %v has no topic %s: make the topics with 'boxoffice topics create'", o.Brokers, t.Name)
		}
	}
	return n, nil
}

// read follows both topics to their present ends.
func read(ctx context.Context, o Options) ([]*Letter, error) {
	b := &book{log: o.Logger, letters: map[string]*Letter{}, at: map[stream.Position]*Letter{}, came: make(chan struct{}, 1)}
	follower, err := stream.NewFollower(stream.Config{Brokers: o.Brokers, Logger: o.Logger},
		[]topology.Topic{topology.DeadLetters, topology.OperatorActions}, b.take)
	if err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- follower.Run(following) }()
	silent := time.NewTimer(o.Patience)
	defer silent.Stop()
	for caughtUp := false; !caughtUp && err == nil; {
		select {
		case <-follower.CaughtUp():
			caughtUp = true
		case <-b.came:
			silent.Reset(o.Patience)
		case <-silent.C:
			err = fmt.Errorf("kafka at %v brought nothing for %v: half of the letters are not all", o.Brokers, o.Patience)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return nil, err
	}
	return b.finish(), nil
}

// book gathers the letters and what was done with them.
type book struct {
	log     *slog.Logger
	letters map[string]*Letter
	at      map[stream.Position]*Letter
	actions []*pb.OperatorAction
	came    chan struct{}
}

// take takes a record of either topic; it may come twice.
func (b *book) take(r *kgo.Record) {
	select {
	case b.came <- struct{}{}:
	default:
	}
	at := stream.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	if r.Topic == topology.DeadLetters.Name {
		if b.at[at] != nil {
			return
		}
		l := letterOf(r)
		if b.letters[l.ID] == nil { // a stage may write one twice
			b.letters[l.ID] = l
		}
		b.at[at] = b.letters[l.ID]
		return
	}
	a, err := audit.Parse(r)
	if err != nil {
		b.log.Warn("not an audit record", "cause", err)
		return
	}
	b.actions = append(b.actions, a)
}

// finish gives each letter its actions and what it became.
func (b *book) finish() []*Letter {
	slices.SortStableFunc(b.actions, func(x, y *pb.OperatorAction) int { return cmp.Compare(x.TimeUnixMs, y.TimeUnixMs) })
	for _, a := range b.actions {
		l := b.at[stream.Position{Topic: a.Topic, Partition: a.Partition, Offset: a.Offset}]
		if l != nil && l.Key == a.Key {
			l.Actions = append(l.Actions, a)
		}
	}
	list := make([]*Letter, 0, len(b.letters))
	for _, l := range b.letters {
		list = append(list, l)
	}
	slices.SortFunc(list, func(x, y *Letter) int {
		return cmp.Or(x.Time.Compare(y.Time), cmp.Compare(x.At.Partition, y.At.Partition), cmp.Compare(x.At.Offset, y.At.Offset))
	})
	for _, l := range list {
		if before := b.letters[l.RedriveOf]; before != nil {
			before.DiedAgain = append(before.DiedAgain, l.ID)
		}
	}
	return list
}
