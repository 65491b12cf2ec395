package attendees

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

var (
	attendeeID = topology.RegistrationID("acme", "attendee-1")
	eventID    = topology.EventID("acme", "conference")
)

// story drives one attendee, and applies every update twice.
type story struct {
	t    *testing.T
	a    *pb.Attendee
	last transition.Effect
}

func clone(a *pb.Attendee) *pb.Attendee {
	if a == nil {
		return nil
	}
	return proto.CloneOf(a)
}

func update(n int, quantity, limit uint32) *pb.AttendeeUpdate {
	id := topology.RegistrationID("acme", fmt.Sprint(n))
	return &pb.AttendeeUpdate{
		AttendeeId: attendeeID[:], RegistrationId: id[:], EventId: eventID[:],
		Quantity: quantity, Limit: limit,
	}
}

func message(value proto.Message) *transition.Message {
	return &transition.Message{
		Topic: topology.AttendeeUpdates.Name, Key: attendeeID.String(),
		Time: time.UnixMilli(1_700_000_000_000), Value: value,
	}
}

func (s *story) send(u *pb.AttendeeUpdate) *story {
	s.t.Helper()
	effect, err := Apply(clone(s.a), message(u))
	if err != nil {
		s.t.Fatal(err)
	}
	if after, ok := effect.State.(*pb.Attendee); ok {
		if after.Version != s.a.GetVersion()+1 {
			s.t.Errorf("version %d after %d", after.Version, s.a.GetVersion())
		}
		s.a = clone(after)
	}
	s.last = effect
	again, err := Apply(clone(s.a), message(u)) // the law of repetition (I5)
	if err != nil || again.State != nil || len(again.Outputs) != len(effect.Outputs) {
		s.t.Fatalf("again: %v, %+v", err, again)
	}
	for i, o := range again.Outputs {
		if !proto.Equal(o.Value, effect.Outputs[i].Value) {
			s.t.Errorf("answered %v, and again %v", effect.Outputs[i].Value, o.Value)
		}
	}
	return s
}

func (s *story) ask(n int, quantity, limit uint32) *story {
	s.t.Helper()
	return s.send(update(n, quantity, limit))
}

func (s *story) giveBack(n int) *story {
	s.t.Helper()
	u := update(n, 1, 4)
	u.Release = true
	return s.send(u)
}

func (s *story) adjust(n int, quantity uint32) *story {
	s.t.Helper()
	u := update(n, quantity, 4)
	u.Release, u.Adjust = true, true
	return s.send(u)
}

func (s *story) answered(granted, released bool, counted uint32) *story {
	s.t.Helper()
	if len(s.last.Outputs) != 1 {
		s.t.Fatalf("%d answers", len(s.last.Outputs))
	}
	e := s.last.Outputs[0].Value.(*pb.AttendeeEvent)
	if e.Granted != granted || e.Released != released || e.Counted != counted ||
		s.last.Outputs[0].Key != topology.KeyOf(e.RegistrationId) {
		s.t.Fatalf("answered %v under %s", e, s.last.Outputs[0].Key)
	}
	return s
}

// An attendee asks for more than the event allows one person: the tickets that
// count never exceed the limit, a refused registration counts nothing, and what is
// given back can be had again.
func TestTheLimitHolds(t *testing.T) {
	t.Parallel()
	s := &story{t: t}
	s.ask(1, 3, 4).answered(true, false, 3)
	s.ask(2, 2, 4).answered(false, false, 3)
	if s.last.Verdict != transition.Rejected || s.last.Reason != ReasonLimitReached {
		t.Errorf("%+v", s.last)
	}
	s.ask(3, 1, 4).answered(true, false, 4)
	s.giveBack(1).answered(false, true, 1)
	s.ask(4, 3, 4).answered(true, false, 4)
}

// Some lines of a registration are cancelled: the rest still counts, and a late
// repetition never raises it again.
func TestAnAllowanceIsAdjusted(t *testing.T) {
	t.Parallel()
	s := (&story{t: t}).ask(1, 4, 4)
	s.adjust(1, 2).answered(false, true, 2)
	s.adjust(1, 3).answered(false, true, 2)
	s.ask(2, 2, 4).answered(true, false, 4)
	s.adjust(1, 0).answered(false, true, 2)
}

