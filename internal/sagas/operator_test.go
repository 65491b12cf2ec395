package sagas_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/audit"
	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/sagas"
	"github.com/eventpro/boxoffice/internal/testsystem"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/processors/payments"
	"github.com/eventpro/boxoffice/processors/registrations"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// soon is too early for a charge that the provider does not answer, late is late
// enough for one that it does, on a machine that has other things to do.
const (
	soon = 300 * time.Millisecond
	late = 10 * time.Second
)

func confirmed(r *pb.Registration) bool {
	return r.Settled && r.Outcome == pb.Outcome_OUTCOME_CONFIRMED
}

// impatient payments are parked after a moment of silence. The order expires after
// charge.
func impatient(charge time.Duration) testsystem.Options {
	rules := registrations.DefaultRules()
	rules.ChargeTimeout = charge
	return testsystem.Options{Rules: rules, Payments: payments.Config{
		RetryBase: 20 * time.Millisecond, RetryCap: 50 * time.Millisecond, AnswerWithin: 3 * time.Second,
		KeyLifetime: 400 * time.Millisecond, KeyMargin: time.Millisecond, QueryFor: time.Millisecond,
	}}
}

// askedSlowly leaves time to take the provider away before it is asked again.
func askedSlowly(o testsystem.Options) testsystem.Options {
	o.Payments.RetryBase, o.Payments.RetryCap = 500*time.Millisecond, time.Second
	return o
}

// person is an operator of a running system.
type person struct {
	*testing.T
	*testsystem.System
	*sagas.Operator
}

func newPerson(t *testing.T, o testsystem.Options) *person {
	t.Parallel()
	s := testsystem.Start(t, 50, o)
	operator := &sagas.Operator{Cluster: sagas.Cluster{Brokers: s.Brokers}, Name: "ana", Note: "looked it up"}
	if err := operator.Connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(operator.Close)
	return &person{t, s, operator}
}

// stuck waits until a saga is, for that reason only.
func (p *person) stuck(id uuid.UUID, reason sagas.Reason) *sagas.Saga {
	p.Helper()
	var found *sagas.Saga
	p.Eventually(fmt.Sprintf("%s is stuck: %s", id, reason), func() error {
		open, err := p.Open(p.Context())
		if err != nil {
			return err
		}
		for _, s := range open {
			if s.ID == id && slices.Equal(s.Stuck(time.Now(), sagas.DefaultLimits()), []sagas.Reason{reason}) {
				found = s
				return nil
			}
		}
		return fmt.Errorf("%d are open: %v", len(open), open)
	})
	return found
}

func (p *person) resolve(id uuid.UUID, as sagas.Finding, want error) {
	p.Helper()
	s, err := p.Find(p.Context(), id)
	if err != nil {
		p.Fatal(err)
	}
	done, err := p.Resolve(p.Context(), s, sagas.Resolution{As: as, LedgerURL: p.ProviderURL})
	if !errors.Is(err, want) {
		p.Fatalf("resolved as %s: %q, %v, want %v", as, done, err, want)
	}
}

// settled waits for a settled registration and compares the books: what its
// payment says was kept is what the provider kept.
func (p *person) settled(id uuid.UUID, outcome pb.Outcome, status pb.PaymentStatus) {
	p.Helper()
	p.Await(id, "settled", testsystem.Settled)
	pay, r := new(pb.Payment), new(pb.Registration)
	p.Last(topology.RegistrationsTable, id.String(), r)
	p.Last(topology.PaymentsTable, topology.PaymentID(id).String(), pay)
	if r.Outcome != outcome || pay.Status != status {
		p.Fatalf("it is %v with a payment that is %v, want %v and %v", r.Outcome, pay.Status, outcome, status)
	}
	kept := int64(0)
	if err := provider.ReadLedger(p.Context(), p.ProviderURL, func(e provider.Entry) error {
		switch {
		case e.PaymentReference != topology.PaymentID(id).String():
		case e.Kind == provider.KindCharge:
			kept += e.AmountMinor
		case e.Kind == provider.KindRefund:
			kept -= e.AmountMinor
		}
		return nil
	}); err != nil {
		p.Fatal(err)
	}
	if ours := pay.CapturedMinor - pay.RefundedMinor; ours != kept {
		p.Fatalf("I4: the books keep %d, the provider %d", ours, kept)
	}
	if open, err := p.Open(p.Context()); err != nil || len(open) > 0 {
		p.Fatalf("%d are open, %v", len(open), err)
	}
}

