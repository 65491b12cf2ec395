package clickhouse

import (
	"fmt"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// column is one column of a table that is being filled.
type column interface {
	appendTo(driver.BatchColumn) error
	rows() int
	reset()
}

// plain is a column with one value a row.
type plain[T any] struct{ values []T }

func (c *plain[T]) add(v T)   { c.values = append(c.values, v) }
func (c *plain[T]) rows() int { return len(c.values) }
func (c *plain[T]) reset() {
	clear(c.values) // lets go of strings
	c.values = c.values[:0]
}
func (c *plain[T]) appendTo(to driver.BatchColumn) error { return to.Append(c.values) }

// list is an array column. The items of all rows lie in one slice; ends[i] is
// where row i ends.
type list[T any] struct {
	items []T
	ends  []int
}

func (c *list[T]) add(v T)   { c.items = append(c.items, v) }
func (c *list[T]) end()      { c.ends = append(c.ends, len(c.items)) }
func (c *list[T]) rows() int { return len(c.ends) }
func (c *list[T]) reset() {
	clear(c.items)
	c.items, c.ends = c.items[:0], c.ends[:0]
}

func (c *list[T]) appendTo(to driver.BatchColumn) error {
	start := 0
	for _, end := range c.ends {
		if err := to.AppendRow(c.items[start:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}

// table is a table's name and the columns that are sent to it, in order.
type table struct {
	name    string
	wire    []ch.ColumnNameAndType
	columns []column
}

// field adds a plain column. wire is the type that is sent: where the table has
// LowCardinality(String), a String is sent and the server makes the dictionary,
// which costs it less than a map look-up a value costs us.
func field[T any](t *table, name, wire string) *plain[T] {
	c := &plain[T]{}
	t.attach(name, wire, c)
	return c
}

// nested adds an array column of a Nested group.
func nested[T any](t *table, name, wire string) *list[T] {
	c := &list[T]{}
	t.attach(name, "Array("+wire+")", c)
	return c
}

func (t *table) attach(name, wire string, c column) {
	t.wire = append(t.wire, ch.ColumnNameAndType{Name: name, Type: wire})
	t.columns = append(t.columns, c)
}

func (t *table) rows() int { return t.columns[0].rows() }

func (t *table) reset() {
	for _, c := range t.columns {
		c.reset()
	}
}

// insert is the table's insert statement.
func (t *table) insert() string {
	names := make([]string, len(t.wire))
	for i, w := range t.wire {
		names[i] = "`" + w.Name + "`"
	}
	return fmt.Sprintf("INSERT INTO %s (%s)", t.name, strings.Join(names, ", "))
}

// source is where a row's record lies in the log; every table has it.
type source struct {
	topic     *plain[string]
	partition *plain[int32]
	offset    *plain[int64]
}

func sourceColumns(t *table) source {
	return source{
		topic:     field[string](t, "topic", "String"),
		partition: field[int32](t, "partition", "Int32"),
		offset:    field[int64](t, "offset", "Int64"),
	}
}

func (s source) add(at position) {
	s.topic.add(at.topic)
	s.partition.add(at.partition)
	s.offset.add(at.offset)
}

// position is a record's place in the log.
type position struct {
	topic     string
	partition int32
	offset    int64
}

const (
	wireTime = "DateTime64(3, 'UTC')"
	wireUUID = "UUID"
)

// latest is the last moment that DateTime64(3) and the client both hold.
var latest = time.Date(2261, 12, 31, 23, 59, 59, 0, time.UTC).UnixMilli()

// instant clamps a time in milliseconds to what the column can hold, so that a
// senseless one spoils its own row and not the insert that it is part of.
func instant(unixMs int64) int64 { return min(max(unixMs, 0), latest) }
