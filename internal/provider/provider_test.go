package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// deadline bounds what a test waits for; it is no expectation of speed.
const deadline = 30 * time.Second

// running is a provider that a test talks to.
type running struct {
	*Provider
	url      string
	registry *prometheus.Registry
	stop     func() error
}

func testOptions(dir string) Options {
	return Options{Dir: dir, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
}

func start(tb testing.TB, o Options) *running {
	tb.Helper()
	p, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	return serve(tb, p)
}

func serve(tb testing.TB, p *Provider) *running {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	tb.Cleanup(func() { _ = stop() })
	return &running{Provider: p, url: "http://" + p.Addr(), registry: p.options.Registerer.(*prometheus.Registry), stop: stop}
}

type answer struct {
	status   int
	body     string
	replayed bool
}

// field returns a top-level field of the answer as text.
func (a answer) field(name string) string {
	var m map[string]any
	if json.Unmarshal([]byte(a.body), &m) != nil || m[name] == nil {
		return ""
	}
	return fmt.Sprint(m[name])
}

func (a answer) code() string {
	var m struct{ Error struct{ Code string } }
	_ = json.Unmarshal([]byte(a.body), &m)
	return m.Error.Code
}

func (r *running) call(ctx context.Context, method, path, key, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(raw), resp.Header.Get("Idempotent-Replayed") == "true"}, err
}

func (r *running) mustCall(tb testing.TB, method, path, key, body string) answer {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	a, err := r.call(ctx, method, path, key, body)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func chargeBody(reference string, amount int) string {
	return fmt.Sprintf(`{"amount_minor":%d,"currency":"EUR","method":"card","reference":%q,"metadata":{"event_id":"e-1"}}`, amount, reference)
}

func (r *running) charge(tb testing.TB, reference string, amount int) answer {
	tb.Helper()
	return r.mustCall(tb, "POST", "/v1/charges", "charge-"+reference, chargeBody(reference, amount))
}

func (r *running) refund(tb testing.TB, charge, reference string, amount int) answer {
	tb.Helper()
	return r.mustCall(tb, "POST", "/v1/charges/"+charge+"/refunds", "refund-"+reference, fmt.Sprintf(`{"amount_minor":%d,"reference":%q}`, amount, reference))
}

func (r *running) behave(tb testing.TB, b Behaviour) {
	tb.Helper()
	body, err := json.Marshal(b)
	if err != nil {
		tb.Fatal(err)
	}
	if a := r.mustCall(tb, "PUT", "/v1/behaviour", "", string(body)); a.status != http.StatusOK {
		tb.Fatalf("behaviour: %+v", a)
	}
}

func (r *running) ledger(tb testing.TB) []Entry {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var all []Entry
	if err := ReadLedger(ctx, r.url, func(e Entry) error { all = append(all, e); return nil }); err != nil {
		tb.Fatal(err)
	}
	return all
}

// awaitTravelling waits until a request has arrived and is not decided.
func (r *running) awaitTravelling(tb testing.TB) {
	tb.Helper()
	eventually(tb, "a request travels", func() bool { r.book.mu.Lock(); defer r.book.mu.Unlock(); return len(r.book.travelling) == 1 })
}

// eventually polls a condition until it holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	end := time.After(deadline)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			tb.Fatalf("not within %v: %s", deadline, what)
		}
	}
}

