package registrations

import (
	"math/bits"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	// secondLookBase is where the attempts of the second look are numbered from,
	// so that the blocks that refused in the first look are asked once more,
	// under other hold ids.
	secondLookBase = 1 << 16
	// maxHolds bounds the holds of one registration, and so its value's size.
	maxHolds = 512
)

// Reasons of outcomes, and of seat events that were refused.
const (
	ReasonSoldOut           = "sold_out"
	ReasonAttemptsExhausted = "attempts_exhausted"
	ReasonEventCancelled    = "event_cancelled"
	ReasonUnwantedGrant     = "unwanted_grant"
	ReasonSeatsMissing      = "seats_missing"
	ReasonReleasedUnasked   = "released_unasked"
)

// hold starts the search for seats, all lines in parallel.
func (s *saga) hold() {
	s.r.Step = pb.Step_STEP_HOLDING
	if complete(s.r) { // an import of which no line stands
		s.pay()
		return
	}
	s.searchAll()
}

// searchAll asks for seats for every line that misses some and waits for none.
func (s *saga) searchAll() {
	for _, l := range s.r.Lines {
		if s.open() && !l.Cancelled && !asks(s.r, l.Line) && seatsOf(s.r, l.Line) < l.Quantity {
			s.search(l)
		}
	}
}

// search asks one more block for what the line misses. When no block seems to
// have room it waits for a second look, and when that finds nothing either, the
// order is sold out.
func (s *saga) search(l *pb.Line) {
	tried := tries(s.r, l.Line)
	if tried >= s.rules.MaxAttempts || len(s.r.Holds) >= maxHolds {
		s.decide(pb.Outcome_OUTCOME_SOLD_OUT, ReasonAttemptsExhausted)
		return
	}
	missing := l.Quantity - seatsOf(s.r, l.Line)
	block, ok := s.picker.Pick(s.r.EventId, l.TicketType, missing, s.asked(l.Line))
	switch {
	case ok:
		s.ask(l, tried, block, missing)
	case !s.picker.Known(s.r.EventId, l.TicketType):
		// The blocks are there, since the event is on sale, but not in sight yet.
		s.wait()
	case !s.r.SecondLook || s.waits():
		s.rises = s.rises || !s.r.SecondLook
		s.r.SecondLook = true
		s.wait()
	default:
		s.decide(pb.Outcome_OUTCOME_SOLD_OUT, ReasonSoldOut)
	}
}

// ask asks a block for seats under a hold id of its own: two lines, or two
// attempts, never share one.
func (s *saga) ask(l *pb.Line, tried, block, quantity uint32) {
	attempt := tried + 1
	if s.looksAgain() {
		attempt += secondLookBase
	}
	if tried > 0 {
		s.r.Attempts++
	}
	id := topology.HoldID(s.id, l.Line, attempt, block)
	h := &pb.Hold{
		HoldId: id[:], Line: l.Line, Attempt: attempt, Block: block,
		Quantity: quantity, Status: pb.HoldStatus_HOLD_STATUS_ASKED,
	}
	s.r.Holds = append(s.r.Holds, h)
	s.emit(seatOutput(s.r, h))
}

// waits reports whether a look for seats is due before the order expires.
func (s *saga) waits() bool { return s.r.DeadlineUnixMs < s.r.ExpiresAtUnixMs }

// looksAgain reports whether the second look is under way.
func (s *saga) looksAgain() bool { return s.r.SecondLook && !s.waits() }

func (s *saga) wait() {
	s.r.DeadlineUnixMs = min(s.r.DeadlineUnixMs, s.now+s.rules.SecondLook.Milliseconds())
}

// asked lists the blocks that the line has asked in this look.
func (s *saga) asked(line uint32) []uint32 {
	var blocks []uint32
	again := s.looksAgain()
	for _, h := range s.r.Holds {
		if h.Line == line && (h.Attempt > secondLookBase) == again {
			blocks = append(blocks, h.Block)
		}
	}
	return blocks
}

func (s *saga) onSeats(e *pb.SeatEvent) (transition.Effect, error) {
	if len(e.HoldId) != idSize || len(e.EventId) != idSize || e.TicketType == "" || e.Block == 0 {
		return transition.Effect{}, transition.Poisoned("invalid_seat_event",
			"hold id of %d bytes, event id of %d, ticket type %q, block %d",
			len(e.HoldId), len(e.EventId), e.TicketType, e.Block)
	}
	var h *pb.Hold
	if s.known() {
		h = holdOf(s.r, e.HoldId)
	}
	if h == nil {
		return s.onUnlistedSeats(e)
	}
	switch e.Kind {
	case pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED:
		return s.onGranted(h, e)
	case pb.SeatEventKind_SEAT_EVENT_KIND_REFUSED:
		return s.onRefused(h)
	case pb.SeatEventKind_SEAT_EVENT_KIND_RELEASED:
		return s.onReleased(h)
	case pb.SeatEventKind_SEAT_EVENT_KIND_SOLD:
		return s.onSold(h)
	case pb.SeatEventKind_SEAT_EVENT_KIND_REVOKED:
		return s.onRevoked(h, e)
	case pb.SeatEventKind_SEAT_EVENT_KIND_MISSING:
		return s.onMissing(h)
	}
	return transition.Effect{}, transition.Poisoned("unknown_kind", "seat event of kind %v", e.Kind)
}

// onUnlistedSeats gives back seats that no state lists.
func (s *saga) onUnlistedSeats(e *pb.SeatEvent) (transition.Effect, error) {
	switch e.Kind {
	case pb.SeatEventKind_SEAT_EVENT_KIND_GRANTED, pb.SeatEventKind_SEAT_EVENT_KIND_REVOKED:
		return s.giveBack(e)
	}
	return s.replayed()
}

