package verify

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/eventpro/boxoffice/internal/figures"
)

// Invariant is what was found out about one invariant.
type Invariant struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	OK    bool   `json:"ok"`
	// Skipped says why it could not be checked; empty when it was.
	Skipped string `json:"skipped,omitempty"`
	// Detail are the figures, for people, with a semicolon between them.
	Detail string `json:"detail"`
	// Checked is how many things were looked at, Violations how many were wrong.
	Checked    int64 `json:"checked"`
	Violations int64 `json:"violations"`
	// Offenders are the first of them.
	Offenders []string `json:"offenders,omitempty"`
}

// Report is the result of a verification.
type Report struct {
	Invariants []Invariant `json:"invariants"`
	// Open counts the sagas that are not settled yet; OpenFirst are some of them.
	Open      int64    `json:"open"`
	OpenFirst []string `json:"open_first,omitempty"`
	// Overdue are open ones whose outcome is due for a minute and more.
	Overdue int64 `json:"overdue"`
	// DeadLetters counts the records that could not be handled, by reason.
	DeadLetters map[string]int64 `json:"dead_letters,omitempty"`
	// PutOff counts the failed attempts that are, or were, to be made again.
	PutOff map[string]int64 `json:"put_off,omitempty"`
	// NotLoaded counts the records that a stopped loader had not loaded yet.
	NotLoaded int64 `json:"not_loaded"`
	// Moving: records arrived while the topics were read, so that what is in
	// flight could not be told from what is lost.
	Moving bool `json:"moving"`
	// Registrations counts all, Confirmed those that were confirmed and stand.
	Registrations int64 `json:"registrations"`
	Confirmed     int64 `json:"confirmed"`
	// Records is how many were read.
	Records   int64     `json:"records"`
	AsOf      time.Time `json:"as_of"`
	DurationS float64   `json:"duration_s"`
}

// OK reports whether no invariant was found broken.
func (r Report) OK() bool {
	return !slices.ContainsFunc(r.Invariants, func(i Invariant) bool { return !i.OK })
}

// Invariant returns the finding about one invariant by its name.
func (r Report) Invariant(name string) (Invariant, bool) {
	i := slices.IndexFunc(r.Invariants, func(i Invariant) bool { return i.Name == name })
	if i < 0 {
		return Invariant{}, false
	}
	return r.Invariants[i], true
}

const firstMax = 5

// findings collects what is wrong, from several goroutines.
type findings struct {
	mu   sync.Mutex
	list []*Invariant
}

// titles are the invariants that can be recomputed, in order. The others are
// about what happens on the way (I5, I6) and about encodings (I10).
var titles = [][2]string{
	{"I1", "no seat has two owners, none is lost"},
	{"I2", "one decision for every accepted command"},
	{"I3", "confirmed means paid, and paid means confirmed or refunded"},
	{"I4", "the books agree per event, currency and day"},
	{"I7", "every record ended somewhere"},
	{"I8", "ClickHouse holds every version once"},
	{"I9", "the tables are what their logs say"},
}

func newFindings() *findings {
	f := &findings{}
	for _, t := range titles {
		f.list = append(f.list, &Invariant{Name: t[0], Title: t[1], OK: true})
	}
	return f
}

func (f *findings) of(name string) *Invariant {
	for _, i := range f.list {
		if i.Name == name {
			return i
		}
	}
	panic("verify: no invariant " + name)
}

// fail notes a violation.
func (f *findings) fail(name, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.of(name)
	i.OK = false
	i.Violations++
	if len(i.Offenders) < firstMax {
		i.Offenders = append(i.Offenders, fmt.Sprintf(format, args...))
	}
}

// checked counts things that were looked at.
func (f *findings) checked(name string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.of(name).Checked += int64(n)
}

// detail adds to an invariant's figures. Counts are grouped: their verb is %v.
func (f *findings) detail(name, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.of(name)
	if i.Detail != "" {
		i.Detail += "; "
	}
	for at, arg := range args {
		switch n := arg.(type) {
		case int:
			args[at] = figures.Grouped(int64(n))
		case int64:
			args[at] = figures.Grouped(n)
		}
	}
	i.Detail += fmt.Sprintf(format, args...)
}

func (f *findings) skip(name, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.of(name).Skipped = why
}

func (f *findings) all() []Invariant {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Invariant, 0, len(f.list))
	for _, i := range f.list {
		out = append(out, *i)
	}
	return out
}
