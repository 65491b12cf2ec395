package clickhouse

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// recoder rewrites blocks of the Native format from revision 0, which the engine writes, for a client's revision. The columns' bytes are
// the same in both; what differs is a block's head and one byte per column. So the bytes are copied, and decoding only tells how long
// a column is: encoding it again would cost more and is not always the inverse.
type recoder struct {
	revision uint64
	context  column.ServerContext
	in       *positionReader
}

// newRecoder returns nil where nothing has to be rewritten.
func newRecoder(format string, revision uint64) *recoder {
	if format != "Native" || revision == 0 {
		return nil
	}
	return &recoder{revision: revision, context: column.ServerContext{Timezone: time.UTC}, in: newPositionReader()}
}

// recode rewrites whole blocks. The result shares nothing with blocks.
func (r *recoder) recode(blocks []byte) ([]byte, error) {
	in := r.in
	in.reset(blocks)
	out := make([]byte, 0, len(blocks)+len(blocks)/16+64)
	for in.position() < len(blocks) {
		var err error
		if out, err = r.block(in, out); err != nil {
			return nil, fmt.Errorf("native block for revision %d: %w", r.revision, err)
		}
	}
	return out, nil
}

func (r *recoder) block(in *positionReader, out []byte) ([]byte, error) {
	columns, err := in.UVarInt()
	if err != nil {
		return nil, err
	}
	rows, err := in.UVarInt()
	if err != nil {
		return nil, err
	}
	out = append(out, blockInfo...)
	out = binary.AppendUvarint(out, columns)
	out = binary.AppendUvarint(out, rows)
	for range columns {
		if out, err = r.column(in, rows, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// blockInfo says that the block is no overflow (field 1) and belongs to no bucket (field 2 is -1).
var blockInfo = []byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0}

func (r *recoder) column(in *positionReader, rows uint64, out []byte) ([]byte, error) {
	start := in.position()
	name, err := in.Str()
	if err != nil {
		return nil, err
	}
	typeName, err := in.Str()
	if err != nil {
		return nil, err
	}
	out = append(out, in.bytes[start:in.position()]...)
	if r.revision >= proto.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION {
		out = append(out, 0) // the columns are written in full, never sparse
	}
	if rows == 0 {
		return out, nil
	}
	start = in.position()
	if size, fixed := fixedSizes[typeName]; fixed {
		err = in.discard(size * int(rows))
	} else {
		err = r.pass(in, name, column.Type(typeName), int(rows))
	}
	if err != nil {
		return nil, fmt.Errorf("column %s %s: %w", name, typeName, err)
	}
	return append(out, in.bytes[start:in.position()]...), nil
}

// pass reads a column's rows and forgets them.
func (r *recoder) pass(in *positionReader, name string, typeName column.Type, rows int) error {
	c, err := typeName.Column(name, &r.context)
	if err != nil {
		return err
	}
	if prefixed, ok := c.(column.CustomSerialization); ok {
		if err := prefixed.ReadStatePrefix(in.Reader); err != nil {
			return err
		}
	}
	return c.Decode(in.Reader, rows)
}

// fixedSizes are the widths in bytes of the types that need no decoding to be passed.
var fixedSizes = map[string]int{
	"UInt8": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8, "UInt128": 16, "UInt256": 32,
	"Int8": 1, "Int16": 2, "Int32": 4, "Int64": 8, "Int128": 16, "Int256": 32,
	"Float32": 4, "Float64": 8, "Bool": 1, "UUID": 16, "Date": 2, "Date32": 4, "DateTime": 4, "IPv4": 4, "IPv6": 16,
}

// positionReader reads the protocol's values and knows how far it is.
type positionReader struct {
	*chproto.Reader
	bytes    []byte
	source   *bytes.Reader
	buffered *bufio.Reader
}

// readerBuffer is more than the protocol reader's own buffer, so that it uses ours instead of putting another one behind it, whose
// read-ahead would be invisible.
const readerBuffer = 256 << 10

func newPositionReader() *positionReader {
	source := bytes.NewReader(nil)
	buffered := bufio.NewReaderSize(source, readerBuffer)
	return &positionReader{Reader: chproto.NewReader(buffered), source: source, buffered: buffered}
}

func (p *positionReader) reset(b []byte) {
	p.bytes = b
	p.source.Reset(b)
	p.buffered.Reset(p.source)
}

func (p *positionReader) position() int { return len(p.bytes) - p.source.Len() - p.buffered.Buffered() }

func (p *positionReader) discard(n int) error {
	_, err := p.buffered.Discard(n)
	return err
}
