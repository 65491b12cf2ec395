package views

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	pageDefault = 50
	pageMax     = 200
	// scanMax bounds the entries looked at for one page.
	scanMax = 2000
)

func pageSize(limit uint32) (int, error) {
	switch {
	case limit == 0:
		return pageDefault, nil
	case limit > pageMax:
		return 0, invalidParameter("limit", problem.OutOfRange, "must be from 1 to 200")
	}
	return int(limit), nil
}

func badCursor() error {
	return invalidParameter("cursor", problem.BadFormat, "must be the next_cursor of the page before; start again without it")
}

// eventList is the order of the events, oldest first. It is rebuilt when the
// table has moved on and somebody lists; what is listed is read afresh.
type eventList struct {
	mu sync.Mutex
	// offsets are those of the table that places were built from.
	offsets []int64
	places  []eventPlace
}

// eventPlace is an event's place in the list: it never changes, so a cursor
// that names it stays good whatever is added.
type eventPlace struct {
	createdAtMillis int64
	id              uuid.UUID
}

func (p eventPlace) before(q eventPlace) bool {
	if p.createdAtMillis != q.createdAtMillis {
		return p.createdAtMillis < q.createdAtMillis
	}
	return strings.Compare(string(p.id[:]), string(q.id[:])) < 0
}

func (p eventPlace) cursor() string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, uint64(p.createdAtMillis)), p.id[:]...))
}

func parseEventCursor(s string) (eventPlace, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 8+16 {
		return eventPlace{}, badCursor()
	}
	return eventPlace{int64(binary.BigEndian.Uint64(b)), uuid.UUID(b[8:])}, nil
}

// of returns the places of the table's events; the slice is not to be changed.
func (l *eventList) of(t *source) ([]eventPlace, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var offsets []int64
	for _, p := range t.Partitions() {
		offsets = append(offsets, p.Offset)
	}
	if l.offsets != nil && slices.Equal(offsets, l.offsets) {
		return l.places, nil
	}
	var places []eventPlace
	err := t.Range(func(_ string, value proto.Message) bool {
		if e, _ := value.(*pb.Event); onRecord(e) {
			places = append(places, eventPlace{e.GetCreatedAtUnixMs(), topology.UUID(e.GetEventId())})
		}
		return true
	})
	switch {
	case errors.Is(err, stream.ErrRecovering):
		return nil, recovering(t.topic)
	case err != nil:
		return nil, broken(err)
	}
	sort.Slice(places, func(i, j int) bool { return places[i].before(places[j]) })
	// The offsets were taken before the values, so what came meanwhile makes
	// the next listing build again.
	l.offsets, l.places = offsets, places
	return places, nil
}

func (s *Server) listEvents(_ context.Context, c *call, req *pb.LookupServiceListEventsRequest) (*pb.LookupServiceListEventsResponse, error) {
	limit, err := pageSize(req.GetLimit())
	if err != nil {
		return nil, err
	}
	var after eventPlace
	if req.GetCursor() != "" {
		if after, err = parseEventCursor(req.GetCursor()); err != nil {
			return nil, err
		}
	}
	if !s.events.Ready() {
		return nil, recovering(s.events.topic)
	}
	answer := &pb.LookupServiceListEventsResponse{Freshness: s.events.overall()}
	places, err := s.catalog.of(s.events)
	if err != nil {
		return nil, err
	}
	if req.GetCursor() != "" {
		places = places[sort.Search(len(places), func(i int) bool { return after.before(places[i]) }):]
	}
	page := places[:min(limit, len(places))]
	for _, p := range page {
		value, _, err := s.events.get(p.id.String())
		if err != nil {
			return nil, err
		}
		if e, _ := value.(*pb.Event); onRecord(e) {
			answer.Events = append(answer.Events, eventAnswer(e, c.who.Sees(e.GetOrganiser())))
		}
	}
	if len(page) < len(places) {
		answer.NextCursor = page[len(page)-1].cursor()
	}
	return answer, nil
}

// listAttendeeRegistrations pages through an attendee's registrations in the
// order they were made. That list only grows at its end, so the last
// registration of a page is a cursor that stays good.
func (s *Server) listAttendeeRegistrations(_ context.Context, c *call, req *pb.LookupServiceListAttendeeRegistrationsRequest) (*pb.LookupServiceListAttendeeRegistrationsResponse, error) {
	key, err := parseID("attendee_id", req.GetAttendeeId())
	if err != nil {
		return nil, err
	}
	limit, err := pageSize(req.GetLimit())
	if err != nil {
		return nil, err
	}
	if !s.registrations.Ready() {
		return nil, recovering(s.registrations.topic)
	}
	value, fresh, err := s.attendees.get(key)
	if err != nil {
		return nil, err
	}
	attendee, _ := value.(*pb.Attendee)
	rest := attendee.GetRegistrations()
	if req.GetCursor() != "" {
		if rest, err = afterCursor(rest, req.GetCursor()); err != nil {
			return nil, err
		}
	}
	answer := &pb.LookupServiceListAttendeeRegistrationsResponse{Freshness: fresh}
	for scanned := 0; len(rest) > 0; scanned++ {
		if len(answer.Registrations) == limit || scanned == scanMax {
			return answer, nil
		}
		id := rest[0].GetRegistrationId()
		rest = rest[1:]
		value, _, err := s.registrations.get(topology.KeyOf(id))
		if err != nil {
			return nil, err
		}
		// One that this view has not seen yet is left out, as the lag says.
		if r, _ := value.(*pb.Registration); exists(r) && c.who.Sees(r.GetOrganiser()) {
			answer.Registrations = append(answer.Registrations, registrationAnswer(r))
		}
		answer.NextCursor = ""
		if len(rest) > 0 {
			answer.NextCursor = base64.RawURLEncoding.EncodeToString(id)
		}
	}
	if req.GetCursor() == "" && len(answer.Registrations) == 0 {
		return nil, unknown(problem.AttendeeUnknown, "attendee", key, fresh)
	}
	return answer, nil
}

func afterCursor(registrations []*pb.AttendeeRegistration, cursor string) ([]*pb.AttendeeRegistration, error) {
	id, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, badCursor()
	}
	for i, r := range registrations {
		if string(r.GetRegistrationId()) == string(id) {
			return registrations[i+1:], nil
		}
	}
	return nil, badCursor()
}
