package rebuild

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// Comparison is what one table of ClickHouse shows, beside what the log makes of
// it. Rows are those at read.
type Comparison struct {
	Table    string `json:"table"`
	LiveRows int64  `json:"live_rows"`
	// RebuiltRows are those of the fresh table.
	RebuiltRows int64 `json:"rebuilt_rows"`
	Missing     int64 `json:"missing"`
	Wrong       int64 `json:"wrong"`
	Surplus     int64 `json:"surplus"`
	// Newer rows changed while this was computed and were not compared.
	Newer int64 `json:"newer"`
	// Sums are those over the rows that were compared.
	Sums []Sum `json:"sums"`
	// First are the first rows that differ.
	First []Difference `json:"first,omitempty"`
}

// Sum is a column's sum in the live and in the fresh table.
type Sum struct {
	Column  string `json:"column"`
	Live    int64  `json:"live"`
	Rebuilt int64  `json:"rebuilt"`
}

// shape says what identifies a table's rows and which sums tell something.
type shape struct {
	table string
	key   []string
	// free columns say which of several records with one version it was, which
	// depends on how the loader's batches fell.
	free []string
	sums []string
	// since is the moment from which on both tables have all rows.
	since time.Time
}

var sourceColumns = []string{"topic", "partition", "offset"}

var shapes = map[string]shape{
	"catalog_events": {key: []string{"event_id"}, free: sourceColumns, sums: []string{"version"}},
	"seat_blocks": {
		key: []string{"event_id", "ticket_type", "block"}, free: append([]string{"changed_at"}, sourceColumns...),
		sums: []string{"version", "held", "sold", "free", "withdrawn"},
	},
	"movements": {
		key: []string{"event_id", "movement_id", "line"}, free: sourceColumns,
		sums: []string{"amount_minor", "discount_minor", "tax_minor", "fee_minor"},
	},
	"payments": {
		key: []string{"event_id", "payment_id"}, free: sourceColumns,
		sums: []string{"version", "captured_minor", "refunded_minor", "fee_minor"},
	},
	"registrations": {
		key: []string{"event_id", "registration_id"}, free: sourceColumns,
		sums: []string{"version", "total_minor"},
	},
	"events": {key: sourceColumns, sums: []string{"version"}},
}

