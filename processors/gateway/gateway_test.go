package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// A charge is called once and its capture comes back with fee and time.
func TestCharge(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	b := newBench(t, f.URL, nil)
	r := b.send(t, chargeRequest())
	checkResult(t, chargeRequest(), r)
	if r.Outcome != isCaptured || r.FeeMinor != 206 {
		t.Fatalf("%v", r)
	}
	if refund := b.send(t, refundRequest()); refund.Outcome != isRefunded {
		t.Fatalf("%v", refund)
	}
}

// The provider misbehaves in one way, with every try of the request; the outcome
// is unknown, and the same request again gives the one capture (I3).
func TestMisbehaviourIsUnknownThenOneCapture(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		how   []manner
		cause string
	}{
		{"captures and hangs", repeat(1, hangs), causeTimeout},
		{"drops before deciding", repeat(3, drops(false)), causeUnreachable},
		{"drops after deciding", repeat(3, drops(true)), causeUnreachable},
		{"breaks off in the answer", repeat(3, breaksOff), causeUnreadable},
		{"fails before deciding", repeat(3, says(500, "", false)), causeServer},
		{"captures and answers 502", repeat(3, says(502, "<html>", true)), causeServer},
		{"captures and answers 504", repeat(3, says(504, "", true)), causeServer},
		{"is busy", repeat(3, says(429, "", false)), causeServer},
		{"has it in progress", repeat(1, says(409, `{"error":{"code":"idempotency_in_progress"}}`, false)), causeInProgress},
		{"denies it", repeat(1, says(404, `{"error":{"code":"not_found"}}`, true)), causeNotFound},
		{"does not know us", repeat(1, says(401, "", false)), causeRefusedUs},
		{"answers nonsense", repeat(1, says(201, "{", true)), causeUnreadable},
		{"redirects", repeat(1, redirects), causeServer},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, c.how...)
			b := newBench(t, f.URL, func(cfg *Config) {
				if c.cause == causeTimeout {
					cfg.Timeout = 2 * time.Second // by which it is given up, and the capture after it must be there
				}
			})
			r := b.send(t, chargeRequest())
			if r.Outcome != isUnknown || !strings.HasPrefix(r.Detail, c.cause) {
				t.Fatalf("%v, want unknown for %s", r, c.cause)
			}
			if got := testutil.ToFloat64(b.metrics.causes.WithLabelValues(c.cause)); got != 1 {
				t.Errorf("%v requests counted as %s", got, c.cause)
			}
			again := chargeRequest()
			again.Attempt = 2
			if r = b.send(t, again); r.Outcome != isCaptured {
				t.Fatalf("%v", r)
			}
			if _, captures := f.seen(); captures != 1 {
				t.Fatalf("I3: %d captures", captures)
			}
		})
	}
}

// The provider stumbles once: a quick try more is enough, and it is one capture.
func TestQuickTries(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]manner{"500": says(500, "", true), "a dropped connection": drops(true), "an answer that breaks off": breaksOff} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, how)
			if r := newBench(t, f.URL, nil).send(t, chargeRequest()); r.Outcome != isCaptured {
				t.Fatalf("%v", r)
			}
			if calls, captures := f.seen(); captures != 1 || calls < 2 {
				t.Fatalf("%d calls, %d captures", calls, captures)
			}
		})
	}
}

// The first try may have captured, the second one is refused as unreadable: that
// is no decline.
func TestRefusedAfterALostTry(t *testing.T) {
	t.Parallel()
	f := newFake(t, says(500, "", true), says(422, `{"error":{"code":"invalid_request"}}`, false))
	if r := newBench(t, f.URL, nil).send(t, chargeRequest()); r.Outcome != isImpossible {
		t.Fatalf("%v", r)
	}
	if f = newFake(t, says(422, `{"error":{"code":"invalid_request"}}`, false)); newBench(t, f.URL, nil).send(t, chargeRequest()).Outcome != isDeclined {
		t.Fatal("refused at first sight, nothing happened: that is a decline")
	}
}

// Nobody listens there: the outcome is unknown, never a refusal.
func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	if r := newBench(t, "http://127.0.0.1:1", nil).send(t, chargeRequest()); r.Outcome != isUnknown || !strings.HasPrefix(r.Detail, causeUnreachable) {
		t.Fatalf("%v", r)
	}
}

