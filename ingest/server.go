package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server is the front door. It holds no state that a restart would lose.
type Server struct {
	cfg     Config
	events  *events
	recent  *recentKeys
	metrics *metrics
	buffers buffers
	handler http.Handler

	// inFlight counts the requests that are being answered.
	inFlight atomic.Int64
	// draining is closed when the server stops: batches end then, after what
	// they have read is answered.
	draining  chan struct{}
	drainOnce sync.Once
	// lastWarned is the second in which a failure was logged last.
	lastWarned atomic.Int64
}

// New checks the configuration and returns a front door.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of the front door: %w", err)
	}
	cfg.setDefaults()
	cfg.ViewsURL = strings.TrimSuffix(cfg.ViewsURL, "/")
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, events: newEvents(&cfg), recent: newRecentKeys(cfg.RecentKeysMax), metrics: m,
		draining: make(chan struct{}),
	}
	s.handler = s.routes()
	return s, nil
}

// Handler serves REST, gRPC, gRPC-Web and Connect.
func (s *Server) Handler() http.Handler { return s.handler }

// Ready reports why the server should get no requests; nil when it should.
func (s *Server) Ready() error {
	if s.stopping() {
		return errors.New("shutting down")
	}
	if !s.cfg.Catalogue.Ready() {
		return errors.New("the catalogue of events is still being read")
	}
	return nil
}

func (s *Server) stopping() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// Serve answers requests on l until ctx ends, then stops without losing what was
// answered 202: readiness goes first, running requests are answered, batches end
// after the lines that they have read. It returns nil after a clean stop.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := s.httpServer()
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("front door on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	return s.stop(srv)
}

func (s *Server) stop(srv *http.Server) error {
	s.drain()
	if s.cfg.DrainDelay > 0 {
		time.Sleep(s.cfg.DrainDelay) // not cut short: balancers need it
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		// What is still open then has no 202 yet; its callers repeat it.
		_ = srv.Close()
		return fmt.Errorf("front door: requests were still being answered after %v: %w", s.cfg.ShutdownTimeout, err)
	}
	return nil
}

// drain makes the server not ready and ends batches.
func (s *Server) drain() { s.drainOnce.Do(func() { close(s.draining) }) }

// httpServer speaks HTTP/1.1 and, for gRPC, HTTP/2 without TLS, which a balancer
// in front ends.
func (s *Server) httpServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           s.handler,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 1000},
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn),
	}
}
