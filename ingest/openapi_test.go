package ingest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/eventpro/boxoffice/internal/problem"
)

// document is the part of OpenAPI that the tests look at.
type document struct {
	OpenAPI    string                               `yaml:"openapi"`
	Paths      map[string]map[string]map[string]any `yaml:"paths"`
	Components struct {
		Schemas struct {
			Problem struct {
				Properties struct {
					Code struct {
						Enum []string `yaml:"enum"`
					} `yaml:"code"`
				} `yaml:"properties"`
			} `yaml:"Problem"`
		} `yaml:"schemas"`
	} `yaml:"components"`
}

func readOpenAPI(t *testing.T) document {
	t.Helper()
	b := newBench(t)
	a := b.do("GET", "/openapi.yaml", "")
	if a.status != 200 || a.header.Get("Content-Type") != "application/yaml" {
		t.Fatalf("answered %d %v", a.status, a.header)
	}
	var doc document
	if err := yaml.Unmarshal([]byte(a.body), &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("document %q: %v", doc.OpenAPI, err)
	}
	return doc
}

// A route that is not in the document, or is only there, would mislead callers.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	t.Parallel()
	doc := readOpenAPI(t)
	routes := newBench(t).restRoutes()
	for _, rt := range routes {
		operation, ok := doc.Paths[rt.path][strings.ToLower(rt.method)]
		if !ok {
			t.Errorf("%s %s is not in the document", rt.method, rt.path)
		}
		if _, open := operation["security"]; open != (rt.scope == "") {
			t.Errorf("%s: the document is wrong about its API key", rt.path)
		}
		if description, _ := operation["description"].(string); rt.scope != "" && !strings.Contains(description, "`"+string(rt.scope)+"`") {
			t.Errorf("%s: the document does not name the scope %s", rt.path, rt.scope)
		}
	}
	for path := range doc.Paths {
		if !slices.ContainsFunc(routes, func(rt route) bool { return rt.path == path }) {
			t.Errorf("%s is only in the document", path)
		}
	}
}

// A code that the front door can answer with is in the document, and no other.
func TestOpenAPIHasEveryCode(t *testing.T) {
	t.Parallel()
	doc := readOpenAPI(t)
	names := map[string]problem.Code{}
	content, err := os.ReadFile("../internal/problem/codes.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(\w+)\s+Code = "(\w+)"`).FindAllStringSubmatch(string(content), -1) {
		names[m[1]] = problem.Code(m[2])
	}
	// What apikey, problem.From and problem.Invalid answer with on our behalf.
	used := []string{"api_key_missing", "api_key_unknown", "scope_missing", "internal", "invalid_request"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`problem\.(\w+)`).FindAllStringSubmatch(string(source), -1) {
			if code, ok := names[m[1]]; ok {
				used = append(used, string(code))
			}
		}
	}
	slices.Sort(used)
	used = slices.Compact(used)
	documented := slices.Sorted(slices.Values(doc.Components.Schemas.Problem.Properties.Code.Enum))
	if !slices.Equal(used, documented) {
		t.Errorf("used:       %v\ndocumented: %v", used, documented)
	}
}

// Every reference of the document leads somewhere.
func TestOpenAPIReferences(t *testing.T) {
	t.Parallel()
	var doc map[string]any
	if err := yaml.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	refs := regexp.MustCompile(`\$ref: '#/([^']+)'`).FindAllSubmatch(openAPI, -1)
	if len(refs) < 10 {
		t.Fatalf("%d references found", len(refs))
	}
	for _, m := range refs {
		var node any = doc
		for part := range strings.SplitSeq(string(m[1]), "/") {
			next, ok := node.(map[string]any)
			if !ok || next[part] == nil {
				t.Errorf("%s leads nowhere", m[1])
				break
			}
			node = next[part]
		}
	}
}