// actions are what the audit trail has of a saga.
func (p *person) actions(id uuid.UUID) (all []*pb.OperatorAction) {
	p.Helper()
	for _, r := range p.Records(topology.OperatorActions) {
		a, err := audit.Parse(r)
		if err != nil {
			p.Fatal(err)
		}
		if string(r.Key) == id.String() {
			all = append(all, a)
		}
	}
	return all
}

// The provider is away for longer than it keeps keys, so that a charge is parked,
// and its ledger has nothing of it. A person who takes it for captured is
// refused; not captured ends the saga, and the audit trail has who, what and why.
func TestNothingWasCaptured(t *testing.T) {
	p := newPerson(t, impatient(soon))
	p.Behave(provider.Behaviour{Away: true})
	id := p.Register("away")
	s := p.stuck(id, sagas.PaymentParked)
	if waits := strings.Join(s.WaitsFor(), "; "); !strings.Contains(waits, "a person: charge of 25.00 EUR is parked") {
		t.Errorf("it waits for %q", waits)
	}
	p.resolve(id, sagas.Captured, sagas.ErrContradiction)
	if len(p.actions(id)) != 0 {
		t.Error("what was refused is in the audit trail")
	}
	p.resolve(id, sagas.NotCaptured, nil)
	p.settled(id, pb.Outcome_OUTCOME_EXPIRED, pb.PaymentStatus_PAYMENT_STATUS_DECLINED)
	a := p.actions(id)
	if len(a) != 1 || a[0].Operator != "ana" || a[0].Note != "looked it up" || a[0].Kind != pb.OperatorActionKind_OPERATOR_ACTION_KIND_RESOLVE {
		t.Fatalf("the audit trail has %v", a)
	}
	steps, err := p.History(t.Context(), id)
	if err != nil || !slices.ContainsFunc(steps, func(s sagas.Step) bool { return strings.HasPrefix(s.What, "resolve by ana") }) {
		t.Fatalf("the history does not tell: %v, %v", steps, err)
	}
}

// The provider captured, and its answer was lost for longer than it keeps keys.
// A person who takes it for not captured is refused; captured, with the figures
// of the ledger, has the money given back, since the order has expired.
func TestItWasCaptured(t *testing.T) {
	p := newPerson(t, askedSlowly(impatient(soon)))
	p.Behave(provider.Behaviour{TimeoutAfterApplyRate: 1, LateMS: 1, NotFoundMeanwhile: true})
	id := p.Register("late")
	p.Eventually("the provider has captured", func() error { return p.ledgerHas(topology.PaymentID(id)) })
	p.Behave(provider.Behaviour{Away: true})
	p.stuck(id, sagas.PaymentParked)
	p.resolve(id, sagas.NotCaptured, sagas.ErrContradiction)
	p.resolve(topology.PaymentID(id), sagas.Captured, nil) // by the payment's id as well
	p.Behave(provider.Behaviour{})
	p.retryUntilSettled(id)
	p.settled(id, pb.Outcome_OUTCOME_EXPIRED, pb.PaymentStatus_PAYMENT_STATUS_REFUNDED)
}

// retryUntilSettled resolves what got parked while the provider was coming back.
func (p *person) retryUntilSettled(id uuid.UUID) {
	p.Helper()
	p.Eventually("the refund is done or can be asked anew", func() error {
		s, err := p.Find(p.Context(), id)
		if err != nil {
			return err
		}
		if s.Registration.Settled {
			return nil
		}
		if slices.Contains(s.Stuck(time.Now(), sagas.DefaultLimits()), sagas.RefundParked) {
			_, err := p.Resolve(p.Context(), s, sagas.Resolution{As: sagas.NotRefunded, LedgerURL: p.ProviderURL})
			return err
		}
		return errors.New("not yet")
	})
}

