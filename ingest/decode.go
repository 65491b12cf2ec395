package ingest

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/eventpro/boxoffice/internal/problem"
)

// The JSON library is the one that became Go's encoding/json/v2: strict (UTF-8,
// duplicate and unknown names are errors), with the byte and the path of a fault
// in its errors, and twice as fast as encoding/json for these bodies.
var strict = json.JoinOptions(json.RejectUnknownMembers(true))

const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
)

// hasContentType reports whether a request's body is of a media type, with or
// without parameters.
func hasContentType(r *http.Request, want string) bool {
	got := r.Header.Get("Content-Type")
	if got == want {
		return true
	}
	media, _, err := mime.ParseMediaType(got)
	return err == nil && media == want
}

func wrongContentType(want string) error {
	return problem.New(problem.ContentTypeUnknown, "Send the body as Content-Type: %s.", want)
}

func tooLarge(what string, limit int) error {
	return problem.New(problem.BodyTooLarge, "%s is larger than %d bytes; send less at a time.", what, limit)
}

// decodeBody reads a JSON body into v. An empty body is allowed where every field
// is optional.
func (s *Server) decodeBody(r *http.Request, v any, optional bool) error {
	if optional && r.ContentLength == 0 {
		return nil
	}
	if !hasContentType(r, jsonType) {
		return wrongContentType(jsonType)
	}
	limit := s.cfg.BodyBytesMax
	if r.ContentLength > int64(limit) {
		return tooLarge("The body", limit)
	}
	buf := s.buffers.get()
	defer s.buffers.put(buf)
	switch err := buf.readAll(r.Body, limit); {
	case errors.Is(err, errTooLarge):
		return tooLarge("The body", limit)
	case err != nil:
		return problem.New(problem.MalformedJSON, "The body ended early, after %d bytes; send it again.", len(buf.b)).Because(err)
	}
	return decode(buf.b, v)
}

// decode reads JSON into v. The error is a *problem.Problem: malformed_json with
// the byte, or invalid_request with the field.
func decode(b []byte, v any) error {
	err := json.Unmarshal(b, v, strict)
	if err == nil {
		return nil
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return problem.Invalid(wrongField(semantic))
	}
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return malformed(b, syntactic)
	}
	return problem.New(problem.MalformedJSON, "The body is not valid JSON.").Because(err)
}

func malformed(b []byte, err *jsontext.SyntacticError) error {
	at := min(err.ByteOffset, int64(len(b)))
	line := strings.Count(string(b[:at]), "\n") + 1
	what := "is not valid JSON"
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		what = "names a field twice"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		what = "ends too early"
	}
	return problem.New(problem.MalformedJSON, "The body %s at byte %d (line %d); correct it there.", what, err.ByteOffset, line)
}

// wrongField says which field cannot be read. It never repeats the value: it may
// be personal.
func wrongField(err *json.SemanticError) problem.Violation {
	v := problem.Violation{Field: fieldPath(err.JSONPointer), Code: problem.BadType, Message: "must have another type"}
	if errors.Is(err, json.ErrUnknownName) {
		v.Code, v.Message = problem.Unknown, "is not a field of this request; remove it"
		return v
	}
	if err.GoType != nil {
		switch kind := err.GoType.Kind().String(); {
		case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
			v.Message = "must be a whole number"
		case kind == "bool":
			v.Message = "must be true or false"
		case kind == "slice":
			v.Message = "must be a list"
		case kind == "struct" && err.GoType.Name() == "Time":
			v.Message = "must be a time like 2027-03-01T09:00:00Z"
		case kind == "struct":
			v.Message = "must be an object"
		case kind == "string":
			v.Message = "must be a text"
		}
	}
	return v
}

// fieldPath writes a JSON pointer as people do: /lines/0/quantity becomes
// lines[0].quantity.
func fieldPath(pointer jsontext.Pointer) string {
	var b strings.Builder
	for token := range pointer.Tokens() {
		if token != "" && strings.Trim(token, "0123456789") == "" {
			fmt.Fprintf(&b, "[%s]", token)
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		// A name that the caller made up may be long; its beginning tells enough.
		b.WriteString(token[:min(len(token), slugBytesMax)])
	}
	if b.Len() == 0 {
		return "(body)"
	}
	return b.String()
}
