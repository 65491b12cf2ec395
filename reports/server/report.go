package server

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/reports/render"
	"github.com/eventpro/boxoffice/reports/statement"
)

// report makes one report and sends it.
func (s *Server) report(w http.ResponseWriter, r *http.Request) error {
	who, err := s.cfg.Keys.Authorize(r.Header.Get("Authorization"), apikey.Reports)
	if err != nil {
		return err
	}
	asked, err := s.read(r, who)
	if err != nil {
		return err
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return problem.New(problem.ReportsBusy, "%d reports are being made, which is the limit here; ask again after Retry-After.", s.cfg.Concurrent)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Timeout)
	defer cancel()
	ctx = s.limited(ctx)
	if tags := r.Header.Get("If-None-Match"); tags != "" {
		id, err := reports.Identify(ctx, s.cfg.DB, asked.name, asked.params)
		if err != nil {
			return s.judge(ctx, err)
		}
		if names(tags, id) {
			setIdentity(w.Header(), id)
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	made, err := reports.Make(ctx, s.cfg.DB, asked.name, asked.params)
	if err != nil {
		return s.judge(ctx, err)
	}
	return s.send(w, made, asked.format)
}

// limited puts the limits of one report into its queries. The last two make a
// ClickHouse server notice, over HTTP too, that nobody waits for a query any more.
func (s *Server) limited(ctx context.Context) context.Context {
	return ch.Context(ctx, ch.WithSettings(ch.Settings{
		"max_result_rows": s.cfg.RowsMax, "result_overflow_mode": "throw",
		"readonly": 2, "cancel_http_readonly_queries_on_client_close": 1,
	}))
}

// send writes the report into memory first: an answer that breaks off in the
// middle would look like one that is whole.
func (s *Server) send(w http.ResponseWriter, made *statement.Report, f render.Format) error {
	var body bytes.Buffer
	if err := f.Write(&body, made); err != nil {
		return fmt.Errorf("writing the report as %s: %w", f.Name, err)
	}
	h := w.Header()
	setIdentity(h, made.ID)
	h.Set("Content-Type", f.MediaType)
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Content-Disposition", disposition(made, f))
	h.Set("X-Content-Type-Options", "nosniff")
	// What a browser shows of a report loads nothing and runs nothing.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox")
	_, _ = w.Write(body.Bytes()) // the caller may be gone
	return nil
}

// setIdentity lets the caller keep the report and ask whether it still holds. The
// tag is a weak one: the bytes of some formats differ each time, what they say
// does not.
func setIdentity(h http.Header, id uuid.UUID) {
	h.Set("ETag", `W/"`+id.String()+`"`)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Authorization")
}

// names tells whether an If-None-Match names the report.
func names(tags string, id uuid.UUID) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == `"`+id.String()+`"` {
			return true
		}
	}
	return false
}

// disposition names the file. What browsers can show they may; the rest is for
// saving.
func disposition(r *statement.Report, f render.Format) string {
	kind := "inline"
	if f.Binary || f.Name == "csv" {
		kind = "attachment"
	}
	return mime.FormatMediaType(kind, map[string]string{"filename": reports.FileName(r, f)})
}

// ClickHouse's codes of what a smaller question avoids.
const (
	codeTimeoutExceeded     = 159
	codeMemoryLimitExceeded = 241
	codeTooManyRows         = 396
)

// judge says what an error of making a report is to its caller.
func (s *Server) judge(ctx context.Context, err error) error {
	var mistake *reports.UsageError
	if errors.As(err, &mistake) && mistake.UnknownEvent {
		return problem.New(problem.EventUnknown, "%s.", mistake.Error())
	}
	if mistake != nil {
		return problem.New(problem.InvalidParameter, "%s.", mistake.Error())
	}
	var engine *ch.Exception
	code := int32(0)
	if errors.As(err, &engine) {
		code = engine.Code
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded) || code == codeTimeoutExceeded:
		return problem.New(problem.ReportTimedOut, "The report was not ready after %v. Ask for a shorter period, one event or one currency.", s.cfg.Timeout).Because(err)
	case code == codeTooManyRows:
		return problem.New(problem.ReportTooLarge, "The report has a section of more than %d rows. Ask for a shorter period, one event or one currency.", s.cfg.RowsMax).Because(err)
	case code == codeMemoryLimitExceeded:
		return problem.New(problem.ReportTooLarge, "The report takes more memory than the database gives it. Ask for a shorter period, one event or one currency.").Because(err)
	case engine == nil && isUnreachable(err):
		return problem.New(problem.ReportsUnavailable, "The analytics database does not answer; ask again after Retry-After.").Because(err)
	default:
		return problem.New(problem.Internal, "The report failed inside; ask again.").Because(err)
	}
}

// isUnreachable tells whether the database could not be asked, or the connection
// to it broke.
func isUnreachable(err error) bool {
	var network net.Error
	var refused *ch.HTTPError // by something in front of the database
	return errors.As(err, &network) || errors.As(err, &refused) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, ch.ErrAcquireConnTimeout)
}
