package render

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/image/font/sfnt"

	"github.com/eventpro/boxoffice/reports/statement"
)

var (
	streams = regexp.MustCompile(`(?s)/Filter /FlateDecode /Length \d+\s*>>\s*stream\r?\n(.*?)\r?\nendstream`)
	shown   = regexp.MustCompile(`(?s)Td \(((?:[^\\)]|\\.)*)\) Tj`)
)

// pagesOf reads the texts of each page back from the file.
func pagesOf(t *testing.T, r *statement.Report) []string {
	t.Helper()
	var pages []string
	for _, m := range streams.FindAllSubmatch([]byte(written(t, "pdf", r)), -1) {
		z, err := zlib.NewReader(bytes.NewReader(m[1]))
		if err != nil {
			continue // not compressed as a page is
		}
		content, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		var page strings.Builder
		for _, text := range shown.FindAllSubmatch(content, -1) {
			page.WriteString(unescaped(text[1]) + "\n")
		}
		if page.Len() > 0 {
			pages = append(pages, page.String())
		}
	}
	return pages
}

func unescaped(s []byte) string {
	var raw []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
			if s[i] == 'r' {
				raw = append(raw, '\r')
				continue
			}
		}
		raw = append(raw, s[i])
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(raw[2*i:])
	}
	return string(utf16.Decode(units))
}

// A page that is torn from the others says which report it is from, of when, with
// which parameters, and how many pages there are.
func TestPDFSaysTheReportOnEveryPage(t *testing.T) {
	t.Parallel()
	r := long(t)
	pages := pagesOf(t, r)
	if len(pages) < 10 {
		t.Fatalf("%d pages", len(pages))
	}
	w := newWriter(r)
	for n, page := range pages {
		for _, want := range []string{
			r.Title, "2026-09-01 to 2026-09-30, all events", "Report " + r.Name + " " + r.ID.String() + ", as of 2026-10-02 10:30:00.123 CEST",
			"Page " + w.Grouped(int64(n+1)) + " of " + w.Grouped(int64(len(pages))) + "\n", "Amount no. 10\n",
		} {
			if !strings.Contains(page, want) {
				t.Errorf("page %d lacks %q", n+1, want)
			}
		}
	}
	all := strings.Join(pages, "")
	for _, line := range []string{"Event number 0", "Event number 399", "798,002,394.00"} {
		if !strings.Contains(all, line) {
			t.Errorf("no page has %q", line)
		}
	}
}

// Names in any script, and amounts with their signs, arrive on paper as they are.
func TestPDFWritesEveryScript(t *testing.T) {
	t.Parallel()
	r := fixture(t)
	all := strings.Join(pagesOf(t, r), "")
	for _, want := range []string{
		r.Alarm, "Open-Air-Festival am Großen See", "Ночь музеев", "東京コンサート", visual("مهرجان الكويت 2026"), `=HYPERLINK("http://evil")`,
		"€1,234,867.50", "¥980,000", "KWD 1,234.567", "133.33%", "no disputes in this period", "2026-10-01 00:30:00", "27h30m",
	} {
		if !strings.Contains(strings.ReplaceAll(all, "\u00a0", " "), want) && !strings.Contains(strings.ReplaceAll(all, "\n", ""), want) {
			t.Errorf("no page has %q", want)
		}
	}
	if strings.ContainsRune(all, replacement) {
		t.Error("a character was replaced")
	}
}

// fpdf writes into a font while it cuts out its letters: two papers at a time spoiled
// each other's, and each one the fonts of all later ones. Every script takes every font.
func TestPapersLeaveTheFontsAsTheyAre(t *testing.T) {
	t.Parallel()
	fonts := [][]byte{notoRegular, notoBold, dejaVu, droid, hangul}
	var before [][32]byte
	for _, font := range fonts {
		before = append(before, sha256.Sum256(font))
	}
	r := fixture(t)
	r.Title = "Žluťoučký Ελληνικά 東京 カタカナ 한국어 ქართული العربية ½ ♫ ★"
	_ = written(t, "pdf", r)
	for i, font := range fonts {
		if sha256.Sum256(font) != before[i] {
			t.Errorf("font %d has changed", i)
		}
	}
}

// A character that no font has is a sign that one is missing, not another one.
func TestFontsCoverTheWorld(t *testing.T) {
	t.Parallel()
	faces, err := typefaces()
	if err != nil {
		t.Fatal(err)
	}
	var buffer sfnt.Buffer
	for _, s := range []string{"Žluťoučký kůň", "Ελληνικά", "Українська", "Tiếng Việt", "€ £ ¥ ₹ ₩ ₺ ₽ ₪", "日本語 カタカナ", "中文繁體", "한국어", "עברית", joined("العربية"), "ქართული", "Հայերեն", "“–” … № ½ ♫ ★"} {
		for _, r := range runs(faces, s, &buffer) {
			if strings.ContainsRune(r.text, replacement) {
				t.Errorf("%s cannot be written: %q", s, r.text)
			}
		}
	}
	if got := runs(faces, "a🎪b", &buffer); len(got) != 1 || got[0].text != "a\uFFFDb" {
		t.Errorf("an emoji becomes %+v", got)
	}
}

// The same report is the same file, byte by byte: it can be signed and compared.
func TestFilesAreReproducible(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"pdf", "html"} {
		first, second := written(t, format, fixture(t)), written(t, format, fixture(t))
		if first != second {
			t.Errorf("two files of one report differ as %s", format)
		}
	}
}
