package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// fakeProvider decides every key once and then does to the answer what its
// manners say.
type fakeProvider struct {
	*httptest.Server
	mu       sync.Mutex
	decided  map[string]map[string]any
	bodies   map[string]string
	captures int
	calls    int
	// manners are used up one per call; a call beyond them is answered.
	manners []manner
}

// manner is what happens to one call. It may answer itself and return false.
type manner func(f *fakeProvider, w http.ResponseWriter, r *http.Request, decide func()) (answer bool)

func newFake(t testing.TB, manners ...manner) *fakeProvider {
	f := &fakeProvider{decided: map[string]map[string]any{}, bodies: map[string]string{}, manners: manners}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	key := r.Header.Get("Idempotency-Key")
	f.mu.Lock()
	f.calls++
	var how manner
	if len(f.manners) > 0 {
		how, f.manners = f.manners[0], f.manners[1:]
	}
	f.mu.Unlock()
	if how != nil && !how(f, w, r, func() { f.decide(r, key, body) }) {
		return
	}
	f.decide(r, key, body)
	f.mu.Lock()
	defer f.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(encoded(f.decided[key]))
}

// decide captures once per key, and notices another body under it.
func (f *fakeProvider) decide(r *http.Request, key string, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.decided[key] != nil {
		if f.bodies[key] != string(body) {
			panic("a key came with another body: " + string(body))
		}
		return
	}
	var asked struct {
		AmountMinor int64  `json:"amount_minor"`
		Currency    string `json:"currency"`
		Reference   string `json:"reference"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		panic(err)
	}
	request := &pb.GatewayRequest{AmountMinor: asked.AmountMinor, Currency: asked.Currency}
	status := "captured"
	if strings.HasSuffix(r.URL.Path, "/refunds") {
		status, request.Currency = "refunded", "EUR"
	} else {
		f.captures++
	}
	f.decided[key] = shown(request, status, map[string]any{"reference": asked.Reference})
	f.bodies[key] = string(body)
}

func (f *fakeProvider) seen() (calls, captures int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls, f.captures
}

// The manners of a provider that misbehaves.

// hangs decides and never answers.
func hangs(_ *fakeProvider, _ http.ResponseWriter, r *http.Request, decide func()) bool {
	decide()
	<-r.Context().Done()
	return false
}

// drops cuts the connection, before or after it has decided.
func drops(after bool) manner {
	return func(_ *fakeProvider, _ http.ResponseWriter, _ *http.Request, decide func()) bool {
		if after {
			decide()
		}
		panic(http.ErrAbortHandler)
	}
}

// says answers something else than a decision, which it made or not.
func says(status int, body string, after bool) manner {
	return func(_ *fakeProvider, w http.ResponseWriter, _ *http.Request, decide func()) bool {
		if after {
			decide()
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return false
	}
}

// breaksOff promises more than it sends.
func breaksOff(_ *fakeProvider, w http.ResponseWriter, _ *http.Request, decide func()) bool {
	decide()
	w.Header().Set("Content-Length", "1000")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, `{"id":"at_1"`)
	return false
}

// redirects sends the caller elsewhere.
func redirects(f *fakeProvider, w http.ResponseWriter, r *http.Request, _ func()) bool {
	http.Redirect(w, r, f.URL+"/elsewhere", http.StatusTemporaryRedirect)
	return false
}

// repeat is a manner n times.
func repeat(n int, m manner) []manner {
	all := make([]manner, n)
	for i := range all {
		all[i] = m
	}
	return all
}

// bench is a gateway under test. Its breaker does not open unless a test wants it.
type bench struct {
	*gateway
	registry *prometheus.Registry
}

func newBench(t testing.TB, url string, change func(*Config)) *bench {
	t.Helper()
	transport := NewTransport(16)
	t.Cleanup(transport.CloseIdleConnections)
	registry := prometheus.NewRegistry()
	cfg := Config{
		BaseURL: url, Transport: transport, TryPause: time.Microsecond, BreakerCalls: 1_000, Registerer: registry,
	}
	if change != nil {
		change(&cfg)
	}
	g, err := newGateway(cfg.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	return &bench{g, registry}
}

func (b *bench) send(t testing.TB, r *pb.GatewayRequest) *pb.GatewayResult {
	t.Helper()
	out, err := b.handle(context.Background(), message(r))
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 || out[0].Topic != topology.GatewayResults.Name || out[0].Key != topology.KeyOf(r.PaymentId) {
		t.Fatalf("outputs %v", out)
	}
	return out[0].Value.(*pb.GatewayResult)
}

func message(r *pb.GatewayRequest) *transition.Message {
	return &transition.Message{Topic: topology.GatewayRequests.Name, Key: topology.KeyOf(r.PaymentId), Value: r}
}
