package settlement

import (
	"cmp"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Kind says which way money went.
type Kind string

// The kinds.
const (
	Charge Kind = "charge"
	Refund Kind = "refund"
)

// Entry is one charge or refund, on either side.
type Entry struct {
	Kind Kind
	// Reference is our id of the payment or of the refund; empty when the
	// provider does not tell it.
	Reference string
	// ProviderID is the provider's id of the charge or refund.
	ProviderID string
	// AmountMinor is positive for both kinds.
	AmountMinor int64
	FeeMinor    int64
	Currency    string
	// At is when the provider did it.
	At time.Time
	// Line is where it stands in the file or ledger, from 1; 0 for ours.
	Line int64
	// Booked is false for what we know of and has moved no money here: a payment
	// that was not captured, a refund that is not done. Lines are always booked.
	Booked bool
}

// Key is what the two sides are matched by.
type Key string

// The keys.
const (
	ByReference  Key = "reference"
	ByProviderID Key = "provider_id"
)

func (k Key) of(e *Entry) string {
	if k == ByReference {
		return e.Reference
	}
	return e.ProviderID
}

// compare orders entries of both sides alike: as ClickHouse orders strings, by
// their bytes.
func (k Key) compare(a, b *Entry) int {
	return cmp.Or(strings.Compare(k.of(a), k.of(b)), strings.Compare(string(a.Kind), string(b.Kind)))
}

// canonical writes an id as our own side does, if it is one.
func canonical(reference string) string {
	if id, err := uuid.Parse(reference); err == nil {
		return id.String()
	}
	return reference
}
