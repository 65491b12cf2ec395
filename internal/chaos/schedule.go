package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Fault is one fault of a schedule.
type Fault struct {
	Kind Kind `json:"kind"`
	// Target is the role that it hits; empty when the kind says that already.
	Target string `json:"target,omitempty"`
	// Span is how long it lasts, where that is chosen.
	Span time.Duration `json:"-"`
	// Ahead is how far a skewed clock is ahead; negative: behind.
	Ahead time.Duration `json:"-"`
}

// String names a fault.
func (f Fault) String() string {
	if f.Target == "" {
		return string(f.Kind)
	}
	return string(f.Kind) + " " + f.Target
}

// deck deals the targets of a kind, all of them before one comes again.
type deck struct {
	kind    kind
	targets []string
	left    []string
}

func (d *deck) deal(random *rand.Rand) Fault {
	f := Fault{Kind: d.kind.name}
	if len(d.targets) > 0 {
		if len(d.left) == 0 {
			d.left = slices.Clone(d.targets)
			random.Shuffle(len(d.left), func(i, j int) { d.left[i], d.left[j] = d.left[j], d.left[i] })
		}
		f.Target, d.left = d.left[0], d.left[1:]
	}
	if d.kind.to > 0 {
		f.Span = d.kind.from + time.Duration(random.Int64N(int64(d.kind.to-d.kind.from))).Round(100*time.Millisecond)
	}
	if f.Kind == ClockSkew {
		f.Ahead = time.Duration(1+random.IntN(10)) * time.Minute
		if random.IntN(2) == 0 {
			f.Ahead = -f.Ahead
		}
	}
	return f
}

// Schedule draws rounds faults from a seed: every selected kind comes once before
// any comes again, and so does every target of a kind. The same seed, selection
// and roles give the same schedule.
//
// A selection is a kind ("kill"), a kind with its target ("kill:sink"), or a kind
// with each of its targets as a kind of its own ("kill:*"); none means all kinds.
func Schedule(seed uint64, rounds int, selection []string, roles []*Role) ([]Fault, error) {
	decks, err := selectDecks(selection, roles)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the same again is what it is for
	var faults []Fault
	for len(faults) < rounds {
		for _, i := range random.Perm(len(decks)) {
			if len(faults) < rounds {
				faults = append(faults, decks[i].deal(random))
			}
		}
	}
	return faults, nil
}

func selectDecks(selection []string, roles []*Role) ([]*deck, error) {
	if err := checkSelection(selection); err != nil {
		return nil, err
	}
	var decks []*deck
	if len(selection) == 0 {
		for _, k := range kinds {
			decks = append(decks, &deck{kind: k, targets: k.targets(roles)})
		}
		return decks, nil
	}
	for _, s := range selection {
		name, target, aimed := strings.Cut(s, ":")
		k, _ := kindOf(Kind(name)) // checkSelection has seen it
		all := k.targets(roles)
		switch {
		case !aimed:
			decks = append(decks, &deck{kind: k, targets: all})
		case target == everyTarget:
			for _, t := range all {
				decks = append(decks, &deck{kind: k, targets: []string{t}})
			}
		case slices.Contains(all, target):
			decks = append(decks, &deck{kind: k, targets: []string{target}})
		default:
			return nil, fmt.Errorf("fault %q: %s can hit %s", s, name, strings.Join(all, ", "))
		}
	}
	return decks, nil
}
