package ingest

import (
	"context"
	_ "embed" // the OpenAPI document
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/schemas/boxoffice/v1/boxofficev1connect"
)

//go:embed openapi.yaml
var openAPI []byte

// route is one path of the REST door.
type route struct {
	// path is the pattern of net/http's ServeMux, and the route's name in
	// metrics and in the OpenAPI document.
	path   string
	method string
	// scope is what the caller's key must have; empty for open paths.
	scope apikey.Scope
	// serve answers the request and returns the status, or an error that is
	// answered as a problem.
	serve func(w http.ResponseWriter, r *http.Request, caller *apikey.Identity) (int, error)
}

func (s *Server) restRoutes() []route {
	return []route{
		{"/v1/events", http.MethodPost, apikey.EventsWrite, s.postEvent},
		{"/v1/events/{id}/cancel", http.MethodPost, apikey.EventsWrite, s.postEventCancel},
		{"/v1/events/{id}/capacity", http.MethodPost, apikey.EventsWrite, s.postEventCapacity},
		{"/v1/registrations", http.MethodPost, apikey.RegistrationsWrite, s.postRegistration},
		{"/v1/registrations:batch", http.MethodPost, apikey.RegistrationsWrite, s.postBatch},
		{"/v1/registrations/{id}/cancel", http.MethodPost, apikey.RegistrationsWrite, s.postRegistrationCancel},
		{"/openapi.yaml", http.MethodGet, "", s.getOpenAPI},
		{"/healthz", http.MethodGet, "", s.getHealth},
		{"/readyz", http.MethodGet, "", s.getReady},
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range s.restRoutes() {
		mux.Handle(rt.path, s.door(rt))
	}
	mux.Handle("/", s.door(route{path: "unknown", serve: func(http.ResponseWriter, *http.Request, *apikey.Identity) (int, error) {
		return 0, problem.New(problem.RouteUnknown, "There is nothing at this path; see /openapi.yaml. Look-ups are served by the views.")
	}}))
	mux.Handle("/"+boxofficev1connect.IngestServiceName+"/", s.rpc())
	return mux
}

// door wraps a route: method, API key, metrics, and one place where errors
// become answers.
func (s *Server) door(rt route) http.Handler {
	m := s.metrics.route(rt.path)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		err := s.enter()
		defer s.leave()
		status := 0
		if err == nil || rt.scope == "" { // health and readiness are always told
			status, err = s.guarded(rt, w, r)
		}
		if err != nil {
			status = s.fail(w, r, err)
		}
		m.duration.Observe(time.Since(start).Seconds())
		if c, ok := m.byStatus[status]; ok {
			c.Inc()
		}
	})
}

// guarded checks method and key, and keeps a panic of one request to itself.
func (s *Server) guarded(rt route, w http.ResponseWriter, r *http.Request) (status int, err error) {
	defer func() {
		if v := recover(); v != nil {
			if abort, ok := v.(error); ok && errors.Is(abort, http.ErrAbortHandler) {
				panic(v)
			}
			s.cfg.Log.Error("a request panicked", "route", rt.path, "panic", v)
			err = problem.New(problem.Internal, "The request could not be handled; repeat it with the same idempotency key.")
		}
	}()
	if rt.method != "" && r.Method != rt.method && (rt.method != http.MethodGet || r.Method != http.MethodHead) {
		p := problem.New(problem.MethodNotAllowed, "This path takes %s only.", rt.method)
		p.Allow = rt.method
		return 0, p
	}
	var caller *apikey.Identity
	if rt.scope != "" {
		if caller, err = s.cfg.Keys.Authorize(r.Header.Get("Authorization"), rt.scope); err != nil {
			return 0, err
		}
	}
	return rt.serve(w, r, caller)
}

// fail answers a request with its problem and returns the status.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) int {
	p := problem.From(err)
	s.note(r.Context(), p)
	if r.ContentLength < 0 {
		// A stream that is refused is not read to its end first, which net/http
		// does otherwise: its caller may be waiting for our answer.
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 always is
		w.Header()["Connection"] = []string{"close"}
	}
	p.Write(w)
	return p.Status()
}

// note counts a problem and logs the server's own, at most one a second: an
// outage under load must not become a flood of lines. Problems hold no personal
// data and no keys, their causes come from our side.
func (s *Server) note(ctx context.Context, p *problem.Problem) {
	s.metrics.problem(p)
	if p.Status() < http.StatusInternalServerError || ctx.Err() != nil || p.Cause == nil {
		return
	}
	second := time.Now().Unix()
	if last := s.lastWarned.Load(); last != second && s.lastWarned.CompareAndSwap(last, second) {
		s.cfg.Log.Warn("a request failed; others in this second are not logged", "code", p.Code, "error", p.Cause)
	}
}

