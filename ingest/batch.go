package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/stream"
)

// postBatch takes registrations as NDJSON, one a line, and answers each with a
// line, in order, while it still reads. A line that is refused does not end the
// batch.
func (s *Server) postBatch(w http.ResponseWriter, r *http.Request, caller *apikey.Identity) (int, error) {
	if !hasContentType(r, ndjsonType) {
		return 0, wrongContentType(ndjsonType)
	}
	control := http.NewResponseController(w)
	// Not supported where the connection is full duplex anyway (HTTP/2).
	_ = control.EnableFullDuplex()
	w.Header()["Content-Type"] = contentTypeNDJSON
	w.Header()["Cache-Control"] = noStore
	b := &ndjson{
		server:  s,
		control: control,
		out:     bufio.NewWriterSize(w, 16<<10),
	}
	b.in = bufio.NewReaderSize(&patientReader{body: r.Body, control: control, idle: s.cfg.BatchIdleMax, stopping: s.stopping}, s.cfg.BodyBytesMax)
	// The status is sent already; the error has nobody left to go to.
	_ = s.pipeline(r.Context(), caller, b)
	return http.StatusOK, nil
}

// patientReader reads a body for as long as something keeps coming.
type patientReader struct {
	body     io.Reader
	control  *http.ResponseController
	idle     time.Duration
	stopping func() bool
}

func (r *patientReader) Read(p []byte) (int, error) {
	// Set first and looked at afterwards: a stop that comes in between sets its
	// own deadline after this one.
	_ = r.control.SetReadDeadline(time.Now().Add(r.idle))
	if r.stopping() {
		return 0, io.ErrUnexpectedEOF
	}
	return r.body.Read(p)
}

// ndjson is a batch over REST.
type ndjson struct {
	server  *Server
	control *http.ResponseController
	in      *bufio.Reader
	out     *bufio.Writer
	line    batchOrder
	scratch []byte
}

func (b *ndjson) next() (string, *order, error) {
	for {
		line, err := b.readLine()
		if err != nil {
			return "", nil, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		// The lines are used again; decode starts them from length 0.
		b.line = batchOrder{order: order{Lines: b.line.Lines[:0]}}
		if err := decode(line, &b.line); err != nil {
			return "", nil, err
		}
		return b.line.IdempotencyKey, &b.line.order, nil
	}
}

// readLine returns the next line, valid until the next call. One that is too
// long is skipped to its end and is a problem of its own.
func (b *ndjson) readLine() ([]byte, error) {
	line, err := b.in.ReadSlice('\n')
	switch {
	case err == nil:
		return line, nil
	case errors.Is(err, io.EOF) && len(line) > 0:
		return line, nil
	case !errors.Is(err, bufio.ErrBufferFull):
		return nil, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = b.in.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nil, tooLarge("The line", b.server.cfg.BodyBytesMax)
}

func (b *ndjson) begin(index uint64, status int) []byte {
	dst := append(b.scratch[:0], `{"index":`...)
	dst = strconv.AppendUint(dst, index, 10)
	dst = append(dst, `,"status":`...)
	return strconv.AppendInt(dst, int64(status), 10)
}

func (b *ndjson) end(dst []byte) error {
	b.scratch = append(dst, '}', '\n')
	if len(b.scratch) > b.out.Available() {
		b.extend()
	}
	_, err := b.out.Write(b.scratch)
	return err
}

func (b *ndjson) accepted(index uint64, id uuid.UUID, position stream.Position) error {
	answer := registrationAccepted(id, position)
	return b.end(answer.append(append(b.begin(index, http.StatusAccepted), ','), b.server.cfg.ViewsURL))
}

func (b *ndjson) refused(index uint64, p *problem.Problem) error {
	return b.end(p.AppendJSON(append(b.begin(index, p.Status()), `,"problem":`...)))
}

// extend gives the caller time to take what is about to be written.
func (b *ndjson) extend() {
	_ = b.control.SetWriteDeadline(time.Now().Add(b.server.cfg.BatchIdleMax))
}

func (b *ndjson) flush() error {
	if b.out.Buffered() == 0 {
		return nil
	}
	b.extend()
	if err := b.out.Flush(); err != nil {
		return err
	}
	return b.control.Flush()
}

func (b *ndjson) interrupt() { _ = b.control.SetReadDeadline(time.Now()) }
