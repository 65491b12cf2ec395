package problem

import (
	"fmt"
	"io"
	"strings"
)

// WritePage writes the catalogue as the page docs/ERRORS.md.
func WritePage(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Errors

<!-- Generated from internal/problem; do not edit. -->

Every error of the REST doors is a document of type ` + "`" + ContentType + "`" + ` (RFC 9457): ` +
		"`code`" + ` is stable and made for programs, ` + "`detail`" + ` says what happened and what to do, and
` + "`violations`" + ` lists every field that is at fault with its path. gRPC and Connect carry the same as a
` + "`boxoffice.v1.ProblemDetail`" + ` in the error's details.

| status | code | RPC code | what it means | what to do | Retry-After |
| --- | --- | --- | --- | --- | --- |
`)
	for _, d := range catalogue {
		retry := ""
		if d.RetryAfterSeconds > 0 {
			retry = fmt.Sprintf("%d s", d.RetryAfterSeconds)
		}
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s | %s | %s |\n", d.Status, d.Code, d.RPC, d.Title, d.Remedy, retry)
	}
	b.WriteString("\nThe codes of violations: `" + strings.Join([]string{
		Required, OutOfRange, TooLong, TooMany, BadFormat, BadType, Unknown, Duplicate,
	}, "`, `") + "`.\n")
	_, err := io.WriteString(w, b.String())
	return err
}
