package views

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

type page struct {
	Events []struct {
		EventID string `json:"event_id"`
	} `json:"events"`
	Registrations []struct {
		RegistrationID string `json:"registration_id"`
	} `json:"registrations"`
	NextCursor string `json:"next_cursor"`
}

func (p page) ids() []string {
	var ids []string
	for _, e := range p.Events {
		ids = append(ids, e.EventID)
	}
	for _, r := range p.Registrations {
		ids = append(ids, r.RegistrationID)
	}
	return ids
}

func (b *bench) page(t *testing.T, key, path string, limit int, cursor string) page {
	t.Helper()
	status, _, body := b.get(t, key, path+"?limit="+strconv.Itoa(limit)+"&cursor="+url.QueryEscape(cursor))
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	var p page
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return p
}

// walk reads all pages, and calls between after each.
func (b *bench) walk(t *testing.T, key, path string, limit int, between func(page int)) []string {
	t.Helper()
	var ids []string
	cursor := ""
	for n := range 1000 {
		p := b.page(t, key, path, limit, cursor)
		ids = append(ids, p.ids()...)
		if cursor = p.NextCursor; cursor == "" {
			return ids
		}
		between(n)
	}
	t.Fatal("the pages do not end")
	return nil
}

// While a client walks the pages, events are added and changed: it sees each
// event that was there at the start once, in the order of their creation.
func TestEventPagesAreStable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	want := []string{eventID.String()}
	for i := range 11 {
		id := topology.EventID("acme", strconv.Itoa(i))
		// Pairs are created in the same millisecond.
		b.events.put(id.String(), event(id, begin.Add(time.Duration(1+i/2)*time.Second)))
		want = append(want, id.String())
	}
	got := b.walk(t, foreignKey, "/v1/events", 3, func(n int) {
		id := topology.EventID("zenith", strconv.Itoa(n))
		b.events.put(id.String(), event(id, begin.Add(time.Hour+time.Duration(n)*time.Second)))
		changed := event(eventID, begin)
		changed.Version += uint64(n)
		b.events.put(eventID.String(), changed)
	})
	if got[0] != eventID.String() {
		t.Errorf("the oldest event is not first: %v", got)
	}
	seen := slices.Clone(got[:len(want)])
	slices.Sort(seen)
	slices.Sort(want)
	if !slices.Equal(seen, want) {
		t.Errorf("got %v, want %v first", got, want)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
		t.Errorf("an event came twice: %v", got)
	}
}

// An attendee registers with two organisers, and again while a page is read: an
// organiser sees its own registrations only, each once.
func TestAttendeePagesAreStable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	attendee := uuid.MustParse("00000000-0000-5000-8000-0000000000bb")
	value := &pb.Attendee{AttendeeId: attendee[:]}
	add := func(organiser, key string, visible bool) string {
		id := topology.RegistrationID(organiser, key)
		if visible {
			r := at(pb.Step_STEP_HOLDING, 1)
			r.RegistrationId, r.Organiser = id[:], organiser
			b.registrations.put(id.String(), r)
		}
		next := &pb.Attendee{AttendeeId: attendee[:], Registrations: append(slices.Clone(value.GetRegistrations()),
			&pb.AttendeeRegistration{RegistrationId: id[:], EventId: eventID[:], Quantity: 1})}
		value = next
		b.attendees.put(attendee.String(), next)
		return id.String()
	}
	var want []string
	for i := range 7 {
		want = append(want, add("acme", "a"+strconv.Itoa(i), true))
		add("zenith", "z"+strconv.Itoa(i), true)
	}
	add("acme", "not seen yet", false)
	got := b.walk(t, ownKey, "/v1/attendees/"+attendee.String()+"/registrations", 2, func(n int) {
		if n == 0 {
			want = append(want, add("acme", "late", true))
		}
	})
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
