package sagas

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/audit"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Operator is a person who helps sagas on.
type Operator struct {
	Cluster
	// Name and Note are who does it and why, for the audit trail.
	Name, Note string
	// Clock is the present; nil is time.Now.
	Clock func() time.Time

	client *kgo.Client
}

// Connect makes the operator's producer. It is transactional, so that nothing is
// done without its audit record. Its owner calls Close.
func (o *Operator) Connect() error {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	var err error
	o.client, err = o.Cluster.client(
		kgo.TransactionalID("boxoffice-operator-"+uuid.NewString()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // murmur2, as every producer
		kgo.RecordDeliveryTimeout(30*time.Second),
	)
	return err
}

// Close lets go of the producer.
func (o *Operator) Close() { o.client.Close() }

// message is one that an operator sends.
type message struct {
	topic topology.Topic
	key   string
	value proto.Message
}

// do sends messages and their audit record in one transaction.
func (o *Operator) do(ctx context.Context, kind pb.OperatorActionKind, saga uuid.UUID, detail string, messages ...message) error {
	record, err := audit.Record(&pb.OperatorAction{
		Kind: kind, Operator: o.Name, Note: o.Note, TimeUnixMs: o.Clock().UnixMilli(), Key: saga.String(), Detail: detail,
	})
	if err != nil {
		return err
	}
	records := []*kgo.Record{record}
	for _, m := range messages {
		value, err := proto.Marshal(m.value)
		if err != nil {
			return fmt.Errorf("encoding for %s: %w", m.topic.Name, err)
		}
		records = append(records, &kgo.Record{Topic: m.topic.Name, Key: []byte(m.key), Value: value})
	}
	if err := o.client.BeginTransaction(); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	end := kgo.TryCommit
	produced := o.client.ProduceSync(ctx, records...).FirstErr()
	if produced != nil {
		end = kgo.TryAbort
	}
	if err := errors.Join(produced, o.client.EndTransaction(context.WithoutCancel(ctx), end)); err != nil {
		return fmt.Errorf("saga %s: nothing was done: %w", saga, err)
	}
	return nil
}

// ErrNothingToRetry says that a saga waits for nothing.
var ErrNothingToRetry = errors.New("it waits for nothing")

// Retry makes a saga try at once what it waits for, and says what was sent.
//
// A registration gets its first command once more: the saga answers a duplicate
// by sending exactly what its present state waits for, whatever was read here. A
// timer would do as much for a decided one, but it would have to lie about the
// time, and would let an undecided one expire.
func (o *Operator) Retry(ctx context.Context, s *Saga) ([]string, error) {
	var done []string
	var messages []message
	if r := s.Registration; r != nil && registrationOpen(r) {
		done = append(done, "the registration sends again what it waits for")
		messages = append(messages, message{topology.RegistrationCommands, s.ID.String(), firstCommand(r)})
	}
	if p := s.Payment; p != nil {
		retry, what := retryOf(p)
		if retry != nil {
			done = append(done, what)
			messages = append(messages, message{topology.PaymentCommands, topology.KeyOf(p.PaymentId), retry})
		}
	}
	if len(messages) == 0 {
		return nil, fmt.Errorf("%s: %w", s.ID, ErrNothingToRetry)
	}
	return done, o.do(ctx, pb.OperatorActionKind_OPERATOR_ACTION_KIND_RETRY, s.ID, strings.Join(done, "; "), messages...)
}

// firstCommand is the command that made a registration, as far as it is compared.
func firstCommand(r *pb.Registration) *pb.RegistrationCommand {
	return &pb.RegistrationCommand{
		RegistrationId: r.RegistrationId, RequestTimeUnixMs: r.RequestTimeUnixMs, BodyDigest: r.BodyDigest, Organiser: r.Organiser,
		Command: &pb.RegistrationCommand_Register{Register: &pb.Register{
			EventId: r.EventId, AttendeeId: r.AttendeeId, KeyId: r.KeyId, Currency: r.Currency, Lines: r.Lines, EventVersion: r.EventVersion,
			Channel: r.Channel, Region: r.Region, PaymentMethod: r.PaymentMethod, TestMode: r.TestMode, Imported: r.Imported,
			MaxPerAttendee: r.MaxPerAttendee, ImportedOrder: r.ImportedOrder,
		}},
	}
}

// retryOf is the command that has the provider asked at once, nil when it is not
// to be asked. One question is under way at a time, so a parked refund waits
// until the one before it is answered.
func retryOf(p *pb.Payment) (retry *pb.PaymentCommand, what string) {
	command := func(refund *pb.Refund, attempt uint32) *pb.PaymentCommand {
		return &pb.PaymentCommand{
			PaymentId: p.PaymentId, RegistrationId: p.RegistrationId, EventId: p.EventId, Organiser: p.Organiser,
			Command: &pb.PaymentCommand_Retry{Retry: &pb.RetryPayment{RefundId: refund.GetRefundId(), Attempt: attempt}},
		}
	}
	if p.Imported {
		return nil, "" // its refunds are made elsewhere, by a person
	}
	switch p.Status {
	case pb.PaymentStatus_PAYMENT_STATUS_PENDING:
		return command(nil, p.Attempts), "the provider is asked for the charge"
	case pb.PaymentStatus_PAYMENT_STATUS_PARKED:
		return command(nil, p.Attempts), "the parked charge is taken up again"
	}
	if r := pendingRefund(p); r != nil {
		return command(r, r.Attempts), "the provider is asked for refund " + topology.KeyOf(r.RefundId)
	}
	for _, r := range p.Refunds {
		if r.Status == pb.RefundStatus_REFUND_STATUS_PARKED {
			return command(r, r.Attempts), "the parked refund " + topology.KeyOf(r.RefundId) + " is taken up again"
		}
	}
	return nil, ""
}
