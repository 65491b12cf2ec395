package provider

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

func (p *Provider) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/charges", p.reachable(p.postCharge))
	mux.HandleFunc("POST /v1/charges/{id}/refunds", p.reachable(p.postRefund))
	mux.HandleFunc("GET /v1/charges/{id}", p.reachable(p.getCharge))
	mux.HandleFunc("GET /v1/charges", p.reachable(p.getCharges))
	mux.HandleFunc("GET /v1/refunds", p.reachable(p.getRefunds))
	mux.HandleFunc("GET /v1/ledger", p.answering(p.getLedger))
	mux.HandleFunc("GET /v1/behaviour", p.answering(p.getBehaviour))
	mux.HandleFunc("PUT /v1/behaviour", p.answering(p.putBehaviour))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, []byte(`{"status":"ok"}`)) })
	mux.HandleFunc("GET /readyz", p.answering(p.getReady))
	return mux
}

type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// reachable drops the connection without an answer while the provider is away.
func (p *Provider) reachable(h handlerFunc) http.HandlerFunc {
	answering := p.answering(h)
	return func(w http.ResponseWriter, r *http.Request) {
		if p.behaviour.Load().Away {
			p.metrics.fault(faultAway)
			panic(http.ErrAbortHandler)
		}
		answering(w, r)
	}
}

// answering turns an error into an answer.
func (p *Provider) answering(h handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		var told *refusal
		if !errors.As(err, &told) {
			p.logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
			told = &refusal{http.StatusServiceUnavailable, "unavailable", "nothing is known about the outcome: repeat the request with the same key and body"}
		}
		body, err := json.Marshal(map[string]any{"error": map[string]string{"code": told.code, "message": told.message}})
		if err != nil {
			body = []byte(`{"error":{"code":"internal"}}`)
		}
		respond(w, told.status, body)
	}
}

func respond(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// A caller that is gone repeats its request: there is nobody to tell.
	_, _ = w.Write(body)
}

var jsonType = []string{"application/json"}

func (p *Provider) postCharge(w http.ResponseWriter, r *http.Request) error {
	var body chargeRequest
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	e, err := body.entry()
	if err != nil {
		return err
	}
	return p.move(w, r, key, bodyDigest(e), e, func(e Entry, body digest, f fate) (Entry, error) {
		e.DeclineCode = f.declineCode
		return p.book.charge(key, body, e)
	})
}

func (p *Provider) postRefund(w http.ResponseWriter, r *http.Request) error {
	var body refundRequest
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	e, err := body.entry(r.PathValue("id"))
	if err != nil {
		return err
	}
	asked := bodyDigest(e)
	if e, err = p.book.inherit(e); err != nil {
		return err
	}
	return p.move(w, r, key, asked, e, func(e Entry, body digest, _ fate) (Entry, error) {
		return p.book.refund(key, body, e)
	})
}

// move takes one charge or refund through its fate: answered from its key's
// earlier decision, refused, failed before anything is applied, delayed, applied
// after the caller has given up, or applied at once.
func (p *Provider) move(w http.ResponseWriter, r *http.Request, key, body digest, e Entry, apply func(Entry, digest, fate) (Entry, error)) error {
	decided, attempt, err := p.book.begin(key, body, e)
	if err != nil {
		return err
	}
	if decided != nil {
		p.metrics.replays.Inc()
		w.Header().Set("Idempotent-Replayed", "true")
		return answerDecision(w, *decided)
	}
	defer p.book.settle(key)
	f := p.behaviour.Load().fateOf(e.Reference, attempt)
	if f.fails {
		p.metrics.fault(faultError)
		p.book.failed(e.Reference)
		return &refusal{http.StatusInternalServerError, "internal", "an injected failure: nothing was applied, repeat the request with the same key and body"}
	}
	if !p.travel(r, f) {
		return &refusal{http.StatusServiceUnavailable, "stopping", "the provider is stopping and applied nothing: repeat the request with the same key and body"}
	}
	applied, err := apply(e, body, f)
	if err != nil {
		return err
	}
	p.metrics.decided(applied.Kind)
	return answerDecision(w, applied)
}

// travel waits as the fate asks for; false when the provider stops meanwhile.
func (p *Provider) travel(r *http.Request, f fate) bool {
	if f.delay > 0 {
		p.metrics.fault(faultSlow)
		if !p.wait(f.delay) {
			return false
		}
	}
	if !f.late {
		return true
	}
	p.metrics.fault(faultLate)
	patience := time.NewTimer(p.options.PatienceMax)
	defer patience.Stop()
	select {
	case <-p.closing.Done():
		return false
	case <-r.Context().Done():
	case <-patience.C:
	}
	return p.wait(f.lateAfter)
}

// wait is not cut short by the caller's going away: the charge travels on.
func (p *Provider) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.closing.Done():
		return false
	case <-t.C:
		return true
	}
}

