package reports

import (
	"strings"
	"time"
)

// ParsePeriod reads a period as people say it: today, yesterday, this-week,
// last-week (weeks begin on Monday), this-month, last-month, this-quarter,
// last-quarter, this-year, last-year, or a year (2026), a quarter (2026-Q3), a
// month (2026-09) or a day (2026-09-01). Days begin at midnight of the zone. from
// is inside the period, to is the first moment after it. Errors are *UsageError.
func ParsePeriod(text string, now time.Time, zone *time.Location) (from, to time.Time, err error) {
	unit, start, ok := relative(text, now.In(zone))
	if !ok {
		if unit, start, ok = calendar(text, zone); !ok {
			return from, to, usage("period is %q: use today, yesterday, this- or last- with week, month, quarter or year, "+
				"or one such as 2026, 2026-Q3, 2026-09 or 2026-09-01", text)
		}
	}
	return start, unit.after(start, 1), nil
}

// span is a length of calendar time.
type span struct{ months, days int }

var spans = map[string]span{"day": {days: 1}, "week": {days: 7}, "month": {months: 1}, "quarter": {months: 3}, "year": {months: 12}}

// after is the moment n spans later. It is worked out on the calendar: the days
// on which clocks change are not 24 hours long.
func (s span) after(t time.Time, n int) time.Time {
	return time.Date(t.Year(), t.Month()+time.Month(n*s.months), t.Day()+n*s.days, 0, 0, 0, 0, t.Location())
}

func relative(text string, now time.Time) (span, time.Time, bool) {
	switch text {
	case "today":
		text = "this-day"
	case "yesterday":
		text = "last-day"
	}
	which, name, _ := strings.Cut(text, "-")
	unit, ok := spans[name]
	if !ok || (which != "this" && which != "last") {
		return span{}, now, false
	}
	year, month, day := now.Date()
	switch name {
	case "week":
		day -= (int(now.Weekday()) + 6) % 7
	case "month":
		day = 1
	case "quarter":
		month, day = month-(month-1)%3, 1
	case "year":
		month, day = time.January, 1
	}
	start := time.Date(year, month, day, 0, 0, 0, 0, now.Location())
	if which == "last" {
		start = unit.after(start, -1)
	}
	return unit, start, true
}

func calendar(text string, zone *time.Location) (span, time.Time, bool) {
	if year, quarter, ok := strings.Cut(text, "-Q"); ok && len(quarter) == 1 && quarter >= "1" && quarter <= "4" {
		start, err := time.ParseInLocation("2006", year, zone)
		return spans["quarter"], spans["quarter"].after(start, int(quarter[0]-'1')), err == nil
	}
	for _, c := range []struct{ layout, unit string }{{"2006", "year"}, {"2006-01", "month"}, {time.DateOnly, "day"}} {
		if start, err := time.ParseInLocation(c.layout, text, zone); err == nil {
			return spans[c.unit], start, true
		}
	}
	return span{}, time.Time{}, false
}
