package sagas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Finding is what the provider's books say, in a person's words.
type Finding string

// The findings about a parked charge and a parked refund.
const (
	Captured    Finding = "captured"
	NotCaptured Finding = "not-captured"
	Refunded    Finding = "refunded"
	// NotRefunded has the refund asked for anew: it is still owed.
	NotRefunded Finding = "not-refunded"
)

// Resolution ends what is parked with what a person found out.
type Resolution struct {
	As Finding
	// Refund is needed when several refunds are parked.
	Refund uuid.UUID
	// Reference, amount, fee and time are the provider's, for money that moved.
	// What is missing is taken from its ledger.
	Reference             string
	AmountMinor, FeeMinor int64
	At                    time.Time
	// Force goes against the ledger.
	Force bool
	// Provider is the provider's name in the books.
	Provider string
	// LedgerURL is the provider; empty when it cannot be reached.
	LedgerURL string
}

// ErrContradiction says that the provider's ledger says otherwise.
var ErrContradiction = errors.New("the provider's ledger says otherwise")

// Resolve publishes the provider's answer that stands for a person's finding, and
// says what was done.
func (o *Operator) Resolve(ctx context.Context, s *Saga, res Resolution) (string, error) {
	result, err := resultOf(s, &res)
	if err != nil {
		return "", err
	}
	checked, err := res.check(ctx, s.Payment, result)
	if err != nil {
		return "", err
	}
	if err := res.complete(s.Payment, result); err != nil {
		return "", err
	}
	result.Detail = "resolved by " + o.Name
	what := fmt.Sprintf("%s %s as %s (%s)", res.what(), topology.KeyOf(result.IdempotencyKey), res.As, checked)
	if result.ProviderReference != "" {
		what = fmt.Sprintf("%s %s as %s: %d %s, %s, %s (%s)", res.what(), topology.KeyOf(result.IdempotencyKey), res.As, result.AmountMinor,
			s.Payment.Currency, result.ProviderReference, time.UnixMilli(result.ProviderTimeUnixMs).UTC().Format(time.RFC3339), checked)
	}
	return what, o.do(ctx, pb.OperatorActionKind_OPERATOR_ACTION_KIND_RESOLVE, s.ID, what,
		message{topology.GatewayResults, topology.KeyOf(s.Payment.PaymentId), result})
}

func (r *Resolution) what() string {
	if r.aboutCharge() {
		return "charge"
	}
	return "refund"
}

func (r *Resolution) aboutCharge() bool { return r.As == Captured || r.As == NotCaptured }

// resultOf is the answer without what the provider says of moved money.
func resultOf(s *Saga, res *Resolution) (*pb.GatewayResult, error) {
	p := s.Payment
	if p == nil {
		return nil, fmt.Errorf("%s has no payment", s.ID)
	}
	result := &pb.GatewayResult{PaymentId: p.PaymentId, Operation: pb.GatewayOperation_GATEWAY_OPERATION_QUERY, Provider: res.Provider}
	switch res.As {
	case Captured, NotCaptured:
		if p.Status != pb.PaymentStatus_PAYMENT_STATUS_PARKED {
			return nil, fmt.Errorf("payment %s is %s: only a parked charge is resolved", topology.UUID(p.PaymentId), Name(p.Status))
		}
		result.IdempotencyKey, result.Attempt = p.PaymentId, p.Attempts
		result.Outcome = pb.GatewayOutcome_GATEWAY_OUTCOME_CAPTURED
	case Refunded, NotRefunded:
		if p.Imported && res.As == NotRefunded {
			return nil, fmt.Errorf("payment %s was imported: its refund can only be made at %s; resolve it as %s when it was", topology.UUID(p.PaymentId), p.Provider, Refunded)
		}
		refund, err := s.refundToResolve(res.Refund)
		if err != nil {
			return nil, err
		}
		result.IdempotencyKey, result.Attempt = refund.RefundId, refund.Attempts
		result.Outcome = pb.GatewayOutcome_GATEWAY_OUTCOME_REFUNDED
	default:
		return nil, fmt.Errorf("%q is no finding: want captured, not-captured, refunded or not-refunded", res.As)
	}
	if res.As == NotCaptured || res.As == NotRefunded {
		result.Outcome, result.DeclineCode = pb.GatewayOutcome_GATEWAY_OUTCOME_DECLINED, "resolved_by_operator"
	}
	return result, nil
}

