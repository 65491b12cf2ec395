package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf8"
)

// Limits on requests. They keep a ledger line far below 64 KiB.
const (
	maxBody          = 16 << 10
	maxKeyLength     = 255
	maxReference     = 128
	maxMethod        = 64
	maxMetadata      = 20
	maxMetadataKey   = 40
	maxMetadataValue = 200
)

// chargeRequest is the body of POST /v1/charges.
type chargeRequest struct {
	AmountMinor int64             `json:"amount_minor"`
	Currency    string            `json:"currency"`
	Method      string            `json:"method"`
	Reference   string            `json:"reference"`
	Metadata    map[string]string `json:"metadata"`
}

// refundRequest is the body of POST /v1/charges/{id}/refunds.
type refundRequest struct {
	AmountMinor int64             `json:"amount_minor"`
	Reference   string            `json:"reference"`
	Metadata    map[string]string `json:"metadata"`
}

func (c *chargeRequest) entry() (Entry, error) {
	if err := checkCommon(c.AmountMinor, c.Reference, c.Metadata); err != nil {
		return Entry{}, err
	}
	if !isCurrency(c.Currency) {
		return Entry{}, invalid("currency %q: want an ISO 4217 code of three capital letters", c.Currency)
	}
	if c.Method == "" || len(c.Method) > maxMethod {
		return Entry{}, invalid("method: want 1 to %d bytes", maxMethod)
	}
	return Entry{
		Kind: KindCharge, Reference: c.Reference, PaymentReference: c.Reference,
		AmountMinor: c.AmountMinor, Currency: c.Currency, Method: c.Method, Metadata: c.Metadata,
	}, nil
}

func (r *refundRequest) entry(chargeID string) (Entry, error) {
	if err := checkCommon(r.AmountMinor, r.Reference, r.Metadata); err != nil {
		return Entry{}, err
	}
	return Entry{
		Kind: KindRefund, Reference: r.Reference, ChargeID: chargeID,
		AmountMinor: r.AmountMinor, Metadata: r.Metadata,
	}, nil
}

// bodyDigest stands for everything that a request asked for: the same request
// written differently has the same one.
func bodyDigest(e Entry) digest { return digestOf(e.appendJSON(make([]byte, 0, 512))) }

func checkCommon(amountMinor int64, reference string, metadata map[string]string) error {
	if amountMinor <= 0 || amountMinor > maxAmountMinor {
		return invalid("amount_minor is %d: want 1 to %d", amountMinor, int64(maxAmountMinor))
	}
	if reference == "" || len(reference) > maxReference || !utf8.ValidString(reference) {
		return invalid("reference: want 1 to %d bytes of UTF-8", maxReference)
	}
	if len(metadata) > maxMetadata {
		return invalid("metadata has %d entries: want at most %d", len(metadata), maxMetadata)
	}
	for k, v := range metadata {
		if k == "" || len(k) > maxMetadataKey || len(v) > maxMetadataValue {
			return invalid("metadata %q: want a key of 1 to %d bytes and a value of at most %d", k, maxMetadataKey, maxMetadataValue)
		}
	}
	return nil
}

func isCurrency(s string) bool {
	if len(s) != 3 {
		return false
	}
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}

func invalid(format string, args ...any) error {
	return refuse(http.StatusUnprocessableEntity, "invalid_request", format, args...)
}

// idempotencyKey returns the digest of the request's key.
func idempotencyKey(r *http.Request) (digest, error) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" || len(key) > maxKeyLength {
		return digest{}, refuse(http.StatusBadRequest, "idempotency_key_required", "send an Idempotency-Key of 1 to %d bytes", maxKeyLength)
	}
	return digestOf([]byte(key)), nil
}

// readBody decodes a JSON body into v.
func readBody(w http.ResponseWriter, r *http.Request, v any) error {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return refuse(http.StatusRequestEntityTooLarge, "body_too_large", "the body is larger than %d bytes", maxBody)
		}
		return refuse(http.StatusBadRequest, "unreadable_body", "reading the body: %v", err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return refuse(http.StatusBadRequest, "malformed_json", "%v", fmt.Errorf("the body is no valid JSON: %w", err))
	}
	return nil
}
