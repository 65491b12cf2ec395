package provider

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Kind says what a ledger entry records.
type Kind string

// The kinds of ledger entries. A declined charge moves no money; it is recorded
// so that its idempotency key keeps its answer, and the ledger shows it only when
// it is asked to.
const (
	KindCharge  Kind = "charge"
	KindRefund  Kind = "refund"
	KindDecline Kind = "decline"
)

// Entry is one decision in the ledger, and one line of GET /v1/ledger.
type Entry struct {
	Kind Kind `json:"kind"`
	// Seq counts the provider's decisions from 1 without gaps; declined charges
	// take one too.
	Seq uint64 `json:"seq"`
	// ID is the charge's or the refund's own id.
	ID string `json:"id"`
	// Reference is the caller's: the payment id of a charge, the refund id of a
	// refund.
	Reference string `json:"reference"`
	// PaymentReference is the reference of the charge, for refunds too.
	PaymentReference string `json:"payment_reference"`
	// ChargeID is the id of the refunded charge; empty for charges.
	ChargeID string `json:"charge_id,omitempty"`
	// AmountMinor is positive for charges and refunds alike.
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
	// FeeMinor is kept from a captured charge; 0 for refunds and declined charges.
	FeeMinor int64  `json:"fee_minor"`
	Method   string `json:"method,omitempty"`
	// DeclineCode is empty unless Kind is KindDecline.
	DeclineCode string `json:"decline_code,omitempty"`
	// At is when it was decided, UTC, to the millisecond.
	At time.Time `json:"at"`
	// Metadata is the caller's. A refund has its charge's as well, under its own.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// timeLayout is RFC 3339 in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// appendJSON appends the entry as one line without its end. It is the hot half
// of the ledger; TestEntryJSON holds it against encoding/json. kind comes first
// because the ledger's readers tell declined charges by the line's beginning.
func (e *Entry) appendJSON(dst []byte) []byte {
	dst = append(append(append(dst, `{"kind":"`...), e.Kind...), `","seq":`...)
	dst = strconv.AppendUint(dst, e.Seq, 10)
	dst = appendField(dst, "id", e.ID)
	dst = appendField(dst, "reference", e.Reference)
	dst = appendField(dst, "payment_reference", e.PaymentReference)
	if e.ChargeID != "" {
		dst = appendField(dst, "charge_id", e.ChargeID)
	}
	dst = appendNumber(dst, "amount_minor", e.AmountMinor)
	dst = appendField(dst, "currency", e.Currency)
	dst = appendNumber(dst, "fee_minor", e.FeeMinor)
	if e.Method != "" {
		dst = appendField(dst, "method", e.Method)
	}
	if e.DeclineCode != "" {
		dst = appendField(dst, "decline_code", e.DeclineCode)
	}
	dst = appendTime(dst, "at", e.At)
	if len(e.Metadata) > 0 {
		dst = append(dst, `,"metadata":`...)
		dst = appendMetadata(dst, e.Metadata)
	}
	return append(dst, '}')
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return appendString(dst, value)
}

func appendNumber(dst []byte, name string, value int64) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return strconv.AppendInt(dst, value, 10)
}

func appendTime(dst []byte, name string, at time.Time) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":"`...)
	return append(at.UTC().AppendFormat(dst, timeLayout), '"')
}

// appendMetadata writes the keys in order, so that equal metadata has equal bytes.
func appendMetadata(dst []byte, metadata map[string]string) []byte {
	var buf [8]string
	keys := buf[:0]
	for k := range metadata {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, k), ':')
		dst = appendString(dst, metadata[k])
	}
	return append(dst, '}')
}

// appendString quotes s for JSON. Strings without anything to escape, which is
// nearly all of them, are copied.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil {
				// encoding/json replaces what is no UTF-8; no string fails.
				panic(fmt.Sprintf("provider: quoting a string: %v", err))
			}
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// digest is 128 bits of a SHA-256: enough to stand for a reference, an
// idempotency key or a body in the index.
type digest [16]byte

func digestOf(b []byte) digest {
	sum := sha256.Sum256(b)
	return digest(sum[:16])
}

// Ids carry the number of their ledger entry, so that finding one takes no index.
const (
	chargePrefix = "ch_"
	refundPrefix = "re_"
)

func newID(prefix string, seq uint64) string {
	const digits = "0123456789abcdef"
	var buf [len(chargePrefix) + 16]byte
	copy(buf[:], prefix)
	for i := len(buf) - 1; i >= len(prefix); i-- {
		buf[i] = digits[seq&0xf]
		seq >>= 4
	}
	return string(buf[:])
}

// seqOf is the opposite of newID; ok is false for what it never returned.
func seqOf(prefix, id string) (seq uint64, ok bool) {
	if len(id) != len(prefix)+16 || id[:len(prefix)] != prefix {
		return 0, false
	}
	seq, err := strconv.ParseUint(id[len(prefix):], 16, 64)
	return seq, err == nil && seq > 0 && newID(prefix, seq) == id
}
