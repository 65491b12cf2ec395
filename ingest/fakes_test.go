package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/sealing"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	organiser = "acme"
	goodKey   = "bo_test_key"
	// otherKey is another organiser's, readKey may only read.
	otherKey = "bo_other_key"
	readKey  = "bo_read_key"
)

var (
	saleStart = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	inSale    = saleStart.Add(time.Hour)
	saleEnd   = saleStart.AddDate(0, 1, 0)
	eventID   = topology.EventID(organiser, "conference")
)

func conference() *pb.Event {
	return &pb.Event{
		EventId: eventID[:], Organiser: organiser, Name: "Conference", Currency: "EUR", Region: "eu",
		Status: pb.EventStatus_EVENT_STATUS_ON_SALE, SaleStartsUnixMs: saleStart.UnixMilli(), SaleEndsUnixMs: saleEnd.UnixMilli(),
		MaxPerAttendee: 12, Version: 7, BlockListVersion: 3, TestMode: true,
		TicketTypes: []*pb.TicketType{
			{Id: "standard", PriceMinor: 11900, TaxRateBp: 1900, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED},
			{Id: "vip", PriceMinor: 9999, TaxRateBp: 700, TaxMode: pb.TaxMode_TAX_MODE_ON_TOP},
			{Id: "free", TaxMode: pb.TaxMode_TAX_MODE_EXEMPT},
		},
	}
}

// record is what the fake log holds.
type record struct {
	topic, key string
	value      proto.Message
	position   stream.Position
}

// fakeLog is a producer whose log is a slice. fail, when set, answers instead.
type fakeLog struct {
	mu      sync.Mutex
	records []record
	fail    func() error
	// hold, when set, delays every acknowledgement until it is closed.
	hold chan struct{}
}

func (l *fakeLog) append(topic topology.Topic, key string, value proto.Message) (stream.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		if err := l.fail(); err != nil {
			return stream.Position{}, err
		}
	}
	at := stream.Position{Topic: topic.Name, Partition: 3, Offset: int64(len(l.records))}
	l.records = append(l.records, record{topic.Name, key, value, at})
	return at, nil
}

func (l *fakeLog) Emit(ctx context.Context, topic topology.Topic, key string, value proto.Message, _ ...stream.Header) (stream.Position, error) {
	if l.hold != nil {
		select {
		case <-l.hold:
		case <-ctx.Done():
			return stream.Position{}, ctx.Err()
		}
	}
	return l.append(topic, key, value)
}

func (l *fakeLog) EmitAsync(topic topology.Topic, key string, value proto.Message, done func(stream.Position, error), _ ...stream.Header) {
	if l.hold == nil {
		done(l.append(topic, key, value))
		return
	}
	go func() {
		<-l.hold
		done(l.append(topic, key, value))
	}()
}

func (l *fakeLog) all() []record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]record(nil), l.records...)
}

// fakeCatalogue is a view that tests write to.
type fakeCatalogue struct {
	recovering atomic.Bool
	mu         sync.Mutex
	values     map[string]proto.Message
	changed    chan struct{}
	// waited is told of every WaitFor.
	waited chan string
}

func newFakeCatalogue(events ...*pb.Event) *fakeCatalogue {
	c := &fakeCatalogue{values: map[string]proto.Message{}, changed: make(chan struct{}), waited: make(chan string, 100)}
	for _, e := range events {
		c.put(e)
	}
	return c
}

func (c *fakeCatalogue) put(e *pb.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[topology.KeyOf(e.EventId)] = e
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *fakeCatalogue) Ready() bool { return !c.recovering.Load() }

func (c *fakeCatalogue) Get(key string) (proto.Message, error) {
	if c.recovering.Load() {
		return nil, stream.ErrRecovering
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.values[key], nil
}

func (c *fakeCatalogue) WaitFor(ctx context.Context, key string, pred func(proto.Message) bool) (proto.Message, error) {
	select {
	case c.waited <- key:
	default:
	}
	for {
		c.mu.Lock()
		value, changed := c.values[key], c.changed
		c.mu.Unlock()
		if pred(value) {
			return value, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return value, ctx.Err()
		}
	}
}

// bench is a front door with fakes around it.
type bench struct {
	*Server
	t         testing.TB
	log       *fakeLog
	catalogue *fakeCatalogue
	keyring   *sealing.Keyring
	registry  *prometheus.Registry
	now       atomic.Pointer[time.Time]
}

func newBench(t testing.TB, change ...func(*Config)) *bench {
	t.Helper()
	keyring, err := sealing.Parse(sealing.Generate())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := apikey.Parse([]byte(keyFile()))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, log: &fakeLog{}, catalogue: newFakeCatalogue(conference()), keyring: keyring, registry: prometheus.NewPedanticRegistry()}
	b.now.Store(&inSale)
	cfg := Config{
		Producer: b.log, Catalogue: b.catalogue, Keys: apikey.Fixed(keys), Sealing: keyring, ViewsURL: "http://views",
		Log: slog.New(slog.DiscardHandler), Registerer: b.registry, Now: func() time.Time { return *b.now.Load() },
		UnknownEventWait: time.Millisecond, OnSaleWait: time.Millisecond, ProduceTimeout: 10 * time.Second,
	}
	for _, f := range change {
		f(&cfg)
	}
	if b.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

func keyFile() string {
	entry := func(key, organiser, scopes string) string {
		h := apikey.HashOf(key)
		return fmt.Sprintf(`{"name":"test","sha256":"%x","organiser":%q,"scopes":[%s]}`, h[:], organiser, scopes)
	}
	write := `"events:write","registrations:write"`
	return `{"keys":[` + entry(goodKey, organiser, write) + `,` + entry(otherKey, "other", write) + `,` +
		entry(readKey, organiser, `"registrations:read"`) + `]}`
}

// answer is what a door said.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (a answer) code() string { s, _ := a.json["code"].(string); return s }

func (a answer) fields() []string {
	var fields []string
	violations, _ := a.json["violations"].([]any)
	for _, v := range violations {
		fields = append(fields, v.(map[string]any)["field"].(string))
	}
	return fields
}

type option func(*http.Request)

func header(name, value string) option {
	return func(r *http.Request) {
		if value == "" {
			r.Header.Del(name)
			return
		}
		r.Header.Set(name, value)
	}
}

func key(value string) option    { return header("Idempotency-Key", value) }
func bearer(value string) option { return header("Authorization", "Bearer "+value) }

// do sends one request as an ordinary caller would; options change it.
func (b *bench) do(method, path, body string, options ...option) answer {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+goodKey)
	r.Header.Set("Idempotency-Key", "key-1")
	for _, o := range options {
		o(r)
	}
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	res := w.Result()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(content)}
	if strings.Contains(res.Header.Get("Content-Type"), "json") && !strings.Contains(res.Header.Get("Content-Type"), "ndjson") {
		if err := json.Unmarshal(content, &a.json); err != nil {
			b.t.Fatalf("%s %s answered no JSON: %v\n%s", method, path, err, content)
		}
	}
	return a
}

// orderBody is a good order; replacements are pairs of old and new.
func orderBody(replacements ...string) string {
	body := `{"event_id":"` + eventID.String() + `","attendee":{"email":"Ada@example.com","name":"Ada Lovelace"},` +
		`"lines":[{"ticket_type":"standard","quantity":2}],"channel":"web","region":"eu","payment_method":"tok_visa"}`
	return strings.NewReplacer(replacements...).Replace(body)
}

func registrationID(key string) uuid.UUID { return topology.RegistrationID(organiser, key) }
