package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// client makes calls and survives what the provider does to them.
type client struct {
	base      *url.URL
	apiKey    string
	transport http.RoundTripper
	policies  failsafe.Executor[answer]
}

// answerMax bounds what is read of an answer, in bytes.
const answerMax = 64 << 10

func newClient(cfg Config, m *metrics) (*client, error) {
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("gateway: the provider's URL: %w", err)
	}
	if base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.Path != "" && base.Path != "/" {
		return nil, fmt.Errorf("gateway: the provider's URL is %q: want http(s)://host:port", cfg.BaseURL)
	}
	base.Path = ""
	return &client{base: base, apiKey: cfg.APIKey, transport: cfg.Transport, policies: policies(cfg, m)}, nil
}

// NewTransport returns HTTP/1.1 connections for that many calls at a time, kept
// open between them. It uses no proxy.
func NewTransport(concurrency int) *http.Transport {
	dialer := &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		MaxIdleConns:          concurrency,
		MaxIdleConnsPerHost:   concurrency,
		MaxConnsPerHost:       concurrency,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
	}
}

// policies are, from the outside in: the limit for a request with all its tries,
// a few quick tries, and the breaker that spares a provider which is down.
func policies(cfg Config, m *metrics) failsafe.Executor[answer] {
	failed := func(a answer, err error) bool {
		return err != nil || a.status >= http.StatusInternalServerError || a.status == http.StatusTooManyRequests
	}
	tries := retrypolicy.NewBuilder[answer]().
		HandleIf(failed).
		AbortIf(func(_ answer, err error) bool {
			return errors.Is(err, circuitbreaker.ErrOpen) || errors.Is(err, context.Canceled)
		}).
		WithMaxAttempts(cfg.Tries).
		WithBackoff(cfg.TryPause, 10*cfg.TryPause).
		WithJitterFactor(0.25).
		ReturnLastFailure().
		Build()
	breaker := circuitbreaker.NewBuilder[answer]().
		HandleIf(failed).
		WithFailureRateThreshold(0.5, uint(cfg.BreakerCalls), cfg.BreakerWindow).
		WithDelay(cfg.BreakerPause).
		WithJitterFactor(0.2).
		WithSuccessThreshold(3).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			m.breaker(e.NewState.String())
			cfg.Logger.Warn("circuit breaker of the payment provider", "from", e.OldState.String(), "to", e.NewState.String())
		}).
		Build()
	return failsafe.With[answer](timeout.New[answer](cfg.Timeout), tries, breaker)
}

// ask brings a request to the provider and says what became of it. It returns
// within the timeout; an error means that ctx ended and nothing is known.
func (c *client) ask(ctx context.Context, r *pb.GatewayRequest) (outcome, error) {
	call, err := newCall(r)
	if err != nil {
		return outcome{}, err
	}
	sent := 0
	a, err := c.policies.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[answer]) (answer, error) {
		sent++
		return c.do(e.Context(), call)
	})
	if ctx.Err() != nil && (err != nil || a.status == 0) {
		return outcome{}, ctx.Err()
	}
	switch {
	case err == nil:
		return a.result(r, sent == 1), nil
	case errors.Is(err, circuitbreaker.ErrOpen):
		return unknown(r, causeBreaker, ""), nil
	case errors.Is(err, timeout.ErrExceeded), errors.Is(err, context.DeadlineExceeded):
		return unknown(r, causeTimeout, ""), nil
	case errors.Is(err, errUnreadable):
		return unknown(r, causeUnreadable, err.Error()), nil
	}
	return unknown(r, causeUnreachable, err.Error()), nil
}

var errUnreadable = errors.New("the answer broke off")

// do makes one try.
func (c *client) do(ctx context.Context, call call) (answer, error) {
	res, err := c.transport.RoundTrip(c.request(ctx, call))
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerMax))
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return answer{res.StatusCode, body}, nil
}

var jsonType = []string{"application/json"}

// request goes past http.Client: no redirects are followed, no cookies kept, and
// the URL is not parsed anew.
func (c *client) request(ctx context.Context, call call) *http.Request {
	header := make(http.Header, 4)
	if c.apiKey != "" {
		header["Authorization"] = []string{"Bearer " + c.apiKey}
	}
	target := *c.base
	target.Opaque, target.RawQuery = call.path, call.query
	req := &http.Request{Method: call.method, URL: &target, Host: target.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if call.key != "" {
		header["Idempotency-Key"] = []string{call.key}
		header["Content-Type"] = jsonType
		req.ContentLength = int64(len(call.body))
		req.Body = io.NopCloser(bytes.NewReader(call.body))
		// A kept connection that turns out to be closed is replaced and the
		// request sent again, which the idempotency key allows.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(call.body)), nil }
	}
	return req.WithContext(ctx)
}
