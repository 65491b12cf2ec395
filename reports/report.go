package reports

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// kind says what a column holds.
type kind uint8

const (
	text kind = iota + 1
	money
	count
)

// column is one column of a report.
type column struct {
	// name is the field in CSV and JSON, heading the one for people.
	name, heading string
	kind          kind
}

// row is one row: texts and numbers lie at their columns' places, money in minor
// units of the row's currency.
type row struct {
	currency string
	texts    []string
	numbers  []int64
}

// report is a statement that is ready to be written.
type report struct {
	name, title string
	// id is made of name, parameters and asOf.
	id      uuid.UUID
	params  Params
	asOf    time.Time
	columns []column
	rows    []row
	// totals are one row a currency.
	totals []row
	// notes say what the figures mean.
	notes string
}

// catalogue has the reports by name. build fills columns, rows and totals.
var catalogue = map[string]struct {
	title string
	build func(ctx context.Context, db *sql.DB, r *report) error
}{
	"revenue": {title: "Revenue by event and currency", build: revenue},
}

var formats = map[string]func(io.Writer, *report) error{
	"table": writeTable,
	"csv":   writeCSV,
	"json":  writeJSON,
}

// Names lists the reports.
func Names() []string { return slices.Sorted(maps.Keys(catalogue)) }

// Formats lists the output formats.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// Run makes a report and writes it in a format. Nothing is written when there is
// an error; mistakes of the caller are *UsageError.
func Run(ctx context.Context, db *sql.DB, name string, params Params, format string, w io.Writer) error {
	entry, ok := catalogue[name]
	if !ok {
		return usage("there is no report %q; there are: %s", name, strings.Join(Names(), ", "))
	}
	write, ok := formats[format]
	if !ok {
		return usage("there is no format %q; there are: %s", format, strings.Join(Formats(), ", "))
	}
	if err := params.check(); err != nil {
		return err
	}
	r := &report{name: name, title: entry.title, params: params}
	var err error
	// Asked first: what is loaded while the report is made may be in its figures,
	// but everything up to this moment is.
	if r.asOf, err = asOf(ctx, db); err != nil {
		return err
	}
	if err := entry.build(ctx, db, r); err != nil {
		return fmt.Errorf("report %s: %w", name, err)
	}
	r.id = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "boxoffice report %s %v %d", name, params.values(), r.asOf.UnixMilli()))
	return write(w, r)
}

// asOf is the time of the newest record that was loaded; 1970 when none was.
func asOf(ctx context.Context, db *sql.DB) (at time.Time, err error) {
	rows, err := queries.Run(ctx, db, queries.AsOf, nil)
	if err != nil {
		return at, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(&at); err != nil {
			return at, fmt.Errorf("reading as of when: %w", err)
		}
	}
	return at, rows.Err()
}

// total sums the rows by currency, in the order of currencies.
func (r *report) total() {
	sums := map[string][]int64{}
	for _, row := range r.rows {
		if sums[row.currency] == nil {
			sums[row.currency] = make([]int64, len(r.columns))
		}
		for i, n := range row.numbers {
			sums[row.currency][i] += n
		}
	}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		total := row{currency: currency, texts: make([]string, len(r.columns)), numbers: sums[currency]}
		for i, c := range r.columns {
			if c.name == "currency" {
				total.texts[i] = currency
			}
		}
		total.texts[0] = "Total"
		r.totals = append(r.totals, total)
	}
}