// A request has waited until the provider may have forgotten its key: it is not
// called any more, because that could capture twice (I3). A query still is.
func TestExpiredKeyIsNotCalled(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	b := newBench(t, f.URL, func(c *Config) { c.Clock = func() time.Time { return decided } })
	r := chargeRequest()
	r.KeyExpiresUnixMs = decided.UnixMilli()
	if got := b.send(t, r); got.Outcome != isUnknown || got.Detail != causeKeyExpired {
		t.Fatalf("%v", got)
	}
	if calls, _ := f.seen(); calls != 0 {
		t.Fatalf("%d calls", calls)
	}
	r.KeyExpiresUnixMs++
	if got := b.send(t, r); got.Outcome != isCaptured {
		t.Fatalf("%v", got)
	}
}

// The provider is down: after a few tries the breaker answers for it, and lets
// calls through again once it is back.
func TestBreaker(t *testing.T) {
	t.Parallel()
	f := newFake(t, repeat(4, says(503, "", false))...)
	b := newBench(t, f.URL, func(c *Config) { c.Tries, c.BreakerCalls, c.BreakerPause = 1, 4, time.Hour })
	for range 4 {
		b.send(t, chargeRequest())
	}
	for range 3 {
		if r := b.send(t, chargeRequest()); r.Outcome != isUnknown || r.Detail != causeBreaker {
			t.Fatalf("%v", r)
		}
	}
	if calls, _ := f.seen(); calls != 4 {
		t.Fatalf("the breaker let %d calls through", calls-4)
	}
	if got := testutil.ToFloat64(b.metrics.breakers.WithLabelValues("open")); got != 1 {
		t.Fatalf("the breaker's gauge says open %v", got)
	}

	back := newFake(t, repeat(4, says(503, "", false))...)
	b = newBench(t, back.URL, func(c *Config) { c.Tries, c.BreakerCalls, c.BreakerPause = 1, 4, time.Nanosecond })
	for range 4 {
		b.send(t, chargeRequest())
	}
	for range 3 { // as many successes as it wants to see
		if r := b.send(t, chargeRequest()); r.Outcome != isCaptured {
			t.Fatalf("%v", r)
		}
	}
	if got := testutil.ToFloat64(b.metrics.breakers.WithLabelValues("closed")); got != 1 {
		t.Fatalf("the breaker's gauge says closed %v after the provider is back", got)
	}
	if _, captures := back.seen(); captures != 1 {
		t.Fatalf("I3: %d captures of one payment", captures)
	}
}

// The breaker is open: its answer comes at once, without waiting for another try.
func TestOpenBreakerIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t, says(503, "", false))
	b := newBench(t, f.URL, func(c *Config) {
		c.Tries, c.TryPause, c.Timeout, c.BreakerCalls, c.BreakerPause = 2, time.Hour, 200*time.Millisecond, 1, time.Hour
	})
	if r := b.send(t, chargeRequest()); r.Detail != causeTimeout {
		t.Fatalf("%v, want a timeout between the tries", r)
	}
	if r := b.send(t, chargeRequest()); r.Detail != causeBreaker {
		t.Fatalf("%v, want the breaker's answer", r)
	}
}

// A kept connection turns out to be closed: the transport can send the same body
// on another one.
func TestBodyCanBeSentAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, "http://127.0.0.1:1", nil)
	c, err := newCall(chargeRequest())
	if err != nil {
		t.Fatal(err)
	}
	req := b.client.request(context.Background(), c)
	for range 2 {
		body, err := req.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != string(c.body) {
			t.Fatalf("%s, %v", got, err)
		}
	}
}

// Declines, 404 and 409 are the provider at work: they never open the breaker.
func TestBreakerIgnoresDecisions(t *testing.T) {
	t.Parallel()
	how := append(repeat(10, says(402, "", false)), repeat(10, says(409, "", false))...)
	f := newFake(t, append(how, repeat(10, says(404, "", false))...)...)
	b := newBench(t, f.URL, func(c *Config) { c.Tries, c.BreakerCalls, c.BreakerPause = 1, 4, time.Hour })
	for range 30 {
		b.send(t, chargeRequest())
	}
	if r := b.send(t, chargeRequest()); r.Outcome != isCaptured {
		t.Fatalf("%v", r)
	}
}

