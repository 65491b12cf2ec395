package backfill

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/sagas"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// An old system that goes on selling also goes on cancelling. An order that was
// imported as one that stands, and of which a later export says that it was
// cancelled and given back in full, is cancelled here as well; its refunds, which
// are parked since they can only be made there, are resolved with what the export
// says of them, under the importer's name in the audit trail. Any other change is
// reported, and nothing else.

// changed is an order that a later export says was cancelled.
type changed struct {
	n int
	r *pb.Registration
}

// follows reports whether a later export says no more of an order than that all of
// it was cancelled and given back.
func (o *PlannedOrder) follows(r *pb.Registration) bool {
	from := r.ImportedOrder
	if from == nil || from.CancelledAtUnixMs != 0 || from.Reference != o.Order.ID || o.Order.stands() {
		return false
	}
	paid, back := int64(0), int64(0)
	for _, l := range o.Lines {
		paid += l.TotalMinor
	}
	for _, refund := range o.Money.GetRefunds() {
		back += refund.AmountMinor
	}
	if paid != r.TotalMinor || back != paid || o.Order.Currency != r.Currency || topology.UUID(r.EventId) != o.Event.ID {
		return false
	}
	return r.Outcome == pb.Outcome_OUTCOME_CONFIRMED || r.Outcome == pb.Outcome_OUTCOME_CANCELLED
}

// followChanges cancels what was cancelled there since, one order after the other.
func (i *importer) followChanges(ctx context.Context, saved *time.Time) error {
	i.mu.Lock()
	changes := i.changes
	i.mu.Unlock()
	if len(changes) == 0 {
		return nil
	}
	operator := &sagas.Operator{
		Cluster: sagas.Cluster{Brokers: i.Cluster.Brokers, Options: i.Cluster.Options}, Name: i.Operator, Clock: i.Clock,
		Note: "an export of " + i.plan.Reading.Source + " says so",
	}
	if err := operator.Connect(); err != nil {
		return err
	}
	defer operator.Close()
	for _, c := range changes {
		if err := i.follow(ctx, operator, c); err != nil {
			return fmt.Errorf("order %s: %w", i.plan.Orders[c.n].Order.ID, err)
		}
		i.mu.Lock()
		i.decide(c.n, OutcomeFollowed)
		i.mu.Unlock()
		if err := i.await(ctx, saved); err != nil {
			return err
		}
	}
	return nil
}

// follow cancels one order, and resolves the refunds that come of it.
func (i *importer) follow(ctx context.Context, operator *sagas.Operator, c changed) error {
	settled := i.awaitValue(topology.RegistrationsTable, topology.KeyOf(c.r.RegistrationId), func(v proto.Message) bool { return v.(*pb.Registration).Settled })
	var owed <-chan proto.Message
	if c.r.Payment != nil {
		owed = i.awaitValue(topology.PaymentsTable, topology.KeyOf(c.r.Payment.PaymentId), func(v proto.Message) bool { return allAsked(v.(*pb.Payment)) })
	}
	var payment *pb.Payment
	if c.r.Outcome == pb.Outcome_OUTCOME_CONFIRMED {
		if err := i.cancel(ctx, c); err != nil {
			return err
		}
	} else {
		// An earlier run has cancelled it, and was killed before its end.
		s, err := operator.Find(ctx, topology.UUID(c.r.RegistrationId))
		if err != nil || s.Registration.GetSettled() {
			return err
		}
		payment = s.Payment
	}
	if owed != nil && !allAsked(payment) {
		value, err := i.receive(ctx, owed)
		if err != nil {
			return err
		}
		payment = value.(*pb.Payment)
	}
	if err := i.resolve(ctx, operator, c, payment); err != nil {
		return err
	}
	_, err := i.receive(ctx, settled)
	return err
}

// cancel cancels what stands of the registration.
func (i *importer) cancel(ctx context.Context, c changed) error {
	key := topology.KeyOf(c.r.RegistrationId)
	digest := i.Sealing.Digest("import cancel", c.r.RegistrationId)
	_, err := i.emitter.Emit(ctx, topology.RegistrationCommands, key, &pb.RegistrationCommand{
		RegistrationId: c.r.RegistrationId, RequestTimeUnixMs: i.Clock().UnixMilli(), BodyDigest: digest[:], Organiser: i.plan.targets.Organiser,
		Command: &pb.RegistrationCommand_Cancel{Cancel: &pb.CancelRegistration{Reason: "cancelled_at_source"}},
	})
	return err
}

// resolve says of each refund that is owed how it was made. Where the export does
// not say when, it was between the two imports, and known by now.
func (i *importer) resolve(ctx context.Context, operator *sagas.Operator, c changed, p *pb.Payment) error {
	o := i.plan.Orders[c.n].Order
	at, reference := i.Clock(), o.ID+"-refund"
	for _, refund := range o.refunds() {
		if refund.dated && refund.RefundedAt.UnixMilli() >= p.GetCapturedAtUnixMs() {
			at = refund.RefundedAt
		}
		if refund.Reference != "" {
			reference = refund.Reference
		}
	}
	for _, refund := range p.GetRefunds() {
		if refund.Status != pb.RefundStatus_REFUND_STATUS_PARKED {
			continue
		}
		if _, err := operator.Resolve(ctx, &sagas.Saga{ID: topology.UUID(p.RegistrationId), Payment: p}, sagas.Resolution{
			As: sagas.Refunded, Refund: topology.UUID(refund.RefundId), Reference: reference, AmountMinor: refund.AmountMinor, At: at, Provider: p.Provider,
		}); err != nil {
			return err
		}
	}
	return nil
}

// allAsked reports whether all of a payment has gone back or is to go back.
func allAsked(p *pb.Payment) bool {
	left := p.GetCapturedMinor()
	for _, refund := range p.GetRefunds() {
		left -= refund.AmountMinor
	}
	return p.GetCapturedMinor() > 0 && left == 0
}

// awaitValue waits for a value of a key, from now on.
func (i *importer) awaitValue(table topology.Topic, key string, ok func(proto.Message) bool) <-chan proto.Message {
	found := make(chan proto.Message, 1)
	i.answers.expect(table, key, func(value proto.Message, _ stream.Position) bool {
		if !ok(value) {
			return false
		}
		found <- value
		return true
	})
	i.answers.accepted(table, key, stream.Position{})
	return found
}

// receive takes what awaitValue has found, but does not wait for ever.
func (i *importer) receive(ctx context.Context, found <-chan proto.Message) (proto.Message, error) {
	patience := time.NewTimer(i.Patience)
	defer patience.Stop()
	for {
		select {
		case value := <-found:
			return value, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-patience.C:
			return nil, fmt.Errorf("it was cancelled, and nothing came of it for %v: 'boxoffice sagas show' tells more. Run the import again to go on", i.Patience)
		case <-i.decided:
			i.mu.Lock()
			failed := i.failed
			i.mu.Unlock()
			if failed != nil {
				return nil, failed
			}
		}
	}
}