// A charge is captured, refunded in parts and refused beyond what is left of it;
// the ledger shows it all in order.
func TestChargeAndRefund(t *testing.T) {
	t.Parallel()
	o := testOptions(t.TempDir())
	at := time.Date(2026, 3, 1, 23, 59, 59, 987_654_321, time.FixedZone("", 3600))
	o.Clock = func() time.Time { return at }
	r := start(t, o)

	c := r.charge(t, "p-1", 9900)
	if c.status != http.StatusCreated || c.field("status") != "captured" || c.field("fee_minor") != "164" || c.field("captured_at") != "2026-03-01T22:59:59.987Z" {
		t.Fatalf("charge: %+v", c)
	}
	id := c.field("id")
	if a := r.refund(t, id, "r-1", 9000); a.status != http.StatusCreated || a.field("status") != "refunded" || a.field("payment_reference") != "p-1" || a.field("currency") != "EUR" {
		t.Fatalf("first refund: %+v", a)
	}
	if a := r.refund(t, id, "r-2", 901); a.status != http.StatusUnprocessableEntity || a.code() != "refund_exceeds_charge" {
		t.Fatalf("too large a refund: %+v", a)
	}
	if a := r.refund(t, id, "r-3", 900); a.status != http.StatusCreated {
		t.Fatalf("last refund: %+v", a)
	}
	if a := r.mustCall(t, "GET", "/v1/charges/"+id, "", ""); a.field("refunded_minor") != "9900" {
		t.Fatalf("charge after refunds: %+v", a)
	}
	if a := r.mustCall(t, "GET", "/v1/refunds?reference=r-3", "", ""); a.status != http.StatusOK || !strings.Contains(a.body, `"amount_minor":900`) {
		t.Fatalf("refund query: %+v", a)
	}

	entries := r.ledger(t)
	if len(entries) != 3 {
		t.Fatalf("ledger: %+v", entries)
	}
	for i, want := range []Entry{
		{Kind: KindCharge, Reference: "p-1", AmountMinor: 9900, FeeMinor: 164},
		{Kind: KindRefund, Reference: "r-1", AmountMinor: 9000, ChargeID: id},
		{Kind: KindRefund, Reference: "r-3", AmountMinor: 900, ChargeID: id},
	} {
		got := entries[i]
		want.Seq, want.ID, want.PaymentReference, want.Currency, want.Method = uint64(i+1), got.ID, "p-1", "EUR", "card"
		if got.Metadata["event_id"] != "e-1" || !got.At.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("entry %d: %+v", i, got)
		}
		got.Metadata, got.At = nil, time.Time{}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("entry %d is %+v, want %+v", i, got, want)
		}
	}
}

// What a caller gets wrong is told with a code that stays, and changes nothing.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r := start(t, testOptions(t.TempDir()))
	r.behave(t, Behaviour{DeclineRate: 1})
	declined := r.charge(t, "declined", 100).field("id")
	for _, c := range []struct {
		name, method, path, key, body string
		status                        int
		code                          string
	}{
		{"no key", "POST", "/v1/charges", "", chargeBody("x", 1), 400, "idempotency_key_required"},
		{"no JSON", "POST", "/v1/charges", "k", `{"amount_minor":`, 400, "malformed_json"},
		{"fraction", "POST", "/v1/charges", "k", `{"amount_minor":1.5}`, 400, "malformed_json"},
		{"nothing to charge", "POST", "/v1/charges", "k", chargeBody("x", 0), 422, "invalid_request"},
		{"negative", "POST", "/v1/charges", "k", chargeBody("x", -1), 422, "invalid_request"},
		{"too much", "POST", "/v1/charges", "k", chargeBody("x", maxAmountMinor+1), 422, "invalid_request"},
		{"no currency", "POST", "/v1/charges", "k", `{"amount_minor":1,"method":"card","reference":"x"}`, 422, "invalid_request"},
		{"no reference", "POST", "/v1/charges", "k", chargeBody("", 1), 422, "invalid_request"},
		{"large body", "POST", "/v1/charges", "k", strings.Repeat(" ", maxBody+1), 413, "body_too_large"},
		{"refund of nothing", "POST", "/v1/charges/ch_00000000000000ff/refunds", "k", `{"amount_minor":1,"reference":"x"}`, 404, "not_found"},
		{"refund of a declined charge", "POST", "/v1/charges/" + declined + "/refunds", "k", `{"amount_minor":1,"reference":"x"}`, 422, "charge_not_captured"},
		{"unknown charge", "GET", "/v1/charges/ch_1", "", "", 404, "not_found"},
		{"unknown reference", "GET", "/v1/charges?reference=nobody", "", "", 404, "not_found"},
		{"no reference to ask for", "GET", "/v1/refunds", "", "", 400, "reference_required"},
		{"ledger page", "GET", "/v1/ledger?limit=0", "", "", 422, "invalid_request"},
		{"behaviour rate", "PUT", "/v1/behaviour", "", `{"decline_rate":1.1}`, 422, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := r.mustCall(t, c.method, c.path, c.key, c.body); a.status != c.status || a.code() != c.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, c.status, c.code)
			}
		})
	}
	if entries := r.ledger(t); len(entries) != 0 {
		t.Errorf("the ledger has %+v, want nothing", entries)
	}
}

