package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/sealing"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Options are of one run. Cluster, Sealing, StatePath and RejectsPath are required.
type Options struct {
	Cluster Cluster
	Sealing *sealing.Keyring
	// StatePath is the file that says how far the import is.
	StatePath string
	// RejectsPath is the file of orders that did not become what they were.
	RejectsPath string
	// FollowChanges cancels what was cancelled there after it was imported, in the
	// name of Operator.
	FollowChanges bool
	Operator      string
	// InFlight bounds the orders that are sent and not decided; 500 when 0.
	InFlight int
	// Patience is how long nothing may be decided; 2 min when 0.
	Patience time.Duration
	// Progress is told how far the run is; nil for nobody.
	Progress func(State)
	// Clock is the present; nil is time.Now.
	Clock func() time.Time
}

func (o *Options) complete() {
	if o.InFlight <= 0 {
		o.InFlight = 500
	}
	if o.Patience <= 0 {
		o.Patience = 2 * time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(State) {}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
}

// The outcomes of an import that are not names of an outcome.
const (
	// OutcomeDiffers: the order was imported before, and was another then; that
	// one stands.
	OutcomeDiffers = "differs"
	// OutcomeRefused: the command was refused.
	OutcomeRefused = "refused"
)

// importer is one run.
type importer struct {
	Options
	plan    *Plan
	state   *State
	answers *answers
	emitter *stream.Emitter

	mu sync.Mutex
	// outcomes are those of the orders, by their place in the plan; empty while
	// they are not decided.
	outcomes []string
	rejects  rejects
	failed   error
	// open counts the orders that are sent and not answered; changes are those that
	// differ in a way that is followed.
	open    int
	changes []changed
	// slots has a token for each order under way; decided gets one with each
	// decision.
	slots   chan struct{}
	decided chan struct{}
}

// Run imports what is planned, and returns how far it came. It goes on where an
// earlier run of the same import ended.
func Run(ctx context.Context, p *Plan, o Options) (State, error) {
	o.complete()
	state, err := openState(o.StatePath, p)
	if err != nil || state.Finished {
		return stateOf(state), err
	}
	i := &importer{
		Options: o, plan: p, state: state, outcomes: make([]string, len(p.Orders)),
		slots: make(chan struct{}, o.InFlight), decided: make(chan struct{}, 1), rejects: rejects{path: o.RejectsPath},
	}
	err = i.run(ctx)
	return *state, errors.Join(err, i.rejects.close())
}

func stateOf(s *State) State {
	if s == nil {
		return State{}
	}
	return *s
}

func (i *importer) run(ctx context.Context) (err error) {
	if err := i.state.save(i.StatePath); err != nil { // before anything is sent
		return err
	}
	// Events and changes are emitted one after the other: company would not come.
	if i.emitter, err = stream.NewEmitter(stream.Config{Brokers: i.Cluster.Brokers, BufferedRecordsMax: i.InFlight + 1, QuietWait: -1}); err != nil {
		return err
	}
	if i.answers, err = follow(ctx, i.Cluster); err != nil {
		return errors.Join(err, i.emitter.Close(ctx))
	}
	following, stop := context.WithCancel(ctx)
	var follower sync.WaitGroup
	follower.Go(func() {
		if err := i.answers.run(following); err != nil {
			i.fail(err)
		}
	})
	err = i.openEvents(ctx)
	if err == nil {
		err = i.sendOrders(ctx)
	}
	stop()
	follower.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, i.emitter.Close(closing), i.save())
}

func (i *importer) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.failed == nil {
		i.failed = err
	}
	i.wake()
}

// wake tells whoever waits that something has changed.
func (i *importer) wake() {
	select {
	case i.decided <- struct{}{}:
	default:
	}
}