// compare compares each live table with the fresh one.
func (d *database) compare(ctx context.Context) ([]Comparison, error) {
	var all []Comparison
	for _, name := range clickhouse.Tables() {
		s, ok := shapes[name]
		if !ok {
			return nil, fmt.Errorf("table %s: nothing says how it is compared", name)
		}
		s.table = name
		if name == "events" {
			s.since = d.audited
		}
		c, err := d.compareTable(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("comparing table %s: %w", name, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func (d *database) compareTable(ctx context.Context, s shape) (Comparison, error) {
	c := Comparison{Table: s.table}
	columns, err := d.strings(ctx, "SELECT name FROM system.columns WHERE database = ? AND table = ? ORDER BY position", d.fresh, s.table)
	if err != nil {
		return c, err
	}
	columns = slices.DeleteFunc(columns, func(name string) bool { return slices.Contains(s.free, name) })
	differ, err := d.sift(ctx, s, columns, &c)
	if err != nil || len(differ) == 0 {
		return c, err
	}
	pairs := d.pairs(s, columns, differ)
	if err := d.count(ctx, s, pairs, &c); err != nil {
		return c, err
	}
	if c.Missing+c.Wrong+c.Surplus > 0 {
		c.First, err = d.first(ctx, s, columns, pairs)
	}
	return c, err
}

// rows selects the rows of a live or fresh table, with a check sum and the bucket
// that they are in; those of some buckets only, unless there are none.
//
// The loader had committed everything below d.compared before this is asked, so
// a fresh row from there must be in the live table. A live row from above
// d.loaded is newer than all that the fresh tables have. What lies between is
// "newer" and cannot be judged.
func (d *database) rows(s shape, columns []string, rebuilt bool, buckets []string) string {
	database, side, newerFrom := d.o.Database, 0, d.loaded
	if rebuilt {
		database, side, newerFrom = d.fresh, 1, d.compared
	}
	named := make([]string, 0, len(s.key)+len(s.sums))
	for i, column := range s.key {
		named = append(named, fmt.Sprintf("%s AS k%d", quoted(column), i))
	}
	for i, column := range s.sums {
		named = append(named, fmt.Sprintf("toInt64(%s) AS s%d", quoted(column), i))
	}
	where := " WHERE true"
	if !s.since.IsZero() {
		where += fmt.Sprintf(" AND time >= fromUnixTimestamp64Milli(%d)", s.since.UnixMilli())
	}
	if len(buckets) > 0 {
		where += " AND bucket IN (" + strings.Join(buckets, ", ") + ")"
	}
	return fmt.Sprintf("SELECT %d AS rebuilt, cityHash64(%s) %% %d AS bucket, %s, version AS v, cityHash64(%s) AS hash, offset >= %s AS newer FROM %s FINAL%s",
		side, list(s.key), bucketsMax, strings.Join(named, ", "), list(columns), limits(newerFrom), quoted(database, s.table), where)
}

// bucketsMax is how many buckets the keys of a table are spread over.
const bucketsMax = 1024

// sift adds up the buckets in which both tables agree and returns the others, whose
// keys have to be looked at one by one: most of a large table need not be grouped
// by key. A bucket with newer rows on both sides is never taken for one that
// agrees.
func (d *database) sift(ctx context.Context, s shape, columns []string, c *Comparison) (differ []string, err error) {
	var sums strings.Builder
	for i := range s.sums {
		fmt.Fprintf(&sums, ", sumIf(s%d, rebuilt = 0 AND NOT newer), sumIf(s%d, rebuilt = 1 AND NOT newer)", i, i)
	}
	rows, err := d.db.QueryContext(ctx, fmt.Sprintf(`SELECT toString(bucket), toInt64(countIf(rebuilt = 0)) AS live, toInt64(countIf(rebuilt = 1)) AS fresh,
toInt64(countIf(rebuilt = 0 AND newer)) AS live_newer, toInt64(countIf(rebuilt = 1 AND newer)) AS fresh_newer,
least(live_newer, fresh_newer) = 0 AND live - live_newer = fresh - fresh_newer
AND sumIf(hash, rebuilt = 0 AND NOT newer) = sumIf(hash, rebuilt = 1 AND NOT newer) AS agrees%s
FROM (%s UNION ALL %s) GROUP BY bucket`, sums.String(), d.rows(s, columns, false, nil), d.rows(s, columns, true, nil)))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for _, column := range s.sums {
		c.Sums = append(c.Sums, Sum{Column: column})
	}
	for rows.Next() {
		var bucket string
		var live, fresh, liveNewer, freshNewer int64
		var agrees bool
		figures := make([]int64, 2*len(s.sums))
		if err := rows.Scan(targets(figures, &bucket, &live, &fresh, &liveNewer, &freshNewer, &agrees)...); err != nil {
			return nil, err
		}
		if !agrees {
			differ = append(differ, bucket)
			continue
		}
		c.LiveRows, c.RebuiltRows, c.Newer = c.LiveRows+live, c.RebuiltRows+fresh, c.Newer+liveNewer+freshNewer
		c.add(figures)
	}
	return differ, rows.Err()
}

// targets are what a row with figures at its end is read into.
func targets(figures []int64, before ...any) []any {
	for i := range figures {
		before = append(before, &figures[i])
	}
	return before
}

// add adds the sums of live and rebuilt, column by column.
func (c *Comparison) add(figures []int64) {
	for i := range c.Sums {
		c.Sums[i].Live += figures[2*i]
		c.Sums[i].Rebuilt += figures[2*i+1]
	}
}

// pairs selects each key of some buckets once, with what both of its rows come to
// and what is to be said of them.
func (d *database) pairs(s shape, columns, buckets []string) string {
	var sums strings.Builder
	for i := range s.sums {
		fmt.Fprintf(&sums, ", sumIf(s%d, rebuilt = 0) AS l%d, sumIf(s%d, rebuilt = 1) AS r%d", i, i, i, i)
	}
	keys := make([]string, len(s.key))
	for i := range s.key {
		keys[i] = fmt.Sprintf("k%d", i)
	}
	of := func(what string, side int) string { return fmt.Sprintf("maxIf(%s, rebuilt = %d)", what, side) }
	return fmt.Sprintf(`SELECT %[1]s, countIf(rebuilt = 0) AS live, countIf(rebuilt = 1) AS fresh%[2]s,
multiIf(fresh = 0, if(%[3]s, 'newer', 'surplus'), live = 0, if(%[4]s, 'newer', 'missing'),
%[5]s > %[6]s, if(%[3]s, 'newer', 'wrong'), %[5]s < %[6]s, if(%[4]s, 'newer', 'wrong'),
%[7]s = %[8]s, 'same', 'wrong') AS state
FROM (%[9]s UNION ALL %[10]s) GROUP BY %[1]s`,
		strings.Join(keys, ", "), sums.String(), of("newer", 0), of("newer", 1), of("v", 0), of("v", 1), of("hash", 0), of("hash", 1),
		d.rows(s, columns, false, buckets), d.rows(s, columns, true, buckets))
}

// limits is the offset of a row's partition as an expression. A row that names a
// partition which does not exist is never newer.
func limits(offsets topicreader.Offsets) string {
	var names, values []string
	for topic, partitions := range offsets {
		for id, offset := range partitions {
			names = append(names, fmt.Sprintf("'%s/%d'", topic, id))
			values = append(values, fmt.Sprintf("toInt64(%d)", offset))
		}
	}
	return fmt.Sprintf("transform(concat(toString(topic), '/', toString(partition)), [%s], [%s], toInt64(%d))",
		strings.Join(names, ", "), strings.Join(values, ", "), math.MaxInt64)
}

func list(columns []string) string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = quoted(c)
	}
	return strings.Join(all, ", ")
}

// count adds the figures of the pairs.
func (d *database) count(ctx context.Context, s shape, pairs string, c *Comparison) (err error) {
	var sums strings.Builder
	for i := range s.sums {
		fmt.Fprintf(&sums, ", sum(l%d), sum(r%d)", i, i)
	}
	rows, err := d.db.QueryContext(ctx, "SELECT state, toInt64(count()), toInt64(sum(live)), toInt64(sum(fresh))"+sums.String()+" FROM ("+pairs+") GROUP BY state")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var state string
		var n, live, fresh int64
		figures := make([]int64, 2*len(s.sums))
		if err := rows.Scan(targets(figures, &state, &n, &live, &fresh)...); err != nil {
			return err
		}
		c.LiveRows, c.RebuiltRows = c.LiveRows+live, c.RebuiltRows+fresh
		switch state {
		case "missing":
			c.Missing = n
		case "wrong":
			c.Wrong = n
		case "surplus":
			c.Surplus = n
		case "newer":
			c.Newer += n
			continue
		}
		c.add(figures)
	}
	return rows.Err()
}

// first describes the first rows that differ.
func (d *database) first(ctx context.Context, s shape, columns []string, pairs string) (all []Difference, err error) {
	keys := make([]string, len(s.key))
	for i := range s.key {
		keys[i] = fmt.Sprintf("toString(k%d)", i)
	}
	rows, err := d.db.QueryContext(ctx, fmt.Sprintf("SELECT [%s] AS key, state FROM (%s) WHERE state NOT IN ('same', 'newer') ORDER BY key LIMIT %d",
		strings.Join(keys, ", "), pairs, differencesMax))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var key []string
		var state string
		if err := rows.Scan(&key, &state); err != nil {
			return nil, err
		}
		f := Difference{Key: strings.Join(key, "/"), What: "is " + state}
		if state == "wrong" {
			if f.Fields, err = d.fields(ctx, s, key, columns); err != nil {
				return nil, err
			}
		}
		all = append(all, f)
	}
	return all, rows.Err()
}

// fields lists the columns in which the rows of a key differ, with both values.
func (d *database) fields(ctx context.Context, s shape, key, columns []string) ([]string, error) {
	texts, where, args := make([]string, len(columns)), make([]string, len(key)), make([]any, len(key))
	for i, c := range columns {
		texts[i] = "toString(" + quoted(c) + ")"
	}
	for i, column := range s.key {
		where[i], args[i] = quoted(column)+" = ?", key[i]
	}
	read := func(database string) (values []string, err error) {
		err = d.db.QueryRowContext(ctx, fmt.Sprintf("SELECT [%s] FROM %s FINAL WHERE %s",
			strings.Join(texts, ", "), quoted(database, s.table), strings.Join(where, " AND ")), args...).Scan(&values)
		return values, err
	}
	live, err := read(d.o.Database)
	if err != nil {
		return nil, err
	}
	rebuilt, err := read(d.fresh)
	if err != nil {
		return nil, err
	}
	var all []string
	for i, c := range columns {
		if live[i] != rebuilt[i] {
			all = append(all, fmt.Sprintf("%s: %.*s, rebuilt %.*s", c, valueMax, live[i], valueMax, rebuilt[i]))
		}
	}
	return all, nil
}
