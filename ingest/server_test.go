package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// countingLog tells when a number of writes has been started.
type countingLog struct {
	*fakeLog
	started *atomic.Int64
	at      int64
	reached chan struct{}
}

func (l *countingLog) count() {
	if l.started.Add(1) == l.at {
		l.reached <- struct{}{}
	}
}

func (l *countingLog) Emit(ctx context.Context, topic topology.Topic, key string, value proto.Message, h ...stream.Header) (stream.Position, error) {
	l.count()
	return l.fakeLog.Emit(ctx, topic, key, value, h...)
}

func (l *countingLog) EmitAsync(topic topology.Topic, key string, value proto.Message, done func(stream.Position, error), h ...stream.Header) {
	l.count()
	l.fakeLog.EmitAsync(topic, key, value, done, h...)
}

// The server stops while requests wait for Kafka: each is answered, and exactly
// those that were answered 202 are in the log.
func TestShutdownLosesNothing(t *testing.T) {
	t.Parallel()
	const requests = 20
	b := newBench(t)
	hold := make(chan struct{})
	b.log.hold = hold
	counted := &countingLog{fakeLog: b.log, started: new(atomic.Int64), reached: make(chan struct{}, 1), at: requests}
	b.cfg.Producer = counted
	url, stop := b.listen()
	var accepted sync.Map
	var wg sync.WaitGroup
	for i := range requests {
		wg.Go(func() {
			key := fmt.Sprint("key-", i)
			if postOrder(t, url, key) == http.StatusAccepted {
				accepted.Store(registrationID(key).String(), true)
			}
		})
	}
	<-counted.reached
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	<-b.draining
	if err := b.Ready(); err == nil {
		t.Error("still ready while it stops")
	}
	close(hold)
	wg.Wait()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	for _, r := range b.log.all() {
		if _, ok := accepted.LoadAndDelete(r.key); !ok {
			t.Errorf("%s is in the log but was not answered 202", r.key)
		}
	}
	accepted.Range(func(id, _ any) bool { t.Errorf("%s was answered 202 and is lost", id); return true })
}

func postOrder(t *testing.T, url, key string) int {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/registrations", strings.NewReader(orderBody()))
	if err != nil {
		t.Error(err)
		return 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+goodKey)
	r.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// A request hangs on Kafka for longer than the stop may take: the stop says so.
func TestShutdownTimesOut(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.ShutdownTimeout = time.Millisecond })
	b.log.hold = make(chan struct{})
	counted := &countingLog{fakeLog: b.log, started: new(atomic.Int64), reached: make(chan struct{}, 1), at: 1}
	b.cfg.Producer = counted
	url, stop := b.listen()
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/registrations", strings.NewReader(orderBody()))
		if err != nil {
			return
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + goodKey}, "Idempotency-Key": {"k"}}
		if res, err := http.DefaultClient.Do(r); err == nil {
			_ = res.Body.Close()
		}
	}()
	<-counted.reached
	if err := stop(); err == nil {
		t.Error("a stop that cut a request off says nothing")
	}
}

// A listener that fails is an error, not a clean stop.
func TestServeFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := b.Serve(t.Context(), l); err == nil {
		t.Error("no error")
	}
}

// A panic in one request is answered 500 and told to nobody else.
func TestPanic(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.log.fail = func() error { panic("secret") }
	a := b.do("POST", "/v1/registrations", orderBody())
	if a.status != 500 || a.code() != "internal" || strings.Contains(a.body, "secret") {
		t.Errorf("answered %d %s", a.status, a.body)
	}
}

// Paths and methods that do not exist are answered as problems as well.
func TestUnknownRoutes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, path := range []string{"/", "/v1", "/v1/registrations/" + registrationID("k").String(), "/v1/events/1/2/3"} {
		if a := b.do("GET", path, ""); a.status != 404 || a.code() != "route_unknown" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	a := b.do("GET", "/v1/registrations", "")
	if a.status != 405 || a.header.Get("Allow") != "POST" {
		t.Errorf("wrong method: %d %v", a.status, a.header)
	}
	if a := b.do("HEAD", "/healthz", ""); a.status != 200 {
		t.Errorf("HEAD: %d", a.status)
	}
}

