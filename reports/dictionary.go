package reports

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

const dictionaryHead = `# Reports and their figures

Generated from the reports' definitions; ` + "`make generate`" + ` rewrites it.

` + "`boxoffice report NAME`" + ` makes a report, ` + "`boxoffice report list`" + ` names them. Every report says its parameters, the moment that it is as of
and an id made of both: two reports with one id say the same.

## Formats

| format | amounts | percentages | durations | days and times |
| --- | --- | --- | --- | --- |
| table, html, pdf | as the locale writes them, with the digits of the currency | likewise | in words | as the locale writes them, in the report's zone |
| xlsx | numbers with the digits of the currency | numbers | times of Excel | dates of Excel, in the report's zone |
| csv | decimals with a point: 1234.50 | without the sign: 12.34 | seconds | RFC 3339, in the report's zone |
| json | ` + "`_minor`" + `: integers of minor units | ` + "`_bp`" + `: integers of basis points | ` + "`_ms`" + `: integers of milliseconds | RFC 3339, in the report's zone |

No figure (null in JSON, an empty cell elsewhere) is not nought. A CSV file has the rows of all sections, told apart by the column
` + "`section`" + `; a column that a section does not have is empty in its rows. It has no totals. A text that a spreadsheet would take for a
formula begins with an apostrophe in CSV.

## Parameters

| parameter | meaning |
| --- | --- |
| from, to | the period: from is inside, to is the first moment after it; dates begin at midnight of the zone |
| zone | the time zone of days and times |
| organiser, event, currency | only this one; "all" leaves nothing out |
| basis | the date that money goes by: ` + "`booked`" + `, when it went into the books, or ` + "`occurred`" + `, when the provider moved it |
| test_mode | whether sales in test mode are in |
`

// WritePage writes the data dictionary: every figure of every report.
func WritePage(w io.Writer) error {
	var b strings.Builder
	b.WriteString(dictionaryHead)
	for _, name := range Names() {
		d := catalogue[name]
		fmt.Fprintf(&b, "\n## %s: %s\n\n%s Parameters: %s.\n", d.name, d.title, d.about,
			strings.Join(slices.Sorted(maps.Keys(d.parameters())), ", "))
		for _, note := range d.notes {
			fmt.Fprintf(&b, "\n%s\n", note)
		}
		for _, s := range d.sections {
			writeSectionPage(&b, s)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeSectionPage(b *strings.Builder, s statement.Section) {
	fmt.Fprintf(b, "\n### %s (%s)\n\n", s.Title, code(s.Name))
	if q, err := queries.Get(s.Query); err == nil {
		fmt.Fprintf(b, "From the query %s: %s\n\n", code(q.Name), q.About)
	} else {
		b.WriteString("Follows from the other sections.\n\n")
	}
	for _, note := range s.Notes {
		fmt.Fprintf(b, "%s\n\n", note)
	}
	b.WriteString("| figure | field | unit | counted by | meaning |\n| --- | --- | --- | --- | --- |\n")
	for _, c := range s.Columns {
		field := code(c.Name)
		if c.Field() != c.Name {
			field += ", in JSON " + code(c.Field())
		}
		dated := c.Dated
		if c.Numeric() {
			dated = cmp.Or(dated, s.Dated)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", inCell(c.Heading), field, units[c.Kind], inCell(dated), inCell(c.About+ofWhat(s, c)))
	}
}

var units = map[statement.Kind]string{
	statement.Text:     "text",
	statement.Money:    "the row's currency",
	statement.Count:    "number",
	statement.Percent:  "percent",
	statement.Day:      "day of the report's zone",
	statement.Time:     "time in the report's zone",
	statement.Duration: "duration",
}

// ofWhat says how a figure follows from others, and whether it adds up.
func ofWhat(s statement.Section, c statement.Column) string {
	switch {
	case c.Part != "":
		return fmt.Sprintf(" (%s / %s)", code(c.Part), code(c.Whole))
	case c.NoTotal && !s.NoTotals && (c.Kind == statement.Money || c.Kind == statement.Count):
		return " It has no total."
	default:
		return ""
	}
}

func code(s string) string { return "`" + s + "`" }

func inCell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