// Other events of the attendee have limits of their own.
func TestEventsCountApart(t *testing.T) {
	t.Parallel()
	other := update(2, 4, 4)
	id := topology.EventID("acme", "festival")
	other.EventId = id[:]
	(&story{t: t}).ask(1, 4, 4).send(other).answered(true, false, 4)
}

// Without a limit nobody waits, so nothing is answered; the registration is listed
// with the sealed data, of which the newest stays.
func TestWithoutALimit(t *testing.T) {
	t.Parallel()
	first, second := update(1, 30, 0), update(2, 1, 0)
	first.AttendeeSealed, first.KeyId = []byte("old"), "k1"
	second.AttendeeSealed, second.KeyId = []byte("new"), "k2"
	s := (&story{t: t}).send(first).send(second)
	if len(s.last.Outputs) != 0 || len(s.a.Registrations) != 2 || string(s.a.AttendeeSealed) != "new" || s.a.KeyId != "k2" {
		t.Errorf("%v, %v", s.last.Outputs, s.a)
	}
	s.ask(3, 1, 0)
	if string(s.a.AttendeeSealed) != "new" {
		t.Error("an update without personal data dropped it")
	}
}

// A give-back comes before its question (a dead letter was sent again late): the
// late question is not granted, or the allowance would be lost.
func TestAGiveBackBeforeItsQuestion(t *testing.T) {
	t.Parallel()
	s := (&story{t: t}).giveBack(1).answered(false, true, 0)
	s.ask(1, 2, 4).answered(false, true, 0)
	bare := &pb.AttendeeUpdate{AttendeeId: attendeeID[:], RegistrationId: update(2, 0, 0).RegistrationId, Release: true}
	s.send(bare).answered(false, true, 0)
}

// The list is bounded: entries that no longer count make room, and when all of
// them count, the next is refused.
func TestTheListIsBounded(t *testing.T) {
	t.Parallel()
	s := &story{t: t, a: &pb.Attendee{AttendeeId: attendeeID[:]}}
	for n := range maxEntries {
		u := update(n, 1, 0)
		s.a.Registrations = append(s.a.Registrations, &pb.AttendeeRegistration{
			RegistrationId: u.RegistrationId, EventId: u.EventId, Quantity: 1, Released: n == 5,
		})
	}
	s.ask(maxEntries, 1, 0)
	if len(s.a.Registrations) != maxEntries || s.last.Verdict != transition.Applied {
		t.Errorf("%d entries, %v", len(s.a.Registrations), s.last.Verdict)
	}
	effect, err := Apply(clone(s.a), message(update(maxEntries+1, 1, 20_000)))
	if err != nil || effect.Verdict != transition.Rejected || effect.Reason != ReasonListFull || effect.State != nil {
		t.Errorf("%v, %v %s", err, effect.Verdict, effect.Reason)
	}
	if e := effect.Outputs[0].Value.(*pb.AttendeeEvent); e.Granted {
		t.Errorf("answered %v", e)
	}
}

// What no correct peer sends is poison, and leaves the state alone.
func TestPoison(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*pb.AttendeeUpdate){
		"short attendee id":     func(u *pb.AttendeeUpdate) { u.AttendeeId = nil },
		"short registration id": func(u *pb.AttendeeUpdate) { u.RegistrationId = nil },
		"short event id":        func(u *pb.AttendeeUpdate) { u.EventId = nil },
		"another key":           func(u *pb.AttendeeUpdate) { u.AttendeeId = eventID[:] },
		"no tickets":            func(u *pb.AttendeeUpdate) { u.Quantity = 0 },
	} {
		u := update(1, 1, 1)
		spoil(u)
		effect, err := Apply(nil, message(u))
		if _, ok := transition.AsPoison(err); !ok || effect.State != nil {
			t.Errorf("%s: %v, %+v", name, err, effect)
		}
	}
	if _, err := Apply(nil, message(&pb.Timer{})); err == nil {
		t.Error("a message of elsewhere was taken")
	}
}

// An attendee of 20 registrations asks for one more.
func BenchmarkApply(b *testing.B) {
	a := &pb.Attendee{AttendeeId: attendeeID[:]}
	for n := range 20 {
		if _, err := Apply(a, message(update(n, 1, 100))); err != nil {
			b.Fatal(err)
		}
	}
	m := message(update(20, 1, 100))
	b.ReportAllocs()
	for b.Loop() {
		a.Registrations = a.Registrations[:20]
		if _, err := Apply(a, m); err != nil {
			b.Fatal(err)
		}
	}
}
