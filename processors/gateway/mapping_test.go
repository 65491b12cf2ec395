package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	opCharge = pb.GatewayOperation_GATEWAY_OPERATION_CHARGE
	opRefund = pb.GatewayOperation_GATEWAY_OPERATION_REFUND
	opQuery  = pb.GatewayOperation_GATEWAY_OPERATION_QUERY

	isCaptured   = pb.GatewayOutcome_GATEWAY_OUTCOME_CAPTURED
	isDeclined   = pb.GatewayOutcome_GATEWAY_OUTCOME_DECLINED
	isRefunded   = pb.GatewayOutcome_GATEWAY_OUTCOME_REFUNDED
	isUnknown    = pb.GatewayOutcome_GATEWAY_OUTCOME_UNKNOWN
	isImpossible = pb.GatewayOutcome_GATEWAY_OUTCOME_IMPOSSIBLE
)

var (
	payment = topology.PaymentID(topology.RegistrationID("organiser", "key"))
	event   = topology.EventID("organiser", "conference")
	decided = time.Date(2026, 5, 4, 10, 0, 0, 123e6, time.UTC)
)

func chargeRequest() *pb.GatewayRequest {
	return &pb.GatewayRequest{
		PaymentId: payment[:], Operation: opCharge, IdempotencyKey: payment[:], AmountMinor: 12_900, Currency: "EUR",
		Method: `card_"1"`, Attempt: 1, EventId: event[:],
	}
}

func refundRequest() *pb.GatewayRequest {
	id := topology.RefundID(payment, 0)
	return &pb.GatewayRequest{
		PaymentId: payment[:], Operation: opRefund, IdempotencyKey: id[:], AmountMinor: 4_000, Currency: "EUR",
		ProviderReference: "ch_1", Attempt: 1, EventId: event[:],
	}
}

func query(r *pb.GatewayRequest) *pb.GatewayRequest {
	r.Operation = opQuery
	return r
}

// shown is a charge or refund as the provider shows it; change overrides fields.
func shown(r *pb.GatewayRequest, status string, change map[string]any) map[string]any {
	fields := map[string]any{
		"id": "at_1", "status": status, "reference": topology.KeyOf(r.IdempotencyKey),
		"amount_minor": r.AmountMinor, "currency": r.Currency, "fee_minor": 206,
	}
	if status == "captured" || status == "refunded" {
		fields[status+"_at"] = decided
	}
	for k, v := range change {
		fields[k] = v
	}
	return fields
}

