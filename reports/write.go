package reports

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/width"
)

// shown is a cell for people.
func (r *report) shown(row row, i int) string {
	switch r.columns[i].kind {
	case money:
		return Amount(row.numbers[i], row.currency)
	case count:
		return grouped(strconv.FormatInt(row.numbers[i], 10), ",")
	default:
		return printable(row.texts[i])
	}
}

// printable takes control characters out of a text, which could move a
// terminal's cursor.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || (c >= 0x7f && c < 0xa0) {
			return ' '
		}
		return c
	}, s)
}

// columnsWide is how many columns of a terminal a text takes.
func columnsWide(s string) (n int) {
	for _, c := range s {
		switch width.LookupRune(c).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// writeTable writes the report for a terminal. The event's id is left out: it is
// in CSV and JSON.
func writeTable(w io.Writer, r *report) error {
	var cells [][]string
	for _, row := range append(append([]row{}, r.rows...), r.totals...) {
		line := make([]string, len(r.columns))
		for i := range r.columns {
			line[i] = r.shown(row, i)
		}
		cells = append(cells, line)
	}
	widths := make([]int, len(r.columns))
	for i, c := range r.columns {
		widths[i] = columnsWide(c.heading)
		for _, line := range cells {
			widths[i] = max(widths[i], columnsWide(line[i]))
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n%s\n", r.title, r.params)
	if r.asOf.Unix() <= 0 {
		fmt.Fprint(&out, "nothing was loaded yet\n\n")
	} else {
		fmt.Fprintf(&out, "as of %s\n\n", r.asOf.In(r.params.zone()).Format("2006-01-02 15:04:05.000 MST"))
	}
	if len(r.rows) == 0 {
		fmt.Fprint(&out, "no revenue in this period\n")
	} else {
		r.grid(&out, widths, cells)
	}
	fmt.Fprintf(&out, "\n%s\nreport %s\n", r.notes, r.id)
	_, err := io.WriteString(w, out.String())
	return err
}

func (r *report) grid(out *strings.Builder, widths []int, cells [][]string) {
	headings, rule := make([]string, len(r.columns)), make([]string, len(r.columns))
	for i, c := range r.columns {
		headings[i], rule[i] = c.heading, strings.Repeat("─", widths[i])
	}
	r.line(out, widths, headings)
	r.line(out, widths, rule)
	for i, line := range cells {
		if i == len(r.rows) {
			r.line(out, widths, rule)
		}
		r.line(out, widths, line)
	}
}

// line writes one line of cells: texts to the left, numbers to the right.
func (r *report) line(out *strings.Builder, widths []int, cells []string) {
	var line strings.Builder
	for i, c := range r.columns {
		if c.name == "event_id" {
			continue
		}
		if i > 0 {
			line.WriteString("  ")
		}
		pad := strings.Repeat(" ", widths[i]-columnsWide(cells[i]))
		if c.kind == text {
			line.WriteString(cells[i] + pad)
		} else {
			line.WriteString(pad + cells[i])
		}
	}
	out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

// writeCSV writes one line a row, without totals, so that a spreadsheet can sum.
func writeCSV(w io.Writer, r *report) error {
	out := csv.NewWriter(w)
	header := make([]string, 0, len(r.columns)+2)
	for _, c := range r.columns {
		header = append(header, c.name)
	}
	lines := [][]string{append(header, "as_of", "report_id")}
	for _, row := range r.rows {
		line := make([]string, 0, len(header))
		for i, c := range r.columns {
			switch c.kind {
			case money:
				line = append(line, Decimal(row.numbers[i], row.currency))
			case count:
				line = append(line, strconv.FormatInt(row.numbers[i], 10))
			default:
				line = append(line, harmless(row.texts[i]))
			}
		}
		lines = append(lines, append(line, r.asOf.UTC().Format(time.RFC3339Nano), r.id.String()))
	}
	return out.WriteAll(lines)
}

// harmless keeps spreadsheets from taking a text that somebody chose for a
// formula.
func harmless(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// writeJSON writes one object; amounts are integers of minor units.
func writeJSON(w io.Writer, r *report) error {
	object := func(row row, total bool) map[string]any {
		o := map[string]any{}
		for i, c := range r.columns {
			switch c.kind {
			case money:
				o[c.name+"_minor"] = row.numbers[i]
			case count:
				o[c.name] = row.numbers[i]
			default:
				if !total || c.name == "currency" {
					o[c.name] = row.texts[i]
				}
			}
		}
		return o
	}
	rows, totals := make([]any, 0, len(r.rows)), make([]any, 0, len(r.totals))
	for _, row := range r.rows {
		rows = append(rows, object(row, false))
	}
	for _, row := range r.totals {
		totals = append(totals, object(row, true))
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(map[string]any{
		"report": r.name, "title": r.title, "id": r.id, "as_of": r.asOf.UTC().Format(time.RFC3339Nano),
		"parameters": r.params.values(), "notes": r.notes, "rows": rows, "totals": totals,
	})
}
