package views

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs.\n got %s\nwant %s", path, got, want)
	}
}

// paths are the look-ups, each with something to see.
func paths() map[string]string {
	return map[string]string{
		"registration":           "/v1/registrations/" + registrationID.String(),
		"payment":                "/v1/payments/" + paymentID.String(),
		"event":                  "/v1/events/" + eventID.String(),
		"events":                 "/v1/events",
		"availability":           "/v1/events/" + eventID.String() + "/availability",
		"attendee_registrations": "/v1/attendees/" + attendeeID.String() + "/registrations",
	}
}

// A client built against today's answers gets other ones tomorrow: every
// answer is held against its golden text.
func TestAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, path := range paths() {
		status, header, body := b.get(t, ownKey, path)
		if status != http.StatusOK || header.Get("Content-Type") != "application/json" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %s", name, status, header, body)
		}
		if header.Get(headerAsOf) == "" {
			t.Errorf("%s: no freshness in the headers: %v", name, header)
		}
		golden(t, name+".json", body)
	}
}

// Somebody without a key, with a wrong one or with one for something else
// looks: nothing is shown. Events and availability are open to any valid key.
func TestWhoMayLook(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	public := map[string]bool{"event": true, "events": true, "availability": true}
	for name, path := range paths() {
		for key, want := range map[string]int{
			"": http.StatusUnauthorized, "wrong": http.StatusUnauthorized, writeKey: http.StatusForbidden,
			foreignKey: http.StatusNotFound, ownKey: http.StatusOK, adminKey: http.StatusOK,
		} {
			if public[name] && want >= http.StatusForbidden && key != "" && key != "wrong" {
				want = http.StatusOK
			}
			if status, _, body := b.get(t, key, path); status != want {
				t.Errorf("%s with key %q: %d, want %d: %s", name, key, status, want, body)
			}
		}
	}
}

// What became of an organiser's command is nobody else's business, though the
// event itself is public.
func TestForeignersDoNotSeeAnEventsLastCommand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for key, want := range map[string]bool{ownKey: true, foreignKey: false, adminKey: true} {
		if _, _, body := b.get(t, key, paths()["event"]); strings.Contains(body, "last_command") != want {
			t.Errorf("key %q: last_command shown should be %v: %s", key, want, body)
		}
	}
}

// An id that nobody knows, another organiser's id and a mere trace of a refused
// command look the same, and say how fresh the view is.
func TestUnknown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.registrations.lag[partitionOf(registrationID)] = 7
	trace := uuid.MustParse("00000000-0000-5000-8000-000000000001")
	b.registrations.put(trace.String(), &pb.Registration{LastCommand: &pb.CommandResult{Offset: 1}})
	b.events.put(trace.String(), &pb.Event{Status: pb.EventStatus_EVENT_STATUS_UNKNOWN, LastCommand: &pb.CommandResult{Offset: 1}})
	for path, code := range map[string]string{
		"/v1/registrations/" + uuid.NewString():                "registration_unknown",
		"/v1/registrations/" + trace.String():                  "registration_unknown",
		"/v1/payments/" + uuid.NewString():                     "payment_unknown",
		"/v1/events/" + uuid.NewString():                       "event_unknown",
		"/v1/events/" + trace.String():                         "event_unknown",
		"/v1/events/" + trace.String() + "/availability":       "event_unknown",
		"/v1/attendees/" + uuid.NewString() + "/registrations": "attendee_unknown",
	} {
		status, header, body := b.get(t, ownKey, path)
		if status != http.StatusNotFound || !strings.Contains(body, `"code":"`+code+`"`) || strings.Contains(body, "last_command") {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if !strings.Contains(body, `"freshness":{"as_of":{"topic":"`) || header.Get(headerAsOf) == "" {
			t.Errorf("%s does not say how fresh it is: %v %s", path, header, body)
		}
	}
	status, header, _ := b.get(t, foreignKey, paths()["registration"])
	if status != http.StatusNotFound || header.Get(headerLagRecords) != "7" {
		t.Errorf("a foreign registration: %d %v", status, header)
	}
}