// sendOrders sends what is left, a bounded number at a time, and waits for all.
func (i *importer) sendOrders(ctx context.Context) error {
	saved := i.Clock()
	for n := i.state.Done; n < len(i.plan.Orders); n++ {
		for {
			if err := i.send(n); err == nil {
				break
			} else if !errors.Is(err, errBusy) {
				return err
			}
			if err := i.await(ctx, &saved); err != nil {
				return err
			}
		}
	}
	for {
		i.mu.Lock()
		open := i.open
		i.mu.Unlock()
		if open == 0 {
			break
		}
		if err := i.await(ctx, &saved); err != nil {
			return err
		}
	}
	if err := i.followChanges(ctx, &saved); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.state.Finished = i.state.Done == len(i.plan.Orders) && i.failed == nil
	return i.failed
}

// errBusy says that as many orders are under way as may be.
var errBusy = errors.New("too many are under way")

// send sends one order, unless as many are under way as may be.
func (i *importer) send(n int) error {
	select {
	case i.slots <- struct{}{}:
	default:
		return errBusy
	}
	o := i.plan.Orders[n]
	command, err := i.command(o)
	if err != nil {
		return err
	}
	i.mu.Lock()
	i.open++
	i.mu.Unlock()
	key := o.ID.String()
	i.answers.expect(topology.RegistrationsTable, key, func(value proto.Message, at stream.Position) bool {
		return i.look(n, value.(*pb.Registration), at)
	})
	i.emitter.EmitAsync(topology.RegistrationCommands, key, command, func(at stream.Position, err error) {
		if err != nil {
			i.fail(fmt.Errorf("sending order %s: %w", o.Order.ID, err))
			return
		}
		i.answers.accepted(topology.RegistrationsTable, key, at)
	})
	return nil
}

// await waits until something is decided, but not for ever.
func (i *importer) await(ctx context.Context, saved *time.Time) error {
	patience := time.NewTimer(i.Patience)
	defer patience.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		return fmt.Errorf("nothing was decided for %v, for example about %s: are the processors running? 'boxoffice sagas show' and 'boxoffice dlq list' tell more. Run the import again to go on",
			i.Patience, i.answers.first())
	case <-i.decided:
	}
	i.mu.Lock()
	failed, state := i.failed, *i.state
	i.mu.Unlock()
	if failed != nil {
		return failed
	}
	i.Progress(state)
	if now := i.Clock(); now.Sub(*saved) >= time.Second {
		*saved = now
		return i.save()
	}
	return nil
}

