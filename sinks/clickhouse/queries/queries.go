// Package queries is the catalogue of named queries on the analytics database.
// Reports, dashboards and the check of the books share them, so that a figure has
// one definition. Each reads through FINAL, hence is exact whatever was loaded how
// often (I8).
//
// A query is a file NAME.sql: a comment that says what its figures mean, then
// one statement with typed parameters, {from:DateTime64(3)}. What several have in
// common is a template in shared, so that it too has one definition.
package queries

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

//go:embed *.sql shared/*.sql
var files embed.FS

// Names of the queries.
const (
	Revenue              = "revenue"
	DailyRevenue         = "daily_revenue"
	EventPerformance     = "event_performance"
	TicketTypes          = "ticket_types"
	PaymentMethods       = "payment_methods"
	Channels             = "channels"
	Funnel               = "funnel"
	OpenItems            = "open_items"
	OpenItemsList        = "open_items_list"
	Payout               = "payout"
	AsOf                 = "as_of"
	EventKnown           = "event_known"
	MoneyByDay           = "money_by_day"
	MovementsByDay       = "movements_by_day"
	RegistrationVersions = "registration_versions"
	PaymentVersions      = "payment_versions"
	BlockVersions        = "block_versions"
	AuditTotals          = "audit_totals"
	Conservation         = "conservation"
	Settlement           = "settlement"
)

// All is what the parameters organiser, event and currency take to leave nothing
// out.
const All = "all"

// Query is one named query.
type Query struct {
	Name string
	// About says what the figures mean.
	About string
	// SQL is the statement.
	SQL string
	// Params are the statement's parameters, by name, with their ClickHouse types.
	Params map[string]string
}

var (
	param   = regexp.MustCompile(`\{([a-z_]+):([A-Za-z0-9()]+)\}`)
	shared  = template.Must(template.ParseFS(files, "shared/*.sql"))
	catalog = load()
)

// load reads the files; they are part of the binary, so a broken one is a
// programming error.
func load() map[string]Query {
	all := template.Must(template.Must(shared.Clone()).ParseFS(files, "*.sql"))
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err)
	}
	catalog := map[string]Query{}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		q := parse(strings.TrimSuffix(e.Name(), ".sql"), render(all, e.Name(), nil))
		catalog[q.Name] = q
	}
	return catalog
}

func render(from *template.Template, name string, data any) string {
	var text strings.Builder
	if err := from.ExecuteTemplate(&text, name, data); err != nil {
		panic(err)
	}
	return text.String()
}

func parse(name, text string) Query {
	var about []string
	for strings.HasPrefix(text, "--") {
		line, rest, _ := strings.Cut(text, "\n")
		about, text = append(about, strings.TrimSpace(strings.TrimPrefix(line, "--"))), rest
	}
	q := Query{Name: name, About: strings.Join(about, " "), SQL: strings.TrimSpace(text), Params: map[string]string{}}
	for _, m := range param.FindAllStringSubmatch(q.SQL, -1) {
		if other, ok := q.Params[m[1]]; ok && other != m[2] {
			panic(fmt.Sprintf("query %s: parameter %s is %s and %s", name, m[1], other, m[2]))
		}
		q.Params[m[1]] = m[2]
	}
	return q
}

// Names lists the queries.
func Names() []string { return slices.Sorted(maps.Keys(catalog)) }

// Get returns a query by its name.
func Get(name string) (Query, error) {
	q, ok := catalog[name]
	if !ok {
		return Query{}, fmt.Errorf("there is no query %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return q, nil
}

// Args makes the arguments of database/sql of the values. Every parameter must
// have one, and there must be no other.
func (q Query) Args(values map[string]string) ([]any, error) {
	args := make([]any, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(q.Params)) {
		value, ok := values[name]
		if !ok {
			return nil, fmt.Errorf("query %s: parameter %s has no value", q.Name, name)
		}
		args = append(args, ch.Named(name, value))
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, ok := q.Params[name]; !ok {
			return nil, fmt.Errorf("query %s has no parameter %s", q.Name, name)
		}
	}
	return args, nil
}

// Run runs a query by its name; values may be nil when it has no parameters. The
// caller closes the rows.
func Run(ctx context.Context, db *sql.DB, name string, values map[string]string) (*sql.Rows, error) {
	q, err := Get(name)
	if err != nil {
		return nil, err
	}
	args, err := q.Args(values)
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, q.SQL, args...)
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", name, err)
	}
	return rows, nil
}

// Time is a moment as a parameter of the type DateTime64(3).
func Time(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// Beginning and End bound a period that is open: what the database's times can
// hold.
var (
	Beginning = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	End       = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
)
