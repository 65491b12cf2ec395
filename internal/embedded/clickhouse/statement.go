package clickhouse

import (
	"bytes"
	"slices"
	"strings"
)

// statement is what has to be known of a SQL text before the engine gets it.
type statement struct {
	// first is the first word in capitals: SELECT, INSERT, CREATE. It is "(" for a query in parentheses and empty for an empty text.
	first string
	// format is the name in a FORMAT clause at the end, empty without one.
	format string
	// end is where the text ends without a trailing semicolon.
	end int
	// extra tells that another statement follows the semicolon.
	extra bool
	// localFile tells that a clause INTO OUTFILE or FROM INFILE names a file beside the server, where a client's file is meant.
	localFile bool
	// data tells that this is an INSERT whose rows follow the statement; then format is the rows' format.
	data bool
	// head is where such an INSERT's text ends without its FORMAT clause or VALUES, rows is where its rows begin.
	head, rows int
}

// streamable tells whether the engine can give out the result piece by piece.
func (s statement) streamable() bool {
	return s.first == "SELECT" || s.first == "WITH" || s.first == "("
}

// reads tells the statements that surely change nothing. WITH is none of them, since WITH ... INSERT exists.
func (s statement) reads() bool {
	return slices.Contains([]string{"SELECT", "(", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "SET", "USE"}, s.first)
}

// parseStatement looks at the words outside of comments, quotes and parentheses. It does not check the syntax: the engine does.
func parseStatement(text []byte) statement {
	sc := scanner{text: text}
	first := sc.next()
	s := statement{first: strings.ToUpper(first.of(text))}
	if s.first == "INSERT" && s.parseInsert(&sc) {
		return s
	}
	s.parseTail(scanner{text: text})
	return s
}

// parseTail finds the statement's end and its FORMAT clause.
func (s *statement) parseTail(sc scanner) {
	s.end = len(sc.text)
	var before token
	for t := sc.next(); t.kind != none; t = sc.next() {
		if t.is(sc.text, ";") {
			s.end = t.start
			s.extra = sc.next().kind != none
			return
		}
		if sc.depth == 0 && t.kind == quoted && (before.isWord(sc.text, "OUTFILE") || before.isWord(sc.text, "INFILE")) {
			s.localFile = true
		}
		if t.kind == word && sc.depth == 0 && before.isWord(sc.text, "FORMAT") {
			// SELECT format FROM t is no FORMAT clause: only SETTINGS or the end may follow one.
			rest := sc
			if after := rest.next(); after.kind == none || after.is(sc.text, ";") || after.isWord(sc.text, "SETTINGS") {
				s.format = t.of(sc.text)
			}
		}
		before = t
	}
}

// parseInsert finds where the rows of INSERT ... VALUES and INSERT ... FORMAT begin. False means an INSERT that brings no rows of its own.
func (s *statement) parseInsert(sc *scanner) bool {
	text := sc.text
	t := sc.next()
	if t.isWord(text, "INTO") {
		t = sc.next()
	}
	if t.isWord(text, "TABLE") || t.isWord(text, "FUNCTION") {
		sc.next() // the table's or function's name, which may be any word
	}
	for t = sc.next(); t.is(text, "."); t = sc.next() {
		sc.next()
	}
	for ; t.kind != none; t = sc.next() {
		opened := sc.depth == 1 && t.is(text, "(")
		switch {
		case opened:
			inner := *sc
			if w := inner.next(); w.isWord(text, "SELECT") || w.isWord(text, "WITH") {
				return false
			}
		case sc.depth > 0:
		case t.isWord(text, "VALUES"):
			s.data, s.format, s.head, s.rows = true, "Values", t.start, t.end
			return true
		case t.isWord(text, "FORMAT"):
			name := sc.next()
			s.data, s.format, s.head, s.rows = true, name.of(text), t.start, skipLine(text, name.end)
			return true
		case t.isWord(text, "SELECT"), t.isWord(text, "WITH"), t.isWord(text, "FROM"), t.isWord(text, "EXPLAIN"):
			return false
		case t.is(text, ";"):
			s.data, s.format, s.head, s.rows = true, "Values", t.start, t.end
			return true
		}
	}
	s.data, s.format, s.head, s.rows = true, "Values", len(text), len(text)
	return true
}

// skipLine passes the blanks and the one line end that separate FORMAT from the rows: what follows may be binary.
func skipLine(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\t') {
		at++
	}
	if at < len(text) && text[at] == '\r' {
		at++
	}
	if at < len(text) && text[at] == '\n' {
		at++
	}
	return at
}

type kind uint8

const (
	none kind = iota
	word
	quoted
	symbol
)

// token is a piece of SQL text.
type token struct {
	kind       kind
	start, end int
}

func (t token) of(text []byte) string            { return string(text[t.start:t.end]) }
func (t token) is(text []byte, what string) bool { return t.kind == symbol && t.of(text) == what }
func (t token) isWord(text []byte, what string) bool {
	return t.kind == word && strings.EqualFold(t.of(text), what)
}

// scanner cuts SQL text into tokens, passing comments by. depth counts the open parentheses after the last token.
type scanner struct {
	text  []byte
	at    int
	depth int
}

func (s *scanner) next() token {
	s.skip()
	if s.at >= len(s.text) {
		return token{start: len(s.text), end: len(s.text)}
	}
	t := token{kind: symbol, start: s.at}
	switch c := s.text[s.at]; {
	case c == '\'' || c == '"' || c == '`':
		t.kind = quoted
		s.at = quotedEnd(s.text, s.at)
	case c == '$' && heredocEnd(s.text, s.at) > 0:
		t.kind = quoted
		s.at = heredocEnd(s.text, s.at)
	case isWordByte(c):
		t.kind = word
		for s.at < len(s.text) && isWordByte(s.text[s.at]) {
			s.at++
		}
	default:
		s.at++
		switch c {
		case '(', '[', '{':
			s.depth++
		case ')', ']', '}':
			s.depth--
		}
	}
	t.end = s.at
	return t
}

// skip passes white space and comments: -- and # to the line's end, and /* */.
func (s *scanner) skip() {
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		switch {
		case isSpace(rest[0]):
			s.at++
		case bytes.HasPrefix(rest, []byte("--")), bytes.HasPrefix(rest, []byte("# ")), bytes.HasPrefix(rest, []byte("#!")):
			s.at += lengthThrough(rest, "\n")
		case bytes.HasPrefix(rest, []byte("/*")):
			s.at += 2 + lengthThrough(rest[2:], "*/")
		default:
			return
		}
	}
}

// lengthThrough is the length of text up to and with end, or all of it.
func lengthThrough(text []byte, end string) int {
	if i := bytes.Index(text, []byte(end)); i >= 0 {
		return i + len(end)
	}
	return len(text)
}

// quotedEnd is the position after the quoted text that begins at from. A quote inside is doubled or follows a backslash.
func quotedEnd(text []byte, from int) int {
	quote := text[from]
	for i := from + 1; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] != quote:
		case i+1 < len(text) && text[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return len(text)
}

// heredocEnd is the position after $tag$...$tag$, or 0 where there is none.
func heredocEnd(text []byte, from int) int {
	i := from + 1
	for i < len(text) && isWordByte(text[i]) && text[i] != '$' {
		i++
	}
	if i >= len(text) || text[i] != '$' {
		return 0
	}
	tag := text[from : i+1]
	end := bytes.Index(text[i+1:], tag)
	if end < 0 {
		return 0
	}
	return i + 1 + end + len(tag)
}

func isSpace(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || (c >= '0' && c <= '9') || (c|0x20 >= 'a' && c|0x20 <= 'z')
}
