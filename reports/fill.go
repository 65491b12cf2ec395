package reports

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// fill runs a section's query and makes a row of each of its rows. A column takes
// the field of its name, with the suffix of its unit if it has one: gross takes
// gross_minor. The field currency is the row's currency. What the query has and
// the section does not is left out.
func fill(ctx context.Context, db *sql.DB, s *statement.Section, values map[string]string) (err error) {
	rows, err := queries.Run(ctx, db, s.Query, only(s.Query, values))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var into *scanner
	for rows.Next() {
		if into == nil { // a server says which fields there are with the first row only
			fields, err := rows.Columns()
			if err != nil {
				return fmt.Errorf("query %s: %w", s.Query, err)
			}
			if into, err = newScanner(s, fields); err != nil {
				return err
			}
		}
		currency, cells, err := into.scan(rows)
		if err != nil {
			return fmt.Errorf("query %s: %w", s.Query, err)
		}
		if err := s.Add(currency, cells...); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("query %s: %w", s.Query, err)
	}
	return s.Total()
}

// only keeps the values that a query has parameters for.
func only(query string, values map[string]string) map[string]string {
	q, err := queries.Get(query)
	if err != nil {
		return values // Run says it
	}
	out := map[string]string{}
	for name := range q.Params {
		if v, ok := values[name]; ok {
			out[name] = v
		}
	}
	return out
}

// scanner reads the rows of a query as cells of a section.
type scanner struct {
	section *statement.Section
	// fields are the places of the columns' fields; -1 where a column follows from
	// others. currency is the place of the field of that name, or -1.
	fields   []int
	currency int
	all      int
}

func newScanner(s *statement.Section, names []string) (*scanner, error) {
	sc := &scanner{section: s, all: len(names), currency: slices.Index(names, statement.CurrencyColumn)}
	for _, c := range s.Columns {
		place := slices.Index(names, c.Field())
		if place < 0 {
			place = slices.Index(names, c.Name)
		}
		if place < 0 && c.Part == "" && !c.Derived {
			return nil, fmt.Errorf("query %s has no field %s for the section %s; it has %s", s.Query, c.Field(), s.Name, strings.Join(names, ", "))
		}
		sc.fields = append(sc.fields, place)
	}
	return sc, nil
}

func (sc *scanner) scan(rows *sql.Rows) (currency string, cells []any, err error) {
	targets := make([]any, sc.all)
	for i := range targets {
		targets[i] = new(any)
	}
	unit := &sql.NullString{}
	if sc.currency >= 0 {
		targets[sc.currency] = unit
	}
	for i, c := range sc.section.Columns {
		if place := sc.fields[i]; place >= 0 && place != sc.currency {
			targets[place] = target(c.Kind)
		}
	}
	if err := rows.Scan(targets...); err != nil {
		return "", nil, err
	}
	cells = make([]any, len(sc.fields))
	for i, c := range sc.section.Columns {
		if place := sc.fields[i]; place >= 0 {
			cells[i] = value(c.Kind, targets[place])
		}
	}
	return unit.String, cells, nil
}

// target is what a field is read into. A field may be NULL.
func target(kind statement.Kind) any {
	switch kind {
	case statement.Text:
		return &sql.NullString{}
	case statement.Day, statement.Time:
		return &moment{}
	default:
		return &sql.NullInt64{}
	}
}

func value(kind statement.Kind, scanned any) any {
	switch v := scanned.(type) {
	case *sql.NullString:
		if v.Valid {
			return v.String
		}
	case *moment:
		if !v.at.IsZero() {
			return v.at
		}
	case *sql.NullInt64:
		switch {
		case v.Valid && kind == statement.Duration:
			return time.Duration(v.Int64) * time.Millisecond
		case v.Valid:
			return v.Int64
		}
	}
	return nil
}

// moment reads days and times. The tables write 1970 where there is no time.
type moment struct{ at time.Time }

// Scan implements sql.Scanner.
func (m *moment) Scan(src any) error {
	var err error
	switch v := src.(type) {
	case nil:
	case time.Time:
		m.at = v
	case string:
		m.at, err = time.Parse(time.DateOnly, v)
	default:
		err = fmt.Errorf("a %T is neither a day nor a time", src)
	}
	if m.at.Unix() == 0 {
		m.at = time.Time{}
	}
	return err
}
