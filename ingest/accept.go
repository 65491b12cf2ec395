package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// registering is a registration that is ready to be written.
type registering struct {
	command
	id     uuid.UUID
	digest [32]byte
}

// prepare turns an order into the command that asks for its tickets: it resolves
// the event and stamps all that a decision needs, so that transitions look
// nothing up. It keeps no reference to o.
func (s *Server) prepare(ctx context.Context, caller *apikey.Identity, key string, o *order) (registering, error) {
	if err := checkIdempotencyKey(key); err != nil {
		return registering{}, err
	}
	eventID, err := o.validate()
	if err != nil {
		return registering{}, err
	}
	event, err := s.events.of(ctx, caller.Organiser, eventID)
	if err != nil {
		return registering{}, err
	}
	now := s.cfg.Now()
	r := registering{id: topology.RegistrationID(caller.Organiser, key), digest: s.orderDigest(o, eventID)}
	known, err := s.seen(r.id, r.digest)
	if err != nil {
		return registering{}, err
	}
	// A repetition of what was accepted is accepted again, also when the sale has
	// ended since: its caller only never saw the answer.
	if err := openForSale(event, now); err != nil && !known {
		return registering{}, problem.From(err).About(registrationPath(r.id))
	}
	register, err := s.register(caller, o, event)
	if err != nil {
		return registering{}, err
	}
	r.command = command{
		kind: commandRegister, topic: topology.RegistrationCommands, key: r.id.String(),
		value: &pb.RegistrationCommand{
			RegistrationId: bytes.Clone(r.id[:]), RequestTimeUnixMs: now.UnixMilli(), BodyDigest: bytes.Clone(r.digest[:]),
			Organiser: caller.Organiser, Command: &pb.RegistrationCommand_Register{Register: register},
		},
	}
	return r, nil
}

// register prices the order and seals its personal data.
func (s *Server) register(caller *apikey.Identity, o *order, event *pb.Event) (*pb.Register, error) {
	lines, total, violations := price(event, o.Lines)
	if total > 0 && o.PaymentMethod == "" {
		violations = append(violations, problem.Violation{
			Field: "payment_method", Code: problem.Required, Message: "must be there unless the order is free",
		})
	}
	if len(violations) > 0 {
		return nil, problem.Invalid(violations...)
	}
	plain, err := proto.Marshal(&pb.AttendeeContact{Email: o.Attendee.Email, Name: o.Attendee.Name})
	if err != nil {
		return nil, fmt.Errorf("encode personal data: %w", err)
	}
	attendee := s.cfg.Sealing.AttendeeID(caller.Organiser, o.Attendee.Email)
	sealed, keyID := s.cfg.Sealing.Seal(attendee, plain)
	region := o.Region
	if region == "" {
		region = event.Region
	}
	return &pb.Register{
		EventId: event.EventId, AttendeeId: bytes.Clone(attendee[:]), AttendeeSealed: sealed, KeyId: keyID,
		Currency: event.Currency, Lines: lines,
		EventVersion: event.Version, BlockListVersion: event.BlockListVersion,
		Channel: o.Channel, Region: region, PaymentMethod: o.PaymentMethod,
		TestMode: event.TestMode, MaxPerAttendee: event.MaxPerAttendee,
	}, nil
}

// orderDigest is keyed: the other fields are no secret, so a plain hash would
// let anyone try e-mail addresses until it fits.
func (s *Server) orderDigest(o *order, event uuid.UUID) [32]byte {
	buf := s.buffers.get()
	defer s.buffers.put(buf)
	buf.b = o.appendCanonical(buf.b[:0], event)
	return s.cfg.Sealing.Digest("register", buf.b)
}