// Counters start at zero for every label and count what happened: requests by
// status, commands, problems and lines.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	before, err := testutil.GatherAndCount(b.registry, "boxoffice_ingest_requests_total", "boxoffice_ingest_problems_total")
	if err != nil || before < 100 {
		t.Errorf("%d series at the start, %v", before, err)
	}
	b.do("POST", "/v1/registrations", orderBody())
	b.do("POST", "/v1/registrations", `{`)
	b.do("POST", "/v1/registrations:batch", batchLine("x")+"{\n", ndjsonBody)
	after, err := testutil.GatherAndCount(b.registry, "boxoffice_ingest_requests_total", "boxoffice_ingest_problems_total")
	if err != nil || after != before {
		t.Errorf("%d series, then %d, %v", before, after, err)
	}
	for name, want := range map[string]float64{
		`boxoffice_ingest_requests_total{code="202",route="/v1/registrations"}`:       1,
		`boxoffice_ingest_requests_total{code="400",route="/v1/registrations"}`:       1,
		`boxoffice_ingest_requests_total{code="200",route="/v1/registrations:batch"}`: 1,
		`boxoffice_ingest_commands_accepted_total{command="register"}`:                2,
		`boxoffice_ingest_commands_accepted_total{command="cancel_event"}`:            0,
		`boxoffice_ingest_problems_total{code="malformed_json"}`:                      2,
		`boxoffice_ingest_batch_lines_total{result="accepted"}`:                       1,
		`boxoffice_ingest_batch_lines_total{result="refused"}`:                        1,
		`boxoffice_ingest_requests_in_flight`:                                         0,
	} {
		if got := gathered(t, b.registry, name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	problems, err := testutil.GatherAndLint(b.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// gathered returns the value of one series, written as Prometheus does.
func gathered(t *testing.T, reg prometheus.Gatherer, series string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := f.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			if name == series {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("%s is not there", series)
	return 0
}

// A configuration that lacks parts names all of them.
func TestValidate(t *testing.T) {
	t.Parallel()
	_, err := New(Config{ViewsURL: "views", ProduceTimeout: -1})
	for _, part := range []string{"Producer", "Catalogue", "Keys", "Sealing", "Log", "Registerer", "views URL", "produce timeout"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not named: %v", part, err)
		}
	}
}

// More requests hang on a slow Kafka than may be in flight: a further one is told
// to come back, and health is still told.
func TestInFlightIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.InFlightMax = 1 })
	hold := make(chan struct{})
	b.log.hold = hold
	counted := &countingLog{fakeLog: b.log, started: new(atomic.Int64), reached: make(chan struct{}, 1), at: 1}
	b.cfg.Producer = counted
	first := make(chan answer)
	go func() { first <- b.do("POST", "/v1/registrations", orderBody()) }()
	<-counted.reached
	if a := b.do("POST", "/v1/registrations", orderBody()); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %s", a.status, a.body)
	}
	if a := b.do("GET", "/healthz", ""); a.status != 200 {
		t.Errorf("health: %d %s", a.status, a.body)
	}
	close(hold)
	if a := <-first; a.status != 202 {
		t.Errorf("the first: %d %s", a.status, a.body)
	}
	if a := b.do("POST", "/v1/registrations", orderBody()); a.status != 202 {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
}

// A caller of the batch door has the wrong key and waits for the answer before it
// sends anything: it gets one.
func TestBatchRefusedBeforeItsBody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, _ := b.listen()
	c, err := client.New(url, "", "nope")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Less than the server's own time for reading a request, after which it would
	// answer anyway.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	batch, err := c.RegisterBatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var refusal *client.Error
	if _, err := batch.Recv(); !errors.As(err, &refusal) || refusal.Code != "api_key_unknown" {
		t.Errorf("answered %v", err)
	}
	if err := batch.Close(); err != nil {
		t.Error(err)
	}
}

// The digest of a body leaves the front door, the body does not: without the
// sealing key nobody can try e-mail addresses until a digest fits.
func TestDigestIsKeyed(t *testing.T) {
	t.Parallel()
	digest := func(b *bench) string {
		b.do("POST", "/v1/registrations", orderBody())
		return string(b.log.all()[0].value.(*pb.RegistrationCommand).BodyDigest)
	}
	here, there := digest(newBench(t)), digest(newBench(t))
	if here == there {
		t.Error("two installations give the same digest")
	}
}
