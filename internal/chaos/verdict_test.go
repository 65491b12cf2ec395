package chaos

import (
	"strings"
	"testing"

	"github.com/eventpro/boxoffice/internal/verify"
)

// good is a run that passes.
func good() *Artefact {
	return &Artefact{
		Config: ArtefactConfig{Rounds: 2, Rate: 100},
		Rounds: []Round{
			{Number: 1, Fault: Fault{Kind: Kill, Target: "sink"}, TookEffect: true, Effect: "pid 1 killed"},
			{Number: 2, Fault: Fault{Kind: KafkaKill}, TookEffect: true, Effect: "pid 2 killed"},
		},
		Totals: Totals{Accepted: 1000, Confirmed: 900, AcceptedPerS: 98},
		Oracle: &Counts{Accepted: 1000},
		Books:  &verify.Report{Invariants: []verify.Invariant{{Name: "I1", OK: true}, {Name: "I8", OK: true}}},
	}
}

// A run passes only when nothing is wrong and enough is known to have happened;
// what is wrong outweighs what is missing.
func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Artefact)
		want   Verdict
		says   string
	}{
		{"all is well", func(*Artefact) {}, Pass, ""},
		{"one is lost", func(a *Artefact) { a.Oracle.Lost = 1 }, Fail, "1 lost"},
		{"one is doubled", func(a *Artefact) { a.Oracle.Doubled = 1 }, Fail, "1 doubled"},
		{"one is stuck", func(a *Artefact) { a.Oracle.Stuck = 1 }, Fail, "1 stuck"},
		{"a dead letter", func(a *Artefact) { a.Oracle.DeadLetters = 1 }, Fail, "1 in the dead letters"},
		{"an invariant is broken", func(a *Artefact) { a.Books.Invariants[0].OK = false }, Fail, "I1 is broken"},
		{"the gate stays shut", func(a *Artefact) { a.Rounds[1].Stuck = "it does not recover" }, Fail, "round 2, kafka-kill: it does not recover"},
		{"the run broke off", func(a *Artefact) { a.Errors = []string{"the disk is full"} }, Fail, "the disk is full"},
		{"a fault did nothing", func(a *Artefact) { a.Rounds[0].TookEffect = false }, Unverified, "round 1, kill sink"},
		{"rounds are missing", func(a *Artefact) { a.Rounds = a.Rounds[:1] }, Unverified, "1 of 2 rounds"},
		{"the load was thin", func(a *Artefact) { a.Totals.AcceptedPerS = 49 }, Unverified, "too thin"},
		{"nothing was sold", func(a *Artefact) { a.Totals.Confirmed = 0 }, Unverified, "no registration was confirmed"},
		{"nobody looked", func(a *Artefact) { a.Oracle = nil }, Unverified, "books were not read"},
		{"an invariant was skipped", func(a *Artefact) { a.Books.Invariants[1].Skipped = "no ClickHouse" }, Unverified, "I8 was not checked"},
		{"wrong and missing", func(a *Artefact) { a.Oracle.Lost, a.Rounds[0].TookEffect = 2, false }, Fail, "2 lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := good()
			c.change(a)
			got, reasons := judge(a)
			if all := strings.Join(reasons, "; "); got != c.want || !strings.Contains(all, c.says) || (got == Pass) != (all == "") {
				t.Errorf("%s (%s), want %s (%s)", got, all, c.want, c.says)
			}
		})
	}
}
