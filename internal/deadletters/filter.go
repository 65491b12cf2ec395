package deadletters

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Filter chooses letters; what is empty chooses all.
type Filter struct {
	// IDs may be beginnings of ids, of at least idLengthMin characters.
	IDs                                    []string
	Reasons, Classes, Groups, Topics, Keys []string
	States                                 []State
	// Since and Until bound when the letter was written: from Since, before Until.
	Since, Until time.Time
	// Limit is the most that are chosen, the oldest first; 0 for all.
	Limit int
}

// idLengthMin keeps a slip of the finger from naming half of the letters.
const idLengthMin = 4

// Empty reports whether the filter names nothing, so that it chooses every letter.
func (f *Filter) Empty() bool {
	return len(f.IDs)+len(f.Reasons)+len(f.Classes)+len(f.Groups)+len(f.Topics)+len(f.Keys) == 0 && f.Since.IsZero() && f.Until.IsZero()
}

// Select returns the letters that the filter chooses. An id that names no letter,
// or several, is an error.
func (f *Filter) Select(letters []*Letter) ([]*Letter, error) {
	for _, id := range f.IDs {
		if len(id) < idLengthMin {
			return nil, fmt.Errorf("the id %q is too short: give at least %d characters of it", id, idLengthMin)
		}
		switch n := len(named(letters, id)); {
		case n == 0:
			return nil, fmt.Errorf("no dead letter has the id %q: 'boxoffice dlq list' shows them", id)
		case n > 1:
			return nil, fmt.Errorf("%d dead letters have ids that begin with %q: give more of it", n, id)
		}
	}
	var chosen []*Letter
	for _, l := range letters {
		if f.Limit > 0 && len(chosen) == f.Limit {
			break
		}
		if f.chooses(l) {
			chosen = append(chosen, l)
		}
	}
	return chosen, nil
}

func named(letters []*Letter, id string) []*Letter {
	var list []*Letter
	for _, l := range letters {
		if strings.HasPrefix(l.ID, strings.ToLower(id)) {
			list = append(list, l)
		}
	}
	return list
}

func (f *Filter) chooses(l *Letter) bool {
	among := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	isNamed := func(id string) bool { return strings.HasPrefix(l.ID, strings.ToLower(id)) }
	switch {
	case len(f.IDs) > 0 && !slices.ContainsFunc(f.IDs, isNamed),
		!among(f.Reasons, l.Reason), !among(f.Classes, l.Class), !among(f.Groups, l.Group),
		!among(f.Topics, l.Original.Topic), !among(f.Keys, l.Key),
		len(f.States) > 0 && !slices.Contains(f.States, l.State()),
		!f.Since.IsZero() && l.Time.Before(f.Since), !f.Until.IsZero() && !l.Time.Before(f.Until):
		return false
	}
	return true
}