// seen reports whether the same body was accepted under the id before. The error
// is idempotency_key_reused when it is known that another body was.
func (s *Server) seen(id uuid.UUID, digest [32]byte) (bool, error) {
	use := s.recent.use(id, digest)
	if use == keyUnseen && s.cfg.Registrations != nil {
		// An error leaves it unseen: the look-up only tells earlier what the saga
		// decides anyway.
		if value, err := s.cfg.Registrations.Get(id.String()); err == nil {
			if r, ok := value.(*pb.Registration); ok && r != nil && len(r.BodyDigest) > 0 {
				use = keyOther
				if bytes.Equal(r.BodyDigest, digest[:]) {
					use = keySame
				}
			}
		}
	}
	if use == keyOther {
		return false, problem.New(problem.IdempotencyKeyReused,
			"This idempotency key was used before with another body, and the first in the log counts; look at the instance. Use a new key for a new order.").
			About(registrationPath(id))
	}
	return use == keySame, nil
}

// accept writes a prepared registration.
func (s *Server) accept(ctx context.Context, r *registering) (stream.Position, error) {
	position, err := s.produce(ctx, &r.command)
	if err != nil {
		// Should it have been written after all, it is found there.
		return position, problem.From(err).About(registrationPath(r.id))
	}
	s.recent.accepted(r.id, r.digest)
	return position, nil
}

// cancelRegistration asks to cancel a registration, whole or by line.
func (s *Server) cancelRegistration(ctx context.Context, caller *apikey.Identity, id uuid.UUID, key string, x *cancellation) (stream.Position, error) {
	if err := checkIdempotencyKey(key); err != nil {
		return stream.Position{}, err
	}
	if err := x.validate(); err != nil {
		return stream.Position{}, err
	}
	if s.cfg.Registrations != nil {
		value, err := s.cfg.Registrations.Get(id.String())
		if r, ok := value.(*pb.Registration); err == nil && ok && r != nil && r.Organiser != "" && r.Organiser != caller.Organiser {
			return stream.Position{}, problem.New(problem.RegistrationUnknown, "There is no registration %s of this organiser; check the id.", id)
		}
	}
	digest := s.cfg.Sealing.Digest("cancel registration", x.appendCanonical(nil, key))
	return s.produce(ctx, &command{
		kind: commandCancelRegistration, topic: topology.RegistrationCommands, key: id.String(),
		value: &pb.RegistrationCommand{
			RegistrationId: id[:], RequestTimeUnixMs: s.cfg.Now().UnixMilli(), BodyDigest: digest[:], Organiser: caller.Organiser,
			Command: &pb.RegistrationCommand_Cancel{Cancel: &pb.CancelRegistration{Lines: x.Lines, Reason: x.Reason}},
		},
	})
}

// createEvent asks for an event and waits until it is on sale, but not longer
// than OnSaleWait.
func (s *Server) createEvent(ctx context.Context, caller *apikey.Identity, key string, e *newEvent) (id uuid.UUID, position stream.Position, onSale bool, err error) {
	if err = checkIdempotencyKey(key); err != nil {
		return id, position, false, err
	}
	create, err := e.command()
	if err != nil {
		return id, position, false, err
	}
	id = topology.EventID(caller.Organiser, key)
	digest := s.cfg.Sealing.Digest("create event", appendCanonicalEvent(nil, create))
	known, err := s.events.get(id)
	if err != nil {
		return id, position, false, err
	}
	if err = sameEvent(known, id, digest); err != nil {
		return id, position, false, err
	}
	position, err = s.produce(ctx, &command{
		kind: commandCreateEvent, topic: topology.CatalogCommands, key: id.String(),
		value: &pb.CatalogCommand{
			EventId: id[:], RequestTimeUnixMs: s.cfg.Now().UnixMilli(), BodyDigest: digest[:], Organiser: caller.Organiser,
			Command: &pb.CatalogCommand_CreateEvent{CreateEvent: create},
		},
	})
	if err != nil {
		return id, position, false, err
	}
	onSale, err = s.awaitOnSale(ctx, id, position, digest)
	return id, position, onSale, err
}

// sameEvent refuses a key under which another event exists.
func sameEvent(event *pb.Event, id uuid.UUID, digest [32]byte) error {
	if event == nil || len(event.BodyDigest) == 0 || bytes.Equal(event.BodyDigest, digest[:]) {
		return nil
	}
	return problem.New(problem.IdempotencyKeyReused,
		"This idempotency key was used before with another event; look at the instance. Use a new key for a new event.").About(eventPath(id))
}

