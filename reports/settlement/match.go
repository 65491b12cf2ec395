package settlement

import (
	"cmp"
	"iter"
	"time"
)

// Finding is a kind of outcome.
type Finding string

// The findings, in the order of the report. Matched pairs are counted only.
const (
	MissingHere       Finding = "missing_here"
	UnknownReference  Finding = "unknown_reference"
	MissingThere      Finding = "missing_there"
	Duplicate         Finding = "duplicate"
	DifferentCurrency Finding = "different_currency"
	DifferentAmount   Finding = "different_amount"
	DifferentFee      Finding = "different_fee"
	DifferentDay      Finding = "different_day"
)

// Findings lists them.
func Findings() []Finding {
	return []Finding{
		MissingHere, UnknownReference, MissingThere, Duplicate, DifferentCurrency, DifferentAmount, DifferentFee, DifferentDay,
	}
}

// Difference is one occurrence of a finding. Either side may be nil.
type Difference struct {
	Finding Finding
	// There is the provider's line, Here what we have.
	There, Here *Entry
}

// Scope is what is compared.
type Scope struct {
	// From is inside the period, To is not; zero leaves the side open.
	From, To time.Time
	// Zone decides what a day is; nil is UTC.
	Zone *time.Location
	// Currency is empty for all.
	Currency string
	// Keep is how many differences of each finding are kept; all are counted.
	Keep int
}

// keepDefault is Scope.Keep when it is zero.
const keepDefault = 10_000

func (s *Scope) covers(e *Entry) bool {
	return e != nil && (s.From.IsZero() || !e.At.Before(s.From)) && (s.To.IsZero() || e.At.Before(s.To)) &&
		(s.Currency == "" || e.Currency == s.Currency)
}

func (s *Scope) zone() *time.Location {
	if s.Zone == nil {
		return time.UTC
	}
	return s.Zone
}

func (s *Scope) day(e *Entry) string { return e.At.In(s.zone()).Format(time.DateOnly) }

// Sums are money of one kind and currency on both sides, of what is in scope.
type Sums struct {
	There, Here Sum
	// Matched counts the pairs that agree in everything.
	Matched int64
}

// Sum is one side.
type Sum struct{ Count, AmountMinor, FeeMinor int64 }

func (s *Sum) add(e *Entry) {
	s.Count++
	s.AmountMinor += e.AmountMinor
	s.FeeMinor += e.FeeMinor
}

// SumKey says of what a sum is.
type SumKey struct {
	Currency string
	Kind     Kind
}

// Result is the outcome of a comparison.
type Result struct {
	Scope Scope
	// Differences are those kept, by finding, in the order of the key.
	Differences map[Finding][]Difference
	// Counts are all of them.
	Counts map[Finding]int64
	Sums   map[SumKey]*Sums
	// Other counts lines that settle no charge and no refund, by the provider's
	// name for them.
	Other map[string]int64
	// AsOf is up to when the database was loaded when the comparison began.
	AsOf time.Time
	// provider is whose charges and refunds were compared, digest stands for the
	// lines of the source.
	provider, digest string
}

// Matched is how many pairs agree.
func (r *Result) Matched() (n int64) {
	for _, s := range r.Sums {
		n += s.Matched
	}
	return n
}

// Differs is how many differences there are.
func (r *Result) Differs() (n int64) {
	for _, count := range r.Counts {
		n += count
	}
	return n
}

// Compare merges the two sides, which come in the order of the key.
func Compare(scope Scope, key Key, there, here iter.Seq2[Entry, error]) (*Result, error) {
	if scope.Keep == 0 {
		scope.Keep = keepDefault
	}
	r := &Result{Scope: scope, Differences: map[Finding][]Difference{}, Counts: map[Finding]int64{}, Sums: map[SumKey]*Sums{}}
	theirs, stop := newGroups(key, there)
	defer stop()
	ours, stop := newGroups(key, here)
	defer stop()
	a, b := theirs.next(), ours.next()
	for (len(a) > 0 || len(b) > 0) && theirs.err == nil && ours.err == nil {
		switch order := compareGroups(key, a, b); {
		case order < 0:
			r.group(a, nil)
			a = theirs.next()
		case order > 0:
			r.group(nil, b)
			b = ours.next()
		default:
			r.group(a, b)
			a, b = theirs.next(), ours.next()
		}
	}
	// A side that broke off looks as if it had ended.
	if err := cmp.Or(theirs.err, ours.err); err != nil {
		return nil, err
	}
	return r, nil
}

