package render

import (
	"encoding/csv"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/reports/statement"
)

// writeCSV writes one line a row of all sections. A column of the header stands
// for the columns of that name in each section, and is empty in the lines of
// sections without it. The last columns are the section, as_of and report_id; an
// alarm is the first. There are no totals, so that a spreadsheet can sum.
func writeCSV(w io.Writer, r *statement.Report) error {
	var header, alarm []string
	if r.Alarm != "" {
		header, alarm = append(header, "alarm"), []string{harmless(r.Alarm)}
	}
	for _, s := range r.Sections {
		for _, c := range s.Columns {
			if !slices.Contains(header, c.Name) {
				header = append(header, c.Name)
			}
		}
	}
	lines := [][]string{append(slices.Clone(header), "section", "as_of", "report_id")}
	for _, s := range r.Sections {
		for _, row := range s.Rows {
			line := make([]string, len(header), len(header)+3)
			copy(line, alarm)
			for i, c := range s.Columns {
				line[slices.Index(header, c.Name)] = plain(r, c, row, i)
			}
			lines = append(lines, append(line, s.Name, r.AsOf.UTC().Format(time.RFC3339Nano), r.ID.String()))
		}
	}
	if len(lines) == 1 && r.Alarm != "" { // it is said without rows too
		line := make([]string, len(header), len(header)+3)
		copy(line, alarm)
		lines = append(lines, append(line, "", r.AsOf.UTC().Format(time.RFC3339Nano), r.ID.String()))
	}
	return csv.NewWriter(w).WriteAll(lines)
}

// plain is a cell for machines: decimals with a point, days and times as in
// RFC 3339, durations in seconds, percentages without the sign.
func plain(r *statement.Report, c statement.Column, row statement.Row, i int) string {
	switch v := row.Cells[i].(type) {
	case string:
		return harmless(v)
	case int64:
		switch c.Kind {
		case statement.Money:
			return figures.Decimal(v, row.Currency)
		case statement.Percent:
			return figures.Hundredths(v)
		default:
			return strconv.FormatInt(v, 10)
		}
	case time.Time:
		if c.Kind == statement.Day {
			return v.Format(time.DateOnly)
		}
		return v.In(r.Zone).Format(time.RFC3339Nano)
	case time.Duration:
		return strconv.FormatFloat(v.Seconds(), 'f', -1, 64)
	default:
		return ""
	}
}

// harmless keeps spreadsheets from taking a text that somebody chose for a
// formula.
func harmless(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