func (s *Saga) refundToResolve(id uuid.UUID) (*pb.Refund, error) {
	parked := s.parkedRefunds()
	if id == (uuid.UUID{}) && len(parked) == 1 {
		return parked[0], nil
	}
	for _, r := range parked {
		if topology.UUID(r.RefundId) == id {
			return r, nil
		}
	}
	return nil, fmt.Errorf("payment %s has %d parked refunds and %s is none of them: name the one that is meant", topology.UUID(s.Payment.PaymentId), len(parked), id)
}

// complete fills in what the provider says of money that moved. The groups book
// nothing but what was asked for, to the cent (I4).
func (r *Resolution) complete(p *pb.Payment, result *pb.GatewayResult) error {
	if r.As == NotCaptured || r.As == NotRefunded {
		return nil
	}
	asked := p.AmountMinor
	for _, refund := range p.Refunds {
		if topology.UUID(refund.RefundId) == topology.UUID(result.IdempotencyKey) {
			asked = refund.AmountMinor
		}
	}
	switch {
	case r.Reference == "" || r.At.IsZero() || r.AmountMinor <= 0 || r.FeeMinor < 0:
		return errors.New("the provider's reference, amount and time are needed: they go into the books")
	case r.AmountMinor != asked:
		return fmt.Errorf("the provider moved %d, %d was asked for, and the books take nothing else: have it put right there first", r.AmountMinor, asked)
	}
	result.ProviderReference, result.AmountMinor, result.FeeMinor = r.Reference, r.AmountMinor, r.FeeMinor
	result.ProviderTimeUnixMs = r.At.UnixMilli()
	return nil
}

// check compares the finding with the provider's ledger, takes from it what was
// not given, and says how it was checked.
func (r *Resolution) check(ctx context.Context, p *pb.Payment, result *pb.GatewayResult) (string, error) {
	if p.Imported {
		// Its money moved, and moves, elsewhere: no ledger here tells of it.
		for _, refund := range p.Refunds {
			if topology.UUID(refund.RefundId) == topology.UUID(result.IdempotencyKey) {
				fill(&r.AmountMinor, refund.AmountMinor)
			}
		}
		return "moved at " + p.Provider + ", whose books are not here", nil
	}
	if r.LedgerURL == "" {
		return "not checked against the ledger", nil
	}
	var entry *provider.Entry
	reference := topology.KeyOf(result.IdempotencyKey)
	err := provider.ReadLedger(ctx, r.LedgerURL, func(e provider.Entry) error {
		if e.Reference == reference && e.Kind != provider.KindDecline {
			entry = &e
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("%w; say that it cannot be reached to resolve without it", err)
	}
	if difference := r.differs(entry, p.Currency); difference != "" {
		if !r.Force {
			return "", fmt.Errorf("%w: %s", ErrContradiction, difference)
		}
		return "against the ledger: " + difference, nil
	}
	return "as the ledger has it", nil
}

// differs says where the ledger contradicts, and completes what agrees.
func (r *Resolution) differs(e *provider.Entry, currency string) string {
	moved := r.As == Captured || r.As == Refunded
	switch {
	case !moved && e != nil:
		return fmt.Sprintf("entry %d has %s over %s %s", e.Seq, e.ID, figures.Amount(e.AmountMinor, e.Currency), e.Currency)
	case !moved:
		return ""
	case e == nil:
		return "it has no such entry"
	}
	fill(&r.Reference, e.ID)
	fill(&r.AmountMinor, e.AmountMinor)
	fill(&r.FeeMinor, e.FeeMinor)
	if r.At.IsZero() {
		r.At = e.At
	}
	if r.Reference != e.ID || r.AmountMinor != e.AmountMinor || r.FeeMinor != e.FeeMinor || !r.At.Equal(e.At) || e.Currency != currency {
		return fmt.Sprintf("entry %d has %s over %s %s, fee %s, at %s", e.Seq, e.ID, figures.Amount(e.AmountMinor, e.Currency), e.Currency, figures.Amount(e.FeeMinor, e.Currency), e.At.UTC().Format(time.RFC3339Nano))
	}
	return ""
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
