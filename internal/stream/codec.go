package stream

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream/core"
	"github.com/eventpro/boxoffice/internal/transition"
)

// Undecodable stands for a value that is no message of its topic's type.
type Undecodable = core.Undecodable

// payload is what the input codec makes of a record: the message to be handed
// to the handler, with the bytes it came from, which a dead letter needs.
type payload struct {
	message transition.Message
	raw     []byte
	bad     *Undecodable
}

// inputCodec decodes a topic's records to *payload.
type inputCodec struct{ newMessage func() proto.Message }

func (c inputCodec) Decode(data []byte) (any, error) {
	in := &payload{raw: data}
	in.message.Value, in.bad = core.Decode(c.newMessage, data)
	return in, nil
}

func (c inputCodec) Encode(any) ([]byte, error) {
	return nil, errors.New("an input topic is not written to")
}

// tableCodec decodes table values to proto.Message or *Undecodable.
type tableCodec struct{ newMessage func() proto.Message }

func (c tableCodec) Decode(data []byte) (any, error) {
	m, bad := core.Decode(c.newMessage, data)
	if bad != nil {
		return bad, nil
	}
	return m, nil
}

func (c tableCodec) Encode(v any) ([]byte, error) { return encoded(v) }

// outputCodec passes on what has been encoded: the runtime encodes all that a
// record causes before it hands any of it to Goka.
type outputCodec struct{}

func (outputCodec) Decode(data []byte) (any, error) { return data, nil }
func (outputCodec) Encode(v any) ([]byte, error)    { return encoded(v) }

func encoded(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("the runtime encodes before it emits, got a %T", v)
	}
	return b, nil
}