// I3: many callers send the same charge at the same moment; one of them captures
// and the others are told to come back or get its answer.
func TestOneKeyCapturesOnce(t *testing.T) {
	t.Parallel()
	r := start(t, testOptions(t.TempDir()))
	const payments, callers = 20, 8
	var wg sync.WaitGroup
	answers := make([][callers]answer, payments)
	for p := range payments {
		for c := range callers {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), deadline)
				defer cancel()
				reference := fmt.Sprintf("p-%d", p)
				for {
					a, err := r.call(ctx, "POST", "/v1/charges", reference, chargeBody(reference, 500+p))
					if err != nil {
						t.Error(err)
						return
					}
					if a.status == http.StatusConflict && a.code() == "idempotency_in_progress" {
						continue
					}
					answers[p][c] = a
					return
				}
			})
		}
	}
	wg.Wait()
	for p := range answers {
		first := 0
		for _, a := range answers[p] {
			if a.status != http.StatusCreated || a.body != answers[p][0].body {
				t.Errorf("payment %d: %+v differs from %+v", p, a, answers[p][0])
			}
			if !a.replayed {
				first++
			}
		}
		if first != 1 {
			t.Errorf("payment %d was decided %d times", p, first)
		}
	}
	if n := len(r.ledger(t)); n != payments {
		t.Errorf("%d charges in the ledger, want %d", n, payments)
	}
}

// A key that comes again with another body is refused, however the body is
// written; with the same content in another order it is the same request.
func TestKeyWithAnotherBody(t *testing.T) {
	t.Parallel()
	r := start(t, testOptions(t.TempDir()))
	first := r.mustCall(t, "POST", "/v1/charges", "k", `{"amount_minor":100,"currency":"EUR","method":"card","reference":"p","metadata":{"a":"1","b":"2"}}`)
	same := r.mustCall(t, "POST", "/v1/charges", "k", `{ "metadata":{"b":"2","a":"1"}, "reference":"p","method":"card","currency":"EUR","amount_minor":100 }`)
	if !same.replayed || same.body != first.body {
		t.Errorf("same request: %+v, want the answer of %+v", same, first)
	}
	for _, other := range []string{
		`{"amount_minor":101,"currency":"EUR","method":"card","reference":"p","metadata":{"a":"1","b":"2"}}`,
		`{"amount_minor":100,"currency":"USD","method":"card","reference":"p","metadata":{"a":"1","b":"2"}}`,
		`{"amount_minor":100,"currency":"EUR","method":"card","reference":"p","metadata":{"a":"1","b":"3"}}`,
	} {
		if a := r.mustCall(t, "POST", "/v1/charges", "k", other); a.status != http.StatusUnprocessableEntity || a.code() != "idempotency_key_reused" {
			t.Errorf("other body: %+v", a)
		}
	}
	id := first.field("id")
	if a := r.mustCall(t, "POST", "/v1/charges/"+id+"/refunds", "k", `{"amount_minor":100,"reference":"p"}`); a.code() != "idempotency_key_reused" {
		t.Errorf("the charge's key on a refund: %+v", a)
	}
}

// After its lifetime a key is forgotten and the same request charges again: that
// is why a caller must not repeat a charge for ever.
func TestKeyLifetime(t *testing.T) {
	t.Parallel()
	o := testOptions(t.TempDir())
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	o.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	o.KeyLifetime = time.Hour
	pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	r := start(t, o)
	first := r.charge(t, "p", 100)
	pass(time.Hour - time.Millisecond)
	if a := r.charge(t, "p", 100); a.body != first.body {
		t.Errorf("within the lifetime: %+v, want %+v", a, first)
	}
	pass(time.Millisecond)
	if a := r.charge(t, "p", 100); a.status != http.StatusCreated || a.field("id") == first.field("id") {
		t.Errorf("after the lifetime: %+v", a)
	}
	r.charge(t, "q", 100)
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	if n := len(r.book.byKey); n != 2 {
		t.Errorf("%d keys in memory, want the 2 that are alive", n)
	}
}

