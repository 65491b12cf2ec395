package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/topology"
)

// Config is what a Server reads from and how it behaves. The zero value of a
// field with a default takes that default.
type Config struct {
	// The tables. All are needed.
	Registrations Table
	Payments      Table
	Events        Table
	Attendees     Table
	// Availability is what is left of each event. Needed.
	Availability Availability
	// AvailabilityLag is how many records of inventory-table the index has not
	// seen; nil when that is not known.
	AvailabilityLag func() (records int64, known bool)
	// Keys says who calls. Needed.
	Keys *apikey.Store
	// Others are handlers of other parts that share the port, by the patterns of
	// their paths. They say themselves who may call.
	Others map[string]http.Handler
	// Registerer takes the metrics; nil keeps them private.
	Registerer prometheus.Registerer
	// Logger receives what an operator should know; nil discards it.
	Logger *slog.Logger

	// WaitersMax bounds the requests that wait for a position, StreamsMax those
	// that follow a registration (20,000 each).
	WaitersMax int64
	StreamsMax int64
	// Heartbeat is how often an event stream shows that it is alive (15 s).
	Heartbeat time.Duration
	// SampleInterval is how often the lag of the views is looked at (500 ms); it
	// is the precision of lag_ms.
	SampleInterval time.Duration
	// ShutdownTimeout bounds how long Serve waits for open requests (10 s).
	ShutdownTimeout time.Duration
	// Clock is the present, for durations and lag; nil is time.Now.
	Clock func() time.Time
}

// Validate says what is missing, all of it at once.
func (c *Config) Validate() error {
	var errs []error
	for _, t := range []struct {
		name  string
		table Table
	}{{"registrations", c.Registrations}, {"payments", c.Payments}, {"events", c.Events}, {"attendees", c.Attendees}} {
		if t.table == nil {
			errs = append(errs, fmt.Errorf("views: no table of %s given", t.name))
		}
	}
	if c.Availability == nil {
		errs = append(errs, errors.New("views: no availability index given"))
	}
	if c.Keys == nil {
		errs = append(errs, errors.New("views: no API keys given"))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	def(&c.WaitersMax, 20_000)
	def(&c.StreamsMax, 20_000)
	def(&c.Heartbeat, 15*time.Second)
	def(&c.SampleInterval, 500*time.Millisecond)
	def(&c.ShutdownTimeout, 10*time.Second)
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

// def sets a field that is at its zero value.
func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Server answers look-ups. It is an http.Handler for REST, Connect and gRPC.
type Server struct {
	cfg           Config
	registrations *source
	payments      *source
	events        *source
	attendees     *source
	catalog       eventList
	metrics       *metrics
	handler       http.Handler
	waiters       atomic.Int64
	streams       atomic.Int64
	// closing ends what holds connections open when the server shuts down.
	closing context.Context
	close   context.CancelFunc
}

// New checks the configuration and registers the metrics. The tables need not
// be ready, nor running.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Server{
		cfg:           cfg,
		registrations: newSource(topology.RegistrationsTable.Name, cfg.Registrations, cfg.Clock),
		payments:      newSource(topology.PaymentsTable.Name, cfg.Payments, cfg.Clock),
		events:        newSource(topology.CatalogTable.Name, cfg.Events, cfg.Clock),
		attendees:     newSource(topology.AttendeesTable.Name, cfg.Attendees, cfg.Clock),
	}
	s.closing, s.close = context.WithCancel(context.Background())
	var err error
	if s.metrics, err = newMetrics(cfg.Registerer, s); err != nil {
		return nil, fmt.Errorf("views: %w", err)
	}
	s.handler = s.routes()
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Ready reports whether every table and the availability index have caught up.
func (s *Server) Ready() bool {
	for _, t := range s.sources() {
		if !t.Ready() {
			return false
		}
	}
	return s.cfg.Availability.Recovered()
}

func (s *Server) sources() []*source {
	return []*source{s.registrations, s.payments, s.events, s.attendees}
}

// Serve answers requests on l until ctx ends, then lets open requests finish:
// waits and event streams end at once, the others have ShutdownTimeout. HTTP/1
// and unencrypted HTTP/2 (for gRPC) share the port.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	sampling, stop := context.WithCancel(ctx)
	defer stop()
	go s.sample(sampling)

	server := &http.Server{
		Handler:           s,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)

	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		s.close()
		return fmt.Errorf("views: serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.close()
	grace, cancel := context.WithTimeout(context.Background(), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close() // what is still open has had its time
		return fmt.Errorf("views: open requests did not end within %v: %w", s.cfg.ShutdownTimeout, err)
	}
	return nil
}

// sample looks at the lag of the views until ctx ends.
func (s *Server) sample(ctx context.Context) {
	ticker := time.NewTicker(s.cfg.SampleInterval)
	defer ticker.Stop()
	for {
		for _, t := range s.sources() {
			t.sample()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
