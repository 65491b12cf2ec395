package registrations

import (
	"bytes"
	"slices"

	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Reasons of refused commands, as they stand in CommandResult.reason.
const (
	ReasonUnknownRegistration = "unknown_registration"
	ReasonUnknownLine         = "unknown_line"
	ReasonBodyDiffers         = "body_differs"
	// ReasonRefusedAtTheDoor counts the requests that came with a refusal; the
	// registration carries the refusal itself.
	ReasonRefusedAtTheDoor = "refused_at_the_door"
	// ReasonNotConfirmed refuses a cancel of something that was decided
	// otherwise, or of single lines before anything is confirmed.
	ReasonNotConfirmed = "not_confirmed"
)

// reasonCancelRequested is why a registration was cancelled, unless the command
// says it better.
const reasonCancelRequested = "cancel_requested"

func (s *saga) onCommand(c *pb.RegistrationCommand) (transition.Effect, error) {
	switch command := c.Command.(type) {
	case *pb.RegistrationCommand_Register:
		if err := validate(c, command.Register); err != nil {
			return transition.Effect{}, err
		}
		if s.known() {
			return s.registerAgain(c)
		}
		return s.register(c, command.Register)
	case *pb.RegistrationCommand_Cancel:
		return s.cancel(c, command.Cancel)
	}
	return transition.Effect{}, transition.Poisoned("no_command", "registration command without a known command")
}

// register starts the saga. A command that was refused earlier for the same,
// then unknown, id does not stand in its way.
func (s *saga) register(c *pb.RegistrationCommand, q *pb.Register) (transition.Effect, error) {
	if err := validateEnd(q); err != nil {
		return transition.Effect{}, err
	}
	s.r = newRegistration(c, q)
	s.rises = true
	if q.Refused != "" {
		s.record(pb.CommandVerdict_COMMAND_VERDICT_REJECTED, q.Refused, nil)
		s.decide(pb.Outcome_OUTCOME_REJECTED, q.Refused)
		return s.rejected(ReasonRefusedAtTheDoor)
	}
	s.record(pb.CommandVerdict_COMMAND_VERDICT_APPLIED, "", nil)
	s.r.ExpiresAtUnixMs = s.start(c, q) + s.rules.HoldTimeout.Milliseconds()
	s.r.DeadlineUnixMs = s.r.ExpiresAtUnixMs
	s.requestAllowance(q)
	if s.r.Allowance != allowanceAsked {
		s.hold()
	}
	return s.applied()
}

// start is the moment that the deadline of the whole order counts from: the
// request, except for imports, whose requests are of the past.
func (s *saga) start(c *pb.RegistrationCommand, q *pb.Register) int64 {
	if q.Imported || c.RequestTimeUnixMs == 0 {
		return s.now
	}
	return c.RequestTimeUnixMs
}

func newRegistration(c *pb.RegistrationCommand, q *pb.Register) *pb.Registration {
	r := &pb.Registration{
		RegistrationId: c.RegistrationId, Organiser: c.Organiser, EventId: q.EventId, AttendeeId: q.AttendeeId,
		Currency: q.Currency, Lines: make([]*pb.Line, len(q.Lines)), Step: pb.Step_STEP_REQUESTED,
		RequestTimeUnixMs: c.RequestTimeUnixMs, Channel: q.Channel, Region: q.Region,
		PaymentMethod: q.PaymentMethod, TestMode: q.TestMode, Imported: q.Imported, EventVersion: q.EventVersion,
		BodyDigest: c.BodyDigest, MaxPerAttendee: q.MaxPerAttendee, KeyId: q.KeyId, ImportedOrder: q.ImportedOrder,
	}
	lines := make([]pb.Line, len(q.Lines))
	for i, l := range q.Lines {
		line := &lines[i]
		line.Line, line.TicketType, line.Quantity = l.Line, l.TicketType, l.Quantity
		line.UnitPriceMinor, line.DiscountMinor = l.UnitPriceMinor, l.DiscountMinor
		line.TaxRateBp, line.TaxMode, line.TaxMinor = l.TaxRateBp, l.TaxMode, l.TaxMinor
		line.TotalMinor = l.TotalMinor
		line.Cancelled = q.Imported && l.Cancelled
		r.Lines[i] = line
		r.TotalMinor += l.TotalMinor
	}
	return r
}

// registerAgain answers an edge that repeats itself: the first body in the log
// has won, and what the state still waits for is sent once more (I5).
func (s *saga) registerAgain(c *pb.RegistrationCommand) (transition.Effect, error) {
	if !bytes.Equal(c.BodyDigest, s.r.BodyDigest) || c.Organiser != s.r.Organiser {
		s.record(pb.CommandVerdict_COMMAND_VERDICT_CONFLICT, ReasonBodyDiffers, c.BodyDigest)
		return s.rejected(ReasonBodyDiffers)
	}
	s.record(pb.CommandVerdict_COMMAND_VERDICT_DUPLICATE, "", nil)
	s.emit(Outstanding(s.r)...)
	return s.replayed()
}

// cancel cancels an open registration whole, a confirmed one whole or by line.
func (s *saga) cancel(c *pb.RegistrationCommand, q *pb.CancelRegistration) (transition.Effect, error) {
	reason := reasonCancelRequested
	if isCode(q.Reason) {
		reason = q.Reason
	}
	switch {
	case !s.known():
		s.r = &pb.Registration{RegistrationId: c.RegistrationId}
		return s.refuse(ReasonUnknownRegistration)
	case c.Organiser != s.r.Organiser:
		// Somebody else's registration is none of the asker's business.
		return s.refuse(ReasonUnknownRegistration)
	case slices.ContainsFunc(q.Lines, func(n uint32) bool { return lineOf(s.r, n) == nil }):
		return s.refuse(ReasonUnknownLine)
	case s.r.Outcome == pb.Outcome_OUTCOME_CONFIRMED:
		return s.cancelConfirmed(q.Lines, reason)
	case s.r.Outcome == pb.Outcome_OUTCOME_CANCELLED:
		return s.duplicate()
	case !s.open() || !s.coversAll(q.Lines):
		return s.refuse(ReasonNotConfirmed)
	}
	s.record(pb.CommandVerdict_COMMAND_VERDICT_APPLIED, "", nil)
	s.decide(pb.Outcome_OUTCOME_CANCELLED, reason)
	s.r.CancelledAtUnixMs = s.now
	return s.applied()
}

func (s *saga) cancelConfirmed(numbers []uint32, reason string) (transition.Effect, error) {
	lines := s.uncancelled(numbers)
	if len(lines) == 0 {
		return s.duplicate()
	}
	s.record(pb.CommandVerdict_COMMAND_VERDICT_APPLIED, "", nil)
	s.cancelLines(lines, reason)
	return s.applied()
}

// uncancelled returns the named lines (none named means all) that still stand.
func (s *saga) uncancelled(numbers []uint32) []*pb.Line {
	var lines []*pb.Line
	for _, l := range s.r.Lines {
		if !l.Cancelled && (len(numbers) == 0 || slices.Contains(numbers, l.Line)) {
			lines = append(lines, l)
		}
	}
	return lines
}

// coversAll reports whether the named lines are all that stand.
func (s *saga) coversAll(numbers []uint32) bool {
	n := len(s.uncancelled(numbers))
	return n > 0 && n == len(s.uncancelled(nil))
}

func (s *saga) refuse(reason string) (transition.Effect, error) {
	s.record(pb.CommandVerdict_COMMAND_VERDICT_REJECTED, reason, nil)
	return s.rejected(reason)
}

func (s *saga) duplicate() (transition.Effect, error) {
	s.record(pb.CommandVerdict_COMMAND_VERDICT_DUPLICATE, "", nil)
	s.emit(Outstanding(s.r)...)
	return s.replayed()
}

// record leaves the command's position and result, so that a client who waits
// for it is answered whatever became of it. The first result of a position
// stands. It is no part of the version.
func (s *saga) record(verdict pb.CommandVerdict, reason string, conflicting []byte) {
	last := s.r.LastCommand
	if last != nil && last.Partition == s.m.Partition && last.Offset == s.m.Offset {
		return
	}
	s.writes = true
	s.r.LastCommand = &pb.CommandResult{
		Partition: s.m.Partition, Offset: s.m.Offset,
		Verdict: verdict, Reason: reason, ConflictingDigest: conflicting,
	}
}