// A request with a slip is told which parameter is at fault and how it should
// look.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	registration := paths()["registration"]
	for path, field := range map[string]string{
		"/v1/registrations/17": "registration_id",
		"/v1/registrations/urn:uuid:9d3f6f0e-6b53-5c0e-9a34-1d4c7b1f2a10": "registration_id",
		"/v1/payments/x":                               "payment_id",
		"/v1/events/x":                                 "event_id",
		"/v1/events/x/availability":                    "event_id",
		"/v1/attendees/x/registrations":                "attendee_id",
		"/v1/events?limit=0":                           "limit",
		"/v1/events?limit=201":                         "limit",
		"/v1/events?cursor=x":                          "cursor",
		paths()["attendee_registrations"] + "?limit=x": "limit",
		paths()["attendee_registrations"] + "?cursor=AAAAAAAAAAAAAAAAAAAAAA": "cursor",
		registration + "?wait_for=1":                                         "wait_for",
		registration + "?wait_for=catalog-commands/0/1":                      "wait_for",
		registration + "?wait_for=registration-commands/99/1":                "wait_for",
		registration + "?wait_for=registration-commands/1/1&timeout=1h":      "timeout",
		registration + "?wait_for=registration-commands/1/1&timeout=0":       "timeout",
		registration + "?wait_for=registration-commands/1/1&timeout=NaN":     "timeout",
		paths()["payment"] + "?wait_for=payment-commands/1/1":                "wait_for",
		paths()["events"] + "?wait_for=catalog-commands/1/1":                 "wait_for",
		paths()["availability"] + "?wait_for=catalog-commands/1/1":           "wait_for",
	} {
		status, _, body := b.get(t, ownKey, path)
		if status != http.StatusBadRequest || !strings.Contains(body, `"violations":[{"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// A path or a method that does not exist is told apart from an unknown id.
func TestNoSuchRoute(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if status, _, body := b.get(t, ownKey, "/v2/events"); status != http.StatusNotFound || !strings.Contains(body, "route_unknown") {
		t.Errorf("unknown path: %d %s", status, body)
	}
	r, w := request(t, http.MethodPost, "/v1/events")
	b.server.ServeHTTP(w, r)
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", w.Code, w.Header())
	}
}

// The view starts, catches up, loses its connection and catches up again: it
// answers 503 both times, never with what it had.
func TestRecovering(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tables := map[string]*memTable{
		"registration": b.registrations, "payment": b.payments, "event": b.events, "events": b.events,
		"availability": b.events, "attendee_registrations": b.attendees,
	}
	for range 2 {
		for name, path := range paths() {
			tables[name].setReady(false)
			status, header, body := b.get(t, ownKey, path)
			if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !strings.Contains(body, "view_recovering") {
				t.Errorf("%s: %d %v %s", name, status, header, body)
			}
			if status, _, body := b.get(t, "", "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "false") {
				t.Errorf("readyz while %s recovers: %d %s", name, status, body)
			}
			tables[name].setReady(true)
			if status, _, body := b.get(t, ownKey, path); status != http.StatusOK {
				t.Errorf("%s afterwards: %d %s", name, status, body)
			}
		}
	}
	b.availability.SetRecovered(false)
	if status, _, _ := b.get(t, ownKey, paths()["availability"]); status != http.StatusServiceUnavailable {
		t.Errorf("availability without its index: %d", status)
	}
	b.availability.SetRecovered(true)
	b.registrations.setReady(false)
	if status, _, _ := b.get(t, ownKey, paths()["attendee_registrations"]); status != http.StatusServiceUnavailable {
		t.Errorf("an attendee's registrations without the registrations: %d", status)
	}
	if status, _, body := b.get(t, "", "/healthz"); status != http.StatusOK {
		t.Errorf("a view that recovers is alive: %d %s", status, body)
	}
}

// The table's storage fails: the caller learns that it is not their fault, and
// nothing of the inside.
func TestBrokenTable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.payments.err = errors.New("disk on fire at sector 5")
	status, _, body := b.get(t, ownKey, paths()["payment"])
	if status != http.StatusInternalServerError || strings.Contains(body, "sector") {
		t.Errorf("%d %s", status, body)
	}
}

// A route is added and the document forgotten: every pattern stands in it.
func TestOpenAPIListsEveryRoute(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	status, _, document := b.get(t, "", "/openapi.yaml")
	if status != http.StatusOK {
		t.Fatalf("%d", status)
	}
	patterns := []string{"/v1/registrations/{id}/events", "/openapi.yaml", "/healthz", "/readyz"}
	for _, r := range b.server.restRoutes() {
		patterns = append(patterns, r.pattern)
	}
	for _, p := range patterns {
		if !strings.Contains(document, "\n  "+p+":\n    get:\n") {
			t.Errorf("%s is not in the document", p)
		}
	}
}

// A server that lacks a part is refused at the start, with every part named.
func TestConfigNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := New(Config{})
	for _, part := range []string{"registrations", "payments", "events", "attendees", "availability", "API keys"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not named: %v", part, err)
		}
	}
}

// A handler of another part works for hours when the server shuts down: it is
// told, and does not hold the shutdown up.
func TestOthersEndWithTheServer(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	b := newBench(t, func(c *Config) {
		c.ShutdownTimeout = time.Hour
		c.Others = map[string]http.Handler{"/v1/others/{id}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
			w.WriteHeader(http.StatusServiceUnavailable)
		})}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- b.server.Serve(ctx, l) }()
	go func() {
		<-entered
		cancel()
	}()
	resp, err := http.Get("http://" + l.Addr().String() + "/v1/others/1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s", resp.Status)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