// awaitOnSale waits for the catalogue to show what became of a creation. That it
// does not show it in time is no error: the command is accepted.
func (s *Server) awaitOnSale(ctx context.Context, id uuid.UUID, position stream.Position, digest [32]byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.OnSaleWait)
	defer cancel()
	value, err := s.cfg.Catalogue.WaitFor(ctx, id.String(), func(m proto.Message) bool {
		event := asEvent(m)
		return opened(event) || refusalAt(event, position) != ""
	})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) && !errors.Is(err, stream.ErrRecovering) {
		return false, fmt.Errorf("wait for event %s: %w", id, err)
	}
	event := asEvent(value)
	if event == nil {
		return false, nil
	}
	if err := sameEvent(event, id, digest); err != nil {
		return false, err
	}
	if reason := refusalAt(event, position); reason != "" {
		return false, problem.New(problem.CommandRejected, "The event was refused: %s. Correct it and send it with a new idempotency key.", reason).About(eventPath(id))
	}
	return event.Status == pb.EventStatus_EVENT_STATUS_ON_SALE, nil
}

// refusalAt returns why the command at the position was refused; empty when it
// was not, or not yet.
func refusalAt(event *pb.Event, position stream.Position) string {
	last := event.GetLastCommand()
	if last.GetPartition() != position.Partition || last.GetOffset() < position.Offset ||
		last.GetVerdict() != pb.CommandVerdict_COMMAND_VERDICT_REJECTED {
		return ""
	}
	return last.GetReason()
}

// changeEvent writes a command for an event of the caller's.
func (s *Server) changeEvent(ctx context.Context, caller *apikey.Identity, id uuid.UUID, kind commandKind, cmd *pb.CatalogCommand) (stream.Position, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(cmd)
	if err != nil {
		return stream.Position{}, fmt.Errorf("encode a catalogue command: %w", err)
	}
	digest := s.cfg.Sealing.Digest("change event", body)
	cmd.EventId, cmd.BodyDigest, cmd.Organiser = id[:], digest[:], caller.Organiser
	cmd.RequestTimeUnixMs = s.cfg.Now().UnixMilli()
	return s.produce(ctx, &command{kind: kind, topic: topology.CatalogCommands, key: id.String(), value: cmd})
}

// cancelEvent asks to cancel an event and every registration for it.
func (s *Server) cancelEvent(ctx context.Context, caller *apikey.Identity, id uuid.UUID, x *eventCancellation) (stream.Position, error) {
	if err := x.validate(); err != nil {
		return stream.Position{}, err
	}
	if _, err := s.events.of(ctx, caller.Organiser, id); err != nil {
		return stream.Position{}, err
	}
	return s.changeEvent(ctx, caller, id, commandCancelEvent,
		&pb.CatalogCommand{Command: &pb.CatalogCommand_CancelEvent{CancelEvent: &pb.CancelEvent{Reason: x.Reason}}})
}

// setCapacity asks for another capacity of a ticket type.
func (s *Server) setCapacity(ctx context.Context, caller *apikey.Identity, id uuid.UUID, n *newCapacity) (stream.Position, error) {
	if err := n.validate(); err != nil {
		return stream.Position{}, err
	}
	event, err := s.events.of(ctx, caller.Organiser, id)
	switch {
	case err != nil:
		return stream.Position{}, err
	case event.Status == pb.EventStatus_EVENT_STATUS_CANCELLED:
		return stream.Position{}, problem.New(problem.EventCancelled, "The event was cancelled; its capacity cannot change any more.")
	case ticketType(event, n.TicketType) == nil:
		return stream.Position{}, problem.Invalid(problem.Violation{Field: "ticket_type", Code: problem.Unknown, Message: "must be a ticket type of the event"})
	}
	return s.changeEvent(ctx, caller, id, commandSetCapacity, &pb.CatalogCommand{
		Command: &pb.CatalogCommand_SetCapacity{SetCapacity: &pb.SetCapacity{TicketType: n.TicketType, Capacity: uint32(*n.Capacity)}},
	})
}

func registrationPath(id uuid.UUID) string { return "/v1/registrations/" + id.String() }

func eventPath(id uuid.UUID) string { return "/v1/events/" + id.String() }
