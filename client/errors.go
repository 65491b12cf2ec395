package client

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// Error is a problem that the server answered. Compare Code; the codes are listed
// in docs/ERRORS.md.
type Error struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	// Detail says what happened and what to do.
	Detail     string      `json:"detail"`
	Violations []Violation `json:"violations"`
	// Instance is the path of the resource that the problem is about.
	Instance   string        `json:"instance"`
	RetryAfter time.Duration `json:"-"`
}

// Violation is one field that is at fault.
type Violation struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Detail)
	for _, v := range e.Violations {
		text += fmt.Sprintf(" %s %s.", v.Field, v.Message)
	}
	return text
}

func newError(res *http.Response, body []byte) *Error {
	e := &Error{}
	// What is no problem document came from something in between; its status
	// says all.
	if err := json.Unmarshal(body, e); err != nil || e.Code == "" {
		*e = Error{Code: "unknown", Detail: "no problem document in the answer"}
	}
	e.Status = res.StatusCode
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}
