package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
)

// Batch sends many orders over one request. One goroutine sends and closes, another
// receives; answers come in the order of the orders.
type Batch struct {
	out    *bufio.Writer
	pipe   *io.PipeWriter
	line   []byte
	cancel context.CancelFunc
	// ended is why the batch has ended; nil while it lives.
	ended func() error

	opened chan struct{}
	// res and err are set when opened is closed.
	res *http.Response
	err error
	in  *bufio.Scanner
}

// Result answers one order of a batch.
type Result struct {
	// Index is the order's place in the batch, from 0.
	Index  int
	Status int
	Accepted
	// Problem is why the order was refused; nil when it was accepted.
	Problem *Error
}

// RegisterBatch starts a batch, which lives until ctx ends or both sides are done.
// Orders are not repeated by the client; send those that were refused with
// overloaded, kafka_unavailable or shutting_down, and those without an answer,
// again with their keys.
func (c *Client) RegisterBatch(ctx context.Context) (*Batch, error) {
	if c.ingest == nil {
		return nil, errNoServer
	}
	ctx, cancel := context.WithCancel(ctx)
	in, out := io.Pipe()
	req := c.build(&request{method: http.MethodPost, base: c.ingest, path: "/v1/registrations:batch"})
	req.Header["Content-Type"] = ndjsonType
	req.Body = in
	req.ContentLength = -1
	b := &Batch{out: bufio.NewWriterSize(out, 32<<10), pipe: out, cancel: cancel, opened: make(chan struct{})}
	b.ended = func() error { return context.Cause(ctx) }
	// When the connection breaks, net/http waits for the side that sends, and that
	// one for orders: only the end of the pipe frees both.
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer close(b.opened)
		b.res, b.err = c.transport.RoundTrip(req.WithContext(ctx)) //nolint:bodyclose // Close closes it
		if b.err != nil {
			_ = in.CloseWithError(b.err) // ends Send
			return
		}
		b.in = bufio.NewScanner(b.res.Body)
		b.in.Buffer(make([]byte, 4096), 1<<20)
	}()
	return b, nil
}

// Send adds an order. It may stay in a buffer until Flush or CloseSend.
func (b *Batch) Send(o *Order) error {
	b.line = appendMember(append(b.line[:0], '{'), `"idempotency_key":`, o.Key)
	b.line = append(o.appendFields(append(b.line, ',')), '}', '\n')
	if _, err := b.out.Write(b.line); err != nil {
		return fmt.Errorf("send an order of a batch: %w", err)
	}
	return nil
}

// Flush sends what is in the buffer.
func (b *Batch) Flush() error {
	if err := b.out.Flush(); err != nil {
		return fmt.Errorf("send orders of a batch: %w", err)
	}
	return nil
}

// CloseSend says that there are no more orders.
func (b *Batch) CloseSend() error {
	err := b.Flush()
	_ = b.pipe.Close() // never fails
	return err
}

// Recv returns the next answer; io.EOF after the last. The server answers nothing
// before the first order reached it, so flush before waiting.
func (b *Batch) Recv() (Result, error) {
	<-b.opened
	if b.err != nil {
		return Result{}, fmt.Errorf("batch: %w", b.why(b.err))
	}
	if b.res.StatusCode != http.StatusOK {
		body, err := readAnswer(b.res)
		if err != nil {
			return Result{}, fmt.Errorf("batch: read the answer: %w", b.why(err))
		}
		return Result{}, newError(b.res, body)
	}
	if !b.in.Scan() {
		if err := b.in.Err(); err != nil {
			return Result{}, fmt.Errorf("batch: read the answers: %w", b.why(err))
		}
		return Result{}, io.EOF
	}
	return parseResult(b.in.Bytes())
}

// why is the end of the batch where that is what broke the exchange: net/http then
// reports whichever side it noticed first.
func (b *Batch) why(err error) error {
	if end := b.ended(); end != nil {
		return end
	}
	return err
}

// Close ends the batch; orders without an answer may or may not have been accepted.
func (b *Batch) Close() error {
	b.cancel()
	_ = b.pipe.CloseWithError(errors.New("the batch was closed"))
	<-b.opened
	if b.res != nil {
		_ = b.res.Body.Close()
	}
	return nil
}

func parseResult(line []byte) (Result, error) {
	if r, ok := scanResult(line); ok {
		return r, nil
	}
	var fields struct {
		Index          int      `json:"index"`
		Status         int      `json:"status"`
		RegistrationID string   `json:"registration_id"`
		Position       Position `json:"position"`
		StatusURL      string   `json:"status_url"`
		Problem        *Error   `json:"problem"`
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return Result{}, fmt.Errorf("batch: the answer is not what was expected: %w", err)
	}
	return Result{
		Index: fields.Index, Status: fields.Status, Problem: fields.Problem,
		Accepted: Accepted{RegistrationID: fields.RegistrationID, Position: fields.Position, StatusURL: fields.StatusURL},
	}, nil
}

// scanResult reads the answer to an accepted order, as the front door writes it.
func scanResult(line []byte) (r Result, ok bool) {
	s := scanner{rest: line}
	r.Index = int(s.number(`{"index":`))
	r.Status = int(s.number(`,"status":`))
	if s.failed || r.Status != http.StatusAccepted || len(s.rest) == 0 || s.rest[0] != ',' {
		return r, false
	}
	s.rest = s.rest[1:]
	r.Accepted, ok = scanFields(&s)
	return r, ok
}
