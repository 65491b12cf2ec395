package render

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/reports/statement"
)

// writeXLSX writes a workbook: a sheet a section, and a last one with all
// parameters and notes. Cells are numbers and dates, texts are never formulas.
func writeXLSX(out io.Writer, r *statement.Report) (err error) {
	b := &workbook{writer: newWriter(r), file: excelize.NewFile(), styles: map[style]int{}, names: map[string]bool{}}
	defer func() {
		if closing := b.file.Close(); err == nil {
			err = closing
		}
	}()
	moment := r.AsOf.UTC().Format(time.RFC3339)
	if err := b.file.SetDocProps(&excelize.DocProperties{
		Title: r.Title, Subject: strings.Join(b.parameters(), ", "), Identifier: r.ID.String(), Creator: "boxoffice", Created: moment, Modified: moment,
	}); err != nil {
		return err
	}
	first := b.file.GetSheetName(0)
	for _, s := range r.ForPeople() {
		if err := b.section(s); err != nil {
			return fmt.Errorf("sheet of section %s: %w", s.Name, err)
		}
	}
	if err := b.about(); err != nil {
		return fmt.Errorf("sheet of parameters: %w", err)
	}
	if err := b.file.DeleteSheet(first); err != nil {
		return err
	}
	b.file.SetActiveSheet(0)
	_, err = b.file.WriteTo(out)
	return err
}

// workbook is a workbook that is being written.
type workbook struct {
	writer
	file   *excelize.File
	styles map[style]int
	names  map[string]bool
}

// style is what cells look like.
type style struct {
	format                                      string
	head, total, title, alarm, faint, rightSide bool
}

// The formats of cells; the reader's Excel writes them in its own locale. @ keeps
// a text a text even when somebody edits the cell.
const (
	textFormat     = "@"
	countFormat    = "#,##0;[Red]-#,##0"
	percentFormat  = "0.00%;[Red]-0.00%"
	dayFormat      = "yyyy-mm-dd"
	timeFormat     = "yyyy-mm-dd hh:mm:ss"
	durationFormat = "[h]:mm:ss.000"
)

// moneyFormat has the digits of the currency.
func moneyFormat(currency string) string {
	number := "#,##0"
	if n := figures.Digits(currency); n > 0 {
		number += "." + strings.Repeat("0", n)
	}
	return number + ";[Red]-" + number
}

func (b *workbook) style(s style) (int, error) {
	if id, ok := b.styles[s]; ok {
		return id, nil
	}
	x := &excelize.Style{
		Font:      &excelize.Font{Family: "Calibri", Size: 11, Bold: s.head || s.total},
		Alignment: &excelize.Alignment{Vertical: "top"},
	}
	if s.format != "" {
		x.CustomNumFmt = &s.format
	}
	if s.rightSide {
		x.Alignment.Horizontal = "right"
	}
	switch {
	case s.title:
		x.Font.Size, x.Font.Bold = 16, true
	case s.alarm:
		x.Font.Bold, x.Font.Color = true, "FFFFFF"
		x.Fill = excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{"B3261E"}}
	case s.faint:
		x.Font.Color = "5F6B7A"
	case s.head:
		x.Fill = excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{"E8EEF5"}}
		x.Border = []excelize.Border{{Type: "bottom", Color: "1F3A5F", Style: 2}}
		x.Alignment.Vertical, x.Alignment.WrapText = "center", true
	case s.total:
		x.Border = []excelize.Border{{Type: "top", Color: "1F3A5F", Style: 1}}
	}
	id, err := b.file.NewStyle(x)
	b.styles[s] = id
	return id, err
}

