package backfill

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// table is a CSV file whose columns are found by their headings: their order does
// not matter, nor does what else is there.
type table struct {
	name string
	csv  *csv.Reader
	// heading is the place of a column by its plain heading.
	heading map[string]int
	shown   []string
	// renamed are headings by the field that they stand for.
	renamed map[string]string
	// fields is the place of each field that the file has, once its layout is known.
	fields map[string]int
	at     int
}

// plain is a heading without what exports and languages write differently.
func plain(heading string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) || c == '#' {
			return unicode.ToLower(c)
		}
		return -1
	}, heading)
}

func openTable(name string, content []byte, renamed map[string]string) (*table, error) {
	t := &table{name: name, heading: map[string]int{}, renamed: renamed}
	t.csv = csv.NewReader(bytes.NewReader(content))
	t.csv.Comma = delimiter(content)
	t.csv.FieldsPerRecord = -1
	header, err := t.csv.Read()
	if err != nil {
		return nil, fmt.Errorf("%s has no line of headings: %w", name, err)
	}
	t.shown = header
	for i, h := range header {
		if _, twice := t.heading[plain(h)]; !twice {
			t.heading[plain(h)] = i
		}
	}
	return t, nil
}

// delimiter is what most often stands between two headings.
func delimiter(content []byte) rune {
	line, _, _ := bytes.Cut(content, []byte{'\n'})
	best, most := ',', 0
	for _, c := range ",;\t" {
		if n := bytes.Count(line, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

// column is the place of a field, -1 when the file does not have it.
func (t *table) column(l *layout, field string) int {
	headings := l.columns[field]
	if h := t.renamed[field]; h != "" {
		headings = []string{h}
	}
	for _, h := range headings {
		if i, ok := t.heading[plain(h)]; ok {
			return i
		}
	}
	return -1
}

// line is that of the row that was read last.
func (t *table) line() int { return t.at }

// next reads a row; io.EOF is the end.
func (t *table) next() (*row, error) {
	for {
		cells, err := t.csv.Read()
		if err != nil {
			if broken := (*csv.ParseError)(nil); errors.As(err, &broken) {
				t.at = broken.Line
				return nil, fmt.Errorf("the file cannot be read from here on: %w", broken.Err)
			}
			return nil, err
		}
		t.at, _ = t.csv.FieldPos(0)
		if !slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) != "" }) {
			continue // spreadsheets leave empty rows
		}
		return &row{t: t, cells: cells, place: place{t.name, t.at}}, nil
	}
}

// row is one row of a table.
type row struct {
	t     *table
	cells []string
	place
}

// has reports whether the file has the column.
func (r *row) has(field string) bool {
	_, ok := r.t.fields[field]
	return ok
}

// get is the text of a field, empty when there is none.
func (r *row) get(field string) string {
	if i, ok := r.t.fields[field]; ok && i < len(r.cells) {
		return strings.TrimSpace(r.cells[i])
	}
	return ""
}

// readable reports whether the row is UTF-8.
func (r *row) readable() bool {
	return !slices.ContainsFunc(r.cells, func(c string) bool { return !utf8.ValidString(c) })
}

// layout is a kind of export.
type layout struct {
	format, source string
	// columns are the headings that a field may have.
	columns map[string][]string
	// needs are the fields that tell the layout.
	needs []string
	take  func(*reader, *row)
}

func layouts() []*layout { return []*layout{pretixPositions(), pretixOrders(), eventbrite()} }

// layoutOf finds the layout of a file, or says what is missing.
func layoutOf(t *table, format string) (*layout, error) {
	var missing []string
	for _, l := range layouts() {
		if format != "" && format != l.format {
			continue
		}
		var lacks []string
		for _, field := range l.needs {
			if t.column(l, field) < 0 {
				lacks = append(lacks, fmt.Sprintf("%q", l.columns[field][0]))
			}
		}
		if len(lacks) == 0 {
			t.fields = map[string]int{}
			for field := range l.columns {
				if i := t.column(l, field); i >= 0 {
					t.fields[field] = i
				}
			}
			return l, nil
		}
		missing = append(missing, l.format+" lacks "+strings.Join(lacks, ", "))
	}
	return nil, fmt.Errorf("%s: %w: %s; its headings are %s. Name others under \"columns\" in the event map", t.name, ErrFormat,
		strings.Join(missing, "; "), strings.Join(t.shown, ", "))
}
