package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// call is one request as the provider gets it.
type call struct {
	method string
	path   string // escaped
	query  string
	key    string // idempotency key; empty for queries
	body   []byte
}

type chargeBody struct {
	AmountMinor int64          `json:"amount_minor"`
	Currency    string         `json:"currency"`
	Method      string         `json:"method"`
	Reference   string         `json:"reference"`
	Metadata    chargeMetadata `json:"metadata"`
}

// chargeMetadata is text to text, as providers take it.
type chargeMetadata struct {
	EventID  string `json:"event_id"`
	TestMode string `json:"test_mode"`
}

type refundBody struct {
	AmountMinor int64  `json:"amount_minor"`
	Reference   string `json:"reference"`
}

// newCall writes a request down for the provider. The same request gives the
// same bytes, whatever its attempt (I3).
func newCall(r *pb.GatewayRequest) (call, error) {
	reference := topology.KeyOf(r.IdempotencyKey)
	switch r.Operation {
	case pb.GatewayOperation_GATEWAY_OPERATION_CHARGE:
		body, err := json.Marshal(chargeBody{
			AmountMinor: r.AmountMinor, Currency: r.Currency, Method: r.Method, Reference: reference,
			Metadata: chargeMetadata{EventID: topology.KeyOf(r.EventId), TestMode: fmt.Sprint(r.TestMode)},
		})
		return call{method: http.MethodPost, path: "/v1/charges", key: reference, body: body}, err
	case pb.GatewayOperation_GATEWAY_OPERATION_REFUND:
		body, err := json.Marshal(refundBody{AmountMinor: r.AmountMinor, Reference: reference})
		return call{method: http.MethodPost, path: "/v1/charges/" + url.PathEscape(r.ProviderReference) + "/refunds", key: reference, body: body}, err
	case pb.GatewayOperation_GATEWAY_OPERATION_QUERY:
		path := "/v1/charges"
		if aboutRefund(r) {
			path = "/v1/refunds"
		}
		return call{method: http.MethodGet, path: path, query: "reference=" + reference}, nil
	}
	return call{}, fmt.Errorf("gateway operation %v is none of this version", r.Operation)
}

// aboutRefund: a charge's key is the payment id, a refund's key its own.
func aboutRefund(r *pb.GatewayRequest) bool {
	return r.Operation == pb.GatewayOperation_GATEWAY_OPERATION_REFUND || !bytes.Equal(r.IdempotencyKey, r.PaymentId)
}

// answer is what came back from the provider.
type answer struct {
	status int
	body   []byte
}

// Causes of an unknown outcome, as they appear in metrics and details.
const (
	causeTimeout     = "timeout"
	causeUnreachable = "unreachable"
	causeBreaker     = "breaker_open"
	causeServer      = "server_error"
	causeInProgress  = "in_progress"
	causeNotFound    = "not_found"
	causeRefusedUs   = "not_authorized"
	causeUnreadable  = "unreadable"
	causeKeyExpired  = "key_expired"
)

var causes = []string{
	causeTimeout, causeUnreachable, causeBreaker, causeServer, causeInProgress, causeNotFound,
	causeRefusedUs, causeUnreadable, causeKeyExpired,
}

// codeKeyReused is the provider's word for a key that came with another body:
// something happened under it already.
const codeKeyReused = "idempotency_key_reused"

// holding is a charge or refund as the provider shows it.
type holding struct {
	ID          string    `json:"id"`
	Status      string    `json:"status"`
	DeclineCode string    `json:"decline_code"`
	Reference   string    `json:"reference"`
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	FeeMinor    int64     `json:"fee_minor"`
	CapturedAt  time.Time `json:"captured_at"`
	RefundedAt  time.Time `json:"refunded_at"`
}

type failure struct {
	Error struct {
		Code        string `json:"code"`
		DeclineCode string `json:"decline_code"`
		Message     string `json:"message"`
	} `json:"error"`
}

// outcome is the meaning of an answer: a result, and the cause when it is UNKNOWN.
type outcome struct {
	result *pb.GatewayResult
	cause  string
}

// result says what an answer means for a request. first tells that nothing was
// ever sent under this key before, so that a request which the provider cannot
// even read is known to have moved nothing.
func (a answer) result(r *pb.GatewayRequest, first bool) outcome {
	switch {
	case a.status == http.StatusOK || a.status == http.StatusCreated:
		return a.decision(r)
	case a.status == http.StatusPaymentRequired && r.Operation == pb.GatewayOperation_GATEWAY_OPERATION_CHARGE:
		return declined(r, a.failure())
	case a.status == http.StatusConflict:
		return unknown(r, causeInProgress, a.failure().said())
	case a.status == http.StatusNotFound:
		// It may be on its way (trace 5): not found is never trusted.
		return unknown(r, causeNotFound, a.failure().said())
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return unknown(r, causeRefusedUs, fmt.Sprintf("status %d: check the gateway's API key", a.status))
	case a.status == http.StatusBadRequest, a.status == http.StatusRequestEntityTooLarge,
		a.status == http.StatusUnprocessableEntity, a.status == http.StatusPaymentRequired:
		return a.refused(r, first)
	}
	return unknown(r, causeServer, fmt.Sprintf("status %d: %s", a.status, a.failure().said()))
}