// sheet makes a sheet whose name Excel takes: 31 characters, none of []:*?/\.
func (b *workbook) sheet(title string) (string, error) {
	clean := strings.Trim(strings.Map(func(c rune) rune {
		if strings.ContainsRune(`[]:*?/\`, c) {
			return ' '
		}
		return c
	}, printable(title)), "' ")
	name := short(clean, 31)
	for n := 2; b.names[strings.ToLower(name)]; n++ {
		suffix := fmt.Sprintf(" %d", n)
		name = short(clean, 31-len(suffix)) + suffix
	}
	b.names[strings.ToLower(name)] = true
	_, err := b.file.NewSheet(name)
	return name, err
}

func short(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n])
	}
	return s
}

// sheetHead are the first lines of each sheet: what the report is.
func (b *workbook) sheetHead(title string) [][]excelize.Cell {
	var lines [][]excelize.Cell
	line := func(text string, s style) {
		id, err := b.style(s)
		if err != nil {
			return // the style is missing, not the text
		}
		lines = append(lines, []excelize.Cell{{StyleID: id, Value: printable(text)}})
	}
	if b.Alarm != "" {
		line(b.Alarm, style{alarm: true})
	}
	line(title, style{title: true})
	line(strings.Join(b.parameters(), ", "), style{faint: true})
	line(b.asOf()+", report "+b.Name+" "+b.ID.String(), style{faint: true})
	return append(lines, nil)
}

func (b *workbook) section(s *statement.Section) error {
	name, err := b.sheet(s.Title)
	if err != nil {
		return err
	}
	lines := b.sheetHead(b.Title + ": " + s.Title)
	header := len(lines) + 1
	if err := b.layOut(name, s, header); err != nil {
		return err
	}
	out, err := b.file.NewStreamWriter(name)
	if err != nil {
		return err
	}
	for i, wide := range b.widths(s) {
		if err := out.SetColWidth(i+1, i+1, wide); err != nil {
			return err
		}
	}
	if err := out.SetPanes(&excelize.Panes{Freeze: true, YSplit: header, TopLeftCell: fmt.Sprintf("A%d", header+1), ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	head, err := b.headings(s)
	if err != nil {
		return err
	}
	lines = append(lines, head)
	for _, row := range s.Rows {
		line, err := b.cells(s, row, false)
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	if len(s.Rows) == 0 {
		lines = append(lines, []excelize.Cell{{Value: b.empty(s)}})
	}
	for _, row := range s.Totals {
		line, err := b.cells(s, row, true)
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	if len(s.Notes) > 0 {
		lines = append(lines, nil)
	}
	for _, note := range s.Notes {
		lines = append(lines, []excelize.Cell{{Value: note}})
	}
	return write(out, lines)
}

// layOut says how a sheet is filtered and printed. The filter comes first: it
// replaces the sheet's properties.
func (b *workbook) layOut(sheet string, s *statement.Section, header int) error {
	if len(s.Rows) > 0 {
		last, err := excelize.CoordinatesToCellName(len(s.Columns), header+len(s.Rows))
		if err != nil {
			return err
		}
		if err := b.file.AutoFilter(sheet, fmt.Sprintf("A%d:%s", header, last), nil); err != nil {
			return err
		}
	}
	quoted := "'" + strings.ReplaceAll(sheet, "'", "''") + "'"
	if err := b.file.SetDefinedName(&excelize.DefinedName{
		Name: "_xlnm.Print_Titles", RefersTo: fmt.Sprintf("%s!$%d:$%d", quoted, header, header), Scope: sheet,
	}); err != nil {
		return err
	}
	return b.printing(sheet)
}

func (b *workbook) printing(sheet string) error {
	landscape, a4, fit, wide, tall := "landscape", 9, true, 1, 0
	if err := b.file.SetPageLayout(sheet, &excelize.PageLayoutOptions{Orientation: &landscape, Size: &a4, FitToWidth: &wide, FitToHeight: &tall}); err != nil {
		return err
	}
	if err := b.file.SetSheetProps(sheet, &excelize.SheetPropsOptions{FitToPage: &fit}); err != nil {
		return err
	}
	escaped := strings.NewReplacer("&", "&&")
	return b.file.SetHeaderFooter(sheet, &excelize.HeaderFooterOptions{
		OddHeader: short("&L"+escaped.Replace(b.Title)+"&R"+escaped.Replace(b.asOf()), 255),
		OddFooter: short("&L"+escaped.Replace(b.Name+" "+b.ID.String())+"&RPage &P of &N", 255),
	})
}

// widths are those of the columns: as wide as what is in them, within reason.
func (b *workbook) widths(s *statement.Section) []float64 {
	const least, most = 9, 48
	rows, totals := b.lines(s)
	widths := make([]float64, len(s.Columns))
	for i, c := range s.Columns {
		wide := columnsWide(c.Heading) + 3 // the button of the filter
		for _, line := range slices.Concat(rows, totals) {
			wide = max(wide, columnsWide(line[i])+2)
		}
		widths[i] = float64(min(max(wide, least), most))
	}
	return widths
}

func (b *workbook) headings(s *statement.Section) ([]excelize.Cell, error) {
	line := make([]excelize.Cell, 0, len(s.Columns))
	for _, c := range s.Columns {
		id, err := b.style(style{head: true, rightSide: c.Numeric()})
		if err != nil {
			return nil, err
		}
		line = append(line, excelize.Cell{StyleID: id, Value: c.Heading})
	}
	return line, nil
}

func (b *workbook) cells(s *statement.Section, row statement.Row, isTotal bool) ([]excelize.Cell, error) {
	line := make([]excelize.Cell, 0, len(s.Columns))
	label := isTotal
	for i, c := range s.Columns {
		value, format := b.value(c, row, i)
		if label && value == nil && !c.Numeric() {
			value, format, label = totalLabel, textFormat, false
		}
		id, err := b.style(style{format: format, total: isTotal, rightSide: c.Numeric()})
		if err != nil {
			return nil, err
		}
		line = append(line, excelize.Cell{StyleID: id, Value: value})
	}
	return line, nil
}

// value is a cell as Excel holds it, and its format.
func (b *workbook) value(c statement.Column, row statement.Row, i int) (value any, format string) {
	switch v := row.Cells[i].(type) {
	case string:
		return printable(v), textFormat
	case int64:
		switch {
		case v > maxExact || v < -maxExact:
			return b.cell(c, row, i), textFormat
		case c.Kind == statement.Money:
			return float64(v) / math.Pow10(figures.Digits(row.Currency)), moneyFormat(row.Currency)
		case c.Kind == statement.Percent:
			return float64(v) / 10_000, percentFormat
		default:
			return v, countFormat
		}
	case time.Time:
		if c.Kind == statement.Day {
			return wallClock(v), dayFormat
		}
		return wallClock(v.In(b.Zone)), timeFormat
	case time.Duration:
		return v.Hours() / 24, durationFormat
	default:
		return nil, ""
	}
}

// maxExact is the largest number of which Excel keeps each digit. Amounts beyond
// are texts: better than a wrong cent.
const maxExact = 999_999_999_999_999

// wallClock is the time that a clock shows, in the only zone that Excel has.
func wallClock(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// about is the sheet with all parameters and notes.
func (b *workbook) about() error {
	name, err := b.sheet("Parameters")
	if err != nil {
		return err
	}
	if err := b.printing(name); err != nil {
		return err
	}
	bold, err := b.style(style{total: true})
	if err != nil {
		return err
	}
	out, err := b.file.NewStreamWriter(name)
	if err != nil {
		return err
	}
	if err := out.SetColWidth(1, 1, 22); err != nil {
		return err
	}
	if err := out.SetColWidth(2, 2, 60); err != nil {
		return err
	}
	lines := b.sheetHead(b.Title)
	pair := func(key, value string) {
		lines = append(lines, []excelize.Cell{{StyleID: bold, Value: key}, {Value: printable(value)}})
	}
	pair("report", b.Name)
	pair("id", b.ID.String())
	pair("as of", b.AsOf.UTC().Format(time.RFC3339Nano))
	pair("zone", b.Zone.String())
	for _, key := range sortedKeys(b.Parameters) {
		if key != "zone" {
			pair(key, b.Parameters[key])
		}
	}
	for _, note := range b.Notes {
		pair("note", note)
	}
	return write(out, lines)
}

func write(out *excelize.StreamWriter, lines [][]excelize.Cell) error {
	for n, line := range lines {
		values := make([]any, len(line))
		for i := range line {
			values[i] = line[i]
		}
		if err := out.SetRow(fmt.Sprintf("A%d", n+1), values); err != nil {
			return err
		}
	}
	return out.Flush()
}
