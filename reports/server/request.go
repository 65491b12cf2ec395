package server

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/reports/render"
)

// request is what a caller asked for.
type request struct {
	name   string
	params reports.Params
	format render.Format
}

// parameter is one of the query string. reports says which of the reports'
// parameters it sets; empty for what every report takes.
type parameter struct{ name, reports, about string }

var parameters = []parameter{
	{"from", "from", "First day (2026-09-01) or moment (RFC 3339) of the period."},
	{"to", "to", "First day or moment after the period."},
	{"period", "from", "A period by its name instead of from and to, such as last-month, 2026-Q3 or 2026-09."},
	{"tz", "", "Time zone, an IANA name. Default UTC."},
	{"event", "event", "Only this event, an id."},
	{"organiser", "organiser", "Only this organiser. A key without the scope admin sees its own organiser in any case."},
	{"currency", "currency", "Only this currency, an ISO 4217 code."},
	{"basis", "basis", "The date that money goes by: booked or occurred."},
	{"test_mode", "test_mode", "true brings in sales in test mode."},
	{"format", "", "How the report is written. Default json."},
	{"locale", "", "Whose way of writing figures and dates, a BCP 47 tag such as de-AT. Default en."},
}

// read makes out what is asked for, and limits it to what the caller may see.
func (s *Server) read(r *http.Request, who *apikey.Identity) (request, error) {
	asked := request{name: r.PathValue("name")}
	if !slices.Contains(reports.Names(), asked.name) {
		return asked, problem.New(problem.ReportUnknown, "There is no report %q; there are: %s.", asked.name, strings.Join(reports.Names(), ", "))
	}
	get, err := values(r)
	if err != nil {
		return asked, err
	}
	format := get["format"]
	if format == "" {
		format = "json"
	}
	var ok bool
	if asked.format, ok = render.Find(format); !ok {
		return asked, invalid("format", problem.Unknown, "must be one of %s", strings.Join(render.Names(), ", "))
	}
	if asked.params, err = s.params(get); err != nil {
		return asked, err
	}
	asked.params.Organiser, err = organiser(get["organiser"], who)
	return asked, err
}

// values reads the query string. A parameter that is misspelt or given twice
// would silently mean something else.
func values(r *http.Request) (map[string]string, error) {
	query := r.URL.Query()
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.ContainsFunc(parameters, func(p parameter) bool { return p.name == name }) {
			return nil, invalid(name, problem.Unknown, "is not known here; GET /v1/reports lists the parameters")
		}
		if len(query[name]) > 1 {
			return nil, invalid(name, problem.Duplicate, "is given %d times; give it once", len(query[name]))
		}
		out[name] = query.Get(name)
	}
	return out, nil
}

func (s *Server) params(get map[string]string) (reports.Params, error) {
	var testMode bool
	switch get["test_mode"] {
	case "", "false":
	case "true":
		testMode = true
	default:
		return reports.Params{}, invalid("test_mode", problem.BadFormat, "must be true or false")
	}
	p, err := reports.ParseParams(reports.Asked{
		From: get["from"], To: get["to"], Period: get["period"], Zone: get["tz"], Event: get["event"],
		Currency: get["currency"], Basis: get["basis"], Locale: get["locale"], TestMode: testMode,
	}, s.cfg.Clock())
	if err != nil {
		return p, problem.New(problem.InvalidParameter, "%s.", err)
	}
	return p, nil
}

// organiser is whose figures the caller gets: its own, unless it may see all.
func organiser(asked string, who *apikey.Identity) (string, error) {
	if who.Has(apikey.Admin) {
		return asked, nil
	}
	if asked != "" && !who.Sees(asked) {
		return "", problem.New(problem.ScopeMissing, "The key %q sees the reports of its organiser %s only; others need the scope %s.",
			who.Name, who.Organiser, apikey.Admin)
	}
	return who.Organiser, nil
}

func invalid(field, code, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	p := problem.New(problem.InvalidParameter, "%s: %s.", field, message)
	p.Violations = []problem.Violation{{Field: field, Code: code, Message: message}}
	return p
}
