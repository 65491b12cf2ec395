package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// served is a server whose answers a test writes, and a client of it that does not
// wait for real.
func served(t *testing.T, handler http.HandlerFunc, options ...Option) (*Client, *[]time.Duration) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := New(server.URL+"/", server.URL, "secret", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var mu sync.Mutex
	var waits []time.Duration
	c.wait = func(ctx context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		waits = append(waits, d)
		return ctx.Err()
	}
	return c, &waits
}

var anOrder = Order{
	Key: "k-1", EventID: "e", Email: `a"da@example.com`, Name: "Ada \u2028 Lovelace", Channel: "web", Region: "eu", PaymentMethod: "tok",
	Lines: []OrderLine{{TicketType: "standard", Quantity: 2}, {TicketType: "vip", Quantity: 1, DiscountMinor: 5}},
}

const accepted = `{"registration_id":"r-1","position":{"topic":"registration-commands","partition":3,"offset":42},"status_url":"http://v/r-1"}`

// The order that is written by hand is JSON with every field; the answer is
// read; headers carry both keys.
func TestRegister(t *testing.T) {
	t.Parallel()
	c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		var got struct {
			EventID  string `json:"event_id"`
			Attendee struct{ Email, Name string }
			Lines    []struct {
				TicketType    string `json:"ticket_type"`
				Quantity      int    `json:"quantity"`
				DiscountMinor int64  `json:"discount_minor"`
			}
			Channel, Region string
			PaymentMethod   string `json:"payment_method"`
		}
		err := json.UnmarshalRead(r.Body, &got, json.RejectUnknownMembers(true), json.MatchCaseInsensitiveNames(true))
		if err != nil || got.EventID != "e" || got.Attendee.Email != anOrder.Email || got.Attendee.Name != anOrder.Name || got.Channel != "web" ||
			got.Region != "eu" || got.PaymentMethod != "tok" || len(got.Lines) != 2 || got.Lines[1].DiscountMinor != 5 || got.Lines[0].Quantity != 2 {
			t.Errorf("order %+v, %v", got, err)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/v1/registrations" || r.Header.Get("Idempotency-Key") != "k-1" ||
			r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, accepted+"\n")
	})
	a, err := c.Register(t.Context(), &anOrder)
	want := Accepted{RegistrationID: "r-1", StatusURL: "http://v/r-1", Position: Position{"registration-commands", 3, 42}}
	if err != nil || a != want || a.Position.String() != "registration-commands/3/42" {
		t.Errorf("%+v, %v", a, err)
	}
}