// look notes what became of an order, once it is decided.
func (i *importer) look(n int, r *pb.Registration, at stream.Position) bool {
	if !answered(r.LastCommand, at) {
		return false
	}
	outcome := outcomeOf(r, at)
	if outcome == "" {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if outcome == OutcomeDiffers && i.FollowChanges && i.plan.Orders[n].follows(r) {
		i.changes = append(i.changes, changed{n, r})
	} else {
		i.decide(n, outcome)
	}
	i.open--
	<-i.slots
	i.wake()
	return true
}

// decide notes an outcome; i.mu is held.
func (i *importer) decide(n int, outcome string) {
	i.outcomes[n] = outcome
	if !Here(outcome) {
		i.reject(n, outcome)
	}
	for i.state.Done < len(i.outcomes) && i.outcomes[i.state.Done] != "" {
		i.state.Outcomes[i.outcomes[i.state.Done]]++
		i.state.Done++
	}
	i.wake()
}

// Here reports whether an outcome is that of an order that is here what the files
// say of it.
func Here(outcome string) bool {
	return outcome == OutcomeConfirmed || outcome == OutcomeEnded || outcome == OutcomeFollowed
}

// reject writes down an order that is not here what it was there.
func (i *importer) reject(n int, outcome string) {
	o := i.plan.Orders[n].Order
	err := i.rejects.write(Problem{File: o.place.file, Line: o.place.line, Order: o.ID, Reason: outcome})
	if err != nil && i.failed == nil {
		i.failed = err
	}
}

func (i *importer) save() error {
	i.mu.Lock()
	i.state.UpdatedAt = i.Clock().UTC()
	copied := *i.state
	i.mu.Unlock()
	return copied.save(i.StatePath)
}

// The outcomes of an order that is here what it was there.
const (
	OutcomeConfirmed = "confirmed"
	// OutcomeEnded: it was cancelled there.
	OutcomeEnded = "cancelled at its source"
	// OutcomeFollowed: it was cancelled there after it was imported, and is
	// cancelled here now.
	OutcomeFollowed = "cancelled there since, and here now"
)

// outcomeOf says what became of an order; empty while it is not decided.
func outcomeOf(r *pb.Registration, at stream.Position) string {
	if last := r.LastCommand; last.Partition == at.Partition && last.Offset == at.Offset {
		switch last.Verdict {
		case pb.CommandVerdict_COMMAND_VERDICT_CONFLICT:
			return OutcomeDiffers
		case pb.CommandVerdict_COMMAND_VERDICT_REJECTED:
			return OutcomeRefused
		}
	}
	switch r.Outcome {
	case pb.Outcome_OUTCOME_UNSPECIFIED:
		return ""
	case pb.Outcome_OUTCOME_CONFIRMED:
		return OutcomeConfirmed
	case pb.Outcome_OUTCOME_SOLD_OUT:
		return "sold out"
	case pb.Outcome_OUTCOME_CANCELLED:
		if r.ImportedOrder.GetCancelledAtUnixMs() != 0 {
			return OutcomeEnded
		}
		return "cancelled here since"
	}
	return OutcomeRefused
}

// command is the registration command of an order. Whatever of it is compared when
// it comes again is made from the files alone.
func (i *importer) command(o *PlannedOrder) (*pb.RegistrationCommand, error) {
	canonical, err := json.Marshal(o.Order)
	if err != nil {
		return nil, fmt.Errorf("encoding order %s: %w", o.Order.ID, err)
	}
	compared := append(o.Event.ID[:], canonical...)
	for _, l := range o.Lines {
		compared = append(append(compared, 0), l.TicketType...)
	}
	digest := i.Sealing.Digest("import order", compared)
	plain, err := proto.Marshal(&pb.AttendeeContact{Email: o.Order.Attendee.Email, Name: o.Order.Attendee.Name})
	if err != nil {
		return nil, fmt.Errorf("encoding personal data: %w", err)
	}
	t := &i.plan.targets
	person := o.Order.Attendee.Email
	if person == "" {
		// Nobody knows whose it is, so its attendee is one of its own.
		person = "import:" + i.plan.Reading.Source + ":" + o.Order.ID
	}
	attendee := i.Sealing.AttendeeID(t.Organiser, person)
	sealed, keyID := i.Sealing.Seal(attendee, plain)
	event := o.Event.Event
	from := &pb.ImportedOrder{
		Source: i.plan.Reading.Source, Reference: o.Order.ID, ConfirmedAtUnixMs: o.Order.ConfirmedAt.UnixMilli(), Money: o.Money,
	}
	if !o.Order.stands() {
		from.CancelledAtUnixMs = o.Order.CancelledAt.UnixMilli()
	}
	return &pb.RegistrationCommand{
		RegistrationId: o.ID[:], RequestTimeUnixMs: o.Order.OrderedAt.UnixMilli(), BodyDigest: digest[:], Organiser: t.Organiser,
		Command: &pb.RegistrationCommand_Register{Register: &pb.Register{
			EventId: event.EventId, AttendeeId: attendee[:], AttendeeSealed: sealed, KeyId: keyID, Currency: event.Currency,
			Lines: o.Lines, EventVersion: event.Version, BlockListVersion: event.BlockListVersion,
			Channel: orElse(o.Order.Channel, i.plan.Reading.Source), Region: orElse(o.Order.Region, event.Region),
			PaymentMethod: o.Order.method(), TestMode: event.TestMode, Imported: true, MaxPerAttendee: event.MaxPerAttendee,
			ImportedOrder: from,
		}},
	}, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
