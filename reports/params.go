package reports

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/currency"

	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// UsageError is a mistake in what was asked for: an unknown report, format, time
// zone, currency or event id, or a period that ends before it starts.
type UsageError struct{ message string }

// Error implements error.
func (e *UsageError) Error() string { return e.message }

func usage(format string, args ...any) error {
	return &UsageError{message: fmt.Sprintf(format, args...)}
}

// Params say what a report is about.
type Params struct {
	// From is inside the period, To is the first moment after it. Zero leaves
	// the period open on that side.
	From, To time.Time
	// Zone is the time zone in which times are shown; UTC when nil.
	Zone *time.Location
	// Event is an event's id; empty for all.
	Event string
	// Currency is an ISO 4217 code; empty for all.
	Currency string
	// TestMode brings test sales in.
	TestMode bool
}

// The period of a report without bounds: what the database can hold.
var (
	beginning = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	end       = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
)

// ParseParams reads the parameters as people write them. from and to are dates
// ("2026-09-01", the beginning of the day in the zone) or RFC 3339 times, zone is
// an IANA name; each may be empty. Errors are *UsageError.
func ParseParams(from, to, zone, event, currency string, testMode bool) (Params, error) {
	p := Params{Event: event, Currency: strings.ToUpper(currency), TestMode: testMode, Zone: time.UTC}
	var err error
	if zone != "" {
		if p.Zone, err = time.LoadLocation(zone); err != nil {
			return Params{}, usage("time zone %q is not known: use an IANA name such as UTC or Europe/Berlin", zone)
		}
	}
	if p.From, err = parseTime("from", from, p.Zone); err != nil {
		return Params{}, err
	}
	if p.To, err = parseTime("to", to, p.Zone); err != nil {
		return Params{}, err
	}
	return p, p.check()
}

func parseTime(name, text string, zone *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usage("%s is %q: use a date such as 2026-09-01 or a time such as 2026-09-01T12:00:00Z", name, text)
	}
	return t, nil
}

func (p Params) check() error {
	if !p.From.IsZero() && !p.To.IsZero() && !p.From.Before(p.To) {
		return usage("the period from %s to %s ends before it starts: to is the first moment after the period",
			p.shown(p.From), p.shown(p.To))
	}
	for _, t := range []time.Time{p.From, p.To} {
		if !t.IsZero() && (t.Before(beginning) || t.After(end)) {
			return usage("%s is out of range: use years from 1970 to 2261", p.shown(t))
		}
	}
	if p.Event != "" {
		if _, err := uuid.Parse(p.Event); err != nil {
			return usage("event is %q: use the event's id, a UUID", p.Event)
		}
	}
	if p.Currency != "" {
		if unit, err := currency.ParseISO(p.Currency); err != nil || unit.String() != p.Currency {
			return usage("currency is %q: use an ISO 4217 code such as EUR", p.Currency)
		}
	}
	return nil
}

// values are the parameters of the queries.
func (p Params) values() map[string]string {
	values := map[string]string{
		"from": queries.Time(beginning), "to": queries.Time(end),
		"event": queries.All, "currency": queries.All, "test_mode": fmt.Sprint(p.TestMode),
	}
	if !p.From.IsZero() {
		values["from"] = queries.Time(p.From)
	}
	if !p.To.IsZero() {
		values["to"] = queries.Time(p.To)
	}
	if p.Event != "" {
		values["event"] = strings.ToLower(p.Event)
	}
	if p.Currency != "" {
		values["currency"] = p.Currency
	}
	return values
}

func (p Params) zone() *time.Location {
	if p.Zone == nil {
		return time.UTC
	}
	return p.Zone
}

func (p Params) shown(t time.Time) string {
	t = t.In(p.zone())
	if t.Equal(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())) {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02 15:04:05")
}

// String is the parameters in words.
func (p Params) String() string {
	var parts []string
	switch {
	case p.From.IsZero() && p.To.IsZero():
		parts = append(parts, "all time")
	case p.From.IsZero():
		parts = append(parts, "before "+p.shown(p.To))
	case p.To.IsZero():
		parts = append(parts, "from "+p.shown(p.From))
	default:
		parts = append(parts, fmt.Sprintf("from %s to before %s", p.shown(p.From), p.shown(p.To)))
	}
	if p.Event == "" {
		parts = append(parts, "all events")
	} else {
		parts = append(parts, "event "+p.Event)
	}
	if p.Currency == "" {
		parts = append(parts, "all currencies")
	} else {
		parts = append(parts, p.Currency)
	}
	if p.TestMode {
		parts = append(parts, "test sales included")
	}
	return strings.Join(parts, ", ") + " (" + p.zone().String() + ")"
}
