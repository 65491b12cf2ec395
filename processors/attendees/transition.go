package attendees

import (
	"bytes"
	"slices"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	idSize = 16
	// maxEntries bounds an attendee's list.
	maxEntries = 10_000
)

// Reasons of refused updates.
const (
	ReasonLimitReached = "limit_reached"
	// ReasonListFull refuses a registration of an attendee who has as many live
	// ones as a list can carry.
	ReasonListFull = "list_full"
)

// Apply runs one update against its attendee; a is nil when the attendee is
// unknown, and may be changed in place. Its errors are *transition.Poison, for
// messages that no correct peer sends.
func Apply(a *pb.Attendee, m *transition.Message) (transition.Effect, error) {
	u, err := accept(m)
	if err != nil {
		return transition.Effect{}, err
	}
	if a == nil {
		a = &pb.Attendee{AttendeeId: u.AttendeeId}
	}
	l := &ledger{a: a, u: u, changed: seal(a, u)}
	if u.Release {
		return l.release(), nil
	}
	return l.ask(), nil
}

// accept reads the update of a record and refuses what no correct peer sends.
func accept(m *transition.Message) (*pb.AttendeeUpdate, error) {
	u, ok := m.Value.(*pb.AttendeeUpdate)
	if !ok {
		return nil, transition.Poisoned("unexpected_message", "%T on %s", m.Value, m.Topic)
	}
	attendee := topology.UUID(u.AttendeeId)
	if attendee == (uuid.UUID{}) || len(u.RegistrationId) != idSize {
		return nil, transition.Poisoned("invalid_id", "attendee id of %d bytes, registration id of %d: want %d",
			len(u.AttendeeId), len(u.RegistrationId), idSize)
	}
	if attendee.String() != m.Key {
		return nil, transition.Poisoned("wrong_key", "an update of attendee %s has the key %q", attendee, m.Key)
	}
	// A registration that nobody knows is given back without its event.
	if len(u.EventId) != idSize && (!u.Release || len(u.EventId) != 0) {
		return nil, transition.Poisoned("invalid_id", "event id of %d bytes: want %d", len(u.EventId), idSize)
	}
	if u.Quantity == 0 && !u.Release {
		return nil, transition.Poisoned("invalid_quantity", "a registration of 0 tickets")
	}
	return u, nil
}

// seal keeps the newest sealed personal data and reports whether it is news.
func seal(a *pb.Attendee, u *pb.AttendeeUpdate) bool {
	if len(u.AttendeeSealed) == 0 || bytes.Equal(a.AttendeeSealed, u.AttendeeSealed) && a.KeyId == u.KeyId {
		return false
	}
	a.AttendeeSealed, a.KeyId = u.AttendeeSealed, u.KeyId
	return true
}

// ledger is one run of Apply.
type ledger struct {
	a       *pb.Attendee
	u       *pb.AttendeeUpdate
	changed bool
}

// ask lists a registration and, where its event has a limit, says whether it is
// within it.
func (l *ledger) ask() transition.Effect {
	e := l.find()
	if e != nil {
		return l.answer(e, transition.Replayed, "")
	}
	e = &pb.AttendeeRegistration{
		RegistrationId: l.u.RegistrationId, EventId: l.u.EventId, Quantity: l.u.Quantity,
		Refused: l.u.Limit > 0 && uint64(l.counted(l.u.EventId))+uint64(l.u.Quantity) > uint64(l.u.Limit),
	}
	if !l.add(e) {
		e.Refused = true
		return l.answer(e, transition.Rejected, ReasonListFull)
	}
	if e.Refused {
		return l.answer(e, transition.Rejected, ReasonLimitReached)
	}
	return l.answer(e, transition.Applied, "")
}

// release gives back an allowance, or, to adjust it, what exceeds the quantity
// that remains. It never raises one.
func (l *ledger) release() transition.Effect {
	e := l.find()
	if e == nil {
		// The mark that keeps a question that comes later from being granted.
		e = &pb.AttendeeRegistration{RegistrationId: l.u.RegistrationId, EventId: l.u.EventId, Released: true}
		if !l.add(e) {
			return l.answer(e, transition.Rejected, ReasonListFull)
		}
		return l.answer(e, transition.Applied, "")
	}
	before := l.changed
	if l.u.Adjust && l.u.Quantity > 0 {
		l.changed = l.changed || l.u.Quantity < e.Quantity
		e.Quantity = min(e.Quantity, l.u.Quantity)
	} else {
		l.changed = l.changed || !e.Released
		e.Released = true
	}
	if l.changed == before {
		return l.answer(e, transition.Replayed, "")
	}
	return l.answer(e, transition.Applied, "")
}

// find returns the entry of the update's registration, nil when there is none.
// The newest are asked about most.
func (l *ledger) find() *pb.AttendeeRegistration {
	for i := len(l.a.Registrations) - 1; i >= 0; i-- {
		if e := l.a.Registrations[i]; bytes.Equal(e.RegistrationId, l.u.RegistrationId) {
			return e
		}
	}
	return nil
}

func counts(e *pb.AttendeeRegistration) bool { return !e.Released && !e.Refused }

// counted is the number of tickets that count for the event.
func (l *ledger) counted(event []byte) uint32 {
	n := uint32(0)
	for _, e := range l.a.Registrations {
		if counts(e) && bytes.Equal(e.EventId, event) {
			n += e.Quantity
		}
	}
	return n
}

// add appends an entry; in a full list the oldest that no longer counts makes
// room for it. It reports whether there was room.
func (l *ledger) add(e *pb.AttendeeRegistration) bool {
	if len(l.a.Registrations) >= maxEntries {
		i := slices.IndexFunc(l.a.Registrations, func(e *pb.AttendeeRegistration) bool { return !counts(e) })
		if i < 0 {
			return false
		}
		l.a.Registrations = slices.Delete(l.a.Registrations, i, i+1)
	}
	l.a.Registrations = append(l.a.Registrations, e)
	l.changed = true
	return true
}

// answer ends the run. Who has no limit waits for no answer, unless it gives
// something back.
func (l *ledger) answer(e *pb.AttendeeRegistration, verdict transition.Verdict, reason string) transition.Effect {
	effect := transition.Effect{Verdict: verdict, Reason: reason}
	if l.changed {
		l.a.Version++
		effect.State = l.a
		if verdict == transition.Replayed {
			effect.Verdict = transition.Applied // only the personal data is news
		}
	}
	if l.u.Limit == 0 && !l.u.Release {
		return effect
	}
	effect.Outputs = []transition.Output{{
		Topic: topology.AttendeeEvents.Name, Key: topology.KeyOf(l.u.RegistrationId),
		Value: &pb.AttendeeEvent{
			AttendeeId: l.u.AttendeeId, RegistrationId: l.u.RegistrationId,
			Granted: counts(e) && !l.u.Release, Released: l.u.Release || e.Released,
			Counted: l.counted(e.EventId),
		},
	}}
	return effect
}
