package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// system is a front door and everything behind it, small: it sells places first
// come first served, and publishes each version under a Kafka transaction.
type system struct {
	t       *testing.T
	event   uuid.UUID
	brokers []string
	url     string
	client  *kgo.Client

	mu         sync.Mutex
	asked      int
	left       map[string]int
	registered map[uuid.UUID]pb.Outcome
	cancelled  map[uuid.UUID]bool
	calls      map[string]int
	// decide is false for a system that accepts and never decides.
	decide bool
}

func newSystem(t *testing.T) *system {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topology.RegistrationEvents.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.TransactionalID("system"),
		kgo.DefaultProduceTopic(topology.RegistrationEvents.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s := &system{
		t: t, event: topology.EventID("acme", t.Name()), brokers: cluster.ListenAddrs(), client: client, decide: true,
		left: map[string]int{}, registered: map[uuid.UUID]pb.Outcome{}, cancelled: map[uuid.UUID]bool{}, calls: map[string]int{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/events", s.postEvent)
	mux.HandleFunc("POST /v1/registrations", s.postRegistration)
	mux.HandleFunc("POST /v1/registrations:batch", s.postBatch)
	mux.HandleFunc("POST /v1/registrations/{id}/cancel", s.postCancel)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// postEvent says "opening" first, as a catalog that is slow does.
func (s *system) postEvent(w http.ResponseWriter, r *http.Request) {
	var body struct {
		TicketTypes []TicketType `json:"ticket_types"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range body.TicketTypes {
		s.left[t.ID] = t.Capacity
	}
	status := http.StatusCreated
	if s.calls[r.Header.Get("Idempotency-Key")]++; s.calls[r.Header.Get("Idempotency-Key")] == 1 {
		status = http.StatusAccepted
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"event_id":"%s"}`, s.event)
}

type systemOrder struct {
	IdempotencyKey string `json:"idempotency_key"`
	EventID        string `json:"event_id"`
	Lines          []struct {
		TicketType string `json:"ticket_type"`
		Quantity   int    `json:"quantity"`
	} `json:"lines"`
}

// postRegistration refuses every seventh request for now, and drops the
// connection of every eleventh after it has accepted it.
func (s *system) postRegistration(w http.ResponseWriter, r *http.Request) {
	var o systemOrder
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		s.t.Error(err)
	}
	o.IdempotencyKey = r.Header.Get("Idempotency-Key")
	s.mu.Lock()
	s.asked++
	asked := s.asked
	s.mu.Unlock()
	if asked%7 == 0 {
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"code":"overloaded","detail":"not now"}`)
		return
	}
	id := s.register(&o)
	if asked%11 == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"registration_id":"%s","position":{"topic":"registration-commands","partition":1,"offset":2}}`, id)
}

// postBatch refuses every seventh line for now, and leaves the last line of its
// first answer out.
func (s *system) postBatch(w http.ResponseWriter, r *http.Request) {
	lines := bufio.NewScanner(r.Body)
	var answers []string
	for i := 0; lines.Scan(); i++ {
		var o systemOrder
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			s.t.Error(err)
		}
		s.mu.Lock()
		s.asked++
		asked := s.asked
		s.mu.Unlock()
		if asked%7 == 0 {
			answers = append(answers, fmt.Sprintf(`{"index":%d,"status":429,"problem":{"code":"overloaded","detail":"not now"}}`, i))
			continue
		}
		answers = append(answers, fmt.Sprintf(`{"index":%d,"status":202,"registration_id":"%s"}`, i, s.register(&o)))
	}
	s.mu.Lock()
	if s.calls["batch"]++; s.calls["batch"] == 1 {
		answers = answers[:len(answers)-1]
	}
	s.mu.Unlock()
	fmt.Fprintln(w, strings.Join(answers, "\n"))
}

// register decides an order once, and publishes what becomes of it. Before some
// decisions it publishes another one that is never committed.
func (s *system) register(o *systemOrder) uuid.UUID {
	id := topology.RegistrationID("acme", o.IdempotencyKey)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.registered[id]; known || o.EventID != s.event.String() {
		return id
	}
	outcome := pb.Outcome_OUTCOME_CONFIRMED
	for _, l := range o.Lines {
		if s.left[l.TicketType] < l.Quantity {
			outcome = pb.Outcome_OUTCOME_SOLD_OUT
		}
	}
	if outcome == pb.Outcome_OUTCOME_CONFIRMED {
		for _, l := range o.Lines {
			s.left[l.TicketType] -= l.Quantity
		}
		if len(s.registered)%25 == 24 {
			outcome = pb.Outcome_OUTCOME_PAYMENT_FAILED
		}
	}
	s.registered[id] = outcome
	if !s.decide {
		return id
	}
	if len(s.registered)%13 == 0 {
		s.publish(kgo.TryAbort, s.version(id, pb.Outcome_OUTCOME_EXPIRED, true))
	}
	foreign := topology.RegistrationID("acme", "another event's")
	s.publish(kgo.TryCommit, s.version(id, 0, false), s.version(id, outcome, false), s.version(id, outcome, true),
		&pb.Registration{RegistrationId: foreign[:], EventId: foreign[:], Outcome: outcome, Settled: true})
	return id
}

func (s *system) postCancel(w http.ResponseWriter, r *http.Request) {
	id := uuid.MustParse(r.PathValue("id"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.registered[id] != pb.Outcome_OUTCOME_CONFIRMED {
		s.t.Errorf("asked to cancel %s, which is %v", id, s.registered[id])
	}
	if !s.cancelled[id] {
		s.cancelled[id] = true
		s.publish(kgo.TryCommit, s.version(id, pb.Outcome_OUTCOME_CANCELLED, false), s.version(id, pb.Outcome_OUTCOME_CANCELLED, true))
	}
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"registration_id":"%s"}`, id)
}

func (s *system) version(id uuid.UUID, o pb.Outcome, settled bool) *pb.Registration {
	return &pb.Registration{RegistrationId: id[:], EventId: s.event[:], Outcome: o, Settled: settled}
}

// publish writes versions under one transaction; called with the lock held.
func (s *system) publish(end kgo.TransactionEndTry, versions ...*pb.Registration) {
	ctx := context.Background()
	if err := s.client.BeginTransaction(); err != nil {
		s.t.Error(err)
	}
	for _, v := range versions {
		value, err := proto.Marshal(v)
		if err != nil {
			s.t.Error(err)
		}
		s.client.Produce(ctx, &kgo.Record{Key: []byte(topology.KeyOf(v.GetRegistrationId())), Value: value}, nil)
	}
	if err := s.client.Flush(ctx); err != nil {
		s.t.Error(err)
	}
	if err := s.client.EndTransaction(ctx, end); err != nil {
		s.t.Error(err)
	}
}

func (s *system) config(t *testing.T) Config {
	return Config{
		IngestURL: s.url, APIKey: "k", Brokers: s.brokers, Places: 100, Seed: 3, CancelShare: .1,
		Connections: 8, BatchLinesMax: 10, UndecidedMax: 20, RetryFor: time.Minute, Warmup: -1,
		StallTimeout: time.Minute, ProgressInterval: 5 * time.Millisecond,
		AcceptedFile: filepath.Join(t.TempDir(), "accepted.ndjson"),
	}
}

// check holds a result against the system's own books.
func (s *system) check(t *testing.T, cfg Config, res Result) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	want := map[pb.Outcome]int64{}
	for _, o := range s.registered {
		want[o]++
	}
	if res.Accepted != int64(res.Planned) || res.Accepted != int64(len(s.registered)) || res.Decided != res.Accepted || res.Open != 0 || res.Stray != 0 {
		t.Errorf("planned %d, registered %d, result %+v", res.Planned, len(s.registered), res.Counts)
	}
	if res.Confirmed != want[pb.Outcome_OUTCOME_CONFIRMED] || res.SoldOut != want[pb.Outcome_OUTCOME_SOLD_OUT] ||
		res.PaymentFailed != want[pb.Outcome_OUTCOME_PAYMENT_FAILED] || res.Expired != 0 || res.Cancelled != int64(len(s.cancelled)) {
		t.Errorf("registered %v, cancelled %d, result %+v", want, len(s.cancelled), res.Counts)
	}
	if res.Confirmed == 0 || res.SoldOut == 0 || res.PaymentFailed == 0 || res.Cancelled == 0 {
		t.Errorf("the story lacks an outcome: %+v", res.Counts)
	}
	if res.Confirmation.Count != res.Confirmed || res.Confirmation.P50 <= 0 || res.Confirmation.P99 < res.Confirmation.P50 || res.ConfirmedPerS <= 0 {
		t.Errorf("latency %+v, %v confirmed/s", res.Confirmation, res.ConfirmedPerS)
	}
	for _, a := range readAccepted(t, cfg.AcceptedFile) {
		if _, ok := s.registered[a.RegistrationID]; !ok || a.RegistrationID != topology.RegistrationID("acme", a.IdempotencyKey) ||
			a.AcceptedAt.Before(a.IntendedAt) || a.Quantity < 1 || a.AmountMinor < 1 {
			t.Errorf("the file claims %+v", a)
		}
	}
}

func readAccepted(t *testing.T, path string) map[uuid.UUID]Accepted {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[uuid.UUID]Accepted{}
	for line := range strings.Lines(string(content)) {
		var a Accepted
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if _, twice := claims[a.RegistrationID]; twice {
			t.Errorf("claimed twice: %s", line)
		}
		claims[a.RegistrationID] = a
	}
	return claims
}

// A conference is sold out through either door, at a rate or as fast as it goes,
// while the door refuses some requests for now, drops some connections after it
// accepted, and the log holds decisions that were never committed: the
// generator's counts are the system's own, and its file claims each acceptance
// once.
func TestRunSellsOut(t *testing.T) {
	t.Parallel()
	for name, adjust := range map[string]func(*Config){
		"single, closed": func(*Config) {},
		"single, open":   func(c *Config) { c.Rate = 500 },
		"batch, closed":  func(c *Config) { c.Door = Batch },
		"batch, open":    func(c *Config) { c.Door, c.Rate = Batch, 500 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			cfg := s.config(t)
			adjust(&cfg)
			var last Snapshot
			res, err := Run(t.Context(), cfg, func(s Snapshot) {
				if s.Accepted < last.Accepted || s.Decided < last.Decided || s.Planned == 0 {
					t.Errorf("progress went back: %+v after %+v", s, last)
				}
				last = s
			})
			if err != nil {
				t.Fatal(err)
			}
			s.check(t, cfg, res)
			if got := len(readAccepted(t, cfg.AcceptedFile)); int64(got) != res.Accepted {
				t.Errorf("the file claims %d of %d", got, res.Accepted)
			}
			if last.Counts != res.Counts {
				t.Errorf("last progress %+v, result %+v", last.Counts, res.Counts)
			}
		})
	}
}

// The saga is down: everything is accepted, nothing decided. The run ends and
// says what is open, instead of waiting for ever.
func TestRunStalls(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.decide = false
	cfg := s.config(t)
	cfg.StallTimeout = 50 * time.Millisecond
	res, err := Run(t.Context(), cfg, nil)
	if !errors.Is(err, ErrStalled) || res.Open == 0 || res.Open != res.Accepted {
		t.Errorf("%v, %+v", err, res.Counts)
	}
}

// The key is wrong: every request is refused at once, by its code, and the run
// ends.
func TestRunIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/events" {
			s.postEvent(w, r)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"code":"scope_missing","detail":"This needs a key with the scope registrations:write."}`)
	}))
	t.Cleanup(refusing.Close)
	cfg := s.config(t)
	cfg.IngestURL = refusing.URL
	res, err := Run(t.Context(), cfg, nil)
	if err != nil || res.Refused != int64(res.Planned) || res.Refusals["scope_missing"] != res.Refused || res.Accepted != 0 {
		t.Errorf("%v, %+v, %v", err, res.Counts, res.Refusals)
	}
}

