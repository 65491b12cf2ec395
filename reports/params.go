package reports

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/currency"
	"golang.org/x/text/language"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// UsageError is a mistake in what was asked for: an unknown report, format, time
// zone, currency or event id, or a period that ends before it starts.
type UsageError struct {
	message string
	// UnknownEvent says that it is the event that there is not, or not of the
	// organiser that was asked for.
	UnknownEvent bool
}

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
	// Zone is the time zone in which times are shown and days are cut; UTC when
	// nil.
	Zone *time.Location
	// Event is an event's id; empty for all.
	Event string
	// Organiser is an organiser's id; empty for all.
	Organiser string
	// Currency is an ISO 4217 code; empty for all.
	Currency string
	// Basis is the date that money goes by; Booked when empty.
	Basis Basis
	// TestMode brings test sales in.
	TestMode bool
	// Locale is whose way of writing figures and dates the formats for people
	// use; English when it is the zero value.
	Locale language.Tag
}

// Basis is one of the two dates that a movement of money has.
type Basis string

// The bases.
const (
	// Booked is the moment at which the movement went into the books. A period
	// that has ended does not change any more.
	Booked Basis = "booked"
	// Occurred is the moment at which the provider moved the money. A movement
	// that becomes known late changes its own period.
	Occurred Basis = "occurred"
)

// Asked are parameters as people write them; each may be empty.
type Asked struct {
	// From and To are dates (2026-09-01, the beginning of the day in the zone) or
	// RFC 3339 times. Period stands for both: see ParsePeriod.
	From, To, Period string
	// Zone is an IANA name.
	Zone string
	// Organiser and Event are ids, Currency is an ISO 4217 code, Basis booked or
	// occurred.
	Organiser, Event, Currency, Basis string
	// Locale is a BCP 47 tag: de, en-US.
	Locale   string
	TestMode bool
}

// ParseParams reads the parameters. A relative period is relative to now. Errors
// are *UsageError.
func ParseParams(a Asked, now time.Time) (Params, error) {
	p := Params{Organiser: a.Organiser, Event: a.Event, Currency: strings.ToUpper(a.Currency), Basis: Basis(a.Basis), TestMode: a.TestMode, Zone: time.UTC}
	var err error
	if a.Zone != "" {
		if p.Zone, err = time.LoadLocation(a.Zone); err != nil {
			return Params{}, usage("time zone %q is not known: use an IANA name such as UTC or Europe/Berlin", a.Zone)
		}
	}
	if a.Locale != "" {
		var ok bool
		if p.Locale, ok = figures.ParseLocale(a.Locale); !ok {
			return Params{}, usage("locale %q is not known: use a language such as de, or a language and a region such as en-US", a.Locale)
		}
	}
	if a.Period != "" {
		if a.From != "" || a.To != "" {
			return Params{}, usage("the period is %q: leave from and to out, it has both", a.Period)
		}
		if p.From, p.To, err = ParsePeriod(a.Period, now, p.Zone); err != nil {
			return Params{}, err
		}
		return p, p.check()
	}
	if p.From, err = parseTime("from", a.From, p.Zone); err != nil {
		return Params{}, err
	}
	if p.To, err = parseTime("to", a.To, p.Zone); err != nil {
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
		if !t.IsZero() && (t.Before(queries.Beginning) || t.After(queries.End)) {
			return usage("%s is out of range: use years from 1970 to 2261", p.shown(t))
		}
	}
	if p.Event != "" {
		if _, err := uuid.Parse(p.Event); err != nil {
			return usage("event is %q: use the event's id, a UUID", p.Event)
		}
	}
	if p.Organiser == queries.All {
		return usage("organiser is %q, which would mean every organiser: leave it out to ask for all", p.Organiser)
	}
	if b := p.basis(); b != Booked && b != Occurred {
		return usage("basis is %q: use %s or %s", b, Booked, Occurred)
	}
	if p.Currency != "" {
		if unit, err := currency.ParseISO(p.Currency); err != nil || unit.String() != p.Currency {
			return usage("currency is %q: use an ISO 4217 code such as EUR", p.Currency)
		}
	}
	return nil
}

// values are the parameters of the queries; each takes those that it has.
func (p Params) values() map[string]string {
	values := map[string]string{
		"from": queries.Time(queries.Beginning), "to": queries.Time(queries.End),
		"zone": p.zone().String(), "basis": string(p.basis()),
		"organiser": queries.All, "event": queries.All, "currency": queries.All, "test_mode": fmt.Sprint(p.TestMode),
	}
	if !p.From.IsZero() {
		values["from"] = queries.Time(p.From)
	}
	if !p.To.IsZero() {
		values["to"] = queries.Time(p.To)
	}
	if p.Organiser != "" {
		values["organiser"] = p.Organiser
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

func (p Params) basis() Basis {
	if p.Basis == "" {
		return Booked
	}
	return p.Basis
}

func (p Params) shown(t time.Time) string {
	t = t.In(p.zone())
	if figures.IsMidnight(t) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.DateTime)
}

// conditions are the parameters but the period and the zone, in words, as far as
// a report has them.
func (p Params) conditions(has map[string]bool) (parts []string) {
	say := func(parameter, text string) {
		if has[parameter] {
			parts = append(parts, text)
		}
	}
	if p.Organiser != "" {
		say("organiser", "organiser "+p.Organiser)
	}
	if p.Event == "" {
		say("event", "all events")
	} else {
		say("event", "event "+strings.ToLower(p.Event))
	}
	if p.Currency == "" {
		say("currency", "all currencies")
	} else {
		say("currency", p.Currency)
	}
	if p.basis() == Occurred {
		say("basis", "by the provider's date")
	} else {
		say("basis", "by the date of booking")
	}
	if p.TestMode {
		say("test_mode", "test sales included")
	}
	return parts
}

// fits complains about a parameter that a report does not have: its figures would
// be taken for something that they are not.
func (p Params) fits(report string, has map[string]bool) error {
	for _, c := range []struct {
		parameter string
		given     bool
	}{
		{"from", !p.From.IsZero()},
		{"to", !p.To.IsZero()},
		{"organiser", p.Organiser != ""},
		{"event", p.Event != ""},
		{"currency", p.Currency != ""},
		{"basis", p.Basis != ""},
		{"test_mode", p.TestMode},
	} {
		if c.given && !has[c.parameter] {
			return usage("the report %s cannot be limited by %s; it has the parameters %s",
				report, c.parameter, strings.Join(slices.Sorted(maps.Keys(has)), ", "))
		}
	}
	return nil
}
