package render

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/bidi"
)

// visual brings a text into the order in which its letters stand on paper: a PDF
// writes letter after letter to the right, also those of Arabic and Hebrew.
func visual(s string) string {
	if !rightToLeft(s) {
		return s
	}
	var paragraph bidi.Paragraph
	if _, err := paragraph.SetString(joined(s)); err != nil {
		return s
	}
	order, err := paragraph.Order()
	if err != nil {
		return s
	}
	pieces := make([]string, order.NumRuns())
	for i := range pieces {
		piece := order.Run(i)
		pieces[i] = piece.String()
		if piece.Direction() == bidi.RightToLeft {
			pieces[i] = bidi.ReverseString(pieces[i])
		}
	}
	if startsRight(s) {
		slices.Reverse(pieces)
	}
	return strings.Join(pieces, "")
}

func rightToLeft(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return isRight(direction(c)) })
}

// startsRight says whether the first letter that has a direction goes to the left.
func startsRight(s string) bool {
	for _, c := range s {
		if class := direction(c); class == bidi.L || isRight(class) {
			return isRight(class)
		}
	}
	return false
}

func direction(c rune) bidi.Class {
	properties, _ := bidi.LookupRune(c)
	return properties.Class()
}

func isRight(c bidi.Class) bool { return c == bidi.R || c == bidi.AL }

// forms are the four shapes of an Arabic letter: alone, at the end, at the
// beginning and in the middle of a word. Those without the last two do not join
// the letter after them.
type forms [4]rune

var arabic = func() map[rune]forms {
	out := map[rune]forms{}
	add := func(letter, first rune, n int) {
		var f forms
		for i := range n {
			f[i] = first + rune(i)
		}
		out[letter] = f
	}
	// The block of presentation forms has them in the order of the letters.
	next := rune(0xFE80)
	for _, row := range []struct {
		first  rune
		shapes string
	}{{0x0621, "12222424244444222244444444"}, {0x0641, "4444444224"}} {
		for i, n := range row.shapes {
			add(row.first+rune(i), next, int(n-'0'))
			next += n - '0'
		}
	}
	for letter, first := range map[rune]rune{'پ': 0xFB56, 'چ': 0xFB7A, 'ک': 0xFB8E, 'گ': 0xFB92, 'ی': 0xFBFC} {
		add(letter, first, 4)
	}
	add('ژ', 0xFB8A, 2)
	return out
}()

// lamAlef are the letters that lam and the alef after it become.
var lamAlef = map[rune]rune{'آ': 0xFEF5, 'أ': 0xFEF7, 'إ': 0xFEF9, 'ا': 0xFEFB}

// joined writes Arabic letters in the shapes that they have beside each other.
func joined(s string) string {
	letters := []rune(s)
	var out []rune
	before := false // whether the letter before joins this one
	for i := 0; i < len(letters); i++ {
		c := letters[i]
		f, ok := arabic[c]
		if !ok {
			out = append(out, c)
			before = before && isMark(c)
			continue
		}
		if c == 'ل' && i+1 < len(letters) && lamAlef[letters[i+1]] != 0 {
			ligature := lamAlef[letters[i+1]]
			if before {
				ligature++
			}
			out, before = append(out, ligature), false
			i++
			continue
		}
		after := i + 1
		for after < len(letters) && isMark(letters[after]) {
			after++
		}
		next := forms{}
		if after < len(letters) {
			next = arabic[letters[after]]
		}
		joins := f[2] != 0 && next[1] != 0
		switch {
		case before && joins:
			c = f[3]
		case before && f[1] != 0:
			c = f[1]
		case joins:
			c = f[2]
		default:
			c = f[0]
		}
		out, before = append(out, c), joins
	}
	return string(out)
}

// isMark says whether a character is a vowel sign over or under a letter.
func isMark(c rune) bool { return direction(c) == bidi.NSM }
