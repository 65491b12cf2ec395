package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newRegistry is the one metric registry of the process.
func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// telemetryServer serves /metrics, /healthz, /readyz and /debug/pprof.
type telemetryServer struct {
	listener net.Listener
	server   *http.Server
}

func openTelemetry(addr string, registry *prometheus.Registry, services []service) (*telemetryServer, error) {
	listener, err := listen("metrics", addr)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { writeReadiness(w, services) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return &telemetryServer{listener: listener, server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}}, nil
}

// writeReadiness answers 200 when every service is ready, else 503 and which
// ones are not.
func writeReadiness(w http.ResponseWriter, services []service) {
	states := map[string]string{}
	code := http.StatusOK
	for _, s := range services {
		states[s.name] = "ready"
		if !s.ready() {
			states[s.name] = "starting"
			code = http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(states)
}

func (t *telemetryServer) addr() string { return t.listener.Addr().String() }

func (t *telemetryServer) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = t.server.Close() })
	defer stop()
	if err := t.server.Serve(t.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics server: %w", err)
	}
	return nil
}
