package server

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/problem"
)

// Config is what a Server works with. The zero value of a field with a default
// takes that default.
type Config struct {
	// DB is the analytics database. Needed.
	DB *sql.DB
	// Keys says who calls. Needed.
	Keys *apikey.Store
	// Registerer takes the metrics; nil keeps them private.
	Registerer prometheus.Registerer
	// Logger receives what an operator should know; nil discards it.
	Logger *slog.Logger
	// Concurrent is how many reports are made at once (2); one more is told to
	// come back.
	Concurrent int
	// Timeout bounds the making of one report (60 s).
	Timeout time.Duration
	// RowsMax bounds the rows of one section (200,000), and so the memory that a
	// report takes here.
	RowsMax int
	// Clock is the present, for relative periods and durations; nil is time.Now.
	Clock func() time.Time
}

// Server answers with reports. It is an http.Handler.
type Server struct {
	cfg     Config
	slots   chan struct{}
	metrics *metrics
	mux     *http.ServeMux
}

// New checks the configuration and registers the metrics. The database is not
// contacted.
func New(cfg Config) (*Server, error) {
	if cfg.DB == nil || cfg.Keys == nil {
		return nil, errors.New("reports server: a database and API keys are needed")
	}
	setDefault(&cfg.Concurrent, 2)
	setDefault(&cfg.Timeout, time.Minute)
	setDefault(&cfg.RowsMax, 200_000)
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	s := &Server{cfg: cfg, slots: make(chan struct{}, cfg.Concurrent), mux: http.NewServeMux()}
	var err error
	if s.metrics, err = newMetrics(cfg.Registerer, s); err != nil {
		return nil, fmt.Errorf("reports server: %w", err)
	}
	for _, r := range []struct {
		name, pattern string
		answer        func(http.ResponseWriter, *http.Request) error
	}{
		{routeList, "/v1/reports", s.list},
		{routeReport, "/v1/reports/{name}", s.report},
	} {
		s.mux.HandleFunc("GET "+r.pattern, s.frame(r.name, r.answer))
		s.mux.HandleFunc(r.pattern, onlyGet)
	}
	return s, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Patterns are the paths that the server answers, for a mux that mounts it.
func (*Server) Patterns() []string { return []string{"/v1/reports", "/v1/reports/{name}"} }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func onlyGet(w http.ResponseWriter, r *http.Request) {
	p := problem.New(problem.MethodNotAllowed, "%s only takes GET.", r.URL.Path)
	p.Allow = "GET, HEAD"
	p.Write(w)
}

// statusCallerGone stands in metrics for a caller that left before its answer.
const statusCallerGone = 499

// frame is what every answer has around it: who failed, what is logged, what is
// counted.
func (s *Server) frame(route string, answer func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := s.cfg.Clock()
		told := &recorder{ResponseWriter: w, status: http.StatusOK}
		if err := answer(told, r); err != nil {
			s.fail(told, r, err)
		}
		s.metrics.done(route, told.status, s.cfg.Clock().Sub(start))
	}
}

// fail answers with err and logs what is no mistake of the caller.
func (s *Server) fail(w *recorder, r *http.Request, err error) {
	if r.Context().Err() != nil {
		// Either this server is shutting down, or nobody reads the answer.
		problem.New(problem.ShuttingDown, "The report was given up before it was made; ask again.").Write(w)
		w.status = statusCallerGone
		return
	}
	p := problem.From(err)
	if p.Status() >= http.StatusInternalServerError && p.Code != problem.ReportsBusy {
		s.cfg.Logger.Error("report failed", "path", r.URL.Path, "error", p)
	}
	p.Write(w)
}

// recorder notes the status for the metrics.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}
