package verify

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/internal/figures"
)

// The columns of the table: name, state, checked and wrong, and then what the
// invariant says, its figures and its offenders, wrapped.
const (
	rowFormat  = "%-4s%-8s%11s%9s   "
	textColumn = 4 + 8 + 11 + 9 + 3
	textWidth  = 82
)

// state of an invariant, for people.
func (i Invariant) state() string {
	switch {
	case i.Skipped != "":
		return "skipped"
	case !i.OK:
		return "BROKEN"
	}
	return "ok"
}

// WriteTo writes the report as a table for people.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	t := &table{}
	t.row("", "state", "checked", "wrong", "invariant")
	for _, i := range r.Invariants {
		t.invariant(i)
	}
	t.WriteByte('\n')
	if r.Open > 0 {
		t.note("open", "%s, %s of them overdue by a minute and more, for example:", figures.Grouped(r.Open), figures.Grouped(r.Overdue))
		for _, o := range r.OpenFirst {
			t.offender(o)
		}
	}
	for n, reason := range slices.Sorted(maps.Keys(r.DeadLetters)) {
		t.note([]string{"dead letters", ""}[min(n, 1)], "%s %s", figures.Grouped(r.DeadLetters[reason]), reason)
	}
	for n, reason := range slices.Sorted(maps.Keys(r.PutOff)) {
		t.note([]string{"put off", ""}[min(n, 1)], "%s %s", figures.Grouped(r.PutOff[reason]), reason)
	}
	if r.NotLoaded > 0 {
		t.note("not loaded", "%s records, which the loader loads when it runs again", figures.Grouped(r.NotLoaded))
	}
	if r.Moving {
		t.note("moving", "records arrived meanwhile: what is in flight was not held against the books")
	}
	t.note("read", "%s registrations, %s of them confirmed, %s records in %.1f s, as of %s", figures.Grouped(r.Registrations),
		figures.Grouped(r.Confirmed), figures.Grouped(r.Records), r.DurationS, r.AsOf.UTC().Format(time.RFC3339))
	n, err := io.WriteString(w, t.String())
	return int64(n), err
}

type table struct{ strings.Builder }

func (t *table) row(name, state, checked, wrong, text string) {
	fmt.Fprintf(t, rowFormat, name, state, checked, wrong)
	t.WriteString(text)
	t.WriteByte('\n')
}

// invariant writes one: its row, a line for each of its figures, its offenders.
func (t *table) invariant(i Invariant) {
	t.row(i.Name, i.state(), figures.Grouped(i.Checked), figures.Grouped(i.Violations), i.Title)
	for _, figure := range strings.Split(cmp.Or(i.Skipped, i.Detail), "; ") {
		t.wrapped("", figure)
	}
	for _, o := range i.Offenders {
		t.offender(o)
	}
	if more := i.Violations - int64(len(i.Offenders)); more > 0 {
		t.offender("and " + figures.Grouped(more) + " more")
	}
}

func (t *table) offender(text string) { t.wrapped("- ", text) }

// wrapped writes text into the last column, broken between words; the lines after
// the first are indented like the bullet.
func (t *table) wrapped(bullet, text string) {
	if text == "" {
		return
	}
	line := bullet
	flush := func() { fmt.Fprintf(t, "%*s%s\n", textColumn, "", line) }
	indent := strings.Repeat(" ", len(bullet))
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && len(line)+1+len(word) > textWidth {
			flush()
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	flush()
}

// note writes a line below the table.
func (t *table) note(name, format string, args ...any) {
	fmt.Fprintf(t, "%-14s%s\n", name, fmt.Sprintf(format, args...))
}
