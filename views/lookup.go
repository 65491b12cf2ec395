package views

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// call is one look-up's caller and account.
type call struct {
	who *apikey.Identity
	// waited is the time spent on wait_for: not work, so not in the durations.
	waited time.Duration
}

// Availability is what is left of each event; *availability.Index is one.
type Availability interface {
	// Recovered reports whether the index has caught up.
	Recovered() bool
	// Summary returns the room of each ticket type that has blocks.
	Summary(event []byte) []availability.Room
}

var _ Availability = (*availability.Index)(nil)

// parseID reads an id's text form and returns the record key.
func parseID(field, text string) (string, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return "", invalidParameter(field, problem.BadFormat, "must be a UUID in its text form, for example 9d3f6f0e-6b53-5c0e-9a34-1d4c7b1f2a10")
	}
	return id.String(), nil
}

func (s *Server) getRegistration(ctx context.Context, c *call, req *pb.LookupServiceGetRegistrationRequest) (*pb.LookupServiceGetRegistrationResponse, error) {
	key, err := parseID("registration_id", req.GetRegistrationId())
	if err != nil {
		return nil, err
	}
	wait, err := newWaiting(req.GetWaitFor(), req.GetTimeoutMs(), topology.RegistrationCommands.Name)
	if err != nil {
		return nil, err
	}
	if err := s.await(ctx, c, s.registrations, key, wait); err != nil {
		return nil, err
	}
	value, fresh, err := s.registrations.get(key)
	if err != nil {
		return nil, err
	}
	r, _ := value.(*pb.Registration)
	switch {
	case !exists(r) && wait.reached(value):
		// The command waited for made nothing: say so, instead of "unknown".
		return nil, refused(problem.RegistrationUnknown, "registration", key, fresh,
			commandAnswer(topology.RegistrationCommands.Name, r.GetLastCommand()))
	case !exists(r) || !c.who.Sees(r.GetOrganiser()):
		return nil, unknown(problem.RegistrationUnknown, "registration", key, fresh)
	}
	return &pb.LookupServiceGetRegistrationResponse{Registration: registrationAnswer(r), Freshness: fresh}, nil
}

// exists tells a registration from the mere trace of a command that was refused
// for an unknown id.
func exists(r *pb.Registration) bool {
	return r.GetStep() != pb.Step_STEP_UNSPECIFIED || r.GetOutcome() != pb.Outcome_OUTCOME_UNSPECIFIED
}

func (s *Server) getPayment(_ context.Context, c *call, req *pb.LookupServiceGetPaymentRequest) (*pb.LookupServiceGetPaymentResponse, error) {
	key, err := parseID("payment_id", req.GetPaymentId())
	if err != nil {
		return nil, err
	}
	value, fresh, err := s.payments.get(key)
	if err != nil {
		return nil, err
	}
	p, _ := value.(*pb.Payment)
	if p == nil || !c.who.Sees(p.GetOrganiser()) {
		return nil, unknown(problem.PaymentUnknown, "payment", key, fresh)
	}
	return &pb.LookupServiceGetPaymentResponse{Payment: paymentAnswer(p), Freshness: fresh}, nil
}

func (s *Server) getEvent(ctx context.Context, c *call, req *pb.LookupServiceGetEventRequest) (*pb.LookupServiceGetEventResponse, error) {
	key, err := parseID("event_id", req.GetEventId())
	if err != nil {
		return nil, err
	}
	wait, err := newWaiting(req.GetWaitFor(), req.GetTimeoutMs(), topology.CatalogCommands.Name)
	if err != nil {
		return nil, err
	}
	if err := s.await(ctx, c, s.events, key, wait); err != nil {
		return nil, err
	}
	value, fresh, err := s.events.get(key)
	if err != nil {
		return nil, err
	}
	e, _ := value.(*pb.Event)
	switch {
	case !onRecord(e) && wait.reached(value):
		return nil, refused(problem.EventUnknown, "event", key, fresh,
			commandAnswer(topology.CatalogCommands.Name, e.GetLastCommand()))
	case !onRecord(e):
		return nil, unknown(problem.EventUnknown, "event", key, fresh)
	}
	return &pb.LookupServiceGetEventResponse{Event: eventAnswer(e, c.who.Sees(e.GetOrganiser())), Freshness: fresh}, nil
}

// onRecord tells an event from the mere trace of a command that was refused for
// an unknown id.
func onRecord(e *pb.Event) bool {
	switch e.GetStatus() {
	case pb.EventStatus_EVENT_STATUS_UNSPECIFIED, pb.EventStatus_EVENT_STATUS_UNKNOWN:
		return false
	}
	return true
}

func (s *Server) getAvailability(_ context.Context, _ *call, req *pb.LookupServiceGetAvailabilityRequest) (*pb.LookupServiceGetAvailabilityResponse, error) {
	key, err := parseID("event_id", req.GetEventId())
	if err != nil {
		return nil, err
	}
	value, fresh, err := s.events.get(key)
	if err != nil {
		return nil, err
	}
	e, _ := value.(*pb.Event)
	if !onRecord(e) {
		return nil, unknown(problem.EventUnknown, "event", key, fresh)
	}
	if !s.cfg.Availability.Recovered() {
		return nil, recovering(topology.InventoryTable.Name)
	}
	fresh = s.availabilityFreshness()
	rooms := s.cfg.Availability.Summary(e.GetEventId())
	answer := &pb.LookupServiceGetAvailabilityResponse{EventId: key, Status: eventStatus(e.GetStatus()), Freshness: fresh}
	for _, t := range e.GetTicketTypes() {
		answer.TicketTypes = append(answer.TicketTypes, typeAvailability(t.GetId(), rooms))
	}
	return answer, nil
}

// availabilityFreshness is that of the index, which draws on every partition.
func (s *Server) availabilityFreshness() *pb.LookupFreshness {
	asOf := &pb.LookupAsOf{Topic: topology.InventoryTable.Name}
	if s.cfg.AvailabilityLag != nil {
		if records, known := s.cfg.AvailabilityLag(); known {
			asOf.LagRecords = proto.Int64(records)
		}
	}
	return &pb.LookupFreshness{AsOf: asOf}
}

// typeAvailability finds a ticket type's room; a type none of whose blocks has
// been opened yet has nothing to offer.
func typeAvailability(ticketType string, rooms []availability.Room) *pb.LookupTypeAvailability {
	answer := &pb.LookupTypeAvailability{TicketType: ticketType}
	for _, r := range rooms {
		if r.TicketType == ticketType {
			answer.Capacity, answer.Held, answer.Sold, answer.Free = r.Capacity(), r.Held, r.Sold, r.Free
		}
	}
	return answer
}
