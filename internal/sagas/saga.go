package sagas

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Saga is a registration with its payment, as their tables have them. One of the
// two may be missing.
type Saga struct {
	// ID is the registration's.
	ID           uuid.UUID
	Registration *pb.Registration
	// Payment is nil when there is none, or, in a listing, when it waits for
	// nothing.
	Payment *pb.Payment
}

func registrationOpen(r *pb.Registration) bool {
	return r.Step != pb.Step_STEP_UNSPECIFIED && !r.Settled
}

func paymentOpen(p *pb.Payment) bool {
	switch p.Status {
	case pb.PaymentStatus_PAYMENT_STATUS_PENDING, pb.PaymentStatus_PAYMENT_STATUS_PARKED:
		return true
	}
	for _, r := range p.Refunds {
		if r.Status != pb.RefundStatus_REFUND_STATUS_DONE {
			return true
		}
	}
	return false
}

// Open reports whether anything is still waited for.
func (s *Saga) Open() bool {
	return s.Registration != nil && registrationOpen(s.Registration) || s.Payment != nil && paymentOpen(s.Payment)
}

// EventID is the event that it is about.
func (s *Saga) EventID() uuid.UUID {
	if s.Registration != nil {
		return topology.UUID(s.Registration.EventId)
	}
	return topology.UUID(s.Payment.EventId)
}

// Since is when it was asked for.
func (s *Saga) Since() time.Time {
	switch r := s.Registration; {
	case r == nil:
		return time.UnixMilli(s.Payment.RequestedAtUnixMs)
	case r.Imported || r.RequestTimeUnixMs == 0:
		return time.UnixMilli(r.ChangedAtUnixMs)
	default:
		return time.UnixMilli(r.RequestTimeUnixMs)
	}
}

// Deadline is when it is driven on by itself next; zero for never.
func (s *Saga) Deadline() time.Time {
	next := s.Registration.GetDeadlineUnixMs()
	if d := s.Payment.GetDeadlineUnixMs(); d != 0 && (next == 0 || d < next) {
		next = d
	}
	if next == 0 {
		return time.Time{}
	}
	return time.UnixMilli(next)
}

// Reason is why a saga counts as stuck. They are few, and label metrics.
type Reason string

// The reasons.
const (
	// Overdue: its deadline has passed and nothing has come of it.
	Overdue Reason = "overdue"
	// Redriven: it was asked again many times in vain.
	Redriven Reason = "redriven"
	// PaymentParked and RefundParked wait for a person.
	PaymentParked Reason = "payment_parked"
	RefundParked  Reason = "refund_parked"
)

// Reasons lists all of them, the gravest first.
func Reasons() []Reason { return []Reason{PaymentParked, RefundParked, Redriven, Overdue} }

// Limits say from when on a saga is stuck.
type Limits struct {
	// Grace is how long a deadline may have passed.
	Grace time.Duration
	// Redrives is how often it may have been asked again.
	Redrives uint32
}

// DefaultLimits are a minute, within which an owner that restarts is back, and
// eight re-drives, which have taken about twenty minutes.
func DefaultLimits() Limits { return Limits{Grace: time.Minute, Redrives: 8} }

// Stuck says why a saga is, nil when it is not.
func (s *Saga) Stuck(now time.Time, limits Limits) []Reason {
	var reasons []Reason
	if s.Payment.GetStatus() == pb.PaymentStatus_PAYMENT_STATUS_PARKED {
		reasons = append(reasons, PaymentParked)
	}
	if len(s.parkedRefunds()) > 0 {
		reasons = append(reasons, RefundParked)
	}
	if s.Registration.GetRedrives() > limits.Redrives {
		reasons = append(reasons, Redriven)
	}
	if d := s.Deadline(); !d.IsZero() && now.Sub(d) > limits.Grace {
		reasons = append(reasons, Overdue)
	}
	return reasons
}

func (s *Saga) parkedRefunds() []*pb.Refund {
	var parked []*pb.Refund
	for _, r := range s.Payment.GetRefunds() {
		if r.Status == pb.RefundStatus_REFUND_STATUS_PARKED {
			parked = append(parked, r)
		}
	}
	return parked
}

// pendingRefund is the one that the provider is asked about.
func pendingRefund(p *pb.Payment) *pb.Refund {
	if p.GetStatus() != pb.PaymentStatus_PAYMENT_STATUS_CAPTURED {
		return nil
	}
	for _, r := range p.Refunds {
		if r.Status == pb.RefundStatus_REFUND_STATUS_PENDING {
			return r
		}
	}
	return nil
}