// The stage stops while a call is under way: nothing is answered, so that the
// request comes again after the restart, with the same key.
func TestStopDuringACall(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	f := newFake(t, func(_ *fakeProvider, _ http.ResponseWriter, r *http.Request, decide func()) bool {
		decide()
		cancel()
		<-r.Context().Done()
		return false
	})
	b := newBench(t, f.URL, nil)
	if out, err := b.handle(ctx, message(chargeRequest())); !errors.Is(err, context.Canceled) || out != nil {
		t.Fatalf("%v, %v", out, err)
	}
	if r := b.send(t, chargeRequest()); r.Outcome != isCaptured {
		t.Fatalf("%v", r)
	}
	if _, captures := f.seen(); captures != 1 {
		t.Fatalf("I3: %d captures", captures)
	}
}

// What no correct peer sends is never called.
func TestPoison(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	b := newBench(t, f.URL, nil)
	for reason, spoil := range map[string]func(*pb.GatewayRequest) proto.Message{
		"unexpected_message":  func(*pb.GatewayRequest) proto.Message { return &pb.Event{} },
		"wrong_key":           func(r *pb.GatewayRequest) proto.Message { r.PaymentId = event[:]; return r },
		"incomplete_request":  func(r *pb.GatewayRequest) proto.Message { r.IdempotencyKey = nil; return r },
		"amount_not_positive": func(r *pb.GatewayRequest) proto.Message { r.AmountMinor = 0; return r },
	} {
		m := message(chargeRequest())
		m.Value = spoil(chargeRequest())
		_, err := b.handle(context.Background(), m)
		if p, ok := transition.AsPoison(err); !ok || p.Reason != reason {
			t.Errorf("%v, want the poison %s", err, reason)
		}
	}
	blind, odd := refundRequest(), chargeRequest()
	blind.ProviderReference, odd.Operation = "", 99
	for _, r := range []*pb.GatewayRequest{blind, odd} {
		if _, err := b.handle(context.Background(), message(r)); err == nil {
			t.Errorf("%v was called", r)
		}
	}
	if calls, _ := f.seen(); calls != 0 {
		t.Fatalf("%d calls", calls)
	}
}

// Every series is there from the start, with the buckets that the dashboards draw.
func TestMetrics(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	b := newBench(t, f.URL, nil)
	if got := testutil.CollectAndCount(b.metrics.calls); got != len(operations)*len(outcomes) {
		t.Errorf("%d series of calls", got)
	}
	if got := testutil.CollectAndCount(b.metrics.causes); got != len(causes) {
		t.Errorf("%d series of causes", got)
	}
	b.send(t, chargeRequest())
	if got := testutil.ToFloat64(b.metrics.calls.WithLabelValues("charge", "captured")); got != 1 {
		t.Errorf("%v captured charges counted", got)
	}
	err := testutil.GatherAndCompare(b.registry, strings.NewReader(`
# HELP boxoffice_gateway_breaker_state 1 for the state that the provider's circuit breaker is in.
# TYPE boxoffice_gateway_breaker_state gauge
boxoffice_gateway_breaker_state{state="closed"} 1
boxoffice_gateway_breaker_state{state="half-open"} 0
boxoffice_gateway_breaker_state{state="open"} 0
# HELP boxoffice_gateway_calls_in_flight Gateway requests being called now.
# TYPE boxoffice_gateway_calls_in_flight gauge
boxoffice_gateway_calls_in_flight 0
`), "boxoffice_gateway_breaker_state", "boxoffice_gateway_calls_in_flight")
	if err != nil {
		t.Error(err)
	}
}

// A configuration that cannot work is refused with words, and so are metrics that are taken.
func TestNew(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	stage, err := New(Config{BaseURL: "http://127.0.0.1:1", Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	if stage.Workers != 256 || stage.Handle == nil || stage.Group.Name != "gateway" {
		t.Fatalf("%+v", stage)
	}
	for _, cfg := range []Config{
		{},
		{BaseURL: "provider:80"},
		{BaseURL: "http://provider/path"},
		{BaseURL: "ftp://provider"},
		{BaseURL: "http://%"},
		{BaseURL: "http://provider", Timeout: -1},
		{BaseURL: "http://provider", Registerer: registry},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

// The API key travels as a bearer token.
func TestAPIKey(t *testing.T) {
	t.Parallel()
	var got string
	f := newFake(t, func(_ *fakeProvider, _ http.ResponseWriter, r *http.Request, _ func()) bool {
		got = r.Header.Get("Authorization")
		return true
	})
	newBench(t, f.URL, func(c *Config) { c.APIKey = "sk_test" }).send(t, chargeRequest())
	if got != "Bearer sk_test" {
		t.Fatalf("Authorization: %q", got)
	}
}