// An answer in another form of the same JSON is read as well, and what is none
// is an error.
func TestParseAccepted(t *testing.T) {
	t.Parallel()
	spaced := strings.ReplaceAll(accepted, ":", " : ")
	spaced = strings.Replace(spaced, "http : //", "http://", 1)
	for _, text := range []string{accepted, spaced, strings.Replace(accepted, `{"reg`, `{"more":1,"reg`, 1), strings.Replace(accepted, "r-1", `r\u002d1`, 1)} {
		a, err := parseAccepted([]byte(text))
		if err != nil || a.RegistrationID != "r-1" || a.Position != (Position{"registration-commands", 3, 42}) {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	for _, text := range []string{"", "hello", `{"registration_id":1}`, strings.Replace(accepted, "42", "99999999999999999999", 1)} {
		if a, err := parseAccepted([]byte(text)); err == nil {
			t.Errorf("%q was read as %+v", text, a)
		}
	}
}

// The server is busy, then away, then its connection breaks: the client repeats
// with the same key after the time that it is told, and is answered.
func TestRetries(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	c, waits := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") != "k-1" {
			t.Errorf("key %q", r.Header.Get("Idempotency-Key"))
		}
		switch calls.Add(1) {
		case 1:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"code":"overloaded","detail":"x"}`)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, accepted)
		}
	})
	a, err := c.Register(t.Context(), &anOrder)
	// net/http itself repeats a request with an idempotency key when the
	// connection breaks before the answer, so that one may not reach our count.
	if err != nil || a.RegistrationID != "r-1" || calls.Load() != 4 || c.Retries() < 2 || len(*waits) != int(c.Retries()) || (*waits)[0] != 7*time.Second {
		t.Errorf("%+v, %v after %d calls, %v", a, err, calls.Load(), *waits)
	}
}

// What cannot become better is not repeated; what does not become better ends
// after the attempts, with the last problem.
func TestNoEndlessRetries(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	var status atomic.Int64
	c, _ := served(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, `{"code":"some_code","detail":"Do this.","violations":[{"field":"lines[0].quantity","code":"out_of_range","message":"must be 1 to 10"}]}`)
	}, WithAttempts(3))
	for code, want := range map[int]int64{422: 1, 401: 1, 409: 1, 500: 1, 503: 3} {
		calls.Store(0)
		status.Store(int64(code))
		_, err := c.Register(t.Context(), &anOrder)
		var e *Error
		if !errors.As(err, &e) || e.Status != code || e.Code != "some_code" || len(e.Violations) != 1 || !strings.Contains(e.Error(), "lines[0].quantity must be 1 to 10") {
			t.Errorf("%d: %v", code, err)
		}
		if calls.Load() != want {
			t.Errorf("%d: %d calls, want %d", code, calls.Load(), want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Register(ctx, &anOrder); err == nil {
		t.Error("an ended context was ignored")
	}
}

// Events and cancellations are sent where they belong.
func TestCommands(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Idempotency-Key")+" "+string(body))
		status := "opening"
		if len(got) > 1 {
			status = "on_sale"
		}
		_, _ = fmt.Fprintf(w, `{"event_id":"e-1","status":%q,"position":{"topic":"catalog-commands","partition":1,"offset":2},"status_url":""}`, status)
	})
	a, err := c.WaitOnSale(t.Context(), &NewEvent{
		Key: "k", Name: "N", Currency: "EUR", StartsAt: time.Unix(0, 0).UTC(), TicketTypes: []NewTicketType{{ID: "a", PriceMinor: 100, Capacity: 5}},
	})
	if err != nil || a.EventID != "e-1" || a.Status != "on_sale" || a.Position.Offset != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	_, err1 := c.SetCapacity(t.Context(), "e-1", "a", 0)
	_, err2 := c.CancelEvent(t.Context(), "e-1", "rain")
	_, err3 := c.Cancel(t.Context(), "r-1", "k2", "", 1, 2)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Error(err)
	}
	event := `POST /v1/events k {"name":"N","currency":"EUR","starts_at":"1970-01-01T00:00:00Z","ticket_types":[{"id":"a","price_minor":100,"capacity":5}]}`
	want := []string{
		event, event,
		`POST /v1/events/e-1/capacity  {"ticket_type":"a","capacity":0}`,
		`POST /v1/events/e-1/cancel  {"reason":"rain"}`,
		`POST /v1/registrations/r-1/cancel k2 {"lines":[1,2]}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Look-ups pass the position to wait for and read the answer, whatever else it
// says.
func TestLookups(t *testing.T) {
	t.Parallel()
	c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/registrations/r-1":
			if r.Method != http.MethodGet || r.URL.Query().Get("wait_for") != "registration-commands/3/42" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			_, _ = io.WriteString(w, `{"registration_id":"r-1","status":"confirmed","settled":true,"total_minor":5,"tickets":[{"seat":3}],`+
				`"requested_at":"2026-11-22T13:00:00.000Z","new_field":1,"last_command":{"result":"applied"}}`)
		case "/v1/events/e-1":
			_, _ = io.WriteString(w, `{"event_id":"e-1","status":"on_sale","ticket_types":[{"ticket_type":"a","capacity":5}]}`)
		case "/v1/events/e-1/availability":
			_, _ = io.WriteString(w, `{"event_id":"e-1","ticket_types":[{"ticket_type":"a","capacity":5,"free":2}]}`)
		}
	})
	r, err := c.Registration(t.Context(), "r-1", &Position{"registration-commands", 3, 42})
	if err != nil || r.Status != "confirmed" || !r.Decided() || !r.Settled || r.Tickets[0].Seat != 3 || r.RequestedAt.IsZero() || r.LastCommand.Result != "applied" {
		t.Errorf("%+v, %v", r, err)
	}
	e, err := c.Event(t.Context(), "e-1", nil)
	if err != nil || e.Status != "on_sale" || e.TicketTypes[0].Capacity != 5 {
		t.Errorf("%+v, %v", e, err)
	}
	a, err := c.Availability(t.Context(), "e-1")
	if err != nil || a.TicketTypes[0].Free != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	if (&Registration{Status: "holding"}).Decided() {
		t.Error("holding is decided")
	}
}

