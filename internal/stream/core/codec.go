package core

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Undecodable stands for a value that is no message of its topic's type. The
// codecs return it instead of an error, because Goka stops a partition for
// good on a decode error (runtime rule 8).
type Undecodable struct {
	Raw []byte
	Err error
}

func (u *Undecodable) Error() string { return u.Err.Error() }

// ErrNoValue is the cause of a record without a value.
var ErrNoValue = errors.New("the record has no value")

// Decode decodes data into a new message.
func Decode(newMessage func() proto.Message, data []byte) (proto.Message, *Undecodable) {
	if data == nil {
		return nil, &Undecodable{Err: ErrNoValue}
	}
	m := newMessage()
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, &Undecodable{Raw: data, Err: fmt.Errorf("not a %s: %w", m.ProtoReflect().Descriptor().FullName(), err)}
	}
	return m, nil
}

// deterministic encodes equal states to equal bytes (I9).
var deterministic = proto.MarshalOptions{Deterministic: true}
