package views

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// followed is an open event stream.
type followed struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Scanner
}

func (b *bench) follow(t *testing.T, path string, lastEventID string) *followed {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+ownKey)
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return &followed{t, response, bufio.NewScanner(response.Body)}
}

// next returns the next event's id and data, or "" when the stream has ended.
func (f *followed) next() (id, data string) {
	f.t.Helper()
	for f.lines.Scan() {
		line := f.lines.Text()
		switch {
		case strings.HasPrefix(line, "id: "):
			id = strings.TrimPrefix(line, "id: ")
		case strings.HasPrefix(line, "data: "):
			data = strings.TrimPrefix(line, "data: ")
		case line == "" && data != "":
			return id, data
		}
	}
	return "", ""
}

func eventsPath() string { return paths()["registration"] + "/events" }

// A buyer watches an order go through: one event per version, versions rising,
// and the stream ends with the settled one.
func TestEventsFollowTheSaga(t *testing.T) {
	t.Parallel()
	b := newBench(t).listen(t)
	b.registrations.put(registrationID.String(), at(pb.Step_STEP_REQUESTED, 1))
	f := b.follow(t, eventsPath(), "")
	if got := f.response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	for _, next := range []struct {
		version int
		status  string
		then    *pb.Registration
	}{
		{1, "requested", at(pb.Step_STEP_HOLDING, 2)},
		{2, "holding", at(pb.Step_STEP_CHARGING, 3)},
		{3, "charging", confirmed()},
		{6, "confirmed", nil},
	} {
		id, data := f.next()
		if id != fmt.Sprint(next.version) || !strings.Contains(data, `"status":"`+next.status+`"`) || !strings.Contains(data, `"freshness"`) {
			t.Fatalf("got event %q %s, want version %d %s", id, data, next.version, next.status)
		}
		if next.then != nil {
			// The same version again, as a repeated command leaves it, is no event.
			b.registrations.put(registrationID.String(), at(next.then.GetStep(), uint64(next.version)))
			b.registrations.put(registrationID.String(), next.then)
		}
	}
	if id, data := f.next(); id != "" {
		t.Errorf("an event after the last: %q %s", id, data)
	}
}

// The connection breaks and the browser comes back with the last version it
// saw: it gets newer ones only, and 204 when there will be none.
func TestEventsResume(t *testing.T) {
	t.Parallel()
	b := newBench(t).listen(t)
	b.registrations.put(registrationID.String(), at(pb.Step_STEP_CHARGING, 3))
	f := b.follow(t, eventsPath(), "3")
	b.registrations.untilWaited(t)
	b.registrations.put(registrationID.String(), confirmed())
	if id, _ := f.next(); id != "6" {
		t.Errorf("got version %q, want 6", id)
	}
	if f = b.follow(t, eventsPath(), "6"); f.response.StatusCode != http.StatusNoContent {
		t.Errorf("nothing to come: %d", f.response.StatusCode)
	}
	if f = b.follow(t, eventsPath(), "x"); f.response.StatusCode != http.StatusBadRequest {
		t.Errorf("a bad Last-Event-ID: %d", f.response.StatusCode)
	}
}

// Following starts before the view knows the registration: with the position of
// the 202 it waits, without it is told that nothing is known.
func TestEventsOfARegistrationNotYetVisible(t *testing.T) {
	t.Parallel()
	b := newBench(t).listen(t)
	id := topology.RegistrationID("acme", "just now")
	path := "/v1/registrations/" + id.String() + "/events"
	if f := b.follow(t, path, ""); f.response.StatusCode != http.StatusNotFound {
		t.Errorf("unknown: %d", f.response.StatusCode)
	}
	go func() {
		b.registrations.untilWaited(t)
		r := confirmed()
		r.LastCommand = commandResult(id, 5, pb.CommandVerdict_COMMAND_VERDICT_APPLIED, "")
		b.registrations.put(id.String(), r)
	}()
	f := b.follow(t, path+"?timeout=30s&wait_for="+waitFor(id, 5), "")
	if version, _ := f.next(); version != "6" {
		t.Errorf("got version %q (%d)", version, f.response.StatusCode)
	}
}

// Nothing happens for long: a heartbeat keeps proxies from closing the
// connection, and shows a reader that is gone.
func TestEventsHeartbeat(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Heartbeat = time.Millisecond }).listen(t)
	b.registrations.put(registrationID.String(), at(pb.Step_STEP_HOLDING, 2))
	f := b.follow(t, eventsPath(), "2")
	beats := 0
	for beats < 3 && f.lines.Scan() {
		if strings.HasPrefix(f.lines.Text(), ":") {
			beats++
		}
	}
	if beats < 3 {
		t.Errorf("%d heartbeats", beats)
	}
}

// The view loses its place while somebody follows: the stream falls silent, shows
// nothing that may be old, and goes on with what is true when the view is back.
// Whoever comes meanwhile is told to come again.
func TestEventsPauseWhileTheViewRecovers(t *testing.T) {
	t.Parallel()
	b := newBench(t).listen(t)
	b.registrations.put(registrationID.String(), at(pb.Step_STEP_HOLDING, 2))
	f := b.follow(t, eventsPath(), "")
	if id, _ := f.next(); id != "2" {
		t.Fatalf("got version %q", id)
	}
	b.registrations.setReady(false)
	b.registrations.put(registrationID.String(), at(pb.Step_STEP_CHARGING, 3))
	if late := b.follow(t, eventsPath(), "2"); late.response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("coming meanwhile: %d", late.response.StatusCode)
	}
	b.registrations.change(func() {
		b.registrations.values[registrationID.String()] = confirmed()
		b.registrations.ready = true
	})
	if id, data := f.next(); id != "6" {
		t.Errorf("after the recovery: %q %s", id, data)
	}
}

// The server is stopped while one client waits and one follows: both are let go
// at once, and Serve returns.
func TestShutdownLetsGo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.url = "http://" + l.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- b.server.Serve(ctx, l) }()

	b.registrations.put(registrationID.String(), at(pb.Step_STEP_HOLDING, 2))
	f := b.follow(t, eventsPath(), "")
	b.registrations.untilWaited(t)
	waiting := make(chan int, 1)
	go func() {
		f := b.follow(t, paths()["registration"]+"?timeout=30s&wait_for="+waitFor(registrationID, 1000), "")
		waiting <- f.response.StatusCode
	}()
	b.registrations.untilWaited(t)
	stop()
	if status := <-waiting; status != http.StatusServiceUnavailable {
		t.Errorf("the waiter got %d", status)
	}
	if id, _ := f.next(); id != "2" {
		t.Errorf("the follower got version %q", id)
	}
	if id, _ := f.next(); id != "" {
		t.Errorf("the stream goes on with version %q", id)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
