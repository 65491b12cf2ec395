package distributed

import (
	"fmt"
	"slices"
	"strings"
)

// statement is one SQL statement.
type statement struct {
	tokens []token
	// code are the indexes of the tokens that are neither space nor comment, and
	// depth is how many brackets are open before each of them.
	code, depth []int
}

func parse(sql string) *statement {
	s := &statement{tokens: lex(strings.TrimSpace(sql))}
	open := 0
	for i, t := range s.tokens {
		if t.kind == space || t.kind == comment {
			continue
		}
		if t.is(")") {
			open--
		}
		s.code, s.depth = append(s.code, i), append(s.depth, open)
		if t.is("(") {
			open++
		}
	}
	return s
}

// at is the i-th token of the code.
func (s *statement) at(i int) token {
	if i < 0 || i >= len(s.code) {
		return token{kind: space}
	}
	return s.tokens[s.code[i]]
}

// begins says whether these words stand in the code from i on.
func (s *statement) begins(i int, words ...string) bool {
	for n, w := range words {
		if !s.at(i + n).is(w) {
			return false
		}
	}
	return true
}

// find is where these words stand outside of brackets, from i on; -1 without them.
func (s *statement) find(i int, words ...string) int {
	for ; i < len(s.code); i++ {
		if s.depth[i] == 0 && s.begins(i, words...) {
			return i
		}
	}
	return -1
}

// between is the text from the code's token i up to, not including, token j.
func (s *statement) between(i, j int) string {
	end := len(s.tokens)
	if j < len(s.code) {
		end = s.code[j]
	}
	return strings.TrimSpace(text(s.tokens[s.code[i]:end]))
}

// bracket is the index after the bracket that is closed of the one that i opens.
func (s *statement) bracket(i int) int {
	for j := i + 1; j < len(s.code); j++ {
		if s.depth[j] == s.depth[i] && s.at(j).is(")") {
			return j + 1
		}
	}
	return len(s.code)
}

// clauses are the words that a clause of CREATE TABLE begins with, after its engine.
var clauses = [][]string{
	{"PARTITION", "BY"}, {"PRIMARY", "KEY"}, {"ORDER", "BY"}, {"SAMPLE", "BY"}, {"TTL"}, {"SETTINGS"}, {"COMMENT"},
}

// clause is the text of the clause that begins with these words, without them;
// empty when there is none.
func (s *statement) clause(from int, words ...string) string {
	start := s.find(from, words...)
	if start < 0 {
		return ""
	}
	start += len(words)
	end := len(s.code)
	for _, other := range clauses {
		if at := s.find(start, other...); at >= 0 {
			end = min(end, at)
		}
	}
	return s.between(start, end)
}

// name reads the name that a statement is about, after IF [NOT] EXISTS, which must
// be there: a statement may be repeated, for example when one of several servers
// answered too late.
func (s *statement) name(i int, existence ...string) (name string, after int, err error) {
	if !s.begins(i, existence...) {
		return "", 0, fmt.Errorf("%s is missing: on a cluster a statement may have to be repeated", strings.Join(existence, " "))
	}
	i += len(existence)
	if s.at(i).kind != word || s.at(i+1).is(".") {
		return "", 0, fmt.Errorf("%q is no plain name of a table", s.at(i).text)
	}
	return s.at(i).text, i + 1, nil
}

// commands are the parts of an ALTER, which commas part.
func (s *statement) commands(from int) (parts []*statement) {
	start := from
	for i := from; i <= len(s.code); i++ {
		if i == len(s.code) || (s.depth[i] == 0 && s.at(i).is(",")) {
			parts = append(parts, parse(s.between(start, i)))
			start = i + 1
		}
	}
	return parts
}

// reading is the text from token i on, with other names for the tables that it
// reads.
func (s *statement) reading(i int, rename func(string) string) string {
	tokens := slices.Clone(s.tokens)
	for n := i; n < len(s.code); n++ {
		if s.at(n-1).is("FROM") || s.at(n-1).is("JOIN") && !s.at(n-2).is("ARRAY") {
			t := &tokens[s.code[n]]
			t.text = rename(t.text)
		}
	}
	return strings.TrimSpace(text(tokens[s.code[i]:]))
}
