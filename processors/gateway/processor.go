package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Config says where the provider is and how patient the gateway is with it. The
// zero value of a field other than BaseURL takes its default.
type Config struct {
	// BaseURL is the provider's address, http(s)://host:port.
	BaseURL string
	// Provider is the provider's name, which payments carry into the books
	// ("simulated").
	Provider string
	// APIKey is sent as a bearer token; empty sends none.
	APIKey string
	// Transport carries the calls (NewTransport(Concurrency)).
	Transport http.RoundTripper
	// Timeout is after which a request is answered UNKNOWN, with all its tries (10 s).
	Timeout time.Duration
	// Concurrency bounds the calls at a time (256).
	Concurrency int
	// Tries is how often a request is tried at once when the connection breaks or
	// the provider fails; TryPause is the first pause between them (3, 50 ms).
	Tries    int
	TryPause time.Duration
	// The breaker opens when half of at least BreakerCalls tries within
	// BreakerWindow failed, and lets a few through after BreakerPause (20, 10 s, 2 s).
	BreakerCalls  int
	BreakerWindow time.Duration
	BreakerPause  time.Duration
	// Logger hears of the breaker; nil discards it.
	Logger *slog.Logger
	// Registerer takes the metrics; nil keeps them private.
	Registerer prometheus.Registerer
	// Clock is the present; nil is time.Now.
	Clock func() time.Time
}

func (c Config) withDefaults() Config {
	initial(&c.Provider, "simulated")
	initial(&c.Timeout, 10*time.Second)
	initial(&c.Concurrency, 256)
	initial(&c.Tries, 3)
	initial(&c.TryPause, 50*time.Millisecond)
	initial(&c.BreakerCalls, 20)
	initial(&c.BreakerWindow, 10*time.Second)
	initial(&c.BreakerPause, 2*time.Second)
	if c.Transport == nil {
		c.Transport = NewTransport(c.Concurrency)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

func initial[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"timeout", int64(c.Timeout)},
		{"concurrency", int64(c.Concurrency)},
		{"tries", int64(c.Tries)},
		{"pause between tries", int64(c.TryPause)},
		{"breaker calls", int64(c.BreakerCalls)},
		{"breaker window", int64(c.BreakerWindow)},
		{"breaker pause", int64(c.BreakerPause)},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("gateway: the %s must not be negative", n.name))
		}
	}
	return errors.Join(errs...)
}

// New wires the gateway into its stage. It fails on a configuration that cannot
// work and on metrics that are registered already.
func New(cfg Config) (stream.Stage, error) {
	if err := cfg.validate(); err != nil {
		return stream.Stage{}, err
	}
	g, err := newGateway(cfg.withDefaults())
	if err != nil {
		return stream.Stage{}, err
	}
	return stream.Stage{Group: topology.Gateway, Handle: g.handle, Workers: g.concurrency}, nil
}

// gateway handles requests, concurrently for different payments.
type gateway struct {
	client      *client
	metrics     *metrics
	clock       func() time.Time
	provider    string
	concurrency int
}

func newGateway(cfg Config) (*gateway, error) {
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	c, err := newClient(cfg, m)
	if err != nil {
		return nil, err
	}
	return &gateway{client: c, metrics: m, clock: cfg.Clock, provider: cfg.Provider, concurrency: cfg.Concurrency}, nil
}

// handle answers one request. Its error is a *transition.Poison, or ctx's when
// that ended before the outcome was known; the request is handled again then.
func (g *gateway) handle(ctx context.Context, m *transition.Message) ([]transition.Output, error) {
	r, ok := m.Value.(*pb.GatewayRequest)
	if !ok {
		return nil, transition.Poisoned("unexpected_message", "%T on topic %s", m.Value, m.Topic)
	}
	if err := checkRequest(m, r); err != nil {
		return nil, err
	}
	started := g.clock()
	o, err := g.answer(ctx, r, started)
	if err != nil {
		return nil, err
	}
	o.result.Provider = g.provider
	g.metrics.answered(o, g.clock().Sub(started))
	return []transition.Output{{Topic: topology.GatewayResults.Name, Key: m.Key, Value: o.result}}, nil
}

func (g *gateway) answer(ctx context.Context, r *pb.GatewayRequest, now time.Time) (outcome, error) {
	if r.KeyExpiresUnixMs > 0 && now.UnixMilli() >= r.KeyExpiresUnixMs {
		// I3: the request has waited too long. The provider may have forgotten
		// the key and would move the money a second time.
		return unknown(r, causeKeyExpired, ""), nil
	}
	g.metrics.inFlight.Inc()
	defer g.metrics.inFlight.Dec()
	return g.client.ask(ctx, r)
}

func checkRequest(m *transition.Message, r *pb.GatewayRequest) error {
	switch {
	case operations[r.Operation] == "":
		return transition.Poisoned("unexpected_message", "gateway operation %v is none of this version", r.Operation)
	case len(r.PaymentId) != 16 || topology.KeyOf(r.PaymentId) != m.Key:
		return transition.Poisoned("wrong_key", "a record keyed %q speaks of payment %x", m.Key, r.PaymentId)
	case len(r.IdempotencyKey) != 16:
		return transition.Poisoned("incomplete_request", "an idempotency key of %d bytes", len(r.IdempotencyKey))
	case r.AmountMinor <= 0:
		return transition.Poisoned("amount_not_positive", "%d minor units", r.AmountMinor)
	case r.Operation == pb.GatewayOperation_GATEWAY_OPERATION_REFUND && r.ProviderReference == "":
		return transition.Poisoned("incomplete_request", "a refund without the charge at the provider")
	}
	return nil
}
