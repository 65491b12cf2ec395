package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// Options say where the parts are. Brokers, ProviderURL and Logger are required.
type Options struct {
	Brokers []string
	// KafkaOptions come on top, for TLS and SASL.
	KafkaOptions []kgo.Opt
	// ProviderURL is the payment provider, "http://host:port".
	ProviderURL string
	// ClickHouseURL and ClickHouseDB name the analytics database; without the
	// URL I8 is skipped and I4 has two books instead of three.
	ClickHouseURL, ClickHouseDB string
	// AcceptedFile has what clients were told was accepted: one JSON object with
	// registration_id, or one id, a line. Empty for none.
	AcceptedFile string
	// AtRest demands that nothing is open, nothing arrives, and everything is loaded.
	AtRest bool
	// Stopped: only the brokers, ClickHouse and the provider run, for this. What was
	// not loaded when the loader stopped is counted and is no loss: it goes on
	// from there. Time stands still at the newest record.
	Stopped bool
	// LoadPatience is how long to wait for what is in the topics to be in
	// ClickHouse; 30 s when 0.
	LoadPatience time.Duration
	// ReadPatience is how long a broker may be silent; 30 s when 0.
	ReadPatience time.Duration
	Logger       *slog.Logger
	// Progress is told how far the reading of a topic is, in offsets; nil for nobody.
	Progress func(topic string, done, total int64)
}

func (o *Options) complete() error {
	if len(o.Brokers) == 0 || o.ProviderURL == "" || o.Logger == nil {
		return errors.New("verify: Brokers, ProviderURL and Logger are required")
	}
	if o.LoadPatience == 0 {
		o.LoadPatience = 30 * time.Second
	}
	if o.ReadPatience == 0 {
		o.ReadPatience = 30 * time.Second
	}
	if o.ClickHouseDB == "" {
		o.ClickHouseDB = clickhouse.DefaultDatabase
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	return nil
}

// world is everything that was read.
type world struct {
	options Options
	admin   *kadm.Client
	reader  *topicreader.Reader
	found   *findings
	report  Report

	// first is where the topics ended before anything was read, loaded up to where
	// ClickHouse must have everything, handled what the group of registrations had
	// committed then.
	first, loaded cut
	handled       cut
	// forwarded is what the stage that brings retries back had committed then.
	forwarded cut
	// commandsExpired: retention has taken commands, so that a registration may
	// have none.
	commandsExpired bool

	symbols       *symbols
	registrations *store[registration]
	scratch       sync.Pool // of registrations to decode into
	payments      *store[payment]
	blocks        *blocks
	catalog       *store[snapshot]

	mu sync.Mutex
	// dead counts the letters of each record; putOff are the attempts to be made
	// after one that failed, and where they lie in the retries; returned are those
	// at commands that came back.
	dead     map[origin]int
	putOff   map[attempt]origin
	returned map[attempt]bool
	// commands counts what became of commands.
	commands struct{ answered, dead, putOff, waiting int64 }

	audit       map[part]auditTotals // nil without ClickHouse
	audited     time.Time            // older records need no audit row any more
	tails       map[part]*tail
	loadedBooks map[page]sums
	journal     map[page]sums // what movements come to
	reported    []reports.Totals
	unbalanced  string // what the open items say
	books       map[page]sums
	seats       map[ticketType]*typeTotals
	tickets     map[ticketType]int64 // of confirmed registrations
}

// Run reads everything and checks the invariants. An error means that it could
// not be read; a broken invariant is no error but in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	began := time.Now()
	if err := o.complete(); err != nil {
		return Report{}, err
	}
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(o.Brokers...)}, o.KafkaOptions...)...)
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	defer client.Close()
	w := newWorld(o, kadm.NewClient(client))
	w.report.AsOf = began
	if err := w.read(ctx); err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	if err := w.check(w.options.now(began, w.reader.Newest())); err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	w.report.Invariants = w.found.all()
	w.report.Records = w.reader.Records()
	w.report.DurationS = time.Since(began).Seconds()
	return w.report, nil
}

