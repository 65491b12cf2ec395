package backfill

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Formats that can be read.
const (
	FormatEventbrite      = "eventbrite"
	FormatPretixOrders    = "pretix-orders"
	FormatPretixPositions = "pretix-positions"
	FormatNDJSON          = "ndjson"
)

// Settings say how files are to be read.
type Settings struct {
	// Format of all files; empty guesses from each one's header.
	Format string
	// Source names the other system; empty takes the format's.
	Source string
	// Event is the key of the event where a file names none.
	Event string
	// Currency is that of amounts without one.
	Currency string
	// Zone is that of times without one; nil refuses them.
	Zone *time.Location
	// DayFirst and MonthFirst say how to read 03/04/2024; neither refuses it.
	DayFirst, MonthFirst bool
	// Columns are headings that a file has in another language or wording, by the
	// field that they stand for.
	Columns map[string]string
	// Now is the present: what was sold after it was not.
	Now time.Time
}

// Reading is what files say.
type Reading struct {
	Source string
	Orders []*Order
	// Events are those that the files describe.
	Events map[string]*Event
	// Problems are lines that cannot be imported.
	Problems []Problem
	// Skipped counts the orders that are no sale, by why.
	Skipped map[string]int
	// Notes counts what was read in a way that somebody should know of.
	Notes map[string]int
	// Lines counts the lines, or rows, of all files.
	Lines int
	// Digest is the SHA-256 of the files, in their order.
	Digest string
}

// Problem is why a line, or an order, cannot be imported.
type Problem struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Order string `json:"order,omitempty"`
	// Reason says what is wrong; it holds no personal data.
	Reason string `json:"reason"`
}

func (p Problem) String() string {
	at := fmt.Sprintf("%s:%d: ", p.File, p.Line)
	if p.Order != "" {
		at += "order " + p.Order + ": "
	}
	return at + p.Reason
}

// reader reads files into a Reading.
type reader struct {
	Settings
	*Reading
	// rejected are orders of which some row was wrong.
	rejected map[string]bool
	pretix   *pretix
	tickets  *ticketBook
}

// Read reads files. An error is one of reading; what is wrong with their content
// is in the reading.
func Read(paths []string, s Settings) (*Reading, error) {
	r := &reader{
		Settings: s, rejected: map[string]bool{}, tickets: newTicketBook(), pretix: newPretix(),
		Reading: &Reading{Source: s.Source, Events: map[string]*Event{}, Skipped: map[string]int{}, Notes: map[string]int{}},
	}
	sum := sha256.New()
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading what to import: %w", err)
		}
		fmt.Fprintf(sum, "%d\n", len(content))
		sum.Write(content)
		if err := r.file(filepath.Base(path), content); err != nil {
			return nil, err
		}
	}
	r.Digest = hex.EncodeToString(sum.Sum(nil))
	r.pretix.finish(r)
	r.tickets.finish(r)
	r.unique()
	r.Orders = slices.DeleteFunc(r.Orders, func(o *Order) bool { return r.rejected[o.key()] || !r.check(o) })
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return a.Line - b.Line })
	return r.Reading, nil
}

// key tells an order from those of other events.
func (o *Order) key() string { return o.Event + "\x00" + o.ID }

// ErrFormat says that a file's layout is not known.
var ErrFormat = errors.New("no known layout")

func (r *reader) file(name string, content []byte) error {
	content = []byte(strings.TrimPrefix(string(content), "\ufeff"))
	format := r.Format
	if format == "" && strings.HasPrefix(strings.TrimSpace(string(content[:min(len(content), 512)])), "{") {
		format = FormatNDJSON
	}
	if format == FormatNDJSON {
		return r.ndjson(name, content)
	}
	t, err := openTable(name, content, r.Columns)
	if err != nil {
		return err
	}
	l, err := layoutOf(t, format)
	if err != nil {
		return err
	}
	if err := r.from(name, l.source); err != nil {
		return err
	}
	for {
		row, err := t.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			// What follows broken quotes cannot be told apart any more.
			r.Problems = append(r.Problems, Problem{File: name, Line: t.line(), Reason: err.Error()})
			return nil
		}
		r.Lines++
		l.take(r, row)
	}
}

// from notes which system a file is of. One import is of one system, since its name
// is a part of every id.
func (r *reader) from(name, source string) error {
	if r.Settings.Source != "" {
		return nil
	}
	if was := r.Reading.Source; was != "" && was != source {
		return fmt.Errorf("%s is of %q, what was read before it of %q: import them one after the other", name, source, was)
	}
	r.Reading.Source = source
	return nil
}

// reject notes that an order cannot be imported, because of a line.
func (r *reader) reject(at place, event, order, format string, args ...any) {
	r.Problems = append(r.Problems, Problem{File: at.file, Line: at.line, Order: order, Reason: fmt.Sprintf(format, args...)})
	r.rejected[event+"\x00"+order] = true
}

// unique rejects what has the id of an order before it.
func (r *reader) unique() {
	seen := make(map[string]*Order, len(r.Orders))
	for _, o := range r.Orders {
		if first := seen[o.ID]; first != nil {
			r.reject(o.place, o.Event, o.ID, "the order stands in %s, line %d, as well", first.place.file, first.place.line)
			continue
		}
		seen[o.ID] = o
	}
}

// slug makes a name for programs of one for people: [a-z0-9-]{1,40}.
func slug(s string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(strings.TrimSpace(s)) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	out := b.String()
	return strings.Trim(out[:min(len(out), 40)], "-")
}

// isText reports whether s is text for people of at most that many bytes.
func isText(s string, bytesMax int) bool {
	return len(s) <= bytesMax && !strings.ContainsFunc(s, unicode.IsControl) && strings.ToValidUTF8(s, "") == s
}