// idempotencyKey is the canonical form of the header's name, which saves the
// canonicalisation for each request.
const idempotencyKey = "Idempotency-Key"

func (s *Server) postRegistration(w http.ResponseWriter, r *http.Request, caller *apikey.Identity) (int, error) {
	var o order
	if err := s.decodeBody(r, &o, false); err != nil {
		return 0, err
	}
	registering, err := s.prepare(r.Context(), caller, r.Header.Get(idempotencyKey), &o)
	if err != nil {
		return 0, err
	}
	position, err := s.accept(r.Context(), &registering)
	if err != nil {
		return 0, err
	}
	answer := registrationAccepted(registering.id, position)
	answer.write(s, w, http.StatusAccepted)
	return http.StatusAccepted, nil
}

func (s *Server) postRegistrationCancel(w http.ResponseWriter, r *http.Request, caller *apikey.Identity) (int, error) {
	id, err := pathID(r)
	if err != nil {
		return 0, err
	}
	var x cancellation
	if err := s.decodeBody(r, &x, true); err != nil {
		return 0, err
	}
	position, err := s.cancelRegistration(r.Context(), caller, id, r.Header.Get(idempotencyKey), &x)
	if err != nil {
		return 0, err
	}
	answer := registrationAccepted(id, position)
	answer.write(s, w, http.StatusAccepted)
	return http.StatusAccepted, nil
}

func (s *Server) postEvent(w http.ResponseWriter, r *http.Request, caller *apikey.Identity) (int, error) {
	var e newEvent
	if err := s.decodeBody(r, &e, false); err != nil {
		return 0, err
	}
	id, position, onSale, err := s.createEvent(r.Context(), caller, r.Header.Get(idempotencyKey), &e)
	if err != nil {
		return 0, err
	}
	answer, code := eventAccepted(id, position), http.StatusAccepted
	answer.status = "opening"
	if onSale {
		answer.status, code = "on_sale", http.StatusCreated
	}
	answer.write(s, w, code)
	return code, nil
}

func (s *Server) postEventCancel(w http.ResponseWriter, r *http.Request, caller *apikey.Identity) (int, error) {
	id, err := pathID(r)
	if err != nil {
		return 0, err
	}
	var x eventCancellation
	if err := s.decodeBody(r, &x, true); err != nil {
		return 0, err
	}
	position, err := s.cancelEvent(r.Context(), caller, id, &x)
	if err != nil {
		return 0, err
	}
	answer := eventAccepted(id, position)
	answer.write(s, w, http.StatusAccepted)
	return http.StatusAccepted, nil
}

func (s *Server) postEventCapacity(w http.ResponseWriter, r *http.Request, caller *apikey.Identity) (int, error) {
	id, err := pathID(r)
	if err != nil {
		return 0, err
	}
	var n newCapacity
	if err := s.decodeBody(r, &n, false); err != nil {
		return 0, err
	}
	position, err := s.setCapacity(r.Context(), caller, id, &n)
	if err != nil {
		return 0, err
	}
	answer := eventAccepted(id, position)
	answer.write(s, w, http.StatusAccepted)
	return http.StatusAccepted, nil
}

func pathID(r *http.Request) (uuid.UUID, error) {
	text := r.PathValue("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return id, &problem.Problem{
			Code: problem.InvalidParameter, Detail: "The id in the path is not a UUID; check it.",
			Violations: []problem.Violation{{Field: "id", Code: problem.BadFormat, Message: "must be a UUID"}},
		}
	}
	return id, nil
}

func (s *Server) getOpenAPI(w http.ResponseWriter, _ *http.Request, _ *apikey.Identity) (int, error) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI) // the caller may be gone
	return http.StatusOK, nil
}

func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request, _ *apikey.Identity) (int, error) {
	w.Header()["Content-Type"] = contentTypeJSON
	_, _ = w.Write([]byte(`{"status":"ok"}` + "\n")) // the caller may be gone
	return http.StatusOK, nil
}

func (s *Server) getReady(w http.ResponseWriter, _ *http.Request, _ *apikey.Identity) (int, error) {
	if s.stopping() {
		return 0, problem.New(problem.ShuttingDown, "This instance is shutting down.")
	}
	if err := s.Ready(); err != nil {
		return 0, problem.New(problem.ViewRecovering, "Not ready: %s.", err)
	}
	w.Header()["Content-Type"] = contentTypeJSON
	_, _ = w.Write([]byte(`{"status":"ready"}` + "\n")) // the caller may be gone
	return http.StatusOK, nil
}
