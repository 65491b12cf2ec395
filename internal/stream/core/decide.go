package core

import (
	"errors"
	"fmt"
	"runtime/debug"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/transition"
)

// Decider decides what one record does to its key's state.
type Decider struct {
	Handle func(state proto.Message, m *transition.Message) (transition.Effect, error)
	// Group is the name, and Outputs are the topics that it may write to.
	Group   string
	Outputs map[string]bool
	// Partition is where a key belongs.
	Partition func(key string) int32
}

// Result is an effect, encoded.
type Result struct {
	Effect  transition.Effect
	State   []byte // nil leaves the stored value as it is
	Outputs [][]byte
}

// Decide calls the handler; state is nil, a proto.Message or *Undecodable, and
// bad is why the record has no message. It encodes everything before any of it is
// written, so that a value that cannot be encoded fails like the handler does.
func (d *Decider) Decide(state any, m *transition.Message, bad *Undecodable) (out Result, err error) {
	if bad != nil {
		return out, bad
	}
	if want := d.Partition(m.Key); want != m.Partition {
		return out, transition.Poisoned("wrong_partition", "key %q belongs to partition %d: the producer must partition by murmur2", m.Key, want)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	var known proto.Message
	switch v := state.(type) {
	case proto.Message:
		known = v
	case *Undecodable:
		// Only the cause: it is the state that is damaged, not the record.
		return out, fmt.Errorf("%w: key %q: %w", errDamagedState, m.Key, v.Err)
	}
	if out.Effect, err = d.Handle(known, m); err != nil {
		return out, err
	}
	return d.encode(out)
}

// errDamagedState: the table's value of a key is no message of its type. It
// concerns that key alone: its records are put off, and are dead letters in the
// end, until the value is mended. All other keys go on.
var errDamagedState = errors.New("the state is damaged")

func (d *Decider) encode(out Result) (Result, error) {
	e := &out.Effect
	if e.Verdict < transition.Applied || e.Verdict > transition.Rejected {
		return out, fmt.Errorf("the handler gave no verdict (%v)", e.Verdict)
	}
	var err error
	if e.State != nil {
		if out.State, err = deterministic.Marshal(e.State); err != nil {
			return out, fmt.Errorf("encoding the state: %w", err)
		}
	}
	if len(e.Outputs) == 0 {
		return out, nil
	}
	out.Outputs = make([][]byte, len(e.Outputs))
	for i, o := range e.Outputs {
		if !d.Outputs[o.Topic] {
			return out, fmt.Errorf("topic %q is not among the outputs of group %q", o.Topic, d.Group)
		}
		if o.Value == nil {
			return out, fmt.Errorf("an output to %q has no value", o.Topic)
		}
		if o.Value == e.State { // a snapshot event: encoded already
			out.Outputs[i] = out.State
			continue
		}
		if out.Outputs[i], err = proto.Marshal(o.Value); err != nil {
			return out, fmt.Errorf("encoding an output to %q: %w", o.Topic, err)
		}
	}
	return out, nil
}

// Classes of dead letters.
const (
	// ClassUndecodable: the value is no message of the topic's type.
	ClassUndecodable = "undecodable"
	// ClassPoison: no correct peer can have sent the message.
	ClassPoison = "poison"
	// ClassError: handling it failed again and again; the fault may be ours.
	ClassError = "error"
)

// Reasons of class ClassError.
const (
	// ReasonFailed: the handler failed.
	ReasonFailed = "failed_repeatedly"
	// ReasonDamagedState: the state of the record's key cannot be decoded.
	ReasonDamagedState = "damaged_state"
)

// Judge says what becomes of a record that Decide returned an error for: class
// ClassUndecodable or ClassPoison is a dead letter at once; ClassError is put off
// and tried again, until it has failed too often.
func Judge(err error) (class, reason, detail string) {
	if bad := (*Undecodable)(nil); errors.As(err, &bad) {
		return ClassUndecodable, ClassUndecodable, err.Error()
	}
	if poison, ok := transition.AsPoison(err); ok {
		return ClassPoison, poison.Reason, poison.Detail
	}
	if errors.Is(err, errDamagedState) {
		return ClassError, ReasonDamagedState, err.Error()
	}
	return ClassError, ReasonFailed, err.Error()
}
