package schedule

import (
	"strings"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/reports/statement"
)

// Figures that contradict each other, and a text that looks like HTML: the subject
// and the mail say the alarm first, and nothing in a text becomes a part of the
// page.
func TestLetterSaysTheAlarmFirst(t *testing.T) {
	t.Parallel()
	table, err := newTimetable("@daily", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	section := &statement.Section{Name: "events", Title: "Events", Columns: []statement.Column{
		{Name: "currency", Heading: "Currency", Kind: statement.Text},
		{Name: "gross", Heading: "<b>Gross</b>", Kind: statement.Money},
		{Name: "secret", Heading: "Hidden", Kind: statement.Count, Hidden: true},
		{Name: "tickets", Heading: "Tickets", Kind: statement.Count},
	}}
	for _, currency := range []string{"JPY", "EUR"} {
		if err := section.Add(currency, currency, int64(123456), int64(7), int64(1200)); err != nil {
			t.Fatal(err)
		}
	}
	if err := section.Total(); err != nil {
		t.Fatal(err)
	}
	quiet := &statement.Report{Title: "Quiet", Zone: time.UTC}
	loud := &statement.Report{
		Title: "Open items", Zone: time.UTC, From: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 9, 2, 0, 0, 0, 0, time.UTC),
		Conditions: []string{"organiser <script>"}, Alarm: "the books do not balance", Sections: []*statement.Section{section},
	}
	l := newLetter(&parcel{schedule: &Schedule{Name: "nightly", times: table}, items: []item{{report: loud}, {report: quiet}}, missed: 1})
	if s := l.subject(""); s != "ALARM: 2 reports, 2026-09-01" {
		t.Errorf("subject %q", s)
	}
	if s := l.subject("Nightly"); s != "ALARM: Nightly" {
		t.Errorf("subject %q", s)
	}
	text, page, err := l.bodies()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, "! One earlier run was missed") || strings.Index(text, "! Open items: the books do not balance") > strings.Index(text, "2026-09-01") {
		t.Errorf("the text is\n%s", text)
	}
	for _, want := range []string{"EUR", "€1,234.56", "JPY", "¥123,456", "1,200", "no figures in this period"} {
		if !strings.Contains(text, want) || !strings.Contains(page, want) {
			t.Errorf("%q is missing in\n%s\n%s", want, text, page)
		}
	}
	if strings.Contains(page, "<script>") || strings.Contains(page, "<b>") || strings.Contains(text+page, "Hidden") {
		t.Errorf("the page is\n%s", page)
	}
}
