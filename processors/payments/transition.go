package payments

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Apply says what a message does to a payment; state is nil for an unknown
// payment id and is not changed. Apply is pure: time is the record's.
//
// Its errors are *transition.Poison, for messages that no correct peer sends.
func (c Config) Apply(state *pb.Payment, m *transition.Message) (transition.Effect, error) {
	c = c.withDefaults()
	switch v := m.Value.(type) {
	case *pb.PaymentCommand:
		if err := checkKey(m, v.GetPaymentId()); err != nil {
			return transition.Effect{}, err
		}
		return c.command(state, m, v)
	case *pb.GatewayResult:
		if err := checkKey(m, v.GetPaymentId()); err != nil {
			return transition.Effect{}, err
		}
		return c.result(state, m, v)
	case *pb.Timer:
		return c.timer(state, m, v)
	}
	return transition.Effect{}, transition.Poisoned("unexpected_message", "%T on topic %s", m.Value, m.Topic)
}

func (c Config) command(state *pb.Payment, m *transition.Message, cmd *pb.PaymentCommand) (transition.Effect, error) {
	if state != nil && !bytes.Equal(state.RegistrationId, cmd.RegistrationId) {
		return transition.Effect{}, transition.Poisoned("other_registration", "payment %s belongs to registration %s, the command names %s",
			m.Key, topology.UUID(state.RegistrationId), topology.UUID(cmd.RegistrationId))
	}
	switch v := cmd.Command.(type) {
	case *pb.PaymentCommand_Charge:
		return c.charge(state, m, cmd, v.Charge)
	case *pb.PaymentCommand_Refund:
		return c.refund(state, m, v.Refund)
	case *pb.PaymentCommand_Cancel:
		return c.cancel(state, m, cmd, v.Cancel)
	case *pb.PaymentCommand_Retry:
		return c.retry(state, m, v.Retry)
	}
	return transition.Effect{}, transition.Poisoned("unexpected_message", "payment command without a known command")
}

// timer asks the provider again when the deadline is due.
func (c Config) timer(state *pb.Payment, m *transition.Message, t *pb.Timer) (transition.Effect, error) {
	if state == nil || state.DeadlineUnixMs == 0 || t.NowUnixMs < state.DeadlineUnixMs {
		return replayed, nil
	}
	ch := c.begin(state, m)
	// The timer's time may be ahead of the record's; arming from the later of
	// the two puts the next deadline past this timer, so that it works once (I5).
	ch.nowMs = max(ch.nowMs, t.NowUnixMs)
	ch.ask()
	return ch.effect(transition.Applied), nil
}

func checkKey(m *transition.Message, paymentID []byte) error {
	if len(paymentID) != 16 || topology.KeyOf(paymentID) != m.Key {
		return transition.Poisoned("wrong_key", "a record keyed %q speaks of payment %x", m.Key, paymentID)
	}
	return nil
}

// replayed is the effect of a message that changes nothing and sends nothing:
// an alarm is armed for whatever the payment still waits for.
var replayed = transition.Effect{Verdict: transition.Replayed}

// change is a payment while a message is applied to it.
type change struct {
	Config
	p      *pb.Payment
	nowMs  int64
	raised bool
	asked  *pb.GatewayRequest
}

// begin starts a change on a copy of the state.
func (c Config) begin(state *pb.Payment, m *transition.Message) *change {
	return &change{Config: c, p: proto.CloneOf(state), nowMs: m.Time.UnixMilli()}
}

// open starts a payment with the first command about it.
func (c Config) open(cmd *pb.PaymentCommand, status pb.PaymentStatus, m *transition.Message) *change {
	nowMs := m.Time.UnixMilli()
	return &change{Config: c, nowMs: nowMs, p: &pb.Payment{
		PaymentId: cmd.PaymentId, RegistrationId: cmd.RegistrationId, EventId: cmd.EventId, Organiser: cmd.Organiser,
		Status: status, RequestedAtUnixMs: nowMs,
	}}
}

// raise makes the change a visible one: the version rises by one.
func (ch *change) raise() { ch.raised = true }

// effect ends the change. An event goes out exactly when the version rises.
func (ch *change) effect(v transition.Verdict) transition.Effect {
	e := transition.Effect{State: ch.p, Verdict: v}
	if ch.raised {
		ch.p.Version++
		ch.p.ChangedAtUnixMs = ch.nowMs
		e.Outputs = append(e.Outputs, transition.Output{
			Topic: topology.PaymentEvents.Name, Key: topology.KeyOf(ch.p.RegistrationId), Value: ch.p,
		})
	}
	if ch.asked != nil {
		e.Outputs = append(e.Outputs, output(ch.asked))
	}
	return e
}

func (ch *change) rejected(reason string) transition.Effect {
	e := ch.effect(transition.Rejected)
	e.Reason = reason
	return e
}

func rejected(reason string) transition.Effect {
	return transition.Effect{Verdict: transition.Rejected, Reason: reason}
}

// Config holds the times of the money state machine. The zero value of a field
// takes its default.
type Config struct {
	// RetryBase is the pause before a charge or refund whose outcome is unknown
	// is asked for again; it doubles with every attempt (1 s).
	RetryBase time.Duration
	// RetryCap bounds that pause (60 s).
	RetryCap time.Duration
	// AnswerWithin is when a request that got no answer at all is sent again. It
	// lies well above RetryCap and the gateway's own limit, which answers UNKNOWN (2 min).
	AnswerWithin time.Duration
	// KeyLifetime is how long the provider remembers an idempotency key (24 h).
	KeyLifetime time.Duration
	// KeyMargin before the end of KeyLifetime nothing is repeated any more: a
	// call may take its time and clocks differ (10 min).
	KeyMargin time.Duration
	// QueryFor is how long after KeyLifetime the provider is still queried
	// before the payment is parked for a person (1 h).
	QueryFor time.Duration
}

// Validate says which times contradict each other.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.RetryBase <= 0 || c.RetryCap < c.RetryBase {
		errs = append(errs, fmt.Errorf("payments: retry pauses from %v to %v: the first must be positive and at most the second", c.RetryBase, c.RetryCap))
	}
	if c.AnswerWithin <= c.RetryCap {
		errs = append(errs, fmt.Errorf("payments: answers are waited for %v: it must be longer than the longest retry pause, %v", c.AnswerWithin, c.RetryCap))
	}
	if c.KeyMargin < 0 || c.KeyLifetime <= c.KeyMargin {
		errs = append(errs, fmt.Errorf("payments: key lifetime %v must be longer than its margin %v", c.KeyLifetime, c.KeyMargin))
	}
	if c.QueryFor < 0 {
		errs = append(errs, fmt.Errorf("payments: the time for queries is %v: it must not be negative", c.QueryFor))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field   *time.Duration
		initial time.Duration
	}{
		{&c.RetryBase, time.Second},
		{&c.RetryCap, time.Minute},
		{&c.AnswerWithin, 2 * time.Minute},
		{&c.KeyLifetime, 24 * time.Hour},
		{&c.KeyMargin, 10 * time.Minute},
		{&c.QueryFor, time.Hour},
	} {
		if *d.field == 0 {
			*d.field = d.initial
		}
	}
	return c
}