// WaitsFor says in words what a saga waits for.
func (s *Saga) WaitsFor() []string {
	waits := s.registrationWaits()
	p := s.Payment
	if p == nil {
		return waits
	}
	switch p.Status {
	case pb.PaymentStatus_PAYMENT_STATUS_PENDING:
		waits = append(waits, fmt.Sprintf("the provider: charge of %s %s, attempt %d", figures.Amount(p.AmountMinor, p.Currency), p.Currency, p.Attempts))
	case pb.PaymentStatus_PAYMENT_STATUS_PARKED:
		waits = append(waits, fmt.Sprintf("a person: charge of %s %s is parked (%s)", figures.Amount(p.AmountMinor, p.Currency), p.Currency, p.Reason))
	}
	for i, r := range p.Refunds {
		switch {
		case r.Status == pb.RefundStatus_REFUND_STATUS_PARKED:
			waits = append(waits, fmt.Sprintf("a person: refund %d of %d over %s %s is parked (%s)", i+1, len(p.Refunds), figures.Amount(r.AmountMinor, p.Currency), p.Currency, r.Reason))
		case r == pendingRefund(p):
			waits = append(waits, fmt.Sprintf("the provider: refund %d of %d over %s %s, attempt %d", i+1, len(p.Refunds), figures.Amount(r.AmountMinor, p.Currency), p.Currency, r.Attempts))
		case r.Status == pb.RefundStatus_REFUND_STATUS_PENDING:
			waits = append(waits, fmt.Sprintf("the turn of refund %d of %d over %s %s", i+1, len(p.Refunds), figures.Amount(r.AmountMinor, p.Currency), p.Currency))
		}
	}
	return waits
}

// The values of Registration.allowance that wait for the attendee's record.
const (
	allowanceAsked     = 1
	allowanceAskedBack = 4
)

func (s *Saga) registrationWaits() []string {
	r := s.Registration
	if r == nil || !registrationOpen(r) {
		return nil
	}
	var waits []string
	switch r.Allowance {
	case allowanceAsked:
		waits = append(waits, "the attendee's allowance")
	case allowanceAskedBack:
		waits = append(waits, "the attendee's allowance to be given back")
	}
	asked := false
	for _, h := range r.Holds {
		if what := holdWaits[h.Status]; what != "" {
			waits = append(waits, fmt.Sprintf("block %s/%04d: %s %d seats", lineType(r, h.Line), h.Block, what, h.Quantity))
		}
		asked = asked || h.Status == pb.HoldStatus_HOLD_STATUS_ASKED
	}
	if r.Step == pb.Step_STEP_HOLDING && !asked {
		waits = append(waits, "the next look for seats")
	}
	if r.Payment == nil || s.Payment != nil {
		return waits // the payment itself says it better
	}
	if r.Step == pb.Step_STEP_CHARGING {
		waits = append(waits, fmt.Sprintf("the payments: charge of %s %s", figures.Amount(r.TotalMinor, r.Currency), r.Currency))
	}
	if r.Payment.Cancelling && r.Step == pb.Step_STEP_SETTLING {
		waits = append(waits, "the payments: the end of a charge that nobody wants")
	}
	for i, refund := range r.Payment.Refunds {
		if !refund.Done {
			waits = append(waits, fmt.Sprintf("the payments: refund %d of %d over %s %s", i+1, len(r.Payment.Refunds), figures.Amount(refund.AmountMinor, r.Currency), r.Currency))
		}
	}
	return waits
}

var holdWaits = map[pb.HoldStatus]string{
	pb.HoldStatus_HOLD_STATUS_ASKED:      "to hold",
	pb.HoldStatus_HOLD_STATUS_RELEASING:  "to release",
	pb.HoldStatus_HOLD_STATUS_CONFIRMING: "to mark as sold",
}

func lineType(r *pb.Registration, number uint32) string {
	for _, l := range r.Lines {
		if l.Line == number {
			return l.TicketType
		}
	}
	return "?"
}

// Name is an enum's value as people see it everywhere: "payment_failed".
func Name(v protoreflect.Enum) string {
	values := v.Descriptor().Values()
	prefix := strings.TrimSuffix(string(values.ByNumber(0).Name()), "UNSPECIFIED")
	found := values.ByNumber(v.Number())
	if found == nil {
		return fmt.Sprint(v.Number())
	}
	return strings.ToLower(strings.TrimPrefix(string(found.Name()), prefix))
}
