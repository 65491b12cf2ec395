package views

import (
	"context"
	_ "embed" // the OpenAPI document
	"net/http"
	"strconv"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/problem"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

//go:embed openapi.yaml
var openAPI []byte

// Headers of requests and answers.
const (
	headerWaitFor    = "Boxoffice-Wait-For"
	headerAsOf       = "Boxoffice-As-Of"
	headerLagRecords = "Boxoffice-Lag-Records"
	headerLagMillis  = "Boxoffice-Lag-Ms"
)

// answer is a response of the LookupService.
type answer interface {
	proto.Message
	GetFreshness() *pb.LookupFreshness
}

// lookup turns a REST request into the service's request, and has it answered.
type lookup func(r *http.Request, c *call) (answer, error)

// A route is a path of the REST interface; its name is its label in metrics.
type route struct {
	name    string
	pattern string
	// scope is what the key must allow.
	scope  apikey.Scope
	lookup lookup
}

// anyKey is the scope of what every valid key may look at.
const anyKey apikey.Scope = ""

// The routes' names in metrics; REST and RPC share them.
const (
	routeRegistration          = "registration"
	routeRegistrationEvents    = "registration_events"
	routePayment               = "payment"
	routeEvent                 = "event"
	routeEvents                = "events"
	routeAvailability          = "availability"
	routeAttendeeRegistrations = "attendee_registrations"
)

// routeNames are those whose duration is measured.
var routeNames = []string{routeRegistration, routePayment, routeEvent, routeEvents, routeAvailability, routeAttendeeRegistrations}

func (s *Server) restRoutes() []route {
	return []route{
		{routeRegistration, "/v1/registrations/{id}", apikey.RegistrationsRead, s.restRegistration},
		{routePayment, "/v1/payments/{id}", apikey.RegistrationsRead, s.restPayment},
		{routeEvent, "/v1/events/{id}", anyKey, s.restEvent},
		{routeEvents, "/v1/events", anyKey, s.restEvents},
		{routeAvailability, "/v1/events/{id}/availability", anyKey, s.restAvailability},
		{routeAttendeeRegistrations, "/v1/attendees/{id}/registrations", apikey.RegistrationsRead, s.restAttendeeRegistrations},
	}
}

// routes builds the one handler of the port.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.restRoutes() {
		get(mux, r.pattern, s.rest(r))
	}
	get(mux, "/v1/registrations/{id}/events", s.serveEvents)
	get(mux, "/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(openAPI) // the caller may be gone
	})
	get(mux, "/healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n")) // the caller may be gone
	})
	get(mux, "/readyz", s.readyz)
	for pattern, other := range s.cfg.Others {
		mux.Handle(pattern, s.whileOpen(other))
	}
	path, rpc := s.rpcHandler()
	mux.Handle(path, rpc)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem.New(problem.RouteUnknown, "There is nothing at %s; GET /openapi.yaml lists the paths.", r.URL.Path).Write(w)
	})
	return mux
}

// whileOpen cancels what another part does for a request when the server shuts
// down: it must not hold it up.
func (s *Server) whileOpen(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		stop := context.AfterFunc(s.closing, cancel)
		defer stop()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// get serves GET (and HEAD) of a path, and says so to other methods.
func get(mux *http.ServeMux, pattern string, h http.HandlerFunc) {
	mux.HandleFunc("GET "+pattern, h)
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		p := problem.New(problem.MethodNotAllowed, "%s only takes GET; commands go to the front door.", r.URL.Path)
		p.Allow = "GET, HEAD"
		p.Write(w)
	})
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// rest is the frame of every REST look-up: who calls, the look-up, the answer,
// the count.
func (s *Server) rest(r route) http.HandlerFunc {
	m := s.metrics.routes[r.name]
	return func(w http.ResponseWriter, req *http.Request) {
		start := s.cfg.Clock()
		c := &call{}
		status := s.answerREST(w, req, r, c)
		m.done(status, s.cfg.Clock().Sub(start)-c.waited)
	}
}

func (s *Server) answerREST(w http.ResponseWriter, req *http.Request, r route, c *call) (status int) {
	if err := s.admit(c, req.Header, r.scope); err != nil {
		return writeFailure(w, err)
	}
	a, err := r.lookup(req, c)
	if err != nil {
		return s.fail(w, req, err)
	}
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	*b = appendAnswer((*b)[:0], a)
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(*b))}
	h["Cache-Control"] = []string{"no-store"}
	setFreshnessHeaders(h, a.GetFreshness())
	_, _ = w.Write(*b) // the caller may be gone
	return http.StatusOK
}

// admit says who calls.
func (s *Server) admit(c *call, h http.Header, scope apikey.Scope) (err error) {
	authorization := h.Get("Authorization")
	if scope == anyKey {
		c.who, err = s.cfg.Keys.Authenticate(authorization)
	} else {
		c.who, err = s.cfg.Keys.Authorize(authorization, scope)
	}
	return err
}

