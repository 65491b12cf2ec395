package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/reports/statement"
)

// writer puts a report's figures, dates and parameters into words.
type writer struct {
	*statement.Report
	*figures.Locale
}

func newWriter(r *statement.Report) writer { return writer{Report: r, Locale: figures.In(r.Locale)} }

// cell is a cell for people.
func (w writer) cell(c statement.Column, row statement.Row, i int) string {
	switch v := row.Cells[i].(type) {
	case string:
		return printable(v)
	case int64:
		switch c.Kind {
		case statement.Money:
			return w.Amount(v, row.Currency)
		case statement.Percent:
			return w.Percent(v)
		default:
			return w.Grouped(v)
		}
	case time.Time:
		if c.Kind == statement.Day {
			return w.Day(v)
		}
		return w.moment(v)
	case time.Duration:
		return duration(v)
	default:
		return ""
	}
}

// moment is a time in the report's zone.
func (w writer) moment(t time.Time) string { return w.Time(t.In(w.Zone)) }

// duration has the precision that its length deserves: 340ms, 12.5s, 3m05s, 27h30m, 24h.
func duration(d time.Duration) string {
	switch {
	case d.Abs() < time.Second:
		return d.Round(time.Millisecond).String()
	case d.Abs() < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	sign := ""
	if d < 0 {
		sign = "-"
	}
	large, small, units := time.Minute, time.Second, "ms"
	if d = d.Abs().Round(time.Second); d >= time.Hour {
		large, small, units = time.Hour, time.Minute, "hm"
		d = d.Round(time.Minute)
	}
	text := fmt.Sprintf("%s%d%c", sign, d/large, units[0])
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf("%02d%c", rest, units[1])
	}
	return text
}

// period is the report's period: days that are in it, if it is made of whole days.
func (w writer) period() string {
	if w.NoPeriod {
		return ""
	}
	from, fromDay := w.bound(w.From)
	to, toDay := w.bound(w.To)
	last := w.Day(w.To.In(w.Zone).AddDate(0, 0, -1))
	switch {
	case w.From.IsZero() && w.To.IsZero():
		return "all time"
	case w.From.IsZero() && toDay:
		return "up to and with " + last
	case w.From.IsZero():
		return "before " + to
	case w.To.IsZero():
		return "from " + from
	case fromDay && toDay && last == from:
		return from
	case fromDay && toDay:
		return from + " to " + last
	default:
		return "from " + from + " to before " + to
	}
}

// bound is the beginning or end of a period, and whether it is midnight: then it
// is the day.
func (w writer) bound(t time.Time) (text string, day bool) {
	t = t.In(w.Zone)
	if figures.IsMidnight(t) {
		return w.Day(t), true
	}
	return w.Time(t), false
}

// parameters are all parameters, one a text.
func (w writer) parameters() []string {
	var parts []string
	if p := w.period(); p != "" {
		parts = append(parts, p)
	}
	return append(append(parts, w.Conditions...), "times in "+w.Zone.String())
}

func (w writer) asOf() string {
	if !w.Loaded() {
		return "nothing was loaded yet"
	}
	t := w.AsOf.In(w.Zone)
	return "as of " + w.Time(t) + t.Format(".000 MST")
}

func (w writer) empty(s *statement.Section) string {
	switch {
	case s.Empty != "":
		return s.Empty
	case w.NoPeriod:
		return "nothing to show"
	default:
		return "nothing in this period"
	}
}

// totalLabel is the word that a total begins with.
const totalLabel = "Total"

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// lines are the cells of a section's rows and totals. A total begins with the
// word, where its first columns have no figure of their own.
func (w writer) lines(s *statement.Section) (rows, totals [][]string) {
	for _, row := range s.Rows {
		rows = append(rows, w.line(s, row))
	}
	for _, row := range s.Totals {
		line := w.line(s, row)
		for i, c := range s.Columns {
			if line[i] == "" && !c.Numeric() {
				line[i] = totalLabel
				break
			}
		}
		totals = append(totals, line)
	}
	return rows, totals
}

func (w writer) line(s *statement.Section, row statement.Row) []string {
	line := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		line[i] = w.cell(c, row, i)
	}
	return line
}

// isNought says whether a figure is nought: the eye may pass it by.
func isNought(figure string) bool {
	return strings.Contains(figure, "0") && !strings.ContainsAny(figure, "123456789")
}

// printable takes control characters out of a text, which could move a
// terminal's cursor, and those that turn the direction of what follows, which
// could show other figures than there are.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c < ' ', c >= 0x7f && c < 0xa0:
			return ' '
		case c >= 0x202a && c <= 0x202e, c >= 0x2066 && c <= 0x2069:
			return -1
		default:
			return c
		}
	}, s)
}
