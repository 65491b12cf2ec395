package ingest

import (
	"errors"
	"io"
	"sync"
)

// buffer is a byte slice that is used again.
type buffer struct{ b []byte }

// buffers pools them. One that grew beyond keepBytes is left to the collector,
// so that a few large bodies do not pin memory.
type buffers struct{ pool sync.Pool }

const keepBytes = 16 << 10

func (p *buffers) get() *buffer {
	if b, ok := p.pool.Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 0, 1024)}
}

func (p *buffers) put(b *buffer) {
	if cap(b.b) <= keepBytes {
		b.b = b.b[:0]
		p.pool.Put(b)
	}
}

var errTooLarge = errors.New("more bytes than the limit")

// readAll fills the buffer from r to its end; errTooLarge if that is beyond limit.
func (b *buffer) readAll(r io.Reader, limit int) error {
	b.b = b.b[:0]
	for {
		if len(b.b) == cap(b.b) {
			b.b = append(b.b, 0)[:len(b.b)]
		}
		n, err := r.Read(b.b[len(b.b):min(cap(b.b), limit+1)])
		b.b = b.b[:len(b.b)+n]
		switch {
		case len(b.b) > limit:
			return errTooLarge
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