// fail answers with err, and logs what is our own fault.
func (s *Server) fail(w http.ResponseWriter, req *http.Request, err error) (status int) {
	if req.Context().Err() != nil {
		return statusCallerGone
	}
	if p := problem.From(err); p.Code == problem.Internal {
		s.cfg.Logger.Error("look-up failed", "path", req.URL.Path, "error", p)
	}
	return writeFailure(w, err)
}

func setFreshnessHeaders(h http.Header, f *pb.LookupFreshness) {
	asOf := f.GetAsOf()
	if asOf == nil {
		return
	}
	if asOf.Partition != nil && asOf.Offset != nil {
		h[headerAsOf] = []string{position{asOf.GetTopic(), asOf.GetPartition(), asOf.GetOffset()}.String()}
	} else {
		h[headerAsOf] = []string{asOf.GetTopic()}
	}
	if asOf.LagRecords != nil {
		h[headerLagRecords] = []string{strconv.FormatInt(asOf.GetLagRecords(), 10)}
	}
	if asOf.LagMs != nil {
		h[headerLagMillis] = []string{strconv.FormatInt(asOf.GetLagMs(), 10)}
	}
}

func (s *Server) restRegistration(r *http.Request, c *call) (answer, error) {
	wait, timeout, err := waitOf(r)
	if err != nil {
		return nil, err
	}
	a, err := s.getRegistration(r.Context(), c, &pb.LookupServiceGetRegistrationRequest{
		RegistrationId: r.PathValue("id"), WaitFor: wait, TimeoutMs: timeout,
	})
	return a, err
}

func (s *Server) restPayment(r *http.Request, c *call) (answer, error) {
	if err := noWait(r, "a payment follows from its registration: wait there, then look at the payment"); err != nil {
		return nil, err
	}
	a, err := s.getPayment(r.Context(), c, &pb.LookupServiceGetPaymentRequest{PaymentId: r.PathValue("id")})
	return a, err
}

func (s *Server) restEvent(r *http.Request, c *call) (answer, error) {
	wait, timeout, err := waitOf(r)
	if err != nil {
		return nil, err
	}
	a, err := s.getEvent(r.Context(), c, &pb.LookupServiceGetEventRequest{EventId: r.PathValue("id"), WaitFor: wait, TimeoutMs: timeout})
	return a, err
}

func (s *Server) restEvents(r *http.Request, c *call) (answer, error) {
	if err := noWait(r, "a list cannot be waited for: wait for the one event"); err != nil {
		return nil, err
	}
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	a, err := s.listEvents(r.Context(), c, &pb.LookupServiceListEventsRequest{Limit: limit, Cursor: r.URL.Query().Get("cursor")})
	return a, err
}

func (s *Server) restAvailability(r *http.Request, c *call) (answer, error) {
	if err := noWait(r, "availability is a hint that no command is waited for: wait for the event or the registration"); err != nil {
		return nil, err
	}
	a, err := s.getAvailability(r.Context(), c, &pb.LookupServiceGetAvailabilityRequest{EventId: r.PathValue("id")})
	return a, err
}

func (s *Server) restAttendeeRegistrations(r *http.Request, c *call) (answer, error) {
	if err := noWait(r, "a list cannot be waited for: wait for the one registration"); err != nil {
		return nil, err
	}
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	a, err := s.listAttendeeRegistrations(r.Context(), c, &pb.LookupServiceListAttendeeRegistrationsRequest{
		AttendeeId: r.PathValue("id"), Limit: limit, Cursor: r.URL.Query().Get("cursor"),
	})
	return a, err
}

// waitOf reads wait_for and timeout from the query, or wait_for from the header.
func waitOf(r *http.Request) (*pb.Position, uint32, error) {
	text, timeoutText := r.Header.Get(headerWaitFor), ""
	if r.URL.RawQuery != "" {
		q := r.URL.Query()
		if v := q.Get("wait_for"); v != "" {
			text = v
		}
		timeoutText = q.Get("timeout")
	}
	if text == "" {
		return nil, 0, nil
	}
	wait, err := parsePosition(text)
	if err != nil {
		return nil, 0, err
	}
	if timeoutText == "" {
		return wait, 0, nil
	}
	timeout, err := parseTimeout(timeoutText)
	return wait, timeout, err
}

// noWait refuses wait_for where it would silently do nothing.
func noWait(r *http.Request, why string) error {
	if r.Header.Get(headerWaitFor) == "" && (r.URL.RawQuery == "" || !r.URL.Query().Has("wait_for")) {
		return nil
	}
	return invalidParameter("wait_for", problem.Unknown, "is not taken here; "+why)
}

func limitOf(r *http.Request) (uint32, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, invalidParameter("limit", problem.OutOfRange, "must be from 1 to 200")
	}
	return uint32(n), nil
}

// readyz says which view, if any, is still catching up.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	status := http.StatusOK
	o := object{b: []byte{'{'}}
	o.object("views", func(o *object) {
		for _, t := range s.sources() {
			o.boolean(t.topic, t.Ready())
		}
		o.boolean("availability", s.cfg.Availability.Recovered())
	})
	if !s.Ready() {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(o.b, '}', '\n')) // the caller may be gone
}
