package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// ContentType is that of a problem document (RFC 9457).
const ContentType = "application/problem+json"

// Violation is one field that is at fault.
type Violation struct {
	// Field is the path of the field in the body, as a reader would write it
	// ("lines[0].quantity"), or the name of a path or query parameter.
	Field string
	// Code is a stable word: see the Violation codes.
	Code string
	// Message says what the field must be.
	Message string
}

// The codes of violations.
const (
	Required   = "required"
	OutOfRange = "out_of_range"
	TooLong    = "too_long"
	TooMany    = "too_many"
	BadFormat  = "bad_format"
	BadType    = "bad_type"
	Unknown    = "unknown"
	Duplicate  = "duplicate"
)

// Problem is one occurrence of a code. It is an error.
type Problem struct {
	Code Code
	// Detail says what happened here and what to do about it. It never holds
	// personal data or keys.
	Detail     string
	Violations []Violation
	// Instance is the path of the resource that the problem is about; optional.
	Instance string
	// RetryAfter is when to try again; 0 takes the catalogue's default.
	RetryAfter time.Duration
	// Allow lists the methods that the path takes, for method_not_allowed.
	Allow string
	// Cause is for the log only.
	Cause error
}

// New returns a problem whose detail is formatted as by fmt.Sprintf.
func New(code Code, format string, args ...any) *Problem {
	return &Problem{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Invalid returns an invalid_request problem that lists every violation.
func Invalid(violations ...Violation) *Problem {
	noun := "fields are"
	if len(violations) == 1 {
		noun = "field is"
	}
	return &Problem{
		Code:       InvalidRequest,
		Detail:     fmt.Sprintf("%d %s missing or wrong; correct what the violations list.", len(violations), noun),
		Violations: violations,
	}
}

// From returns err's problem. An error that is none becomes internal: its text
// is kept as the cause for the log and is not shown to the caller.
func From(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return &Problem{Code: Internal, Detail: "The request could not be handled; repeat it with the same idempotency key.", Cause: err}
}

// About sets the path of the resource that the problem is about.
func (p *Problem) About(instance string) *Problem {
	p.Instance = instance
	return p
}

// Because keeps the cause for the log.
func (p *Problem) Because(err error) *Problem {
	p.Cause = err
	return p
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Cause != nil && !errors.Is(p.Cause, context.Canceled) {
		return string(p.Code) + ": " + p.Detail + " (" + p.Cause.Error() + ")"
	}
	return string(p.Code) + ": " + p.Detail
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Status is the HTTP status that the problem travels with.
func (p *Problem) Status() int { return Define(p.Code).Status }

// RetryAfterSeconds is the value of the Retry-After header, rounded up; 0 means
// none.
func (p *Problem) RetryAfterSeconds() int {
	if p.RetryAfter > 0 {
		return int((p.RetryAfter + time.Second - 1) / time.Second)
	}
	return Define(p.Code).RetryAfterSeconds
}

// Write answers the request with the problem.
func (p *Problem) Write(w http.ResponseWriter) {
	h := w.Header()
	h["Content-Type"] = []string{ContentType}
	h["Cache-Control"] = []string{"no-store"}
	if s := p.RetryAfterSeconds(); s > 0 {
		h["Retry-After"] = []string{strconv.Itoa(s)}
	}
	if p.Allow != "" {
		h["Allow"] = []string{p.Allow}
	}
	status := p.Status()
	if status == http.StatusUnauthorized {
		h["Www-Authenticate"] = []string{`Bearer realm="boxoffice"`}
	}
	w.WriteHeader(status)
	// The caller may be gone; there is nobody left to tell.
	_, _ = w.Write(append(p.AppendJSON(nil), '\n'))
}

// AppendJSON appends the problem document to dst, on one line.
func (p *Problem) AppendJSON(dst []byte) []byte {
	d := Define(p.Code)
	dst = append(dst, `{"type":"urn:boxoffice:problem:`...)
	dst = append(dst, d.Code...)
	dst = append(dst, `","title":`...)
	dst = appendString(dst, d.Title)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(d.Status), 10)
	dst = append(dst, `,"code":"`...)
	dst = append(dst, d.Code...)
	dst = append(dst, `","detail":`...)
	dst = appendString(dst, p.Detail)
	if p.Instance != "" {
		dst = append(dst, `,"instance":`...)
		dst = appendString(dst, p.Instance)
	}
	if s := p.RetryAfterSeconds(); s > 0 {
		dst = append(dst, `,"retry_after_s":`...)
		dst = strconv.AppendInt(dst, int64(s), 10)
	}
	return append(p.appendViolations(dst), '}')
}

func (p *Problem) appendViolations(dst []byte) []byte {
	if len(p.Violations) == 0 {
		return dst
	}
	dst = append(dst, `,"violations":[`...)
	for i, v := range p.Violations {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"field":`...)
		dst = appendString(dst, v.Field)
		dst = append(dst, `,"code":`...)
		dst = appendString(dst, v.Code)
		dst = append(dst, `,"message":`...)
		dst = appendString(dst, v.Message)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func appendString(dst []byte, s string) []byte {
	// The only error is invalid UTF-8, which is replaced: an answer about a bad
	// request must itself be good.
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}
