package clickhouse

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// heldBack is how much output waits before the status line goes out, so that a query that fails early gets an error's status.
// ClickHouse's own buffer has the same size.
const heldBack = 1 << 20

// clientTimeout is how long a client may take to send or to take the next piece, before its worker is given to others.
const clientTimeout = 60 * time.Second

// answer is the response to one request. Output is held back until it is long or complete; then the headers are sent.
type answer struct {
	w          http.ResponseWriter
	controller *http.ResponseController
	started    time.Time
	encoding   string // Content-Encoding, empty for none
	codec      string // ClickHouse's own compression, empty for none
	tag        string // marks an exception in the middle of the output
	wait       int    // hold everything back, up to so many bytes; 0 for [heldBack], after which output is sent

	held   []byte
	sent   bool
	encode io.WriteCloser
	out    io.Writer
	total  progress
}

func newAnswer(w http.ResponseWriter, r *http.Request, o *options) *answer {
	a := &answer{w: w, controller: http.NewResponseController(w), started: time.Now(), tag: rand.Text()[:16]}
	if o.take("enable_http_compression") != "0" {
		a.encoding = chooseEncoding(r.Header.Get("Accept-Encoding"))
	}
	if o.compress {
		a.codec = o.codec
	}
	return a
}

// end lets the connection be used for further requests: a deadline would outlive this one.
func (a *answer) end() error { return a.controller.SetWriteDeadline(time.Time{}) }

// header sets what every answer carries.
func (a *answer) header(queryID, timezone string) {
	h := a.w.Header()
	h.Set("X-ClickHouse-Query-Id", queryID)
	h.Set("X-ClickHouse-Timezone", timezone)
	h.Set("X-ClickHouse-Server-Display-Name", displayName)
	h.Set("X-ClickHouse-Exception-Tag", a.tag)
}

// displayName is what the server calls itself.
const displayName = "boxoffice"

// format names the output's format.
func (a *answer) format(name string) {
	a.w.Header().Set("X-ClickHouse-Format", name)
	a.w.Header().Set("Content-Type", contentType(name))
}

func (a *answer) count(p progress) {
	a.total.ResultRows += p.ResultRows
	a.total.ResultBytes += p.ResultBytes
	a.total.ReadRows += p.ReadRows
	a.total.ReadBytes += p.ReadBytes
	a.total.WrittenRows += p.WrittenRows
	a.total.WrittenBytes += p.WrittenBytes
}

// write takes output of the query. It fails with [errClientGone], or because more than allowed would have to be held back.
func (a *answer) write(p []byte) error {
	if !a.sent {
		switch length := len(a.held) + len(p); {
		case length < heldBack || length < a.wait:
			a.held = append(a.held, p...)
			return nil
		case a.wait > 0:
			return newException(codeResultTooLarge, "TOO_MANY_ROWS_OR_BYTES", "The result is larger than %d bytes, which is the most that wait_end_of_query may hold back", a.wait)
		}
		if err := a.send(http.StatusOK); err != nil {
			return errClientGone
		}
	}
	if err := a.push(p); err != nil {
		return errClientGone
	}
	return nil
}

// errClientGone says that nobody takes the answer any more.
var errClientGone = errors.New("the client went away")

// send sends the headers and what was held back.
func (a *answer) send(status int) error {
	a.sent = true
	if err := a.controller.SetWriteDeadline(time.Now().Add(clientTimeout)); err != nil {
		return err
	}
	h := a.w.Header()
	h.Set("X-ClickHouse-Summary", a.summary())
	if a.encoding != "" && len(a.held) > 0 {
		h.Set("Content-Encoding", a.encoding)
		h.Del("Content-Length")
	} else {
		a.encoding = ""
	}
	a.w.WriteHeader(status)
	var err error
	if a.encode, err = httpEncoder(a.w, a.encoding); err != nil {
		return err
	}
	a.out = a.encode
	if a.codec != "" {
		if a.out, err = newFramedWriter(a.encode, a.codec); err != nil {
			return err
		}
	}
	held := a.held
	a.held = nil
	return a.push(held)
}

func (a *answer) push(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if err := a.controller.SetWriteDeadline(time.Now().Add(clientTimeout)); err != nil {
		return err
	}
	_, err := a.out.Write(p)
	return err
}

// finish ends a good answer.
func (a *answer) finish() error {
	if !a.sent {
		if len(a.held) == 0 {
			a.w.Header().Set("Content-Length", "0")
		}
		if err := a.send(http.StatusOK); err != nil {
			return err
		}
	}
	return a.encode.Close()
}

// fail ends an answer with an error: as status and body while nothing is sent, else as a marked block at the end of the output.
func (a *answer) fail(e *Exception) error {
	if !a.sent {
		a.held, a.encoding, a.codec = []byte(e.Text+"\n"), "", ""
		h := a.w.Header()
		h.Set("X-ClickHouse-Exception-Code", strconv.Itoa(e.Code))
		h.Set("Content-Type", "text/plain; charset=UTF-8")
		if e.Code == codeTooManyQueries {
			h.Set("Retry-After", "1")
		}
		return a.send(statusOf(e.Code))
	}
	text := e.Text + "\n"
	block := fmt.Sprintf("\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n", a.tag, text, len(text), a.tag)
	if err := a.push([]byte(block)); err != nil {
		return err
	}
	return a.encode.Close()
}

// summary is what X-ClickHouse-Summary says; for a streamed answer, up to the first piece sent.
func (a *answer) summary() string {
	return fmt.Sprintf(`{"read_rows":"%d","read_bytes":"%d","written_rows":"%d","written_bytes":"%d","total_rows_to_read":"0","result_rows":"%d","result_bytes":"%d","elapsed_ns":"%d"}`,
		a.total.ReadRows, a.total.ReadBytes, a.total.WrittenRows, a.total.WrittenBytes, a.total.ResultRows, a.total.ResultBytes, time.Since(a.started).Nanoseconds())
}

func contentType(format string) string {
	switch {
	case format == "JSON" || format == "JSONCompact" || format == "JSONStrings" || format == "JSONColumns":
		return "application/json; charset=UTF-8"
	case strings.HasPrefix(format, "JSON"):
		return "application/x-ndjson; charset=UTF-8"
	case strings.HasPrefix(format, "CSV"):
		return "text/csv; charset=UTF-8"
	case strings.HasPrefix(format, "TabSeparated") || strings.HasPrefix(format, "TSV"):
		return "text/tab-separated-values; charset=UTF-8"
	case format == "Native" || strings.HasPrefix(format, "RowBinary"):
		return "application/octet-stream"
	default:
		return "text/plain; charset=UTF-8"
	}
}
