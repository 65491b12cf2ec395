package problem

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/go-json-experiment/json"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// A code that is declared but not described in the catalogue would answer as
// an internal error.
func TestEveryCodeIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		lit, ok := spec.Values[0].(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		declared++
		code, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := byCode[Code(code)]; !ok {
			t.Errorf("%s is not in the catalogue", code)
		}
		return true
	})
	if declared == 0 || declared != len(catalogue) {
		t.Errorf("%d codes declared, %d described", declared, len(catalogue))
	}
	var page strings.Builder
	if err := WritePage(&page); err != nil {
		t.Fatal(err)
	}
	last := 0
	for _, d := range Catalogue() {
		if d.Status < last {
			t.Errorf("%s is out of order", d.Code)
		}
		last = d.Status
		if d.Title == "" || d.Remedy == "" || d.RPC == 0 {
			t.Errorf("%s lacks a description", d.Code)
		}
		if !strings.Contains(page.String(), "`"+string(d.Code)+"`") {
			t.Errorf("%s is not on the page", d.Code)
		}
	}
}

// The document that is written by hand is JSON with the members of RFC 9457,
// whatever the detail holds.
func TestWrite(t *testing.T) {
	t.Parallel()
	p := Invalid(Violation{"lines[0].quantity", OutOfRange, `must be "1" to 10`}).About("/v1/x")
	p.Detail += "\x00\xff<"
	p.RetryAfter = 1500 * time.Millisecond
	w := httptest.NewRecorder()
	p.Write(w)
	if w.Code != 422 || w.Header().Get("Retry-After") != "2" || w.Header().Get("Content-Type") != ContentType {
		t.Errorf("status %d, headers %v", w.Code, w.Header())
	}
	var doc struct {
		Type, Title, Code, Detail, Instance string
		Status                              int
		RetryAfter                          int `json:"retry_after_s"`
		Violations                          []Violation
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc, json.RejectUnknownMembers(true), json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%v\n%s", err, w.Body)
	}
	if doc.Code != "invalid_request" || doc.Status != 422 || doc.Instance != "/v1/x" || doc.RetryAfter != 2 ||
		len(doc.Violations) != 1 || doc.Violations[0] != p.Violations[0] {
		t.Errorf("document %+v", doc)
	}
}

// The headers that a status asks for are there: a challenge with 401, the
// methods with 405.
func TestHeaders(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	New(APIKeyMissing, "no key").Write(w)
	if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("status %d, headers %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	p := New(MethodNotAllowed, "no")
	p.Allow = "POST"
	p.Write(w)
	if w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Errorf("status %d, headers %v", w.Code, w.Header())
	}
}

// An error that is no problem becomes internal and does not leak its text.
func TestFromHidesTheCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("password of the database")
	p := From(fmt.Errorf("wrapped: %w", cause))
	if p.Code != Internal || strings.Contains(string(p.AppendJSON(nil)), "password") || !errors.Is(p, cause) {
		t.Errorf("problem %v: %s", p, p.AppendJSON(nil))
	}
	if got := From(fmt.Errorf("wrapped: %w", New(SaleEnded, "over"))); got.Code != SaleEnded {
		t.Errorf("a wrapped problem became %s", got.Code)
	}
}

// Over gRPC and Connect the code, the violations and Retry-After survive.
func TestRPC(t *testing.T) {
	t.Parallel()
	p := Invalid(Violation{"name", Required, "must be there"})
	p.RetryAfter = time.Second
	e := RPC(p)
	if e.Code() != connect.CodeInvalidArgument || e.Meta().Get("Retry-After") != "1" || len(e.Details()) != 1 {
		t.Fatalf("error %v, meta %v", e, e.Meta())
	}
	v, err := e.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	d, ok := v.(*pb.ProblemDetail)
	if !ok || d.Code != "invalid_request" || len(d.Violations) != 1 || d.Violations[0].Field != "name" {
		t.Errorf("detail %v", v)
	}
}