// A run with the same seed declines the same payments with the same codes,
// whatever the order; another seed declines others.
func TestSameSeedSameDeclines(t *testing.T) {
	t.Parallel()
	declines := func(seed uint64, backwards bool) map[string]string {
		o := testOptions(t.TempDir())
		o.Behaviour = Behaviour{Seed: seed, DeclineRate: 0.25}
		r := start(t, o)
		found := map[string]string{}
		for i := range 200 {
			if backwards {
				i = 199 - i
			}
			reference := fmt.Sprintf("payment-%d", i)
			if a := r.charge(t, reference, 100); a.field("status") == "declined" {
				found[reference] = a.field("decline_code")
			}
		}
		return found
	}
	a, b, c := declines(7, false), declines(7, true), declines(8, false)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("seed 7 declined %v, then %v", a, b)
	}
	if fmt.Sprint(a) == fmt.Sprint(c) || len(a) < 25 || len(a) > 75 {
		t.Errorf("declined %d of 200 with seed 7 and %d with seed 8, want about 50 each and not the same", len(a), len(c))
	}
}

// The caller times out, asks and is told that there is no such charge, repeats
// and is told to wait; then the charge captures after all, once.
func TestChargeAppliedAfterItsCallerGaveUp(t *testing.T) {
	t.Parallel()
	r := start(t, testOptions(t.TempDir()))
	r.behave(t, Behaviour{TimeoutAfterApplyRate: 1, LateMS: 1, NotFoundMeanwhile: true})

	ctx, giveUp := context.WithCancel(context.Background())
	gone := make(chan error, 1)
	go func() {
		_, err := r.call(ctx, "POST", "/v1/charges", "charge-p", chargeBody("p", 100))
		gone <- err
	}()
	r.awaitTravelling(t)
	if a := r.charge(t, "p", 100); a.status != http.StatusConflict || a.code() != "idempotency_in_progress" {
		t.Errorf("repeated while it travels: %+v", a)
	}
	if a := r.mustCall(t, "GET", "/v1/charges?reference=p", "", ""); a.status != http.StatusNotFound {
		t.Errorf("query while it travels: %+v", a)
	}
	r.behave(t, Behaviour{TimeoutAfterApplyRate: 1, LateMS: 1})
	if a := r.mustCall(t, "GET", "/v1/charges?reference=p", "", ""); !strings.Contains(a.body, `"status":"pending"`) {
		t.Errorf("query while it travels, when nothing is denied: %+v", a)
	}
	giveUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller got %v", err)
	}
	eventually(t, "the charge is captured", func() bool {
		return strings.Contains(r.mustCall(t, "GET", "/v1/charges?reference=p", "", "").body, `"status":"captured"`)
	})
	var again answer
	eventually(t, "it does not travel any more", func() bool {
		again = r.charge(t, "p", 100)
		return again.code() != "idempotency_in_progress"
	})
	if again.status != http.StatusCreated || !again.replayed {
		t.Errorf("the repeated charge: %+v", again)
	}
	if entries := r.ledger(t); len(entries) != 1 {
		t.Errorf("ledger: %+v", entries)
	}
}

// A slow charge is applied even though its caller has left long before.
func TestSlowCharge(t *testing.T) {
	t.Parallel()
	r := start(t, testOptions(t.TempDir()))
	r.behave(t, Behaviour{SlowRate: 1, SlowMS: 2000})
	ctx, giveUp := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = r.call(ctx, "POST", "/v1/charges", "charge-p", chargeBody("p", 100))
	}()
	r.awaitTravelling(t)
	giveUp()
	<-gone
	eventually(t, "the charge is captured", func() bool { return len(r.ledger(t)) == 1 })
}

// An injected failure applies nothing, and a caller that repeats gets through.
func TestInjectedFailure(t *testing.T) {
	t.Parallel()
	r := start(t, testOptions(t.TempDir()))
	r.behave(t, Behaviour{ErrorRate: 0.7})
	failures := 0
	for i := range 20 {
		for r.charge(t, fmt.Sprint(i), 100).status == http.StatusInternalServerError {
			failures++
		}
	}
	if n := len(r.ledger(t)); n != 20 || failures == 0 {
		t.Errorf("%d charges after %d failures, want 20 after some", n, failures)
	}
	if got := testutil.ToFloat64(r.metrics.faults.WithLabelValues(faultError)); int(got) != failures {
		t.Errorf("%v failures counted, want %d", got, failures)
	}
}

