package registrations

import (
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// confirm decides that the order succeeded: its seats are owned and its money is
// captured (I3). Marking the seats as sold follows.
func (s *saga) confirm() {
	s.decided(pb.Outcome_OUTCOME_CONFIRMED, "")
	if s.r.Imported {
		s.r.DecidedAtUnixMs = s.r.ImportedOrder.ConfirmedAtUnixMs
	}
	s.turn(nil, pb.HoldStatus_HOLD_STATUS_CONFIRMING)
}

// decide decides that the order failed, and gives everything back: compensation
// starts with the decision, also for what has not answered yet.
func (s *saga) decide(outcome pb.Outcome, reason string) {
	s.decided(outcome, reason)
	s.turn(nil, pb.HoldStatus_HOLD_STATUS_RELEASING)
	s.abandonMoney()
	s.giveBackAllowance()
}

func (s *saga) decided(outcome pb.Outcome, reason string) {
	s.rises = true
	s.r.Outcome, s.r.Reason = outcome, reason
	s.r.DecidedAtUnixMs = s.now
}

// cancelLines is the second decision on a confirmed registration: the lines are
// refunded and their seats released. With its last line the registration itself
// is cancelled.
func (s *saga) cancelLines(lines []*pb.Line, reason string) {
	s.rises = true
	for _, l := range lines {
		l.Cancelled = true
		s.refund(l)
		s.turn(l, pb.HoldStatus_HOLD_STATUS_RELEASING)
	}
	if len(s.uncancelled(nil)) == 0 {
		s.r.Outcome, s.r.Reason = pb.Outcome_OUTCOME_CANCELLED, reason
		s.r.CancelledAtUnixMs = s.now
	}
	s.giveBackAllowance()
}

// turn moves the live holds of a line (nil means all) to the status and sends
// the command that goes with it.
func (s *saga) turn(l *pb.Line, status pb.HoldStatus) {
	for _, h := range s.r.Holds {
		if l != nil && h.Line != l.Line {
			continue
		}
		if keeps(h) || h.Status == pb.HoldStatus_HOLD_STATUS_ASKED {
			h.Status = status
			s.emit(seatOutput(s.r, h))
		}
	}
}

// settle brings step, settled and deadline of a decided saga in line with what
// it still waits for (I2).
func (s *saga) settle() {
	if s.open() {
		return
	}
	s.r.Redrives = 0
	if !finished(s.r) {
		s.r.Step, s.r.Settled, s.r.SettledAtUnixMs = pb.Step_STEP_SETTLING, false, 0
		s.r.DeadlineUnixMs = s.now + s.rules.backoff(0).Milliseconds()
		return
	}
	if !s.r.Settled {
		s.r.Step, s.r.Settled, s.r.SettledAtUnixMs = pb.Step_STEP_SETTLED, true, s.now
	}
	s.r.DeadlineUnixMs = 0
}

// finished reports whether every block ever asked has answered for good, the
// money is where it belongs and the allowance was given back.
func finished(r *pb.Registration) bool {
	for _, h := range r.Holds {
		switch h.Status {
		case pb.HoldStatus_HOLD_STATUS_REFUSED, pb.HoldStatus_HOLD_STATUS_RELEASED, pb.HoldStatus_HOLD_STATUS_SOLD:
		default:
			return false
		}
	}
	return paid(r) && r.Allowance != allowanceAsked && r.Allowance != allowanceAskedBack
}
