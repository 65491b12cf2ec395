package clickhouse_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// Each type that clickhouse-go knows reaches it unharmed, in several blocks, in the empty case too, next to other columns: a column whose
// length is misjudged would shift all that follows.
func TestEveryTypeReachesTheClient(t *testing.T) {
	t.Parallel()
	expressions := map[string]string{
		"UInt8": "number % 256", "UInt16": "number % 65536", "UInt32": "number", "UInt64": "number", "UInt128": "number", "UInt256": "number",
		"Int8": "number % 100", "Int16": "number % 30000", "Int32": "-number", "Int64": "-number", "Int128": "-number", "Int256": "-number",
		"Float32": "number / 7", "Float64": "number / 7", "Bool": "number % 2", "String": "repeat('x', number % 300)", "FixedString(8)": "leftPad(toString(number), 8, '0')",
		"UUID": "generateUUIDv7(number)", "Date": "toDate('2026-01-01') + number % 1000", "Date32": "toDate('2026-01-01') + number % 1000",
		"DateTime": "toDateTime(number)", "DateTime('Asia/Tokyo')": "toDateTime(number)", "DateTime64(6, 'UTC')": "toDateTime64(number, 6)",
		"Decimal(9, 2)": "number / 10", "Decimal(18, 4)": "number / 10", "Decimal(38, 10)": "number / 10", "Decimal(76, 20)": "number / 10",
		"Enum8('a' = 1, 'b' = 2)": "if(number % 2 = 0, 'a', 'b')", "Enum16('a' = 1000, 'b' = 2000)": "if(number % 2 = 0, 'a', 'b')",
		"IPv4": "toIPv4(toUInt32(number))", "IPv6": "toIPv6(IPv4NumToString(toUInt32(number)))",
		"LowCardinality(String)": "toString(number % 700)", "LowCardinality(Nullable(String))": "if(number % 3 = 0, NULL, toString(number % 700))",
		"Nullable(UInt32)": "if(number % 3 = 0, NULL, number)", "Nullable(String)": "if(number % 3 = 0, NULL, toString(number))",
		"Array(UInt16)": "range(number % 5)", "Array(Array(LowCardinality(String)))": "[[toString(number)], [], ['a', 'b']]", "Array(Nullable(String))": "[NULL, toString(number)]",
		"Map(String, UInt64)": "map('a', number)", "Map(LowCardinality(String), Array(Int8))": "map(toString(number % 5), [1, 2])",
		"Tuple(a UInt8, b String)": "(number % 256, toString(number))", "Tuple(String, Nullable(Decimal(18, 2)))": "(toString(number), if(number % 2 = 0, NULL, number))",
		"Point": "(number, number)", "SimpleAggregateFunction(sum, UInt64)": "number",
		"IntervalDay": "toIntervalDay(number)", "Variant(String, UInt64)": "if(number % 2 = 0, NULL, number)", "Dynamic": "if(number % 2 = 0, NULL, number)",
		"JSON": "concat('{\"a\":', toString(number), '}')",
	}
	for name, expression := range expressions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, rows := range []int{0, 1, 150_000} {
				checkType(t, name, expression, rows)
			}
		})
	}
}

// checkType compares the text of a column, written by the engine, with the column's place between two others as the client decoded it.
func checkType(t *testing.T, name, expression string, rows int) {
	t.Helper()
	query := fmt.Sprintf("SELECT number AS before, CAST(%s AS %s) AS v, concat('after', toString(number)) AS after FROM numbers(%d)", expression, name, rows)
	conn := connect(t, func(o *ch.Options) { o.Compression = &ch.Compression{Method: ch.CompressionLZ4} })
	result, err := conn.Query(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	n := 0
	for ; result.Next(); n++ {
		if n%1000 != 0 && n != rows-1 {
			continue
		}
		values := result.ColumnTypes()
		before, after := new(uint64), new(string)
		var v any
		if v = newOf(values[1].ScanType()); v == nil {
			t.Fatalf("no scan type for %s", name)
		}
		if err := result.Scan(before, v, after); err != nil {
			t.Fatalf("row %d: %v", n, err)
		}
		if *before != uint64(n) || *after != fmt.Sprint("after", n) {
			t.Fatalf("row %d has the neighbours %d and %s", n, *before, *after)
		}
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	if n != rows {
		t.Fatalf("%d rows, not %d", n, rows)
	}
}

// A result that the client's protocol cannot carry is an error that says so, not a broken stream.
func TestTypeWithoutClientEncoding(t *testing.T) {
	t.Parallel()
	r := post(t, "SELECT sumState(number) FROM numbers(3)", "default_format", "Native", "client_protocol_version", "54460")
	if r.status != http.StatusNotImplemented || !strings.Contains(r.body, "AggregateFunction") {
		t.Fatalf("got %d %q", r.status, r.body)
	}
	if r := post(t, "SELECT sumState(number) FROM numbers(3)", "default_format", "Native"); r.status != http.StatusOK {
		t.Fatalf("revision 0 needs no rewriting: got %d %q", r.status, r.body)
	}
}

// newOf makes a pointer to a new value of the type, for scanning into.
func newOf(t reflect.Type) any {
	if t == nil {
		return nil
	}
	return reflect.New(t).Interface()
}
