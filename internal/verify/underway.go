package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/wire"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// UnderWay is what a system has begun and not finished at one moment.
type UnderWay struct {
	// Unread are the records that a group has not handled, by group.
	Unread map[string]int64
	// Open counts registrations and payments that will go on by themselves,
	// OpenFirst are some of them.
	Open      int64
	OpenFirst []string
	// Parked counts payments that wait for a person, which may take days.
	Parked int64
	// Moved: records arrived during the look, so that nothing can be said yet.
	Moved bool
}

// Nothing reports whether all is done that will be done without a person. It
// stays so as long as no request comes in.
func (u UnderWay) Nothing() bool { return !u.Moved && len(u.Unread) == 0 && u.Open == 0 }

// String says what is left, for people.
func (u UnderWay) String() string {
	var left []string
	if u.Open > 0 {
		left = append(left, fmt.Sprintf("%s open, for example %s", figures.Grouped(u.Open), u.OpenFirst[0]))
	}
	for _, g := range topology.Groups() {
		if n := u.Unread[g.Name]; n > 0 {
			left = append(left, fmt.Sprintf("%s records for %s", figures.Grouped(n), g.Name))
		}
	}
	if u.Moved {
		left = append(left, "records arrive")
	}
	if u.Parked > 0 {
		left = append(left, figures.Grouped(u.Parked)+" payments parked for a person")
	}
	if len(left) == 0 {
		return "nothing"
	}
	return strings.Join(left, "; ")
}

// Watch looks at what is under way, again and again: it reads the tables once and
// afterwards only what is new in them. Its memory grows with what is open.
type Watch struct {
	client *kgo.Client
	admin  *kadm.Client
	reader *topicreader.Reader
	at     cut
	world  world // for its counters

	registrations, payments, parked map[uuid.UUID]bool
}

// NewWatch watches a cluster. Its owner calls Close. Of the options only Brokers,
// KafkaOptions and ReadPatience matter.
func NewWatch(o Options) (*Watch, error) {
	o.ProviderURL = "unused"
	if err := o.complete(); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(o.Brokers...)}, o.KafkaOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return &Watch{
		client: client, admin: kadm.NewClient(client), at: cut{},
		reader:        &topicreader.Reader{Brokers: o.Brokers, Options: o.KafkaOptions, Patience: o.ReadPatience, Progress: o.Progress},
		registrations: map[uuid.UUID]bool{}, payments: map[uuid.UUID]bool{}, parked: map[uuid.UUID]bool{},
	}, nil
}

// Close ends the watch.
func (w *Watch) Close() { w.client.Close() }

// Look says what is under way now.
func (w *Watch) Look(ctx context.Context) (u UnderWay, err error) {
	before, err := w.ends(ctx)
	if err != nil {
		return u, err
	}
	u.Unread = map[string]int64{}
	for _, g := range topology.Groups() {
		n, err := w.unread(ctx, g, before)
		if err != nil {
			return u, err
		}
		if n > 0 {
			u.Unread[g.Name] = n
		}
	}
	err = errors.Join(
		w.follow(ctx, topology.RegistrationsTable, before, w.onRegistration),
		w.follow(ctx, topology.PaymentsTable, before, w.onPayment))
	if err != nil {
		return u, err
	}
	after, err := w.ends(ctx)
	if err != nil {
		return u, err
	}
	u.Moved = !before.equal(after)
	w.count(&u)
	return u, nil
}

// ends lists where all inputs of groups and the two tables end. The tables come
// last: what a group writes to one it writes in the transaction of its outputs.
func (w *Watch) ends(ctx context.Context) (cut, error) {
	c := cut{}
	for _, g := range topology.Groups() {
		if err := c.add(ctx, w.admin, g.Inputs...); err != nil {
			return nil, err
		}
	}
	return c, c.add(ctx, w.admin, topology.RegistrationsTable, topology.PaymentsTable)
}

// countedMax is up to how many offsets are read to tell records from the markers
// of transactions; more than that is work for certain, whatever the exact number.
const countedMax = 10_000

func (w *Watch) unread(ctx context.Context, g topology.Group, ends cut) (sum int64, err error) {
	committed, err := committed(ctx, w.admin, g.Name)
	if err != nil {
		return 0, err
	}
	for _, t := range g.Inputs {
		at, end, apart := committed.of(t.Name), ends.of(t.Name), int64(0)
		for id := range end {
			apart += max(0, end[id]-at[id])
		}
		if apart > countedMax {
			sum += apart
			continue
		}
		err := w.reader.Read(ctx, t, at, end, func(*kgo.Record) error {
			w.world.count(&sum)
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return sum, nil
}

// follow reads what is new in a table.
func (w *Watch) follow(ctx context.Context, t topology.Topic, ends cut, handle func(*kgo.Record) error) error {
	end := ends.of(t.Name)
	if err := w.reader.Read(ctx, t, w.at.of(t.Name), end, handle); err != nil {
		return err
	}
	for id, offset := range end {
		w.at[part{t.Name, id}] = offset
	}
	return nil
}

func (w *Watch) onRegistration(r *kgo.Record) error {
	var id uuid.UUID
	version, settled := uint64(0), false
	err := wire.Scan(r.Value, func(f wire.Field) {
		switch f.ID {
		case 2:
			id = idOf(f.Bytes)
		case 13:
			settled = f.Number != 0
		case 14:
			version = f.Number
		}
	})
	if err != nil {
		return nil //nolint:nilerr // 'boxoffice verify' reports it; it is not under way
	}
	w.set(w.registrations, id, version > 0 && !settled)
	return nil
}

func (w *Watch) onPayment(r *kgo.Record) error {
	var id uuid.UUID
	p := payment{}
	if err := (&world{symbols: newSymbols()}).decodePayment(r.Value, &id, &p); err != nil {
		return nil //nolint:nilerr // as above
	}
	parked := p.status == pb.PaymentStatus_PAYMENT_STATUS_PARKED || slices.ContainsFunc(p.refunds, func(r refund) bool {
		return r.status == pb.RefundStatus_REFUND_STATUS_PARKED
	})
	w.set(w.parked, id, parked)
	w.set(w.payments, id, !parked && !p.final())
	return nil
}

// set adds an id to a set or takes it out; partitions are read at the same time.
func (w *Watch) set(of map[uuid.UUID]bool, id uuid.UUID, open bool) {
	w.world.mu.Lock()
	defer w.world.mu.Unlock()
	if open {
		of[id] = true
	} else {
		delete(of, id)
	}
}

// count counts what is open. A registration whose payment is parked waits for a
// person as well.
func (w *Watch) count(u *UnderWay) {
	u.Parked = int64(len(w.parked))
	note := func(what string) {
		u.Open++
		if len(u.OpenFirst) < firstMax {
			u.OpenFirst = append(u.OpenFirst, what)
		}
	}
	for id := range w.registrations {
		if !w.parked[paymentOf(id)] {
			note("registration " + id.String())
		}
	}
	for id := range w.payments {
		note("payment " + id.String())
	}
}
