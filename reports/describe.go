package reports

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/language"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/reports/render"
	"github.com/eventpro/boxoffice/reports/statement"
)

// Description is what there is to know of a report before it is made.
type Description struct {
	Name, Title, About string
	// Parameters are those of its queries, in the order of their names.
	Parameters []string
}

// Describe lists the reports.
func Describe() []Description {
	out := make([]Description, 0, len(catalogue))
	for _, name := range Names() {
		d := catalogue[name]
		out = append(out, Description{
			Name: name, Title: d.title, About: d.about, Parameters: slices.Sorted(maps.Keys(d.parameters())),
		})
	}
	return out
}

// Identify is the id that a report would have if it were made now. It asks the
// database one small question. Mistakes of the caller are *UsageError.
func Identify(ctx context.Context, db *sql.DB, name string, params Params) (uuid.UUID, error) {
	_, values, err := resolve(name, params)
	if err != nil {
		return uuid.Nil, err
	}
	at, err := AsOf(ctx, db)
	if err != nil {
		return uuid.Nil, err
	}
	return Identity(name, values, at), nil
}

// resolve finds a report's definition, and the values of the parameters that it
// has.
func resolve(name string, params Params) (definition, map[string]string, error) {
	d, ok := catalogue[name]
	if !ok {
		return d, nil, usage("there is no report %q; there are: %s", name, strings.Join(Names(), ", "))
	}
	if err := params.check(); err != nil {
		return d, nil, err
	}
	has := d.parameters()
	if err := params.fits(name, has); err != nil {
		return d, nil, err
	}
	values := params.values()
	maps.DeleteFunc(values, func(parameter, _ string) bool { return !has[parameter] })
	return d, values, nil
}

// FileName names a report's file by report, period, locale, the moment that it is
// as of and its id, so that two with other parameters never have one name.
func FileName(r *statement.Report, f render.Format) string {
	parts := []string{r.Name}
	bound := func(t time.Time) string {
		t = t.In(r.Zone)
		if figures.IsMidnight(t) {
			return t.Format(time.DateOnly)
		}
		return t.Format("2006-01-02T150405")
	}
	if !r.From.IsZero() {
		parts = append(parts, "from", bound(r.From))
	}
	if !r.To.IsZero() {
		parts = append(parts, "before", bound(r.To))
	}
	if !r.Locale.IsRoot() && r.Locale != language.English {
		parts = append(parts, r.Locale.String())
	}
	parts = append(parts, "as-of", r.AsOf.UTC().Format("2006-01-02T150405Z"), r.ID.String()[:8])
	return strings.Join(parts, "_") + f.Extension
}

// Check says whether a report can be made with these parameters, without making
// it. Errors are *UsageError.
func Check(name string, params Params) error {
	_, _, err := resolve(name, params)
	return err
}
