package chaos

import (
	"fmt"

	"github.com/eventpro/boxoffice/internal/verify"
)

// Verdict is what a run came to.
type Verdict string

// The verdicts.
const (
	Pass Verdict = "pass"
	Fail Verdict = "fail"
	// Unverified: nothing wrong was found, and not enough happened to say that
	// nothing is wrong.
	Unverified Verdict = "unverified"
)

// loadShareMin is the share of the asked rate below which the load was too thin
// to say anything.
const loadShareMin = .5

// judge decides about a finished run. Whatever is wrong comes before whatever is
// missing: a run that lost something has failed, however little it did.
func judge(a *Artefact) (Verdict, []string) {
	wrong, missing := wrongs(a), lacks(a)
	switch {
	case len(wrong) > 0:
		return Fail, append(wrong, missing...)
	case len(missing) > 0:
		return Unverified, missing
	}
	return Pass, nil
}

// wrongs are the reasons to fail.
func wrongs(a *Artefact) (reasons []string) {
	say := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	for _, r := range a.Rounds {
		if r.Stuck != "" {
			say("round %d, %s: %s", r.Number, r.Fault, r.Stuck)
		}
	}
	for _, e := range a.Errors {
		say("%s", e)
	}
	if c := a.Oracle; c != nil {
		for _, n := range []struct {
			what string
			n    int64
		}{{"lost", c.Lost}, {"doubled", c.Doubled}, {"stuck", c.Stuck}, {"in the dead letters", c.DeadLetters}} {
			if n.n > 0 {
				say("%d %s", n.n, n.what)
			}
		}
	}
	if a.Books != nil {
		for _, i := range a.Books.Invariants {
			if !i.OK {
				say("%s is broken: %s", i.Name, i.Title)
			}
		}
	}
	return reasons
}

// lacks are the reasons why nothing can be said.
func lacks(a *Artefact) (reasons []string) {
	say := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	if n := len(a.Rounds); n < a.Config.Rounds {
		say("%d of %d rounds were made", n, a.Config.Rounds)
	}
	for _, r := range a.Rounds {
		if !r.TookEffect {
			say("round %d, %s: it is not known to have taken effect: %s", r.Number, r.Fault, r.Effect)
		}
	}
	if share := a.Totals.AcceptedPerS / a.Config.Rate; share < loadShareMin {
		say("the load was too thin: %.0f registrations/s were accepted, asked were %.0f", a.Totals.AcceptedPerS, a.Config.Rate)
	}
	if a.Totals.Confirmed == 0 {
		say("no registration was confirmed")
	}
	switch {
	case a.Oracle == nil || a.Books == nil:
		say("the books were not read")
	default:
		for _, i := range a.Books.Invariants {
			if i.Skipped != "" {
				say("%s was not checked: %s", i.Name, i.Skipped)
			}
		}
	}
	return reasons
}

// atRest says whether nothing is under way any more, as far as a report tells.
func atRest(r verify.Report) bool { return r.Open == 0 && !r.Moving }