func encoded(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func failing(code, message string) []byte {
	return encoded(map[string]any{"error": map[string]string{"code": code, "message": message}})
}

// What every answer of a provider means: a decision counts, everything else is
// unknown, and never a refusal.
func TestAnswers(t *testing.T) {
	t.Parallel()
	charge, refund := chargeRequest(), refundRequest()
	chargeQuery, refundQuery := query(chargeRequest()), query(refundRequest())
	list := func(name string, all ...map[string]any) []byte { return encoded(map[string]any{name: all}) }
	for _, c := range []struct {
		name    string
		request *pb.GatewayRequest
		status  int
		body    []byte
		first   bool
		want    pb.GatewayOutcome
		code    string // decline code of the result, or the cause when it is unknown
	}{
		{"captured", charge, 201, encoded(shown(charge, "captured", nil)), true, isCaptured, ""},
		{"captured, repeated as 200", charge, 200, encoded(shown(charge, "captured", nil)), false, isCaptured, ""},
		{"declined", charge, 201, encoded(shown(charge, "declined", map[string]any{"decline_code": "expired_card"})), true, isDeclined, "expired_card"},
		{"declined by 402", charge, 402, failing("card_declined", "no"), false, isDeclined, "card_declined"},
		{"declined by 402 with its own code", charge, 402, []byte(`{"error":{"code":"card_error","decline_code":"lost_card"}}`), false, isDeclined, "lost_card"},
		{"declined by 402 without a word", charge, 402, nil, false, isDeclined, "card_declined"},
		{"refunded", refund, 201, encoded(shown(refund, "refunded", map[string]any{"fee_minor": 0})), true, isRefunded, ""},
		{"still travelling", charge, 201, encoded(shown(charge, "pending", nil)), true, isUnknown, causeInProgress},

		{"another currency", charge, 201, encoded(shown(charge, "captured", map[string]any{"currency": "USD"})), true, isImpossible, "answer_differs"},
		{"another payment", charge, 201, encoded(shown(charge, "captured", map[string]any{"reference": "x"})), true, isImpossible, "answer_differs"},
		{"another amount is for the payment to judge", charge, 201, encoded(shown(charge, "captured", map[string]any{"amount_minor": 1})), true, isCaptured, ""},
		{"captured at no time", charge, 201, encoded(shown(charge, "captured", map[string]any{"captured_at": time.Time{}})), true, isUnknown, causeUnreadable},
		{"captured without id", charge, 201, encoded(shown(charge, "captured", map[string]any{"id": ""})), true, isUnknown, causeUnreadable},
		{"captured nothing", charge, 201, encoded(shown(charge, "captured", map[string]any{"amount_minor": 0})), true, isUnknown, causeUnreadable},
		{"a status of tomorrow", charge, 201, encoded(shown(charge, "authorized", nil)), true, isUnknown, causeUnreadable},
		{"a charge that answers a refund", refund, 201, encoded(shown(refund, "captured", nil)), true, isUnknown, causeUnreadable},
		{"a declined refund", refund, 201, encoded(shown(refund, "declined", nil)), true, isUnknown, causeUnreadable},
		{"no JSON", charge, 201, []byte("<html>"), true, isUnknown, causeUnreadable},
		{"cut short", charge, 201, []byte(`{"id":"at_1","status":"capt`), true, isUnknown, causeUnreadable},
		{"empty", charge, 201, nil, true, isUnknown, causeUnreadable},

		{"in progress", charge, 409, failing("idempotency_in_progress", ""), true, isUnknown, causeInProgress},
		{"not found", charge, 404, failing("not_found", ""), true, isUnknown, causeNotFound},
		{"the charge to refund is not found", refund, 404, failing("not_found", ""), true, isUnknown, causeNotFound},
		{"wrong API key", charge, 401, nil, true, isUnknown, causeRefusedUs},
		{"forbidden", charge, 403, nil, true, isUnknown, causeRefusedUs},
		{"too many requests", charge, 429, nil, true, isUnknown, causeServer},
		{"redirected", charge, 302, nil, true, isUnknown, causeServer},
		{"internal", charge, 500, failing("internal", ""), true, isUnknown, causeServer},
		{"bad gateway", charge, 502, []byte("<html>"), true, isUnknown, causeServer},
		{"unavailable", refund, 503, nil, true, isUnknown, causeServer},

		{"unreadable method at first sight", charge, 422, failing("invalid_request", "method"), true, isDeclined, "invalid_request"},
		{"unreadable after a try of unknown outcome", charge, 422, failing("invalid_request", "method"), false, isImpossible, "invalid_request"},
		{"malformed", charge, 400, failing("malformed_json", ""), true, isDeclined, "malformed_json"},
		{"the key came with another body", charge, 422, failing(codeKeyReused, ""), true, isImpossible, codeKeyReused},
		{"refund of more than is left", refund, 422, failing("refund_exceeds_charge", ""), true, isImpossible, "refund_exceeds_charge"},
		{"a refund is never declined", refund, 402, failing("card_declined", ""), true, isImpossible, "card_declined"},

		{"query: captured", chargeQuery, 200, list("charges", shown(charge, "captured", nil)), true, isCaptured, ""},
		{"query: declined", chargeQuery, 200, list("charges", shown(charge, "declined", map[string]any{"decline_code": "expired_card"})), true, isDeclined, "expired_card"},
		{"query: travelling", chargeQuery, 200, list("charges", shown(charge, "pending", nil)), true, isUnknown, causeInProgress},
		{"query: declined once, travelling again", chargeQuery, 200, list("charges", shown(charge, "declined", nil), shown(charge, "pending", nil)), true, isUnknown, causeInProgress},
		{"query: declined once, captured then", chargeQuery, 200, list("charges", shown(charge, "declined", nil), shown(charge, "captured", nil)), true, isCaptured, ""},
		{"query: not found", chargeQuery, 404, failing("not_found", ""), true, isUnknown, causeNotFound},
		{"query: none", chargeQuery, 200, list("charges"), true, isUnknown, causeNotFound},
		{"query: no JSON", chargeQuery, 200, []byte("x"), true, isUnknown, causeUnreadable},
		{"query: unreadable request", chargeQuery, 400, failing("reference_required", ""), true, isImpossible, "reference_required"},
		{"query of a refund", refundQuery, 200, list("refunds", shown(refund, "refunded", nil)), true, isRefunded, ""},
		{"query of a refund that finds charges", refundQuery, 200, list("charges", shown(refund, "captured", nil)), true, isUnknown, causeNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := answer{c.status, c.body}.result(c.request, c.first)
			r := got.result
			if r.Outcome != c.want {
				t.Fatalf("%v, want %v", r, c.want)
			}
			code := r.DeclineCode
			if c.want == isUnknown {
				code = got.cause
			}
			if code != c.code {
				t.Errorf("code %q, want %q", code, c.code)
			}
			if (got.cause != "") != (c.want == isUnknown) {
				t.Errorf("cause %q of %v", got.cause, c.want)
			}
			checkResult(t, c.request, r)
		})
	}
}

