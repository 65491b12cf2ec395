package sagas

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Step is one moment in the history of a saga.
type Step struct {
	At    time.Time `json:"at"`
	Topic string    `json:"topic"`
	// What happened, in words.
	What string `json:"what"`
	// Position of the record.
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// History tells what happened to a registration, from the event topics and the
// audit trail, in the order of the records' times.
func (c Cluster) History(ctx context.Context, id uuid.UUID) ([]Step, error) {
	var steps []Step
	for _, t := range []topology.Topic{
		topology.RegistrationEvents, topology.SeatEvents, topology.PaymentEvents, topology.AttendeeEvents, topology.OperatorActions,
	} {
		err := c.ofKey(ctx, t, id.String(), func(r *kgo.Record) error {
			value := t.New()
			if err := proto.Unmarshal(r.Value, value); err != nil {
				return err
			}
			steps = append(steps, Step{At: r.Timestamp, Topic: t.Name, What: describe(value), Partition: r.Partition, Offset: r.Offset})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return a.At.Compare(b.At) })
	return steps, nil
}

func describe(m proto.Message) string {
	switch v := m.(type) {
	case *pb.Registration:
		what := fmt.Sprintf("version %d: %s", v.Version, Name(v.Step))
		if v.Outcome != pb.Outcome_OUTCOME_UNSPECIFIED {
			what += ", " + Name(v.Outcome)
		}
		if v.Reason != "" {
			what += " (" + v.Reason + ")"
		}
		return what
	case *pb.SeatEvent:
		return fmt.Sprintf("block %s/%04d: %s, hold %s", v.TicketType, v.Block, Name(v.Kind), topology.UUID(v.HoldId))
	case *pb.Payment:
		what := fmt.Sprintf("version %d: %s, captured %s of %s %s, refunded %s", v.Version, Name(v.Status), figures.Amount(v.CapturedMinor, v.Currency),
			figures.Amount(v.AmountMinor, v.Currency), v.Currency, figures.Amount(v.RefundedMinor, v.Currency))
		if v.Reason != "" {
			what += " (" + v.Reason + ")"
		}
		for i, r := range v.Refunds {
			what += fmt.Sprintf("; refund %d over %s is %s", i+1, figures.Amount(r.AmountMinor, v.Currency), Name(r.Status))
		}
		return what
	case *pb.AttendeeEvent:
		answer := map[bool]string{true: "granted", false: "refused"}[v.Granted]
		if v.Released {
			answer = "given back"
		}
		return fmt.Sprintf("allowance %s, %d tickets count", answer, v.Counted)
	case *pb.OperatorAction:
		return fmt.Sprintf("%s by %s: %s (%s)", Name(v.Kind), v.Operator, v.Detail, v.Note)
	}
	return fmt.Sprintf("%T", m)
}