// refused is a request that the provider will never accept as it is.
func (a answer) refused(r *pb.GatewayRequest, first bool) outcome {
	f := a.failure()
	charge := r.Operation == pb.GatewayOperation_GATEWAY_OPERATION_CHARGE
	if charge && first && r.Attempt <= 1 && f.Error.Code != codeKeyReused {
		return declined(r, f)
	}
	res := result(r, pb.GatewayOutcome_GATEWAY_OUTCOME_IMPOSSIBLE)
	res.DeclineCode, res.Detail = short(f.Error.Code), short(f.Error.Message)
	return outcome{result: res}
}

// decision reads what the provider decided.
func (a answer) decision(r *pb.GatewayRequest) outcome {
	var h holding
	if r.Operation == pb.GatewayOperation_GATEWAY_OPERATION_QUERY {
		found, cause := a.found(r)
		if found == nil {
			return unknown(r, cause, "")
		}
		h = *found
	} else if err := json.Unmarshal(a.body, &h); err != nil {
		return unknown(r, causeUnreadable, err.Error())
	}
	if h.Reference != topology.KeyOf(r.IdempotencyKey) || h.Currency != r.Currency { // I4
		return impossible(r, "answer_differs", fmt.Sprintf("asked for %s in %s, the provider answers %s for %q in %q",
			topology.KeyOf(r.IdempotencyKey), r.Currency, h.ID, h.Reference, h.Currency))
	}
	at, moved := h.CapturedAt, pb.GatewayOutcome_GATEWAY_OUTCOME_CAPTURED
	if aboutRefund(r) {
		at, moved = h.RefundedAt, pb.GatewayOutcome_GATEWAY_OUTCOME_REFUNDED
	}
	switch {
	case h.Status == "declined" && !aboutRefund(r):
		res := result(r, pb.GatewayOutcome_GATEWAY_OUTCOME_DECLINED)
		res.DeclineCode, res.ProviderReference = short(h.DeclineCode), h.ID
		return outcome{result: res}
	case h.Status == "pending":
		return unknown(r, causeInProgress, "")
	case h.Status != "captured" && h.Status != "refunded", (h.Status == "refunded") != aboutRefund(r),
		h.ID == "", at.IsZero(), h.AmountMinor <= 0, h.FeeMinor < 0:
		return unknown(r, causeUnreadable, fmt.Sprintf("status %q of %q without a time or an amount", h.Status, h.ID))
	}
	res := result(r, moved)
	res.ProviderReference, res.AmountMinor, res.FeeMinor = h.ID, h.AmountMinor, h.FeeMinor
	res.ProviderTimeUnixMs = at.UnixMilli()
	return outcome{result: res}
}

// found picks from the answer to a query what decides it: money that moved
// before what is still travelling before a refusal. The cause says why there is
// nothing.
func (a answer) found(r *pb.GatewayRequest) (h *holding, cause string) {
	var list struct {
		Charges []holding `json:"charges"`
		Refunds []holding `json:"refunds"`
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return nil, causeUnreadable
	}
	all := list.Charges
	if aboutRefund(r) {
		all = list.Refunds
	}
	for _, status := range []string{"captured", "refunded", "pending", "declined"} {
		for i := range all {
			if all[i].Status == status {
				return &all[i], ""
			}
		}
	}
	return nil, causeNotFound
}

func (a answer) failure() failure {
	var f failure
	if json.Unmarshal(a.body, &f) != nil {
		f.Error.Message = string(a.body)
	}
	return f
}

// said is the failure in words.
func (f failure) said() string {
	if f.Error.Code == "" {
		return short(f.Error.Message)
	}
	return short(f.Error.Code + ": " + f.Error.Message)
}

func result(r *pb.GatewayRequest, o pb.GatewayOutcome) *pb.GatewayResult {
	return &pb.GatewayResult{
		PaymentId: r.PaymentId, Operation: r.Operation, IdempotencyKey: r.IdempotencyKey, Attempt: r.Attempt, Outcome: o,
	}
}

func declined(r *pb.GatewayRequest, f failure) outcome {
	res := result(r, pb.GatewayOutcome_GATEWAY_OUTCOME_DECLINED)
	if res.DeclineCode = short(f.Error.DeclineCode); res.DeclineCode == "" {
		res.DeclineCode = short(f.Error.Code)
	}
	if res.DeclineCode == "" {
		res.DeclineCode = "card_declined"
	}
	res.Detail = short(f.Error.Message)
	return outcome{result: res}
}

func unknown(r *pb.GatewayRequest, cause, detail string) outcome {
	res := result(r, pb.GatewayOutcome_GATEWAY_OUTCOME_UNKNOWN)
	if res.Detail = cause; detail != "" {
		res.Detail = short(cause + ": " + detail)
	}
	return outcome{result: res, cause: cause}
}

func impossible(r *pb.GatewayRequest, code, detail string) outcome {
	res := result(r, pb.GatewayOutcome_GATEWAY_OUTCOME_IMPOSSIBLE)
	res.DeclineCode, res.Detail = code, short(detail)
	return outcome{result: res}
}

// detailMax bounds what is kept of the provider's words, in bytes.
const detailMax = 200

// short keeps text fit for a message: valid UTF-8 and not long.
func short(s string) string {
	if len(s) > detailMax {
		s = s[:detailMax]
	}
	return string(bytes.ToValidUTF8([]byte(s), nil))
}