// now is what deadlines are held against: on a stopped system time stood still
// when its last record was written.
func (o *Options) now(began time.Time, newestMs int64) time.Time {
	if o.Stopped && newestMs > 0 {
		return time.UnixMilli(newestMs)
	}
	return began
}

func newWorld(o Options, admin *kadm.Client) *world {
	return &world{
		options: o, admin: admin, found: newFindings(),
		reader:        &topicreader.Reader{Brokers: o.Brokers, Options: o.KafkaOptions, Patience: o.ReadPatience, Progress: o.Progress},
		symbols:       newSymbols(),
		registrations: newStore[registration](),
		scratch:       sync.Pool{New: func() any { return &registration{} }},
		payments:      newStore[payment](),
		catalog:       newStore[snapshot](),
		blocks:        &blocks{byID: map[blockID]*block{}},
		dead:          map[origin]int{},
		putOff:        map[attempt]origin{},
		returned:      map[attempt]bool{},
		tails:         map[part]*tail{},
		tickets:       map[ticketType]int64{},
	}
}

// read reads all there is, whatever is caused before its cause.
func (w *world) read(ctx context.Context) error {
	var err error
	if w.first, err = takeCut(ctx, w.admin); err != nil {
		return err
	}
	w.loaded = w.first
	if err := w.readLoaded(ctx); err != nil {
		return err
	}
	if w.handled, err = committed(ctx, w.admin, topology.Registrations.Name); err != nil {
		return err
	}
	if w.forwarded, err = committed(ctx, w.admin, topology.Retrier.Name); err != nil {
		return err
	}
	begin, err := starts(ctx, w.admin, topology.RegistrationCommands)
	if err != nil {
		return err
	}
	for _, at := range begin {
		w.commandsExpired = w.commandsExpired || at > 0
	}
	ends, err := takeCut(ctx, w.admin)
	if err != nil {
		return err
	}
	for _, topics := range reading {
		for _, t := range topics {
			w.options.Logger.Debug("reading", "topic", t.Name)
			if err := w.reader.Read(ctx, t, nil, ends.of(t.Name), w.handler(t)); err != nil {
				return err
			}
		}
	}
	if err := w.readLedger(ctx, w.options.ProviderURL); err != nil {
		return err
	}
	last, err := takeCut(ctx, w.admin)
	if err != nil {
		return err
	}
	w.report.Moving = !w.first.equal(last)
	return w.readLag(ctx)
}

// handler says who takes a topic's records.
func (w *world) handler(t topology.Topic) func(*kgo.Record) error {
	switch t.Name {
	case topology.RegistrationsTable.Name:
		return w.onTableRegistration
	case topology.InventoryTable.Name:
		return w.onTableBlock
	case topology.PaymentsTable.Name:
		return w.onTablePayment
	case topology.CatalogTable.Name:
		return w.onTableEvent
	case topology.RegistrationEvents.Name:
		return w.onSnapshot
	case topology.PaymentEvents.Name:
		return w.onPayment
	case topology.SeatEvents.Name:
		return w.onSeatEvent
	case topology.BlockEvents.Name:
		return w.onBlockEvent
	case topology.CatalogEvents.Name:
		return w.onEvent
	case topology.DeadLetters.Name:
		return w.onDeadLetter
	case topology.Retries.Name:
		return w.onPutOff
	case topology.RegistrationCommands.Name:
		return w.onCommand
	}
	panic("verify: nobody reads " + t.Name)
}

// readLoaded waits until what was in the topics is in ClickHouse, and reads that.
func (w *world) readLoaded(ctx context.Context) error {
	if w.options.ClickHouseURL == "" {
		return nil
	}
	w.audit, w.loadedBooks, w.journal = map[part]auditTotals{}, map[page]sums{}, map[page]sums{}
	if !w.options.Stopped {
		if err := w.awaitLoaded(ctx); err != nil {
			return err
		}
	}
	db, err := clickhouse.OpenDB(w.options.ClickHouseURL, w.options.ClickHouseDB)
	if err != nil {
		return err
	}
	w.options.Progress("ClickHouse", 0, 0)
	if err := errors.Join(w.readClickHouse(ctx, db), db.Close()); err != nil {
		return err
	}
	if w.options.Stopped && !w.options.AtRest {
		committed, err := committed(ctx, w.admin, loaderGroup)
		if err != nil {
			return err
		}
		w.loaded = w.resumesAt(committed)
	}
	return nil
}

