// Package transition holds the vocabulary of a pure state transition: the
// message that comes in, the outputs that go out, and the verdict on the
// message. It knows no Kafka client, no Goka, no clock and no log, so that a
// transition can run in a processor, in a simulator and in a table-driven test
// alike.
package transition

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
)

// Message is one record as a transition sees it.
type Message struct {
	// Topic, Partition and Offset are the position of the record in the log.
	Topic     string
	Partition int32
	Offset    int64
	// Key is the record's key, which is also the key of the state.
	Key string
	// Time is the record's timestamp. It is stored in the log, hence the same
	// on every replay; transitions read no other clock.
	Time time.Time
	// Value is the decoded payload.
	Value proto.Message
}

// Output is one record that a transition wants published. It becomes visible
// together with the state and the input's offset, or not at all.
type Output struct {
	Topic string
	Key   string
	Value proto.Message
}

// Verdict says what a message did. Every record ends in exactly one of them,
// or in the dead-letter topic (I7).
type Verdict uint8

const (
	// Applied means that the message moved the state.
	Applied Verdict = iota + 1
	// Replayed means that the message was known already (or a duplicate); at most what
	// the state still waits for was sent again.
	Replayed
	// Rejected means that a well-formed message was refused for a business reason, which
	// Effect.Reason names; the state may record the refusal.
	Rejected
)

// String returns the verdict as it appears in metrics.
func (v Verdict) String() string {
	switch v {
	case Applied:
		return "applied"
	case Replayed:
		return "replayed"
	case Rejected:
		return "rejected"
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// Effect is what a transition answers.
type Effect struct {
	// State is the new table value; nil leaves the stored value as it is.
	// It must not alias memory that the transition keeps.
	State proto.Message
	// Outputs are published in this order.
	Outputs []Output
	Verdict Verdict
	// Reason is a stable snake_case code, set when Verdict is Rejected.
	Reason string
}

// Poison is the error of a message that can never be handled: undecodable, or
// one that no correct peer can have sent. The runtime writes it to the
// dead-letter topic with this reason and goes on. Any other error aborts the
// transaction and restarts the session.
type Poison struct {
	// Reason is a stable snake_case code.
	Reason string
	// Detail is for people.
	Detail string
}

// Error implements error.
func (p *Poison) Error() string { return p.Reason + ": " + p.Detail }

// Poisoned returns a *Poison error.
func Poisoned(reason, format string, args ...any) error {
	return &Poison{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// AsPoison reports whether err is, or wraps, a *Poison.
func AsPoison(err error) (*Poison, bool) {
	var p *Poison
	ok := errors.As(err, &p)
	return p, ok
}
