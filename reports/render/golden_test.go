package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/text/language"

	"github.com/eventpro/boxoffice/reports/statement"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, got)
	}
}

func written(t *testing.T, format string, r *statement.Report) string {
	t.Helper()
	f, ok := Find(format)
	if !ok {
		t.Fatalf("there is no format %s", format)
	}
	var out bytes.Buffer
	if err := f.Write(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Formats are an interface: a report with everything in it looks as it did.
func TestFormatsAreTheGoldenOnes(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"table", "csv", "json", "html"} {
		golden(t, "fixture."+format, written(t, format, fixture(t)))
	}
}

// Readers of other languages see the same figures in their way of writing;
// programs see the same file, whoever asked.
func TestLocalesChangeFormatsForPeopleOnly(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"de", "fr", "ja", "ar-KW"} {
		r := fixture(t)
		r.Locale = language.MustParse(tag)
		golden(t, "fixture."+tag+".table", written(t, "table", r))
		for _, format := range []string{"csv", "json"} {
			if written(t, format, r) != written(t, format, fixture(t)) {
				t.Errorf("%s changes with the locale %s", format, tag)
			}
		}
	}
	r := fixture(t)
	r.Locale = language.German
	page := written(t, "html", r)
	for _, want := range []string{"1.234.867,50\u00a0€", "980.000\u00a0¥", "1.234,567\u00a0KWD", "01.09.2026 to 30.09.2026", "133,33\u00a0%"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page in German lacks %q", want)
		}
	}
}

// Whatever happens to the page, nothing is loaded from elsewhere and nothing runs:
// a mail's attachment or an archive shows it forever.
func TestHTMLNeedsNothingElse(t *testing.T) {
	t.Parallel()
	r := fixture(t)
	r.Sections[0].Rows[0].Cells[0] = `<script>alert(1)</script><img src=x onerror=alert(1)>`
	r.Alarm = `"}</style><script>alert(2)</script>`
	r.Title = r.Alarm
	for token := range tokens(t, written(t, "html", r)) {
		switch token.Data {
		case "script", "img", "link", "iframe", "object":
			t.Errorf("the page has a %s", token)
		}
		for _, a := range token.Attr {
			if strings.HasPrefix(a.Key, "on") || ((a.Key == "src" || a.Key == "href") && a.Val != "") {
				t.Errorf("the page has %s", token)
			}
		}
	}
}

func tokens(t *testing.T, page string) func(func(html.Token) bool) {
	t.Helper()
	return func(yield func(html.Token) bool) {
		z := html.NewTokenizer(strings.NewReader(page))
		for z.Next() != html.ErrorToken {
			if token := z.Token(); token.Type == html.StartTagToken || token.Type == html.SelfClosingTagToken {
				if !yield(token) {
					return
				}
			}
		}
		if !errors.Is(z.Err(), io.EOF) {
			t.Error(z.Err())
		}
	}
}

// An alarm is the first thing that anybody sees, in each format.
func TestTheAlarmComesFirst(t *testing.T) {
	t.Parallel()
	r := fixture(t)
	if first, _, _ := strings.Cut(written(t, "table", r), "\n"); first != r.Alarm {
		t.Errorf("the table begins with %q", first)
	}
	lines := strings.Split(written(t, "csv", r), "\n")
	if !strings.HasPrefix(lines[0], "alarm,") || !strings.HasPrefix(lines[1], r.Alarm+",") {
		t.Errorf("CSV begins with %q", lines[:2])
	}
	empty := fixture(t)
	empty.Sections = empty.Sections[3:]
	if lines := strings.Split(written(t, "csv", empty), "\n"); len(lines) < 2 || !strings.HasPrefix(lines[1], r.Alarm+",") {
		t.Errorf("CSV without rows is %q", lines)
	}
	decoder := json.NewDecoder(strings.NewReader(written(t, "json", r)))
	var words []any
	for range 3 {
		token, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, token)
	}
	if words[1] != "alarm" || words[2] != r.Alarm {
		t.Errorf("JSON begins with %v", words)
	}
	if page := written(t, "html", r); strings.Index(page, r.Alarm) > strings.Index(page, "<h1>") {
		t.Error("the page has its title before the alarm")
	}
}

// On a terminal of 80 columns no line of the table is longer, a long name is cut
// and each figure is whole.
func TestTableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	r := fixture(t)
	r.Sections = []*statement.Section{byDay(t), settlements(t), {
		Name: "names", Title: "Names", Columns: []statement.Column{
			{Name: "event", Heading: "Event", Kind: statement.Text, About: "Name."},
			{Name: "place", Heading: "Place", Kind: statement.Text, About: "Name."},
			{Name: "gross", Heading: "Gross", Kind: statement.Money, About: "Charged."},
		},
	}}
	add(t, r.Sections[2], "JPY", strings.Repeat("東京コンサート", 9), strings.Repeat("Tōkyō ", 20), int64(-9_223_372_036_854_775_808))
	var out strings.Builder
	if err := WriteTable(&out, r, 80); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(out.String(), "\n") {
		if columnsWide(line) > 80 {
			t.Errorf("%d columns: %s", columnsWide(line), line)
		}
	}
	if !strings.Contains(out.String(), "…") || !strings.Contains(out.String(), "-9,223,372,036,854,775,808") {
		t.Errorf("names are not cut, or figures are:\n%s", out.String())
	}
}

// An event's name cannot move the cursor, hide what stands before it or turn the
// figures around.
func TestNamesDoNotControlTheTerminal(t *testing.T) {
	t.Parallel()
	if got := printable("a\x1b[2J\rb\u009bc\u202e123\u2066"); got != "a [2J b c123" {
		t.Errorf("got %q", got)
	}
}

// A day without sales is a day of nothing in a chart, not a bridge between its
// neighbours; the smallest bars are one.
func TestChartsTellTheTruth(t *testing.T) {
	t.Parallel()
	w := newWriter(fixture(t))
	s := byDay(t)
	s.Rows = nil
	add(t, s, "EUR", time.Date(2026, 9, 4, 0, 0, 0, 0, time.UTC), "EUR", int64(400), int64(0), int64(1))
	add(t, s, "EUR", time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), "EUR", int64(100), int64(0), int64(1))
	add(t, s, "EUR", time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), "EUR", int64(50), int64(0), int64(1))
	graphs := w.graphs(s)
	if len(graphs) != 1 || strings.Join(graphs[0].labels, " ") != "2026-09-01 2026-09-02 2026-09-03 2026-09-04" {
		t.Fatalf("graphs %+v", graphs)
	}
	if got := graphs[0].values[0]; got[0] != 150 || got[1] != 0 || got[2] != 0 || got[3] != 400 {
		t.Errorf("values %v", got)
	}
	bars := byEvent(t)
	bars.Rows = nil
	for n := range int64(40) {
		name := string(rune('A' + n))
		add(t, bars, "EUR", name, name, "EUR", n, int64(0), int64(0), n, nil, nil, n)
	}
	g := w.graphs(bars)[0]
	if len(g.labels) != mostBars || g.labels[0] != "h" || g.labels[mostBars-1] != "all others" || g.values[0][mostBars-1] != 28*29/2 {
		t.Errorf("bars %v %v", g.labels, g.values)
	}
}
