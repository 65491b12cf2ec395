package schedule

import (
	"fmt"
	"time"

	"github.com/netresearch/go-cron"
)

// timetable is a cron expression in a time zone.
type timetable struct {
	// spec works on the wall's clock, as if it were UTC: UTC has every time once.
	spec cron.Schedule
	zone *time.Location
}

var parser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

func newTimetable(expression string, zone *time.Location) (timetable, error) {
	spec, err := parser.Parse("CRON_TZ=UTC " + expression)
	if err != nil {
		return timetable{}, fmt.Errorf("cron is %q: use five fields, minute hour day-of-month month day-of-week, such as \"0 6 1 * *\" (%w)", expression, err)
	}
	t := timetable{spec, zone}
	if t.after(time.Now()).IsZero() {
		return timetable{}, fmt.Errorf("cron is %q, which never comes", expression)
	}
	return t, nil
}

// after is the first time that comes after t; zero when none does.
func (c timetable) after(t time.Time) time.Time {
	local := t.In(c.zone)
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), time.UTC)
	for {
		if wall = c.spec.Next(wall); wall.IsZero() || wall.Year() == 1 {
			return time.Time{}
		}
		// Where clocks went back, this time may have come before t already; where
		// they went forward, several times come at the same moment.
		if at := instant(wall, c.zone); at.After(t) {
			return at
		}
	}
}

// instant is when a zone's clocks show what wall says: the first time, if they do
// so twice, and the moment at which they go on, if they leave it out.
func instant(wall time.Time, zone *time.Location) time.Time {
	// Clocks are set by less than a day, at moments more than a day apart: one of
	// the offsets of the day before and the day after is the right one, and the
	// earlier one gives the first of two times.
	_, before := wall.AddDate(0, 0, -1).In(zone).Zone()
	_, after := wall.AddDate(0, 0, 1).In(zone).Zone()
	first := wall.Add(-time.Duration(before) * time.Second).In(zone)
	if shows(first, wall) {
		return first
	}
	if second := wall.Add(-time.Duration(after) * time.Second).In(zone); shows(second, wall) {
		return second
	}
	start, _ := first.ZoneBounds()
	return start
}

// shows tells whether the clock at a moment shows what wall says.
func shows(at, wall time.Time) bool {
	return at.Format(time.DateTime) == wall.Format(time.DateTime)
}
