package topology

import (
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	week        = 7 * 24 * time.Hour
	month       = 30 * 24 * time.Hour
	tableSuffix = "-table"
)

func message[T any, P interface {
	*T
	proto.Message
}]() proto.Message {
	return P(new(T))
}

func commands(name, key, about string, newMessage func() proto.Message) Topic {
	return Topic{Name: name, Key: key, New: newMessage, Cleanup: Delete, Retention: week, About: about}
}

func events(name, key, about string, newMessage func() proto.Message) Topic {
	return Topic{Name: name, Key: key, New: newMessage, Cleanup: Delete, About: about}
}

func table(group, key, about string, newMessage func() proto.Message) Topic {
	return Topic{Name: group + tableSuffix, Key: key, New: newMessage, Cleanup: Compact, About: about}
}

// The topics. Commands, gateway and timer topics keep a week; events are the
// audit trail and stay for ever; tables are compacted and never hold
// tombstones.
var (
	CatalogCommands = commands("catalog-commands", "event id",
		"what organisers ask for", message[pb.CatalogCommand])
	CatalogEvents = events("catalog-events", "event id",
		"every version of every event", message[pb.Event])
	CatalogTable = table("catalog", "event id", "the events", message[pb.Event])

	RegistrationCommands = commands("registration-commands", "registration id",
		"what attendees ask for, with prices resolved", message[pb.RegistrationCommand])
	RegistrationEvents = events("registration-events", "registration id",
		"every version of every registration", message[pb.Registration])
	RegistrationTimers = commands("registration-timers", "registration id",
		"deadlines of registrations that are due", message[pb.Timer])
	RegistrationsTable = table("registrations", "registration id", "the sagas", message[pb.Registration])

	SeatCommands = commands("seat-commands", "seat block",
		"open, close, hold, release and confirm", message[pb.SeatCommand])
	SeatEvents = events("seat-events", "registration id",
		"the blocks' answers to holds", message[pb.SeatEvent])
	BlockEvents = events("block-events", "event id",
		"blocks that were opened or closed", message[pb.BlockEvent])
	InventoryTable = table("inventory", "seat block", "who owns each seat", message[pb.Block])

	PaymentCommands = commands("payment-commands", "payment id",
		"charge, refund and cancel", message[pb.PaymentCommand])
	PaymentEvents = events("payment-events", "registration id",
		"every version of every payment", message[pb.Payment])
	PaymentTimers = commands("payment-timers", "payment id",
		"payments whose gateway must be asked again", message[pb.Timer])
	PaymentsTable = table("payments", "payment id", "the money state machine", message[pb.Payment])

	GatewayRequests = commands("gateway-requests", "payment id",
		"calls that the provider is to get", message[pb.GatewayRequest])
	GatewayResults = commands("gateway-results", "payment id",
		"what the provider answered", message[pb.GatewayResult])

	AttendeeUpdates = commands("attendee-updates", "attendee id",
		"registrations re-keyed by attendee", message[pb.AttendeeUpdate])
	AttendeeEvents = events("attendee-events", "registration id",
		"allowances granted, refused or given back", message[pb.AttendeeEvent])
	AttendeesTable = table("attendees", "attendee id", "the attendees' registrations", message[pb.Attendee])

	// Retries is written by every stateful group and read by one stage.
	Retries = Topic{
		Name: "retries", Key: "key of the original record", Cleanup: Delete,
		Retention: week, About: "records whose handler failed, until they are due to be tried again",
	}

	// DeadLetters is written by every group and belongs to none.
	DeadLetters = Topic{
		Name: "dead-letters", Key: "key of the original record", Cleanup: Delete,
		Retention: month, About: "records that could not be handled, with the reason in their headers",
	}

	// OperatorActions is written by the operators' tools and read by people.
	OperatorActions = events("operator-actions", "key of what was acted on",
		"what operators did with dead letters and sagas, when and why", message[pb.OperatorAction])
)

// The groups.
var (
	Catalog = Group{
		Name: "catalog", Kind: Stateful, Key: "event id",
		Inputs:  []Topic{CatalogCommands, BlockEvents},
		Outputs: []Topic{CatalogEvents, SeatCommands},
		Table:   CatalogTable,
		About:   "reference data: events, ticket types and their seat blocks",
	}

	Registrations = Group{
		Name: "registrations", Kind: Stateful, Key: "registration id",
		Inputs:  []Topic{RegistrationCommands, SeatEvents, PaymentEvents, AttendeeEvents, RegistrationTimers},
		Timers:  RegistrationTimers,
		Outputs: []Topic{RegistrationEvents, SeatCommands, PaymentCommands, AttendeeUpdates},
		Table:   RegistrationsTable,
		About:   "the saga: seats, money and one decision per registration",
	}

	Inventory = Group{
		Name: "inventory", Kind: Stateful, Key: "seat block",
		Inputs:  []Topic{SeatCommands},
		Outputs: []Topic{SeatEvents, BlockEvents},
		Table:   InventoryTable,
		About:   "seat blocks: never sells a seat twice",
	}

	Payments = Group{
		Name: "payments", Kind: Stateful, Key: "payment id",
		Inputs:  []Topic{PaymentCommands, GatewayResults, PaymentTimers},
		Timers:  PaymentTimers,
		Outputs: []Topic{PaymentEvents, GatewayRequests},
		Table:   PaymentsTable,
		About:   "the money state machine: asks the gateway, never calls it inline",
	}

	Gateway = Group{
		Name: "gateway", Kind: Outside, Key: "payment id",
		Inputs:  []Topic{GatewayRequests},
		Outputs: []Topic{GatewayResults},
		About:   "calls the payment provider, one request per payment at a time",
	}

	Attendees = Group{
		Name: "attendees", Kind: Stateful, Key: "attendee id",
		Inputs:  []Topic{AttendeeUpdates},
		Outputs: []Topic{AttendeeEvents},
		Table:   AttendeesTable,
		About:   "an attendee's registrations, the limit per event, and the sealed personal data",
	}

	// Retrier writes to the topic that a record was written to first, whichever.
	Retrier = Group{
		Name: "retries", Kind: Outside, Key: "key of the original record",
		Inputs: []Topic{Retries},
		About:  "holds records whose handler failed until they are due, then sends them to their topic again",
	}

	ClickHouseSink = Group{
		Name: "clickhouse-sink", Kind: Outside, Key: "any",
		Inputs: []Topic{CatalogEvents, RegistrationEvents, PaymentEvents, SeatEvents, BlockEvents},
		About:  "loads ClickHouse in columnar batches",
	}
)

// Groups lists every group in the order of the data's way.
func Groups() []Group {
	return []Group{Catalog, Registrations, Inventory, Payments, Gateway, Attendees, Retrier, ClickHouseSink}
}

// Topics lists every topic once, in the order of the data's way, the dead
// letters and what people did last.
func Topics() []Topic {
	var topics []Topic
	seen := map[string]bool{}
	add := func(t Topic) {
		if t.Name != "" && !seen[t.Name] {
			seen[t.Name] = true
			topics = append(topics, t)
		}
	}
	for _, g := range Groups() {
		for _, t := range g.Inputs {
			add(t)
		}
		add(g.Table)
		for _, t := range g.Outputs {
			add(t)
		}
	}
	add(DeadLetters)
	add(OperatorActions)
	return topics
}
