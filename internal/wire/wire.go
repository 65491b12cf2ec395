// Package wire reads single fields of encoded Protobuf messages without decoding
// the rest, for readers that touch every record of a topic and need little of it.
package wire

import "google.golang.org/protobuf/encoding/protowire"

// Field is one field of an encoded message: Number for varints and fixed-width
// numbers, Bytes for strings, bytes, messages and packed lists.
type Field struct {
	ID     protowire.Number
	Number uint64
	Bytes  []byte
	// Raw is the whole field as it is encoded, its tag included.
	Raw []byte
}

// Scan calls visit for every top-level field of an encoded message, in the order
// of the encoding. Fields alias b.
func Scan(b []byte, visit func(Field)) error {
	for len(b) > 0 {
		id, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		f := Field{ID: id}
		value := b[n:]
		var size int
		switch kind {
		case protowire.VarintType:
			f.Number, size = protowire.ConsumeVarint(value)
		case protowire.BytesType:
			f.Bytes, size = protowire.ConsumeBytes(value)
		case protowire.Fixed64Type:
			f.Number, size = protowire.ConsumeFixed64(value)
		case protowire.Fixed32Type:
			var v uint32
			v, size = protowire.ConsumeFixed32(value)
			f.Number = uint64(v)
		default:
			size = protowire.ConsumeFieldValue(id, kind, value)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		f.Raw = b[:n+size]
		visit(f)
		b = b[n+size:]
	}
	return nil
}