// While it is away connections break without an answer, and readiness says so;
// the ledger can still be read, and coming back takes one call.
func TestAway(t *testing.T) {
	t.Parallel()
	r := start(t, testOptions(t.TempDir()))
	r.charge(t, "before", 100)
	r.behave(t, Behaviour{Away: true})
	if a, err := r.call(t.Context(), "POST", "/v1/charges", "k", chargeBody("x", 1)); err == nil {
		t.Errorf("an answer while away: %+v", a)
	}
	if a := r.mustCall(t, "GET", "/readyz", "", ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("ready while away: %+v", a)
	}
	if a := r.mustCall(t, "GET", "/healthz", "", ""); a.status != http.StatusOK {
		t.Errorf("health while away: %+v", a)
	}
	if n := len(r.ledger(t)); n != 1 {
		t.Errorf("%d charges, want 1", n)
	}
	r.behave(t, Behaviour{})
	if a := r.charge(t, "after", 100); a.status != http.StatusCreated {
		t.Errorf("after coming back: %+v", a)
	}
}

// Everything comes back after a restart: answers by key, refunded sums,
// declines, the behaviour that was PUT; declined charges stay out of the ledger
// unless they are asked for.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, testOptions(dir))
	captured := r.charge(t, "p", 1000)
	refunded := r.refund(t, captured.field("id"), "r", 600)
	r.behave(t, Behaviour{DeclineRate: 1, NotFoundMeanwhile: true})
	declined := r.charge(t, "d", 1000)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	r = start(t, testOptions(dir))
	if a := r.charge(t, "p", 1000); a.body != captured.body || !a.replayed {
		t.Errorf("charge: %+v, want %+v", a, captured)
	}
	if a := r.refund(t, captured.field("id"), "r", 600); a.body != refunded.body || !a.replayed {
		t.Errorf("refund: %+v, want %+v", a, refunded)
	}
	if a := r.charge(t, "d", 1000); a.body != declined.body || a.field("status") != "declined" {
		t.Errorf("declined charge: %+v, want %+v", a, declined)
	}
	if a := r.refund(t, captured.field("id"), "r-2", 401); a.code() != "refund_exceeds_charge" {
		t.Errorf("refund of more than is left: %+v", a)
	}
	if b := *r.behaviour.Load(); !b.NotFoundMeanwhile || b.DeclineRate != 1 {
		t.Errorf("behaviour: %+v", b)
	}
	if n := len(r.ledger(t)); n != 2 {
		t.Errorf("%d entries in the ledger, want 2", n)
	}
	all := r.mustCall(t, "GET", "/v1/ledger?declines=true", "", "")
	if strings.Count(all.body, "\n") != 3 || !strings.Contains(all.body, `"decline_code"`) {
		t.Errorf("ledger with declined charges: %s", all.body)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	o := testOptions(dir)
	o.Behaviour = Behaviour{Seed: 3}
	if b := *start(t, o).behaviour.Load(); b != o.Behaviour {
		t.Errorf("behaviour is %+v, want that of the new options", b)
	}
}

// A kill in the middle of a write leaves a torn last line: nobody was answered
// for it, it is cut off, and its request can come again.
func TestTornLastLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, testOptions(dir))
	first := r.charge(t, "p", 100)
	r.charge(t, "torn", 200)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ledgerFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lastLine := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := len(whole) - 1; cut >= lastLine; cut -= 31 {
		if err := os.WriteFile(path, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		r := start(t, testOptions(dir))
		if a := r.charge(t, "p", 100); a.body != first.body {
			t.Errorf("cut at %d: the first charge is %+v", cut, a)
		}
		if a := r.charge(t, "torn", 200); a.status != http.StatusCreated || a.replayed {
			t.Errorf("cut at %d: the torn charge is %+v", cut, a)
		}
		if entries := r.ledger(t); len(entries) != 2 || entries[1].Seq != 2 {
			t.Errorf("cut at %d: ledger %+v", cut, entries)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// Damage before the last line is no torn write: opening says where it is
// instead of dropping what was answered. So does a file that is no ledger.
func TestDamagedLedger(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, testOptions(dir))
	r.charge(t, "p", 100)
	r.charge(t, "q", 100)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ledgerFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"a changed amount": {bytes.Replace(whole, []byte(`"amount_minor":100`), []byte(`"amount_minor":999`), 1), "damaged at byte 39"},
		"a lost line":      {append([]byte(ledgerHeader), whole[bytes.IndexByte(whole[len(ledgerHeader):], '\n')+1+len(ledgerHeader):]...), "entry 2 follows entry 0"},
		"another file":     {[]byte("PK\x03\x04 something else that is long enough\n"), "no provider ledger"},
	} {
		if err := os.WriteFile(path, c.content, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(testOptions(dir)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
}

// Two providers on one directory would interleave their ledgers: the second is
// refused, and so is a taken address.
func TestOneProviderPerDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, testOptions(dir))
	if _, err := Open(testOptions(dir)); err == nil || !strings.Contains(err.Error(), "another provider uses") {
		t.Errorf("same directory: %v", err)
	}
	o := testOptions(t.TempDir())
	o.Addr = r.Addr()
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), r.Addr()) {
		t.Errorf("same address: %v", err)
	}
}