// giveBack releases seats that nobody wants, without a trace in the state: the
// release is in the log, and its answer changes nothing.
func (s *saga) giveBack(e *pb.SeatEvent) (transition.Effect, error) {
	s.emit(releaseOutput(e))
	return s.rejected(ReasonUnwantedGrant)
}

func (s *saga) onGranted(h *pb.Hold, e *pb.SeatEvent) (transition.Effect, error) {
	switch h.Status {
	case pb.HoldStatus_HOLD_STATUS_ASKED:
	case pb.HoldStatus_HOLD_STATUS_REFUSED, pb.HoldStatus_HOLD_STATUS_RELEASED:
		// Asked twice, refused first and granted later: the state has moved on.
		return s.giveBack(e)
	case pb.HoldStatus_HOLD_STATUS_RELEASING:
		// The release may have overtaken its hold (0006), and found nothing then.
		// Its answer may still be on the way, and ends the wait: once more, now that
		// the seats are owned.
		s.emit(seatOutput(s.r, h))
		return s.replayed()
	default:
		return s.replayed()
	}
	if granted := uint32(bits.OnesCount64(e.Seats)); granted == 0 || granted > h.Quantity {
		return transition.Effect{}, transition.Poisoned("invalid_grant", "%d seats granted where %d were asked",
			granted, h.Quantity)
	}
	h.Status, h.Seats = pb.HoldStatus_HOLD_STATUS_KEPT, e.Seats
	s.rises = true
	if complete(s.r) {
		s.r.HeldAtUnixMs = s.now
		s.pay()
		return s.applied()
	}
	s.searchMore(h.Line)
	return s.applied()
}

func (s *saga) onRefused(h *pb.Hold) (transition.Effect, error) {
	if h.Status != pb.HoldStatus_HOLD_STATUS_ASKED {
		return s.replayed()
	}
	h.Status = pb.HoldStatus_HOLD_STATUS_REFUSED
	s.rises = true
	s.searchMore(h.Line)
	return s.applied()
}

// searchMore goes on with a line whose hold was answered, if it misses seats.
func (s *saga) searchMore(line uint32) {
	if l := lineOf(s.r, line); seatsOf(s.r, line) < l.Quantity {
		s.search(l)
	}
}

func (s *saga) onReleased(h *pb.Hold) (transition.Effect, error) {
	switch h.Status {
	case pb.HoldStatus_HOLD_STATUS_RELEASING:
		h.Status = pb.HoldStatus_HOLD_STATUS_RELEASED
		s.rises = true
		return s.applied()
	case pb.HoldStatus_HOLD_STATUS_RELEASED, pb.HoldStatus_HOLD_STATUS_REFUSED:
		return s.replayed()
	}
	return s.rejected(ReasonReleasedUnasked)
}

func (s *saga) onSold(h *pb.Hold) (transition.Effect, error) {
	if h.Status != pb.HoldStatus_HOLD_STATUS_CONFIRMING {
		return s.replayed()
	}
	h.Status = pb.HoldStatus_HOLD_STATUS_SOLD
	s.rises = true
	return s.applied()
}

// onMissing leaves a confirmed saga unsettled: it asks again, with backoff, and
// shows up among the open ones, for a person to look at.
func (s *saga) onMissing(h *pb.Hold) (transition.Effect, error) {
	if h.Status != pb.HoldStatus_HOLD_STATUS_CONFIRMING {
		return s.replayed()
	}
	return s.rejected(ReasonSeatsMissing)
}

// onRevoked ends a registration whose event was cancelled: one that is open is
// rejected, a confirmed one is refunded in full.
func (s *saga) onRevoked(h *pb.Hold, e *pb.SeatEvent) (transition.Effect, error) {
	switch h.Status {
	case pb.HoldStatus_HOLD_STATUS_REFUSED, pb.HoldStatus_HOLD_STATUS_RELEASED:
		return s.giveBack(e)
	}
	switch {
	case s.open():
		s.r.Revoked = true
		s.decide(pb.Outcome_OUTCOME_REJECTED, ReasonEventCancelled)
	case s.r.Outcome == pb.Outcome_OUTCOME_CONFIRMED:
		s.r.Revoked = true
		s.cancelLines(s.uncancelled(nil), ReasonEventCancelled)
	default:
		return s.replayed()
	}
	return s.applied()
}

// seatsOf counts the seats that the line owns and keeps.
func seatsOf(r *pb.Registration, line uint32) uint32 {
	n := 0
	for _, h := range r.Holds {
		if h.Line == line && keeps(h) {
			n += bits.OnesCount64(h.Seats)
		}
	}
	return uint32(n)
}

func keeps(h *pb.Hold) bool {
	switch h.Status {
	case pb.HoldStatus_HOLD_STATUS_KEPT, pb.HoldStatus_HOLD_STATUS_CONFIRMING, pb.HoldStatus_HOLD_STATUS_SOLD:
		return true
	}
	return false
}

// asks reports whether the line waits for a block's answer.
func asks(r *pb.Registration, line uint32) bool {
	for _, h := range r.Holds {
		if h.Line == line && h.Status == pb.HoldStatus_HOLD_STATUS_ASKED {
			return true
		}
	}
	return false
}

// tries counts the holds that the line has asked for.
func tries(r *pb.Registration, line uint32) uint32 {
	n := uint32(0)
	for _, h := range r.Holds {
		if h.Line == line {
			n++
		}
	}
	return n
}

// complete reports whether every line that stands has all its seats.
func complete(r *pb.Registration) bool {
	for _, l := range r.Lines {
		if !l.Cancelled && seatsOf(r, l.Line) < l.Quantity {
			return false
		}
	}
	return true
}
