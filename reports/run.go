package reports

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/reports/render"
	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// Run makes a report and writes it in a format. Nothing is written when there is
// an error; mistakes of the caller are *UsageError.
func Run(ctx context.Context, db *sql.DB, name string, params Params, format string, w io.Writer) error {
	f, ok := render.Find(format)
	if !ok {
		return usage("there is no format %q; there are: %s", format, strings.Join(render.Names(), ", "))
	}
	r, err := Make(ctx, db, name, params)
	if err != nil {
		return err
	}
	return f.Write(w, r)
}

// Make makes a report, to be written in as many formats as one likes. Mistakes of
// the caller are *UsageError.
func Make(ctx context.Context, db *sql.DB, name string, params Params) (*statement.Report, error) {
	d, values, err := resolve(name, params)
	if err != nil {
		return nil, err
	}
	r := d.empty()
	r.From, r.To, r.Zone, r.Locale = params.From, params.To, params.zone(), params.Locale
	has := d.parameters()
	if err := checkEvent(ctx, db, params); err != nil {
		return nil, err
	}
	r.NoPeriod = !has["from"] && !has["to"]
	r.Conditions, r.Parameters = params.conditions(has), values
	// Asked first: what is loaded while the report is made may be in its figures,
	// but everything up to this moment is.
	if r.AsOf, err = AsOf(ctx, db); err != nil {
		return nil, err
	}
	r.ID = Identity(name, r.Parameters, r.AsOf)
	for _, s := range r.Sections {
		if s.Query == "" {
			continue // conclude derives it from the others
		}
		if err := fill(ctx, db, s, r.Parameters); err != nil {
			return nil, fmt.Errorf("report %s: %w", name, err)
		}
	}
	if d.conclude != nil {
		if err := d.conclude(r); err != nil {
			return nil, fmt.Errorf("report %s: %w", name, err)
		}
	}
	return r, r.Check()
}

// Identity is made of what a report says: its parameters, and up to when.
func Identity(name string, parameters map[string]string, asOf time.Time) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "boxoffice report %s %v %d", name, parameters, asOf.UnixMilli()))
}

// AsOf is up to when the database is loaded: the time of the newest record; 1970
// when there is none.
func AsOf(ctx context.Context, db *sql.DB) (at time.Time, err error) {
	err = single(ctx, db, queries.AsOf, nil, &at)
	return at, err
}

// checkEvent says that the event that is asked for is not known: a report of it is
// empty, which could be taken for one without sales. Who may see one organiser only
// is not told that another has such an event.
func checkEvent(ctx context.Context, db *sql.DB, params Params) error {
	if params.Event == "" {
		return nil
	}
	values := params.values()
	values = map[string]string{"event": values["event"], "organiser": values["organiser"]}
	var known bool
	if err := single(ctx, db, queries.EventKnown, values, &known); err != nil {
		return err
	}
	if known {
		return nil
	}
	of := ""
	if params.Organiser != "" {
		of = " of " + params.Organiser
	}
	return &UsageError{UnknownEvent: true, message: fmt.Sprintf(
		"there is no event %s%s: the report event-performance lists the events, with their ids in the formats csv and json", params.Event, of)}
}

// single reads the one value of a query's one row.
func single(ctx context.Context, db *sql.DB, query string, values map[string]string, into any) (err error) {
	rows, err := queries.Run(ctx, db, query, values)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(into); err != nil {
			return fmt.Errorf("query %s: %w", query, err)
		}
	}
	return rows.Err()
}