// No charge is answered, replayed or shown before its entry is on disk.
func TestAnswersOnlyWhatIsDurable(t *testing.T) {
	t.Parallel()
	p, err := Open(testOptions(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	p.book.ledger.sync = func() error { <-release; return nil }
	r := serve(t, p)
	answered := make(chan answer, 1)
	go func() {
		a, _ := r.call(context.Background(), "POST", "/v1/charges", "charge-p", chargeBody("p", 100))
		answered <- a
	}()
	eventually(t, "the charge is at the ledger", func() bool { r.book.mu.Lock(); defer r.book.mu.Unlock(); return r.book.slots.count == 1 })
	if a := r.mustCall(t, "GET", "/v1/charges/"+newID(chargePrefix, 1), "", ""); a.status != http.StatusNotFound {
		t.Errorf("shown before it is durable: %+v", a)
	}
	if entries := r.ledger(t); len(entries) != 0 {
		t.Errorf("listed before it is durable: %+v", entries)
	}
	select {
	case a := <-answered:
		t.Errorf("answered before it is durable: %+v", a)
	default:
	}
	close(release)
	if a := <-answered; a.status != http.StatusCreated {
		t.Errorf("after the fsync: %+v", a)
	}
}

// The disk fails: the caller learns that the outcome is unknown, nothing more is
// accepted, and Serve ends with the reason so that a restart reads what is there.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	p, err := Open(testOptions(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	p.book.ledger.sync = func() error { return errors.New("no space left on device") }
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(t.Context()) }()
	r := &running{Provider: p, url: "http://" + p.Addr()}
	if a := r.charge(t, "p", 100); a.status != http.StatusServiceUnavailable {
		t.Errorf("charge on a full disk: %+v", a)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("Serve ended with %v", err)
	}
}

// Stopping does not wait for charges that are still travelling, and applies none
// of them.
func TestStopEndsWhatTravels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, testOptions(dir))
	r.behave(t, Behaviour{SlowRate: 1, SlowMS: maxDelayMS})
	answered := make(chan answer, 1)
	go func() {
		a, _ := r.call(context.Background(), "POST", "/v1/charges", "charge-p", chargeBody("p", 100))
		answered <- a
	}()
	r.awaitTravelling(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if a := <-answered; a.status != http.StatusServiceUnavailable || a.code() != "stopping" {
		t.Errorf("answer: %+v", a)
	}
	if entries := start(t, testOptions(dir)).ledger(t); len(entries) != 0 {
		t.Errorf("ledger: %+v", entries)
	}
}

// The ledger comes in pages of any size without losing or repeating an entry.
func TestLedgerPages(t *testing.T) {
	t.Parallel()
	o := testOptions(t.TempDir())
	o.Behaviour = Behaviour{DeclineRate: 0.3}
	r := start(t, o)
	captured := 0
	for i := range 50 {
		if r.charge(t, fmt.Sprint(i), 100).field("status") == "captured" {
			captured++
		}
	}
	for _, limit := range []int{1, 3, 7, 1000} {
		seen, after := 0, uint64(0)
		for {
			page := r.mustCall(t, "GET", fmt.Sprintf("/v1/ledger?after=%d&limit=%d", after, limit), "", "")
			if page.body == "" {
				break
			}
			for line := range strings.Lines(page.body) {
				var e Entry
				if err := json.Unmarshal([]byte(line), &e); err != nil || e.Seq <= after || e.Kind == KindDecline {
					t.Fatalf("limit %d: entry %q after %d: %v", limit, line, after, err)
				}
				after = e.Seq
				seen++
			}
		}
		if seen != captured {
			t.Errorf("limit %d: %d entries, want %d", limit, seen, captured)
		}
	}
}
