package render

import (
	"bytes"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"github.com/eventpro/boxoffice/reports/statement"
)

func workbookOf(t *testing.T, r *statement.Report) *excelize.File {
	t.Helper()
	var out bytes.Buffer
	if err := writeXLSX(&out, r); err != nil {
		t.Fatal(err)
	}
	file, err := excelize.OpenReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// A bookkeeper opens the file: amounts are numbers with the digits of their
// currency, days are dates, and a text that looks like a formula is a text.
func TestXLSXHoldsNumbersDatesAndTexts(t *testing.T) {
	t.Parallel()
	file := workbookOf(t, fixture(t))
	if got, want := strings.Join(file.GetSheetList(), "|"), "By event|By day, EUR|By day, JPY|Delays|Disputes|Parameters"; got != want {
		t.Fatalf("sheets %s, want %s", got, want)
	}
	for _, c := range []struct {
		sheet, cell, raw, shown string
		kind                    excelize.CellType
	}{
		{"By event", "A1", "DOES NOT BALANCE: EUR is 0.05 off", "DOES NOT BALANCE: EUR is 0.05 off", excelize.CellTypeInlineString},
		{"By event", "A6", "Event", "Event", excelize.CellTypeInlineString},
		{"By event", "C7", "1234567.5", "1,234,567.50", excelize.CellTypeNumber},
		{"By event", "F8", "-104.7", "-104.70", excelize.CellTypeNumber},
		{"By event", "G8", "1.3333", "133.33%", excelize.CellTypeNumber},
		{"By event", "C9", "980000", "980,000", excelize.CellTypeNumber},
		{"By event", "C10", "1234.567", "1,234.567", excelize.CellTypeNumber},
		{"By event", "A10", `=HYPERLINK("http://evil")`, `=HYPERLINK("http://evil")`, excelize.CellTypeInlineString},
		{"By event", "H10", "", "", excelize.CellTypeUnset},
		{"By event", "A12", "Total", "Total", excelize.CellTypeInlineString},
		{"By event", "C12", "1234867.5", "1,234,867.50", excelize.CellTypeNumber},
		{"By day, EUR", "A7", "46266", "2026-09-01", excelize.CellTypeNumber},
		{"By day, JPY", "B11", "580000", "580,000", excelize.CellTypeNumber},
		// 22:30 UTC is the next day in Berlin.
		{"Delays", "B8", "46296.020833333336", "2026-10-01 00:30:00", excelize.CellTypeNumber},
		{"Delays", "C8", "1.14583333333333", "27:30:00.000", excelize.CellTypeNumber},
		{"Disputes", "A7", "no disputes in this period", "no disputes in this period", excelize.CellTypeInlineString},
	} {
		raw, err := file.GetCellValue(c.sheet, c.cell, excelize.Options{RawCellValue: true})
		if err != nil {
			t.Fatal(err)
		}
		shown, err := file.GetCellValue(c.sheet, c.cell)
		if err != nil {
			t.Fatal(err)
		}
		kind, err := file.GetCellType(c.sheet, c.cell)
		if err != nil {
			t.Fatal(err)
		}
		if kind == excelize.CellTypeUnset && raw != "" {
			kind = excelize.CellTypeNumber // a cell without a type is a number
		}
		if raw != c.raw || shown != c.shown || kind != c.kind {
			t.Errorf("%s!%s is %q, shown as %q, of type %d; want %q, %q, %d", c.sheet, c.cell, raw, shown, kind, c.raw, c.shown, c.kind)
		}
		if formula, err := file.GetCellFormula(c.sheet, c.cell); err != nil || formula != "" {
			t.Errorf("%s!%s has the formula %q (%v)", c.sheet, c.cell, formula, err)
		}
	}
	panes, err := file.GetPanes("By event")
	if err != nil || !panes.Freeze || panes.YSplit != 6 {
		t.Errorf("panes %+v, %v: want the head frozen", panes, err)
	}
}

// A sheet that is printed or torn out still says which report it belongs to.
func TestXLSXSaysTheReportOnEverySheet(t *testing.T) {
	t.Parallel()
	r := fixture(t)
	file := workbookOf(t, r)
	for _, sheet := range file.GetSheetList() {
		rows, err := file.GetRows(sheet)
		if err != nil {
			t.Fatal(err)
		}
		var head []string
		for _, row := range rows[:4] {
			head = append(head, row...)
		}
		printed, err := file.GetHeaderFooter(sheet)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{r.Alarm, r.Title, "2026-09-01 to 2026-09-30", "as of 2026-10-02 10:30:00", r.ID.String()} {
			if !strings.Contains(strings.Join(head, "\n"), want) {
				t.Errorf("the head of %s lacks %q:\n%s", sheet, want, strings.Join(head, "\n"))
			}
		}
		if !strings.Contains(printed.OddFooter, r.ID.String()) || !strings.Contains(printed.OddFooter, "&P of &N") {
			t.Errorf("the printed foot of %s is %q", sheet, printed.OddFooter)
		}
		if props, err := file.GetSheetProps(sheet); err != nil || props.FitToPage == nil || !*props.FitToPage {
			t.Errorf("%s does not fit the width of a page: %v", sheet, err)
		}
	}
}

// Excel keeps 15 digits: an amount with more is a text, with each digit.
func TestXLSXKeepsEveryDigit(t *testing.T) {
	t.Parallel()
	r := fixture(t)
	s := r.Sections[0]
	s.Rows[0].Cells[3] = int64(1_234_567_890_123_456_78)
	file := workbookOf(t, r)
	if got, err := file.GetCellValue("By event", "C7"); err != nil || got != "1,234,567,890,123,456.78" {
		t.Errorf("got %q, %v", got, err)
	}
}