// answerDecision writes what was decided. It depends on the entry alone, so that
// a repeated request gets the same bytes.
func answerDecision(w http.ResponseWriter, e Entry) error {
	respond(w, http.StatusCreated, appendHolding(make([]byte, 0, 512), &holding{Entry: e}, false))
	return nil
}

// appendHolding writes a charge or refund as the interface shows it.
func appendHolding(dst []byte, h *holding, withRefunded bool) []byte {
	refund := h.Kind == KindRefund
	status, decidedAt := "captured", "captured_at"
	switch {
	case h.pending:
		status = "pending"
	case refund:
		status, decidedAt = "refunded", "refunded_at"
	case h.Kind == KindDecline:
		status, decidedAt = "declined", "declined_at"
	}
	dst = append(append(append(dst, `{"status":"`...), status...), '"')
	if !h.pending {
		dst = appendField(dst, "id", h.ID)
		dst = appendTime(dst, decidedAt, h.At)
	}
	if refund {
		dst = appendField(dst, "charge_id", h.ChargeID)
		dst = appendField(dst, "payment_reference", h.PaymentReference)
	}
	if h.DeclineCode != "" {
		dst = appendField(dst, "decline_code", h.DeclineCode)
	}
	dst = appendField(dst, "reference", h.Reference)
	dst = appendNumber(dst, "amount_minor", h.AmountMinor)
	dst = appendField(dst, "currency", h.Currency)
	dst = appendNumber(dst, "fee_minor", h.FeeMinor)
	if withRefunded && !refund {
		dst = appendNumber(dst, "refunded_minor", h.refunded)
	}
	return append(dst, '}')
}

func (p *Provider) getCharge(w http.ResponseWriter, r *http.Request) error {
	h, err := p.book.byID(r.PathValue("id"))
	if err != nil {
		return err
	}
	respond(w, http.StatusOK, appendHolding(nil, &h, true))
	return nil
}

func (p *Provider) getCharges(w http.ResponseWriter, r *http.Request) error {
	return p.answerQuery(w, r, slotCharge, "charges")
}

func (p *Provider) getRefunds(w http.ResponseWriter, r *http.Request) error {
	return p.answerQuery(w, r, slotRefund, "refunds")
}

func (p *Provider) answerQuery(w http.ResponseWriter, r *http.Request, kind slotKind, name string) error {
	reference := r.URL.Query().Get("reference")
	if reference == "" {
		return refuse(http.StatusBadRequest, "reference_required", "say which %s: ?reference=...", name)
	}
	found, err := p.book.find(kind, reference, p.behaviour.Load().NotFoundMeanwhile)
	if err != nil {
		return err
	}
	body := append([]byte(`{"`+name), `":[`...)
	for i := range found {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendHolding(body, &found[i], true)
	}
	respond(w, http.StatusOK, append(body, ']', '}'))
	return nil
}

// Limits of one page of the ledger.
const (
	ledgerPage    = 1_000
	ledgerPageMax = 50_000
)

func (p *Provider) getLedger(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	after, err := queryNumber(q.Get("after"), 0)
	if err != nil {
		return err
	}
	limit, err := queryNumber(q.Get("limit"), ledgerPage)
	if err != nil {
		return err
	}
	if limit < 1 || limit > ledgerPageMax {
		return invalid("limit is %d: want 1 to %d", limit, ledgerPageMax)
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	return p.book.ledger.list(w, p.book.linesAfter(after), int(limit), q.Get("declines") == "true")
}

func queryNumber(s string, otherwise uint64) (uint64, error) {
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, invalid("%q: want a whole number that is not negative", s)
	}
	return n, nil
}

func (p *Provider) getBehaviour(w http.ResponseWriter, _ *http.Request) error {
	body, err := json.Marshal(p.behaviour.Load())
	if err != nil {
		return err
	}
	respond(w, http.StatusOK, body)
	return nil
}

// putBehaviour replaces the whole behaviour; a seed that is left out stays.
func (p *Provider) putBehaviour(w http.ResponseWriter, r *http.Request) error {
	asked := Behaviour{Seed: p.behaviour.Load().Seed}
	if err := readBody(w, r, &asked); err != nil {
		return err
	}
	if err := asked.Validate(); err != nil {
		return invalid("%v", err)
	}
	if err := saveBehaviour(p.options.Dir, p.options.Behaviour, asked); err != nil {
		return err
	}
	p.behaviour.Store(&asked)
	p.logger.Info("behaviour changed", "behaviour", asked)
	return p.getBehaviour(w, r)
}

func (p *Provider) getReady(w http.ResponseWriter, _ *http.Request) error {
	if p.behaviour.Load().Away {
		return &refusal{http.StatusServiceUnavailable, "away", "the provider is away, as its behaviour asks for"}
	}
	respond(w, http.StatusOK, []byte(`{"status":"ready"}`))
	return nil
}
