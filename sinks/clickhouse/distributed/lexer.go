package distributed

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a token is.
type kind int

const (
	word    kind = iota // an identifier, a keyword or a number
	quoted              // in ', ` or "
	symbol              // one character of anything else
	comment             // -- to the end of the line, or /* */
	space
)

// token is a piece of SQL; the text of all tokens in a row is the SQL.
type token struct {
	kind kind
	text string
}

// is says whether the token is that keyword or symbol.
func (t token) is(what string) bool {
	return (t.kind == word || t.kind == symbol) && strings.EqualFold(t.text, what)
}

// lex cuts SQL into tokens.
func lex(sql string) (tokens []token) {
	for sql != "" {
		k, n := next(sql)
		tokens = append(tokens, token{kind: k, text: sql[:n]})
		sql = sql[n:]
	}
	return tokens
}

// next is the kind and the length of the first token of a text that is not empty.
func next(sql string) (kind, int) {
	first, size := utf8.DecodeRuneInString(sql)
	switch {
	case unicode.IsSpace(first):
		return space, run(sql, unicode.IsSpace)
	case strings.HasPrefix(sql, "--"):
		return comment, upTo(sql, "\n")
	case strings.HasPrefix(sql, "/*"):
		return comment, upTo(sql, "*/")
	case first == '\'' || first == '`' || first == '"':
		return quoted, quotation(sql)
	case inWord(first):
		return word, run(sql, inWord)
	}
	return symbol, size
}

func inWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// run is the length of the runes at the beginning that are all of one sort.
func run(sql string, of func(rune) bool) int {
	if end := strings.IndexFunc(sql, func(r rune) bool { return !of(r) }); end >= 0 {
		return end
	}
	return len(sql)
}

// upTo is the length up to the end of mark, or of everything without one. The line
// break after a comment belongs to it.
func upTo(sql, mark string) int {
	if at := strings.Index(sql, mark); at >= 0 {
		return at + len(mark)
	}
	return len(sql)
}

// quotation is the length of a quoted text; a doubled quote or a backslash escapes.
func quotation(sql string) int {
	quote := sql[0]
	for i := 1; i < len(sql); i++ {
		switch {
		case sql[i] == '\\':
			i++
		case sql[i] == quote && i+1 < len(sql) && sql[i+1] == quote:
			i++
		case sql[i] == quote:
			return i + 1
		}
	}
	return len(sql)
}

// text joins tokens again.
func text(tokens []token) string {
	var out strings.Builder
	for _, t := range tokens {
		out.WriteString(t.text)
	}
	return out.String()
}
