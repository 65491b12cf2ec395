package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// provider is a payment provider behind HTTP: it decides once per idempotency
// key, for as long as it remembers the key. Its ledger is the truth about money.
type provider struct {
	w       *world
	ledger  []*entry
	byKey   map[string]*entry
	charges map[string]*entry // captured, by id
	// travelling are requests whose callers have given up, and which are yet to be
	// decided.
	travelling []call
	away       bool
	captured   map[string]int64 // by payment reference
	refunded   map[string]int64
	captures   map[string]int
	declines   int // share of the payments, in sixteenths
}

// entry is one decision.
type entry struct {
	key, id, status, reference, currency string
	charge                               string // of a refund
	payment                              string // the charge's reference
	body                                 []byte
	amount, fee                          int64
	at                                   int64
}

// call is one request.
type call struct {
	path, key string
	body      []byte
}

// travelMax bounds how long a request travels, milliseconds; far less than a key
// is remembered.
const travelMax = 60 * 60 * 1000

// keyLifetime is how long the provider remembers a key, milliseconds.
const keyLifetime = 24 * 60 * 60 * 1000

func newProvider(w *world) *provider {
	return &provider{
		w: w, byKey: map[string]*entry{}, charges: map[string]*entry{},
		captured: map[string]int64{}, refunded: map[string]int64{}, captures: map[string]int{},
	}
}

var errUnreachable = errors.New("connection refused")

// RoundTrip implements http.RoundTripper.
func (p *provider) RoundTrip(req *http.Request) (*http.Response, error) {
	path := req.URL.Opaque
	if p.away {
		p.w.tell("provider", "is away")
		p.w.count(providerAway)
		return nil, errUnreachable
	}
	if req.Method == http.MethodGet {
		return p.query(path, strings.TrimPrefix(req.URL.RawQuery, "reference="))
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	c := call{path, req.Header.Get("Idempotency-Key"), body}
	for _, t := range p.travelling {
		if t.key == c.key {
			p.w.tell("provider", "says that the request is in progress")
			p.w.count(inProgress)
			return answer(http.StatusConflict, failure("idempotency_in_progress"))
		}
	}
	return p.receive(c)
}

// receive treats a request as the fault of the moment wants it.
func (p *provider) receive(c call) (*http.Response, error) {
	switch {
	case p.w.fault(requestLost):
		p.w.tell("provider", "never gets the request, the call times out")
		return nil, context.DeadlineExceeded
	case p.w.fault(appliedLate):
		p.w.tell("provider", "lets the request travel, the call times out")
		p.travelling = append(p.travelling, c)
		return nil, context.DeadlineExceeded
	case p.w.fault(answerLost):
		status, _ := p.decide(c)
		p.w.tell("provider", "decides (%d), and its answer is lost", status)
		return nil, context.DeadlineExceeded
	case p.w.fault(serverError):
		p.w.tell("provider", "fails")
		return answer(http.StatusInternalServerError, failure("internal"))
	}
	status, body := p.decide(c)
	p.w.tell("provider", "decides, and answers %d", status)
	return answer(status, body)
}

// arrive decides the requests that were still travelling.
func (p *provider) arrive() {
	for _, c := range p.travelling {
		status, _ := p.decide(c)
		p.w.tell("provider", "decides late (%d) what %s asked for", status, nick(c.key))
		p.w.count(lateDecision)
	}
	p.travelling = nil
}

// decide decides a charge or refund, once per key.
func (p *provider) decide(c call) (status int, body []byte) {
	if e := p.byKey[c.key]; e != nil && p.w.now < e.at+keyLifetime {
		if !bytes.Equal(e.body, c.body) {
			return http.StatusUnprocessableEntity, failure("idempotency_key_reused")
		}
		return shown(e)
	}
	var asked struct {
		AmountMinor int64  `json:"amount_minor"`
		Currency    string `json:"currency"`
		Reference   string `json:"reference"`
	}
	if err := json.Unmarshal(c.body, &asked); err != nil {
		return http.StatusBadRequest, failure("invalid")
	}
	e := &entry{key: c.key, body: c.body, reference: asked.Reference, amount: asked.AmountMinor, currency: asked.Currency, at: p.w.now}
	e.payment = asked.Reference
	e.id = fmt.Sprint("ch_", len(p.ledger)+1)
	switch {
	case strings.HasSuffix(c.path, "/refunds"):
		charge := p.charges[strings.TrimSuffix(strings.TrimPrefix(c.path, "/v1/charges/"), "/refunds")]
		if charge == nil {
			return http.StatusUnprocessableEntity, failure("charge_not_captured")
		}
		if p.refunded[charge.reference]+e.amount > charge.amount {
			return http.StatusUnprocessableEntity, failure("refund_exceeds_charge")
		}
		e.status, e.currency, e.payment, e.charge = "refunded", charge.currency, charge.reference, charge.id
		p.refunded[charge.reference] += e.amount
	case int(asked.Reference[0])%16 < p.declines:
		e.status = "declined"
		p.w.count(declined)
	default:
		e.status, e.fee = "captured", asked.AmountMinor/50
		p.charges[e.id] = e
		p.captured[e.reference] += e.amount
		p.captures[e.reference]++
		p.w.books.captured(e, p.captures[e.reference])
	}
	p.ledger, p.byKey[c.key] = append(p.ledger, e), e
	return shown(e)
}

// query answers what became of a reference. While a request travels, nothing is
// known of it.
func (p *provider) query(path, reference string) (*http.Response, error) {
	p.w.count(queried)
	var found []map[string]any
	name := strings.TrimPrefix(path, "/v1/")
	for _, e := range p.ledger {
		if e.reference == reference && (e.status == "refunded") == (name == "refunds") {
			found = append(found, e.fields())
		}
	}
	if found == nil {
		p.w.tell("provider", "finds nothing for %s", nick(reference))
		p.w.count(notFound)
		return answer(http.StatusNotFound, failure("not_found"))
	}
	body, err := json.Marshal(map[string]any{name: found})
	if err != nil {
		return nil, err
	}
	return answer(http.StatusOK, body)
}

func (e *entry) fields() map[string]any {
	at := millis(e.at).UTC().Format(time.RFC3339Nano)
	return map[string]any{
		"id": e.id, "status": e.status, "reference": e.reference, "amount_minor": e.amount, "currency": e.currency,
		"fee_minor": e.fee, e.status + "_at": at,
	}
}

func shown(e *entry) (int, []byte) {
	at := millis(e.at).UTC().Format(time.RFC3339Nano)
	code := ""
	if e.status == "declined" {
		code = "card_declined"
	}
	return http.StatusCreated, fmt.Appendf(nil,
		`{"id":%q,"status":%q,"decline_code":%q,"reference":%q,"amount_minor":%d,"currency":%q,"fee_minor":%d,"%s_at":%q}`,
		e.id, e.status, code, e.reference, e.amount, e.currency, e.fee, e.status, at)
}

func failure(code string) []byte {
	return fmt.Appendf(nil, `{"error":{"code":%q,"message":%q}}`, code, code)
}

func answer(status int, body []byte) (*http.Response, error) {
	return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(body))}, nil
}