// resumesAt is where a loader goes on that is started now: after the last audit
// row of each partition, since the facts of a record are written before it. What
// lies above is not loaded yet. A partition that has no audit row any more goes on
// where the loader has committed.
func (w *world) resumesAt(committed cut) cut {
	at := cut{}
	for p, end := range w.first {
		at[p] = end
		if loads(p.topic) {
			at[p] = min(end, w.audit[p].last+1)
			if w.audit[p].records == 0 {
				at[p] = 0
				if w.audited.UnixMilli() > 0 {
					at[p] = min(end, committed[p])
				}
			}
		}
	}
	return at
}

// awaitLoaded waits for the loader, but not for ever: what it lacks then is
// found when the rows are compared.
func (w *world) awaitLoaded(ctx context.Context) error {
	deadline := time.NewTimer(w.options.LoadPatience)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		at, err := committed(ctx, w.admin, loaderGroup)
		if err != nil {
			return err
		}
		lag := int64(0)
		for _, t := range topology.ClickHouseSink.Inputs {
			for id, end := range w.first.of(t.Name) {
				lag += max(0, end-at[part{t.Name, id}])
			}
		}
		if lag == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			w.found.detail("I8", "the loader is %v records behind", lag)
			return nil
		case <-tick.C:
		}
	}
}

// check runs the checks in an order in which each finds what it needs.
func (w *world) check(now time.Time) error {
	w.checkBlocks() // marks the holds of registrations
	w.checkRegistrations(now)
	w.checkCommands()
	w.checkPayments()
	w.checkCatalog()
	w.checkTypes()
	if w.audit != nil {
		w.checkClickHouse()
	} else {
		w.found.skip("I8", "no ClickHouse was given")
	}
	if w.options.AcceptedFile != "" {
		if err := w.checkAccepted(w.options.AcceptedFile); err != nil {
			return err
		}
	}
	if w.options.AtRest && w.report.Open > 0 {
		w.found.fail("I2", "%d are still open, for example %s", w.report.Open, strings.Join(w.report.OpenFirst, ", "))
	}
	if w.options.AtRest && w.report.Moving {
		w.found.fail("I2", "records still arrive")
	}
	return nil
}

// open notes that something is not settled yet.
func (w *world) open(what string, overdue bool) {
	w.report.Open++
	if overdue {
		w.report.Overdue++
	}
	if len(w.report.OpenFirst) < firstMax {
		w.report.OpenFirst = append(w.report.OpenFirst, what)
	}
}

// count adds one to a counter of the world, from several goroutines.
func (w *world) count(n *int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*n++
}

// errNoID: a record that does not say whom it is about.
var errNoID = errors.New("an id of 16 bytes is missing")

// undecodable notes a record that cannot be read: it ended nowhere. Its audit row
// has version 0.
func (w *world) undecodable(r *kgo.Record, err error) error {
	w.countAudit(r, 0)
	w.found.fail("I7", "%s/%d at offset %d cannot be read: %v", r.Topic, r.Partition, r.Offset, err)
	return nil
}

// paymentOf is the id of a registration's one payment.
func paymentOf(registration uuid.UUID) uuid.UUID { return topology.PaymentID(registration) }

// enum is a generated enum type.
type enum interface {
	Descriptor() protoreflect.EnumDescriptor
	Number() protoreflect.EnumNumber
	String() string
}

// name is an enum's value as reports and ClickHouse show it.
func name(v enum) string {
	prefix := strings.TrimSuffix(string(v.Descriptor().Values().ByNumber(0).Name()), "UNSPECIFIED")
	return strings.ToLower(strings.TrimPrefix(v.String(), prefix))
}