// checkResult holds what every result has in common.
func checkResult(t *testing.T, request *pb.GatewayRequest, r *pb.GatewayResult) {
	t.Helper()
	if !proto.Equal(r, &pb.GatewayResult{
		PaymentId: request.PaymentId, Operation: request.Operation, IdempotencyKey: request.IdempotencyKey, Attempt: request.Attempt,
		Outcome: r.Outcome, ProviderReference: r.ProviderReference, AmountMinor: r.AmountMinor, FeeMinor: r.FeeMinor,
		ProviderTimeUnixMs: r.ProviderTimeUnixMs, DeclineCode: r.DeclineCode, Detail: r.Detail, Provider: r.Provider,
	}) {
		t.Errorf("%v does not answer %v", r, request)
	}
	moved := r.Outcome == isCaptured || r.Outcome == isRefunded
	if moved != (r.AmountMinor > 0) || moved != (r.ProviderTimeUnixMs == decided.UnixMilli()) || moved && r.ProviderReference != "at_1" {
		t.Errorf("%v: money, time and reference go together", r)
	}
}

// A charge that was asked for before is never declined because it became
// unreadable: something may have happened under its key.
func TestUnreadableSecondAttempt(t *testing.T) {
	t.Parallel()
	r := chargeRequest()
	r.Attempt = 2
	if got := (answer{422, failing("invalid_request", "")}).result(r, true).result; got.Outcome != isImpossible {
		t.Fatalf("%v", got)
	}
}

// The provider's words are kept, but not at any length and not as broken text.
func TestLongWords(t *testing.T) {
	t.Parallel()
	r := answer{500, []byte(strings.Repeat("ä", 1_000) + "\xff")}.result(chargeRequest(), true).result
	if len(r.Detail) > detailMax || !utf8.ValidString(r.Detail) || !strings.Contains(r.Detail, "ää") {
		t.Fatalf("detail %q", r.Detail)
	}
}

// The same charge has the same bytes under the same key at every attempt: that
// is what makes it one charge (I3).
func TestRepeatedCallIsTheSame(t *testing.T) {
	t.Parallel()
	first, err := newCall(chargeRequest())
	if err != nil {
		t.Fatal(err)
	}
	later := chargeRequest()
	later.Attempt, later.KeyExpiresUnixMs = 9, 1
	again, err := newCall(later)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"amount_minor":12900,"currency":"EUR","method":"card_\"1\"","reference":"` + payment.String() +
		`","metadata":{"event_id":"` + event.String() + `","test_mode":"false"}}`
	if string(first.body) != want || string(again.body) != want || first.key != payment.String() || again.key != first.key {
		t.Fatalf("%s under %s\n%s under %s", first.body, first.key, again.body, again.key)
	}
	if first.method != http.MethodPost || first.path != "/v1/charges" {
		t.Fatalf("%s %s", first.method, first.path)
	}
}

// Refunds and queries go where the provider expects them.
func TestCalls(t *testing.T) {
	t.Parallel()
	odd := refundRequest()
	odd.ProviderReference = "a/b?c"
	id := topology.RefundID(payment, 0).String()
	for _, c := range []struct {
		request             *pb.GatewayRequest
		method, path, query string
		key, body           string
	}{
		{refundRequest(), "POST", "/v1/charges/ch_1/refunds", "", id, `{"amount_minor":4000,"reference":"` + id + `"}`},
		{odd, "POST", "/v1/charges/a%2Fb%3Fc/refunds", "", id, `{"amount_minor":4000,"reference":"` + id + `"}`},
		{query(chargeRequest()), "GET", "/v1/charges", "reference=" + payment.String(), "", ""},
		{query(refundRequest()), "GET", "/v1/refunds", "reference=" + id, "", ""},
	} {
		got, err := newCall(c.request)
		if err != nil {
			t.Fatal(err)
		}
		if got.method != c.method || got.path != c.path || got.query != c.query || got.key != c.key || string(got.body) != c.body {
			t.Errorf("%v\nis called as %s %s?%s %s %s", c.request, got.method, got.path, got.query, got.key, got.body)
		}
	}
	if _, err := newCall(&pb.GatewayRequest{}); err == nil {
		t.Error("an unknown operation was called")
	}
}
