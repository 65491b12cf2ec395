package load

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// at once answers every request without a network.
type atOnce struct{}

func (atOnce) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(
		`{"registration_id":"9d3f6f0e-6b53-5c0e-9a34-1d4c7b1f2a10","position":{"topic":"registration-commands","partition":1,"offset":2}}`))}, nil
}

// What a request costs beside net/http's own work: the plan, the body, the
// request, the answer, the file and the account of it. (An http.Client's own part
// of Do is in it.)
func BenchmarkRequest(b *testing.B) {
	cfg := Config{
		IngestURL: "http://127.0.0.1:1", APIKey: "k", Brokers: []string{"x"}, Places: placesMax, CancelShare: -1,
		AcceptedFile: b.TempDir() + "/accepted.ndjson",
	}
	p := plan(b, placesMax)
	r := &run{cfg: cfg.withDefaults(), plan: p, eventText: uuid.NewString()}
	r.door = newDoor(&r.cfg)
	r.door.client.Transport = atOnce{}
	var err error
	if r.file, err = openAccepted(cfg.AcceptedFile); err != nil {
		b.Fatal(err)
	}
	defer r.file.close()
	r.begin(time.Now())
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n = (n + 1) % p.Requests
		request := p.Request(n)
		if _, err := r.register(b.Context(), &request); err != nil {
			b.Fatal(err)
		}
		r.accepted(&request, idOf(n), r.start, time.Now())
	}
}

// What one version of a registration costs the observer beside fetching it.
func BenchmarkObserve(b *testing.B) {
	id, event := idOf(1), idOf(2)
	value, err := proto.Marshal(&pb.Registration{
		RegistrationId: id[:], Organiser: "acme", EventId: event[:], AttendeeId: id[:], Currency: "EUR",
		Lines: []*pb.Line{{Line: 1, TicketType: "standard", Quantity: 1, UnitPriceMinor: 29900, TotalMinor: 29900}},
		Holds: []*pb.Hold{{HoldId: id[:], Line: 1, Block: 3, Quantity: 1, Seats: 4}}, Outcome: isConfirmed, Settled: true, Version: 5,
	})
	if err != nil {
		b.Fatal(err)
	}
	t := newTracker(plan(b, placesMax), time.Now(), 0)
	now := time.Now()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		v, err := readVersion(value)
		if err != nil {
			b.Fatal(err)
		}
		n++
		v.id[0], v.id[1], v.id[15] = byte(n), byte(n>>8), byte(n)
		t.observe(v.id, v.outcome, v.settled, now)
	}
}
