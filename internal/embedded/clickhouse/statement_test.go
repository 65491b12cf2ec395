package clickhouse

import (
	"testing"

	"pgregory.net/rapid"
)

// Statements are told apart by their words outside of comments, quotes and parentheses; rows begin at the right byte.
func TestParseStatement(t *testing.T) {
	t.Parallel()
	type insert struct{ head, format, rows string }
	cases := []struct {
		text   string
		first  string
		format string
		end    string // the text up to the statement's end
		extra  bool
		insert *insert
	}{
		{text: "", first: ""},
		{text: " -- nothing\n/* at all */ # really\n", first: "", end: " -- nothing\n/* at all */ # really\n"},
		{text: "select 1", first: "SELECT", end: "select 1"},
		{text: "SELECT 1 ; -- done", first: "SELECT", end: "SELECT 1 "},
		{text: "SELECT ';' AS `;`, \"a;b\" /* ; */ -- ;\n, $$;$$, $x$ ; $y$ ;$x$", first: "SELECT", end: "SELECT ';' AS `;`, \"a;b\" /* ; */ -- ;\n, $$;$$, $x$ ; $y$ ;$x$"},
		{text: "SELECT 'it''s \\' ;'; SELECT 2", first: "SELECT", end: "SELECT 'it''s \\' ;'", extra: true},
		{text: "SELECT 1 FORMAT JSON", first: "SELECT", format: "JSON", end: "SELECT 1 FORMAT JSON"},
		{text: "SELECT 1 format CSV settings max_threads = 1;", first: "SELECT", format: "CSV", end: "SELECT 1 format CSV settings max_threads = 1"},
		{text: "SELECT format FROM t", first: "SELECT", end: "SELECT format FROM t"},
		{text: "SELECT format('{}', x)", first: "SELECT", end: "SELECT format('{}', x)"},
		{text: "SELECT 'x FORMAT JSON'", first: "SELECT", end: "SELECT 'x FORMAT JSON'"},
		{text: "(SELECT 1 FORMAT JSON)", first: "(", end: "(SELECT 1 FORMAT JSON)"},
		{text: "INSERT INTO t VALUES (1, ';')", first: "INSERT", format: "Values", insert: &insert{"INSERT INTO t ", "Values", " (1, ';')"}},
		{text: "insert into t(a, b)values(1)", first: "INSERT", format: "Values", insert: &insert{"insert into t(a, b)", "Values", "(1)"}},
		{text: "INSERT INTO values VALUES (1)", first: "INSERT", format: "Values", insert: &insert{"INSERT INTO values ", "Values", " (1)"}},
		{text: "INSERT INTO format.select FORMAT CSV\n1", first: "INSERT", format: "CSV", insert: &insert{"INSERT INTO format.select ", "CSV", "1"}},
		{text: "INSERT INTO TABLE `a`.\"b\" FORMAT Native \r\n\r\nxy", first: "INSERT", format: "Native", insert: &insert{"INSERT INTO TABLE `a`.\"b\" ", "Native", "\r\nxy"}},
		{text: "INSERT INTO t FORMAT CSV 1,2", first: "INSERT", format: "CSV", insert: &insert{"INSERT INTO t ", "CSV", "1,2"}},
		{text: "INSERT INTO t (n) SETTINGS async_insert = 0 FORMAT CSV\n", first: "INSERT", format: "CSV", insert: &insert{"INSERT INTO t (n) SETTINGS async_insert = 0 ", "CSV", ""}},
		{text: "INSERT INTO FUNCTION null('values Int8') VALUES (1)", first: "INSERT", format: "Values", insert: &insert{"INSERT INTO FUNCTION null('values Int8') ", "Values", " (1)"}},
		{text: "INSERT INTO t", first: "INSERT", format: "Values", insert: &insert{"INSERT INTO t", "Values", ""}},
		{text: "INSERT INTO t SELECT 1;", first: "INSERT", end: "INSERT INTO t SELECT 1"},
		{text: "INSERT INTO t (a) WITH 1 AS x SELECT x FORMAT Null", first: "INSERT", format: "Null", end: "INSERT INTO t (a) WITH 1 AS x SELECT x FORMAT Null"},
		{text: "INSERT INTO t (SELECT 1)", first: "INSERT", end: "INSERT INTO t (SELECT 1)"},
		{text: "INSERT INTO t FROM INFILE 'x' FORMAT CSV", first: "INSERT", format: "CSV", end: "INSERT INTO t FROM INFILE 'x' FORMAT CSV"},
		{text: "CREATE TABLE t (a Int8) ENGINE = Memory SETTINGS x = 1", first: "CREATE", end: "CREATE TABLE t (a Int8) ENGINE = Memory SETTINGS x = 1"},
	}
	for _, c := range cases {
		s := parseStatement([]byte(c.text))
		if s.first != c.first || s.format != c.format || s.data != (c.insert != nil) {
			t.Errorf("%q: %+v", c.text, s)
			continue
		}
		if c.insert != nil {
			if got := (insert{c.text[:s.head], s.format, c.text[s.rows:]}); got != *c.insert {
				t.Errorf("%q: %+v, want %+v", c.text, got, *c.insert)
			}
		} else if c.text[:s.end] != c.end || s.extra != c.extra {
			t.Errorf("%q: ends after %q, extra %v", c.text, c.text[:s.end], s.extra)
		}
	}
}

// Whatever the bytes are, the positions lie in the text and in order, and nothing panics or runs for ever.
func TestParseStatementAnyText(t *testing.T) {
	t.Parallel()
	pieces := rapid.SampledFrom([]string{"INSERT", "INTO", "t", " ", "\n", "VALUES", "FORMAT", "SELECT", "(", ")", "[", "]", "'", "\"", "`", "\\", ";", "--", "/*", "*/", "$", "$a$", "#", "# ", ".", "é", "\x00"})
	rapid.Check(t, func(t *rapid.T) {
		var text []byte
		for _, p := range rapid.SliceOfN(pieces, 0, 40).Draw(t, "pieces") {
			text = append(text, p...)
		}
		s := parseStatement(text)
		if s.data && (s.head < 0 || s.head > s.rows || s.rows > len(text)) || !s.data && (s.end < 0 || s.end > len(text)) {
			t.Fatalf("%q: %+v", text, s)
		}
	})
}
