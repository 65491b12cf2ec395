package render

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"github.com/eventpro/boxoffice/reports/statement"
)

// Table is the name of the format for a terminal.
const Table = "table"

func writeTable(out io.Writer, r *statement.Report) error { return WriteTable(out, r, 0) }

// WriteTable writes the report for a terminal that is so many columns wide; 0 is
// as wide as the report likes. Texts are cut to fit, figures never.
func WriteTable(out io.Writer, r *statement.Report, wide int) error {
	var b strings.Builder
	w := newWriter(r)
	if r.Alarm != "" {
		fmt.Fprintf(&b, "%s\n\n", wrapped(printable(r.Alarm), wide))
	}
	fmt.Fprintf(&b, "%s\n%s\n%s\n\n", r.Title, wrapped(strings.Join(w.parameters(), ", "), wide), w.asOf())
	sections := r.ForPeople()
	for _, s := range sections {
		if len(sections) > 1 {
			fmt.Fprintf(&b, "%s\n\n", s.Title)
		}
		if len(s.Rows) == 0 {
			fmt.Fprintf(&b, "%s\n", w.empty(s))
		} else {
			grid(&b, w, s, wide)
		}
		for _, note := range s.Notes {
			fmt.Fprintf(&b, "\n%s\n", wrapped(note, wide))
		}
		b.WriteByte('\n')
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "%s\n", wrapped(note, wide))
	}
	fmt.Fprintf(&b, "report %s %s\n", r.Name, r.ID)
	_, err := io.WriteString(out, b.String())
	return err
}

const gap = "  "

func grid(b *strings.Builder, w writer, s *statement.Section, wide int) {
	rows, totals := w.lines(s)
	headings, widths := make([]string, len(s.Columns)), make([]int, len(s.Columns))
	for i, c := range s.Columns {
		headings[i], widths[i] = c.Heading, columnsWide(c.Heading)
		for _, line := range append(slices.Clone(rows), totals...) {
			widths[i] = max(widths[i], columnsWide(line[i]))
		}
	}
	if wide > 0 {
		narrow(s, widths, wide)
	}
	rule := make([]string, len(s.Columns))
	for i := range rule {
		rule[i] = strings.Repeat("─", widths[i])
	}
	lines := append([][]string{headings, rule}, rows...)
	if len(totals) > 0 {
		lines = append(append(lines, rule), totals...)
	}
	for _, line := range lines {
		b.WriteString(aligned(s, widths, line) + "\n")
	}
}

// narrow takes from the widest column of texts until the line fits, or nothing is
// left to take.
func narrow(s *statement.Section, widths []int, wide int) {
	const least = 12
	for over := total(widths) - wide; over > 0; over-- {
		widest := -1
		for i, c := range s.Columns {
			if c.Kind == statement.Text && widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func total(widths []int) int {
	sum := len(gap) * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// aligned is one line of cells: texts to the left, figures to the right.
func aligned(s *statement.Section, widths []int, cells []string) string {
	var line strings.Builder
	for i, c := range s.Columns {
		if i > 0 {
			line.WriteString(gap)
		}
		cell := cut(cells[i], widths[i])
		pad := strings.Repeat(" ", widths[i]-columnsWide(cell))
		if c.Numeric() {
			line.WriteString(pad + cell)
		} else {
			line.WriteString(cell + pad)
		}
	}
	return strings.TrimRight(line.String(), " ")
}

// cut shortens a text to a number of columns of a terminal.
func cut(s string, wide int) string {
	if columnsWide(s) <= wide {
		return s
	}
	n := 1 // for the ellipsis
	for i, c := range s {
		if n += columnsWide(string(c)); n > wide {
			return s[:i] + "…"
		}
	}
	return s
}

// wrapped breaks a text into lines.
func wrapped(s string, wide int) string {
	if wide <= 0 {
		return s
	}
	var out strings.Builder
	n := 0
	for _, word := range strings.Fields(s) {
		size := columnsWide(word)
		switch {
		case n == 0:
		case n+1+size > wide:
			out.WriteByte('\n')
			n = 0
		default:
			out.WriteByte(' ')
			n++
		}
		out.WriteString(word)
		n += size
	}
	return out.String()
}

// columnsWide is how many columns of a terminal a text takes.
func columnsWide(s string) (n int) {
	for _, c := range s {
		switch kind := width.LookupRune(c).Kind(); {
		case unicode.In(c, unicode.Mn, unicode.Cf):
		case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}