func (p *person) ledgerHas(reference uuid.UUID) error {
	found := errors.New("the ledger does not have it")
	if err := provider.ReadLedger(p.Context(), p.ProviderURL, func(e provider.Entry) error {
		if e.Reference == reference.String() {
			found = nil
		}
		return nil
	}); err != nil {
		return err
	}
	return found
}

// A charge is parked because the provider was away; it is back, a person retries
// twice, and the parked payment is asked about until its truth is known. What the
// provider does not know stays parked.
func TestRetryTakesUpWhatIsParked(t *testing.T) {
	p := newPerson(t, askedSlowly(impatient(soon)))
	p.Behave(provider.Behaviour{TimeoutAfterApplyRate: 1, LateMS: 1, NotFoundMeanwhile: true})
	id := p.Register("known")
	p.Eventually("the provider has captured", func() error { return p.ledgerHas(topology.PaymentID(id)) })
	p.Behave(provider.Behaviour{Away: true})
	unknown := p.Register("unknown")
	s, other := p.stuck(id, sagas.PaymentParked), p.stuck(unknown, sagas.PaymentParked)
	p.Behave(provider.Behaviour{})
	for _, s := range []*sagas.Saga{s, s, other} {
		if _, err := p.Retry(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	p.Await(id, "settled", testsystem.Settled)
	p.stuck(unknown, sagas.PaymentParked) // I3: it was queried, not charged
	if err := p.ledgerHas(topology.PaymentID(unknown)); err == nil {
		t.Error("I3: a parked charge was made by a retry")
	}
	p.resolve(unknown, sagas.NotCaptured, nil)
	p.Await(unknown, "settled", testsystem.Settled)
	p.settled(id, pb.Outcome_OUTCOME_EXPIRED, pb.PaymentStatus_PAYMENT_STATUS_REFUNDED)
	if n := len(p.actions(id)); n != 2 {
		t.Errorf("%d retries are in the audit trail", n)
	}
}

// An attendee cancels while the provider is away: the refund is parked, and the
// ledger has none. Not refunded is what a person says, the money is still owed,
// and it is given back once.
func TestARefundThatNeverHappened(t *testing.T) {
	p := newPerson(t, impatient(late))
	id := p.Register("refund")
	p.Await(id, "confirmed", confirmed)
	p.Behave(provider.Behaviour{Away: true})
	p.Cancel(id)
	p.stuck(id, sagas.RefundParked)
	p.resolve(id, sagas.Refunded, sagas.ErrContradiction)
	p.Behave(provider.Behaviour{})
	p.resolve(id, sagas.NotRefunded, nil)
	p.retryUntilSettled(id)
	p.settled(id, pb.Outcome_OUTCOME_CANCELLED, pb.PaymentStatus_PAYMENT_STATUS_REFUNDED)
}

// An undecided saga waits for a charge; a person retries it again and again. It
// is driven on and never expires before its time, nothing is charged twice, and
// what is at rest has nothing to retry.
func TestRetryDecidesNothing(t *testing.T) {
	p := newPerson(t, testsystem.Options{})
	p.Behave(provider.Behaviour{Away: true})
	id := p.Register("undecided")
	charging := p.Await(id, "charging", func(r *pb.Registration) bool { return r.Step == pb.Step_STEP_CHARGING })
	for range 5 {
		s, err := p.Find(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Retry(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	answered := p.Await(id, "answered", func(r *pb.Registration) bool {
		return r.LastCommand.GetVerdict() == pb.CommandVerdict_COMMAND_VERDICT_DUPLICATE
	})
	if answered.Outcome != pb.Outcome_OUTCOME_UNSPECIFIED || answered.Version != charging.Version || answered.DeadlineUnixMs != charging.DeadlineUnixMs {
		t.Fatalf("a retry moved %v to %v", charging, answered)
	}
	p.Behave(provider.Behaviour{})
	p.settled(id, pb.Outcome_OUTCOME_CONFIRMED, pb.PaymentStatus_PAYMENT_STATUS_CAPTURED)
	s, err := p.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Retry(t.Context(), s); !errors.Is(err, sagas.ErrNothingToRetry) {
		t.Errorf("retried what is at rest: %v", err)
	}
	if _, err := p.Find(t.Context(), uuid.New()); !errors.Is(err, sagas.ErrUnknown) {
		t.Errorf("found nobody: %v", err)
	}
}
