package simulation

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

func idsOf(n int, name func(int) string) []uuid.UUID {
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = topology.RegistrationID("acme", name(i))
	}
	return ids
}

// nicknames are what a story calls the keys of the logs.
var nicknames = func() map[string]string {
	names := map[string]string{eventID.String(): "the event"}
	for i, id := range attendeeIDs {
		names[id.String()] = attendeeNames[i]
	}
	for i, id := range registrationIDs {
		names[id.String()] = fmt.Sprint("r", i)
		payment := topology.PaymentID(id)
		names[payment.String()] = fmt.Sprintf("r%d's payment", i)
		for n := range uint32(4) {
			names[topology.RefundID(payment, n).String()] = fmt.Sprintf("r%d's refund %d", i, n)
		}
	}
	return names
}()

// nick is a key as a story calls it.
func nick(key string) string {
	if name := nicknames[key]; name != "" {
		return name
	}
	if _, block, ok := strings.Cut(key, "/"); ok {
		return "block " + block
	}
	return key
}

// describe names a record by its position and key.
func describe(l *partitionLog, r *record) string {
	return fmt.Sprintf("%s/%d@%d", l.topic.def.Name, l.number, r.offset)
}

// describeMessage says in a few words what a message says.
func describeMessage(m proto.Message, key string) string {
	about := " of " + nick(key)
	switch v := m.(type) {
	case *pb.RegistrationCommand:
		if q := v.GetRegister(); q != nil {
			words := make([]string, 0, len(q.Lines))
			for _, l := range q.Lines {
				words = append(words, fmt.Sprintf("%d %s", l.Quantity, l.TicketType))
			}
			return "register " + strings.Join(words, " + ") + about
		}
		if lines := v.GetCancel().GetLines(); len(lines) > 0 {
			return fmt.Sprintf("cancel lines %v%s", lines, about)
		}
		return "cancel" + about
	case *pb.SeatCommand:
		what := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", v.Command), "*boxofficev1.SeatCommand_"))
		if len(v.RegistrationId) == 0 {
			return what + " " + nick(key)
		}
		return what + " for " + nick(topology.KeyOf(v.RegistrationId)) + " in " + nick(key)
	case *pb.SeatEvent:
		return fmt.Sprintf("%s %b in %s/%d%s", word(v.Kind, "SEAT_EVENT_KIND_"), v.Seats, v.TicketType, v.Block, about)
	case *pb.Registration:
		return fmt.Sprintf("registration %s v%d %s %s", nick(topology.KeyOf(v.RegistrationId)), v.Version, word(v.Step, "STEP_"), word(v.Outcome, "OUTCOME_"))
	case *pb.Payment:
		return fmt.Sprintf("payment v%d %s%s", v.Version, word(v.Status, "PAYMENT_STATUS_"), about)
	case *pb.GatewayResult:
		return "result " + word(v.Outcome, "GATEWAY_OUTCOME_") + about
	case *pb.GatewayRequest:
		return "request " + word(v.Operation, "GATEWAY_OPERATION_") + about
	case *pb.Timer:
		return "timer of " + clockTime(v.NowUnixMs) + about
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m), "*boxofficev1.") + about
}

func word(v fmt.Stringer, prefix string) string {
	return strings.ToLower(strings.TrimPrefix(v.String(), prefix))
}

// describeEffect says what a handler answered.
func describeEffect(e *transition.Effect) string {
	words := []string{e.Verdict.String()}
	if e.Reason != "" {
		words[0] += " (" + e.Reason + ")"
	}
	for _, o := range e.Outputs {
		words = append(words, describeMessage(o.Value, o.Key))
	}
	return strings.Join(words, " -> ")
}

// beginning is when every schedule starts.
const beginning = 1_700_000_000_000

// clockTime is a time as a story shows it: since the beginning.
func clockTime(ms int64) string { return millis(ms).Sub(millis(beginning)).String() }
