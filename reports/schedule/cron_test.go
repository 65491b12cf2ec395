package schedule

import (
	"testing"
	"time"
)

func location(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// A daily job runs once a day whatever clocks do: on the day without 02:30 when
// they go on, on the day with two at the first. So does one in a zone where
// midnight is left out, and a minute's job is not held up.
func TestClocksThatChange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cron, zone, from string
		want             []string
	}{
		"forward": {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00", []string{
			"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00",
		}},
		"back": {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00", []string{
			"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00", "2026-10-27T02:30:00+01:00",
		}},
		"between the two": {"30 2 * * *", "Europe/Berlin", "2026-10-25T02:10:00+01:00", []string{"2026-10-26T02:30:00+01:00"}},
		"several in the gap": {"15,45 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00", []string{
			"2026-03-29T03:00:00+02:00", "2026-03-30T02:15:00+02:00", "2026-03-30T02:45:00+02:00",
		}},
		"hourly forward": {"0 * * * *", "Europe/Berlin", "2026-03-29T00:30:00+01:00", []string{
			"2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00",
		}},
		"hourly back": {"0 * * * *", "Europe/Berlin", "2026-10-25T01:30:00+02:00", []string{
			"2026-10-25T02:00:00+02:00", "2026-10-25T03:00:00+01:00", "2026-10-25T04:00:00+01:00",
		}},
		"no midnight": {"0 0 * * *", "Asia/Beirut", "2026-03-28T12:00:00+02:00", []string{
			"2026-03-29T01:00:00+03:00", "2026-03-30T00:00:00+03:00",
		}},
		"half an hour": {"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00+11:00", []string{
			"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30",
		}},
		"monthly": {"0 6 1 * *", "America/New_York", "2026-02-15T00:00:00-05:00", []string{
			"2026-03-01T06:00:00-05:00", "2026-04-01T06:00:00-04:00",
		}},
		"sundays": {"@weekly", "UTC", "2026-11-25T00:00:00Z", []string{"2026-11-29T00:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, err := newTimetable(c.cron, location(t, c.zone))
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if at = table.after(at); at.Format(time.RFC3339) != want {
					t.Fatalf("came at %s, want %s", at.Format(time.RFC3339), want)
				}
			}
		})
	}
}

// An expression that is none, or that never comes, is refused when it is read.
func TestBadExpressions(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "0 6 * *", "0 25 * * *", "0 6 31 2 *", "yearly", "TZ=Mars/Base 0 6 * * *"} {
		if _, err := newTimetable(bad, time.UTC); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