// compareGroups orders two groups by their key; the end of a side is last. What
// has no key belongs to nothing.
func compareGroups(key Key, a, b []Entry) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0, key.of(&a[0]) == "":
		return -1
	default:
		return key.compare(&a[0], &b[0])
	}
}

// groups cuts a side into entries of one key.
type groups struct {
	key  Key
	pull func() (Entry, error, bool)
	head *Entry
	err  error
}

func newGroups(key Key, side iter.Seq2[Entry, error]) (*groups, func()) {
	pull, stop := iter.Pull2(side)
	g := &groups{key: key, pull: pull}
	g.advance()
	return g, stop
}

func (g *groups) advance() {
	g.head = nil
	if e, err, ok := g.pull(); ok && err == nil {
		g.head = &e
	} else if ok {
		g.err = err
	}
}

// next returns the entries of the next key; none at the end. Entries without a
// key come one by one: a file full of them must not gather in memory.
func (g *groups) next() []Entry {
	if g.head == nil || g.err != nil {
		return nil
	}
	group := []Entry{*g.head}
	g.advance()
	for g.head != nil && g.key.of(g.head) != "" && g.key.compare(&group[0], g.head) == 0 {
		group = append(group, *g.head)
		g.advance()
	}
	return group
}

// group judges all that has one key. A booking takes the line with its own
// provider's id, else the first that is left.
func (r *Result) group(there, here []Entry) {
	taken := make([]bool, len(there))
	var known, paired bool
	for i := range here {
		ours := &here[i]
		known = true
		if !ours.Booked {
			continue
		}
		at := partner(there, taken, ours)
		if at < 0 {
			r.alone(MissingThere, nil, ours)
			continue
		}
		taken[at], paired = true, true
		r.pair(&there[at], ours)
	}
	for i := range there {
		switch {
		case taken[i]:
			continue
		case paired:
			r.alone(Duplicate, &there[i], nil)
		case known:
			r.alone(MissingHere, &there[i], nil)
		default:
			r.alone(UnknownReference, &there[i], nil)
		}
		paired = true // what follows is the same again
	}
}

func partner(there []Entry, taken []bool, ours *Entry) int {
	first := -1
	for i := range there {
		if taken[i] {
			continue
		}
		if there[i].ProviderID == ours.ProviderID {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}

// alone notes an entry that has no partner.
func (r *Result) alone(finding Finding, there, here *Entry) {
	if r.count(there, here) {
		r.note(finding, there, here)
	}
}

// pair compares two entries of one charge or refund.
func (r *Result) pair(there, here *Entry) {
	if !r.count(there, here) {
		return
	}
	same := true
	differ := func(finding Finding) {
		same = false
		r.note(finding, there, here)
	}
	if there.Currency != here.Currency {
		differ(DifferentCurrency) // amounts of two currencies say nothing of each other
	} else {
		if there.AmountMinor != here.AmountMinor {
			differ(DifferentAmount)
		}
		if there.FeeMinor != here.FeeMinor {
			differ(DifferentFee)
		}
	}
	if r.Scope.day(there) != r.Scope.day(here) {
		differ(DifferentDay)
	}
	if same {
		r.sums(here).Matched++
	}
}

// count adds to the sums what is in scope, and tells whether anything is.
func (r *Result) count(there, here *Entry) bool {
	inThere, inHere := r.Scope.covers(there), r.Scope.covers(here)
	if inThere {
		r.sums(there).There.add(there)
	}
	if inHere {
		r.sums(here).Here.add(here)
	}
	return inThere || inHere
}

func (r *Result) sums(e *Entry) *Sums {
	key := SumKey{e.Currency, e.Kind}
	if r.Sums[key] == nil {
		r.Sums[key] = &Sums{}
	}
	return r.Sums[key]
}

func (r *Result) note(finding Finding, there, here *Entry) {
	r.Counts[finding]++
	if len(r.Differences[finding]) < r.Scope.Keep {
		r.Differences[finding] = append(r.Differences[finding], Difference{finding, there, here})
	}
}