// A batch sends lines and receives answers at the same time; a refused line is an
// answer, not an error.
func TestBatch(t *testing.T) {
	t.Parallel()
	c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		lines := bufio.NewScanner(r.Body)
		for i := 0; lines.Scan(); i++ {
			if !strings.HasPrefix(lines.Text(), `{"idempotency_key":"k-`) {
				t.Errorf("line %s", lines.Text())
			}
			if i%2 == 0 {
				_, _ = fmt.Fprintf(w, `{"index":%d,"status":202,%s`+"\n", i, accepted[1:])
			} else {
				_, _ = fmt.Fprintf(w, `{"index":%d,"status":422,"problem":{"code":"invalid_request","status":422,"detail":"no"}}`+"\n", i)
			}
			_ = http.NewResponseController(w).Flush()
		}
	})
	b, err := c.RegisterBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := errors.Join(b.Send(&anOrder), b.Flush()); err != nil {
			t.Fatal(err)
		}
		r, err := b.Recv()
		if err != nil || r.Index != i || (i%2 == 0) != (r.RegistrationID == "r-1") || (i%2 == 0) != (r.Problem == nil) {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if err := b.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := b.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// A batch that is refused as a whole, or whose server is not there, says so on
// both sides.
func TestBatchRefused(t *testing.T) {
	t.Parallel()
	c, _ := served(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"code":"api_key_unknown","detail":"no"}`)
	})
	b, err := c.RegisterBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := b.Recv(); !errors.As(err, &e) || e.Code != "api_key_unknown" || e.Status != 401 {
		t.Errorf("refused: %v", err)
	}
	_ = b.Close()

	gone, err := New("http://127.0.0.1:1", "", "secret")
	if err != nil {
		t.Fatal(err)
	}
	b, err = gone.RegisterBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Recv(); err == nil {
		t.Error("no server: no error")
	}
	if err := errors.Join(b.Send(&anOrder), b.Flush()); err == nil {
		t.Error("no server: sent")
	}
	_ = b.Close()
}

// A client without a URL, or with a bad one, says so instead of guessing.
func TestNew(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"127.0.0.1:8080", "ftp://x", "http://"} {
		if _, err := New(bad, "", ""); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	c, err := New("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Register(t.Context(), &anOrder); !errors.Is(err, errNoServer) {
		t.Errorf("no URL: %v", err)
	}
	if _, err := c.RegisterBatch(t.Context()); !errors.Is(err, errNoServer) {
		t.Errorf("no URL: %v", err)
	}
}

// What a request costs a load generator beside the network: everything but
// RoundTrip.
func BenchmarkRegister(b *testing.B) {
	c, err := New("http://127.0.0.1:1", "", "secret", WithTransport(answering{}))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Register(b.Context(), &anOrder); err != nil {
			b.Fatal(err)
		}
	}
}

type answering struct{}

func (answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusAccepted, ContentLength: int64(len(accepted)), Body: io.NopCloser(strings.NewReader(accepted))}, nil
}

// The server says nothing at all: a batch ends with its context, on both sides,
// whether anything was sent or not.
func TestBatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	c, _ := served(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	for _, orders := range []int{0, 1} {
		ctx, cancel := context.WithCancel(t.Context())
		b, err := c.RegisterBatch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range orders {
			if err := errors.Join(b.Send(&anOrder), b.Flush()); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if _, err := b.Recv(); !errors.Is(err, context.Canceled) {
			t.Errorf("received %v", err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := errors.Join(b.Send(&anOrder), b.Flush()); err == nil {
			t.Error("sent after the end")
		}
	}
}

// net/http may notice the end of a batch at the side that sends: whoever receives
// is told of the end all the same.
func TestBatchTellsItsEndWhateverBroke(t *testing.T) {
	t.Parallel()
	c, err := New("http://127.0.0.1:1", "", "secret", WithTransport(brokenAtTheEnd{}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b, err := c.RegisterBatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := b.Recv(); !errors.Is(err, context.Canceled) {
		t.Errorf("received %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

type brokenAtTheEnd struct{}

func (brokenAtTheEnd) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, io.ErrClosedPipe
}

// The connection breaks while the sender is silent: the batch still ends with its
// context.
func TestBatchOfABrokenConnection(t *testing.T) {
	t.Parallel()
	called := make(chan struct{})
	c, _ := served(t, func(http.ResponseWriter, *http.Request) { close(called); panic(http.ErrAbortHandler) })
	ctx, cancel := context.WithCancel(t.Context())
	b, err := c.RegisterBatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	<-called
	cancel()
	if _, err := b.Recv(); err == nil {
		t.Error("received something")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
