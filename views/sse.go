package views

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/problem"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// sseWriteTimeout is how long a reader may take to accept one event.
const sseWriteTimeout = 10 * time.Second

// serveEvents streams a registration's progress as server-sent events: one
// "registration" event per version that the view sees, its id the version, its
// data the same JSON as the look-up's. It ends when the registration is settled.
// A browser then reconnects with Last-Event-ID and gets 204, which tells it to
// stop.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	c := &call{}
	status := s.answerEvents(w, r, c)
	s.metrics.streamEnded(status)
}

func (s *Server) answerEvents(w http.ResponseWriter, r *http.Request, c *call) (status int) {
	if err := s.admit(c, r.Header, apikey.RegistrationsRead); err != nil {
		return writeFailure(w, err)
	}
	wait, timeout, err := waitOf(r)
	if err != nil {
		return writeFailure(w, err)
	}
	req := &pb.LookupServiceWatchRegistrationRequest{RegistrationId: r.PathValue("id"), WaitFor: wait, TimeoutMs: timeout}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		if req.AfterVersion, err = strconv.ParseUint(last, 10, 64); err != nil {
			return writeFailure(w, invalidParameter("Last-Event-ID", problem.BadFormat, "must be the id of the last event, a version"))
		}
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := &eventWriter{w: w, rc: http.NewResponseController(w), gone: cancel}
	defer out.heartbeats(ctx, s.cfg.Heartbeat)()
	err = s.follow(ctx, c, req, out)
	return s.endEvents(out, w, r, err)
}

// endEvents says how the stream ended, as far as that can still be said.
func (s *Server) endEvents(out *eventWriter, w http.ResponseWriter, r *http.Request, err error) (status int) {
	out.mu.Lock()
	defer out.mu.Unlock()
	out.ended = true
	switch {
	case out.started:
		return http.StatusOK
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
		return http.StatusNoContent
	}
	return s.fail(w, r, err)
}

// eventWriter writes one event stream; events and heartbeats share it.
type eventWriter struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	rc      *http.ResponseController
	gone    context.CancelFunc
	started bool
	ended   bool
	b       []byte
}

func (e *eventWriter) send(a *pb.LookupServiceGetRegistrationResponse) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.b = append(e.b, "event: registration\nid: "...)
	e.b = strconv.AppendUint(e.b, a.GetRegistration().GetVersion(), 10)
	e.b = append(e.b, "\ndata: "...)
	e.b = appendAnswer(e.b, a) // one line
	e.b = append(e.b, '\n')
	return e.flush()
}

// open writes the header at once, so that the reader knows that it is followed.
func (e *eventWriter) open() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.started = true
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies must not hold events back
	e.b = append(e.b, "retry: 1000\n\n"...)
	return e.flush()
}

// flush writes what has gathered; a reader that does not take it is given up.
func (e *eventWriter) flush() error {
	// Not every connection can set a deadline; then the reader's own decides.
	_ = e.rc.SetWriteDeadline(time.Now().Add(sseWriteTimeout))
	_, err := e.w.Write(e.b)
	e.b = e.b[:0]
	if err == nil {
		err = e.rc.Flush()
	}
	if err != nil {
		e.gone()
	}
	return err
}

// heartbeats writes a comment once an interval while the stream is open, until
// the function that it returns is called.
func (e *eventWriter) heartbeats(ctx context.Context, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				e.heartbeat()
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (e *eventWriter) heartbeat() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.started || e.ended {
		return
	}
	e.b = append(e.b, ": heartbeat\n\n"...)
	_ = e.flush() // a failure ends the stream by itself
}