// The front door goes away in the middle: the run ends with an error, because
// what became of its requests is not known.
func TestRunMeetsADeadDoor(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	dying := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/events" {
			s.postEvent(w, r)
			return
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(dying.Close)
	cfg := s.config(t)
	cfg.IngestURL, cfg.RetryFor = dying.URL, 2*time.Second
	res, err := Run(t.Context(), cfg, nil)
	if !errors.Is(err, errNoAnswer) || res.Accepted != 0 || res.Refused == 0 {
		t.Errorf("%v, %+v", err, res.Counts)
	}
}

// Somebody interrupts the run: the result so far is returned, and the file holds
// all that was accepted.
func TestRunIsInterrupted(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	cfg := s.config(t)
	cfg.Rate, cfg.AcceptedFile = 100, filepath.Join(t.TempDir(), "accepted.ndjson")
	ctx, interrupt := context.WithCancel(t.Context())
	res, err := Run(ctx, cfg, func(s Snapshot) {
		if s.Accepted > 10 {
			interrupt()
		}
	})
	if !errors.Is(err, context.Canceled) || res.Accepted <= 10 || res.Accepted >= int64(res.Planned) {
		t.Errorf("%v, %+v", err, res.Counts)
	}
	if got := len(readAccepted(t, cfg.AcceptedFile)); int64(got) != res.Accepted {
		t.Errorf("the file claims %d of %d", got, res.Accepted)
	}
}

// The provider's other behaviour, a seed that no float holds included, survives
// that its declines are set.
func TestSetDeclines(t *testing.T) {
	t.Parallel()
	behaviour := `{"seed":18446744073709551615,"decline_rate":0,"slow_ms":9007199254740993}`
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			b := new(strings.Builder)
			if _, err := bufio.NewReader(r.Body).WriteTo(b); err != nil {
				t.Error(err)
			}
			behaviour = b.String()
		}
		fmt.Fprint(w, behaviour)
	}))
	t.Cleanup(provider.Close)
	if err := SetDeclines(t.Context(), provider.URL, .04, 1<<63+1); err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{`"decline_rate":0.04`, `"seed":9223372036854775809`, `"slow_ms":9007199254740993`} {
		if !strings.Contains(behaviour, member) {
			t.Errorf("%s is not in %s", member, behaviour)
		}
	}
	provider.Close()
	if err := SetDeclines(t.Context(), provider.URL, .04, 1); err == nil {
		t.Error("no error though the provider is away")
	}
}
