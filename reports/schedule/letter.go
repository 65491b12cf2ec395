package schedule

import (
	"cmp"
	_ "embed" // the templates
	"fmt"
	html "html/template"
	"strings"
	text "text/template"
	"time"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/reports/statement"
)

//go:embed letter.txt.tmpl
var textSource string

//go:embed letter.html.tmpl
var htmlSource string

var (
	textTemplate = text.Must(text.New("letter").Parse(textSource))
	htmlTemplate = html.Must(html.New("letter").Parse(htmlSource))
)

// letter is what a mail says beside its attachments.
type letter struct {
	Schedule string
	Warnings []string
	Reports  []letterReport
	alarm    bool
	late     bool
}

type letterReport struct {
	Title, Period, Conditions, AsOf, ID string
	// Totals are the main figures, one line a currency.
	Totals []letterTotal
	Files  []string
}

type letterTotal struct {
	Currency string
	Figures  []letterFigure
}

type letterFigure struct{ Heading, Value string }

func newLetter(p *parcel) *letter {
	l := &letter{Schedule: p.schedule.Name, late: p.late}
	zone := p.schedule.times.zone
	if p.late {
		loaded := "it has nothing yet"
		if p.asOf.Unix() > 0 {
			loaded = "its newest record is of " + p.asOf.In(zone).Format("2006-01-02 15:04:05 MST")
		}
		l.Warnings = append(l.Warnings, "The analytics database was not loaded up to the end of the period: "+loaded+
			". What was sold later may be missing here.")
	}
	if p.missed == 1 {
		l.Warnings = append(l.Warnings, "One earlier run was missed; this one stands for it.")
	} else if p.missed > 1 {
		l.Warnings = append(l.Warnings, fmt.Sprintf("%d earlier runs were missed; this one stands for them.", p.missed))
	}
	for _, it := range p.items {
		r := it.report
		if r.Alarm != "" {
			l.alarm = true
			l.Warnings = append(l.Warnings, r.Title+": "+r.Alarm)
		}
		about := letterReport{
			Title: r.Title, Period: period(r.From, r.To, r.Zone), Conditions: strings.Join(r.Conditions, ", "), ID: r.ID.String(),
			AsOf: r.AsOf.In(r.Zone).Format("2006-01-02 15:04:05 MST"), Totals: totals(r),
		}
		if r.NoPeriod {
			about.Period = "now"
		}
		for _, f := range it.formats {
			about.Files = append(about.Files, reports.FileName(r, f))
		}
		l.Reports = append(l.Reports, about)
	}
	return l
}

// subject says in the list of mails what must not be overlooked.
func (l *letter) subject(configured string) string {
	about := l.Reports[0].Title + ", " + l.Reports[0].Period
	if n := len(l.Reports); n > 1 {
		about = fmt.Sprintf("%d reports, %s", n, l.Reports[0].Period)
	}
	subject := cmp.Or(configured, about)
	if l.late {
		subject += " (incomplete)"
	}
	if l.alarm {
		subject = "ALARM: " + subject
	}
	return subject
}

func (l *letter) bodies() (plain, page string, err error) {
	var t, h strings.Builder
	if err := textTemplate.Execute(&t, l); err != nil {
		return "", "", err
	}
	if err := htmlTemplate.Execute(&h, l); err != nil {
		return "", "", err
	}
	return t.String(), h.String(), nil
}

// totals are those of the first section that has any.
func totals(r *statement.Report) (lines []letterTotal) {
	locale := figures.In(r.Locale)
	for _, s := range r.Sections {
		for _, row := range s.Totals {
			line := letterTotal{Currency: row.Currency}
			for i, c := range s.Columns {
				n, ok := row.Cells[i].(int64)
				switch {
				case !ok || c.Hidden:
				case c.Kind == statement.Money:
					line.Figures = append(line.Figures, letterFigure{c.Heading, locale.Money(n, row.Currency)})
				case c.Kind == statement.Count:
					line.Figures = append(line.Figures, letterFigure{c.Heading, locale.Grouped(n)})
				}
			}
			lines = append(lines, line)
		}
		if len(lines) > 0 {
			return lines
		}
	}
	return nil
}

// period is a period in words: its first and last day, if it is of whole days.
func period(from, to time.Time, zone *time.Location) string {
	const moment = "2006-01-02 15:04"
	from, to = from.In(zone), to.In(zone)
	whole := func(t time.Time) bool { return t.Format(time.TimeOnly) == "00:00:00" }
	switch {
	case from.Unix() <= 0 && to.Unix() <= 0:
		return "all time"
	case to.Unix() <= 0:
		return "from " + from.Format(moment)
	case from.Unix() <= 0:
		return "before " + to.Format(moment)
	case !whole(from) || !whole(to):
		return from.Format(moment) + " to before " + to.Format(moment)
	}
	first, last := from.Format(time.DateOnly), to.AddDate(0, 0, -1).Format(time.DateOnly)
	if first == last {
		return first
	}
	return first + " to " + last
}
