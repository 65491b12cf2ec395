package systemtest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/verify"
)

// fixture is a data directory as the last release wrote it. When a release is
// made, its binary writes the next one, and the old one stays:
//
//	go test ./internal/systemtest -run TestUpgrade -binary bin/boxoffice -write-fixture testdata/datadir-v0.2.0.tar.gz
var (
	fixtures     = filepath.Join("testdata", "datadir-*.tar.gz")
	writeFixture = flag.String("write-fixture", "", "a file that gets a data directory written by the tested program, before it is read like the others")
)

// remembered is what the program that wrote a fixture answered. It is the file
// answers.json in it.
type remembered struct {
	Key string `json:"key"`
	// Settled are look-ups of registrations that nothing was outstanding of.
	Settled map[string]json.RawMessage `json:"settled"`
	// Open are registrations that were charged, which the program did not know
	// yet when it was killed.
	Open []string `json:"open"`
}

// Directories that older releases were killed in, with sagas open, are opened by
// this one, in one process and as one process a role: what was sold is answered
// as it was, each open saga ends, the sale goes on, and after a drained stop the
// books of old and new sales balance and nothing is under way.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	if *writeFixture != "" {
		writeDirectory(t, *writeFixture)
	}
	paths, err := filepath.Glob(fixtures)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no directories of older releases in %s: %v", fixtures, err)
	}
	for _, path := range paths {
		for _, mode := range []string{"--processes=false", "--processes"} {
			t.Run(filepath.Base(path)+" "+mode, func(t *testing.T) {
				t.Parallel()
				testUpgrade(t, path, mode)
			})
		}
	}
}

func testUpgrade(t *testing.T, path, mode string) {
	l := newLayout(t)
	before := unpackDirectory(t, path, l.dir)
	if report, status := verifyStopped(t, l.dir); status != 0 || report.Open < int64(len(before.Open)) {
		t.Errorf("as it was left: exit status %d, %d open, want 0 and at least %d\n%s", status, report.Open, len(before.Open), describe(report))
	}
	if report, status := verifyStopped(t, l.dir, "--at-rest"); status != 1 || report.OK() {
		t.Errorf("a directory with open sagas is said to be at rest: exit status %d\n%s", status, describe(report))
	}

	providerIsBack(t, l.dir)
	s := start(t, l, mode, "--drain", "2m")
	s.behave(t, provider.Behaviour{Seed: 1})
	if s.key != before.Key {
		t.Errorf("the API key changed from %s to %s", before.Key, s.key)
	}
	for id, want := range before.Settled {
		if got := s.lookUp(t, id); !includes(got, decode(t, want)) {
			t.Errorf("registration %s was answered\n%s\nand is\n%v", id, want, got)
		}
	}
	for _, id := range before.Open {
		r := s.awaitSettled(t, id)
		charges, refunds := s.ledger(t, r.Payment.PaymentID)
		kept := len(charges) == 1 && len(refunds) == 0 && r.Status == "confirmed"
		// Its deadline passed while nobody was there.
		returned := len(charges) == 1 && len(refunds) == 1 && r.Status == "expired"
		if !kept && !returned {
			t.Errorf("%s was open and charged and is %s, the provider has the charges %v and the refunds %v", id, r.Status, charges, refunds)
		}
	}
	s.sellEverything(t, "after")
	inFlight := s.newEvent(t, "in flight", 20)
	s.behave(t, provider.Behaviour{Seed: 1, LatencyMS: 200})
	for i := range 10 {
		s.register(t, order(inFlight, fmt.Sprintf("in-flight-%d", i)))
	}
	s.stop(t)
	if report, status := verifyStopped(t, l.dir, "--at-rest"); status != 0 {
		t.Errorf("after a drained stop: exit status %d\n%s", status, describe(report))
	}
}

// providerIsBack has the provider of a directory answer from its first moment on. A
// directory is older than the provider's keys one day: from then on a payment's first
// query that is not answered parks it for a person.
func providerIsBack(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "provider", "behaviour.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var kept map[string]json.RawMessage
	if err := json.Unmarshal(raw, &kept); err != nil || kept["started_with"] == nil {
		t.Fatalf("%s: %v\n%s", path, err, raw)
	}
	kept["asked"] = kept["started_with"]
	if raw, err = json.Marshal(kept); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sellEverything makes a small sale in which everything happens that can happen
// to an order, and returns the registrations, all settled.
func (s *system) sellEverything(t *testing.T, name string) []*client.Registration {
	t.Helper()
	event := s.newEvent(t, name, 20, twoTypes, func(e *client.NewEvent) {
		e.TicketTypes = append(e.TicketTypes, client.NewTicketType{ID: "free", Capacity: 20, BlockSize: 20})
	})
	ask := func(key, kind string, quantity int) *client.Order {
		o := order(event, name+"-"+key)
		o.Lines = []client.OrderLine{{TicketType: kind, Quantity: quantity}}
		return o
	}
	both := ask("line-cancelled", "balcony", 2)
	both.Lines = append(both.Lines, client.OrderLine{TicketType: "free", Quantity: 1})
	confirmed := s.registerAll(t, 2, []*client.Order{ask("kept", "seat", 4), ask("free", "free", 2), ask("cancelled", "balcony", 1), both})
	s.cancel(t, confirmed[2].RegistrationID, name+"-all", "cancelled")
	s.cancel(t, confirmed[3].RegistrationID, name+"-line", "confirmed", 1)

	s.behave(t, provider.Behaviour{Seed: 1, DeclineRate: 1})
	declined := s.registerAll(t, 1, []*client.Order{ask("declined", "seat", 1)})
	s.behave(t, provider.Behaviour{Seed: 1})
	rest := s.registerAll(t, 2, []*client.Order{ask("rest-1", "seat", 8), ask("rest-2", "seat", 8)})
	rest = append(rest, s.registerAll(t, 1, []*client.Order{ask("sold-out", "seat", 1)})...)

	limited := s.newEvent(t, name+" limited", 20, func(e *client.NewEvent) { e.MaxPerAttendee = 2 })
	second := order(limited, name+"-second")
	second.Email, second.Lines[0].Quantity = name+"-first@example.org", 2
	limits := []*client.Registration{s.buy(t, limited, name+"-first"), s.registerAll(t, 1, []*client.Order{second})[0]}

	off := s.newEvent(t, name+" called off", 20)
	bought := s.buy(t, off, name+"-called-off")
	if _, err := s.client.CancelEvent(bounded(t), off, "storm"); err != nil {
		t.Fatal(err)
	}
	s.awaitRegistration(t, bought.RegistrationID, "refunded", func(r *client.Registration) bool { return r.Status == "cancelled" && r.Settled })

	all := append(append(append(confirmed, declined...), rest...), append(limits, bought)...)
	statuses := map[string]int{}
	for i, r := range all {
		all[i] = s.awaitSettled(t, r.RegistrationID)
		statuses[all[i].Status]++
	}
	for status, want := range map[string]int{"confirmed": 6, "cancelled": 2, "payment_failed": 1, "sold_out": 1, "rejected": 1} {
		if statuses[status] != want {
			t.Errorf("%d registrations are %s, want %d: %v", statuses[status], status, want, statuses)
		}
	}
	return all
}

// cancel cancels a registration or some of its lines and waits until it is
// settled with the given status.
func (s *system) cancel(t *testing.T, id, key, status string, lines ...uint32) {
	t.Helper()
	was := s.awaitSettled(t, id).Version
	if _, err := s.client.Cancel(bounded(t), id, key, "by_attendee", lines...); err != nil {
		t.Fatal(err)
	}
	s.awaitRegistration(t, id, "cancelled", func(r *client.Registration) bool {
		return r.Status == status && r.Settled && r.Version > was
	})
}

// writeDirectory has the tested program write a directory, and kills it while
// the provider has charged orders of which it was not told.
func writeDirectory(t *testing.T, path string) {
	t.Helper()
	s := start(t, newLayout(t))
	answers := remembered{Key: s.key, Settled: map[string]json.RawMessage{}}
	for _, r := range s.sellEverything(t, "before") {
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		answers.Settled[r.RegistrationID] = raw
	}
	event := s.newEvent(t, "open", 20)
	s.behave(t, provider.Behaviour{Seed: 1, TimeoutAfterApplyRate: 1, LateMS: 1})
	for i := range 3 {
		answers.Open = append(answers.Open, s.register(t, order(event, fmt.Sprintf("open-%d", i))))
	}
	for _, id := range answers.Open {
		r := s.awaitRegistration(t, id, "being charged", func(r *client.Registration) bool { return r.Status == "charging" && r.Payment != nil })
		eventually(t, "the provider has charged "+id, func() error {
			if charges, _ := s.ledger(t, r.Payment.PaymentID); len(charges) != 1 {
				return fmt.Errorf("it has %v", charges)
			}
			return nil
		})
		// What is asked again from now on is not answered.
		s.behave(t, provider.Behaviour{Seed: 1, TimeoutAfterApplyRate: 1, LateMS: 1, Away: true})
	}
	for _, id := range answers.Open {
		s.awaitRegistration(t, id, "still being charged", func(r *client.Registration) bool { return r.Status == "charging" })
	}
	s.killAll()
	packDirectory(t, s.dir, answers, path)
}

// verifyStopped runs `boxoffice verify` on a stopped directory.
func verifyStopped(t *testing.T, dir string, more ...string) (verify.Report, int) {
	t.Helper()
	var errs strings.Builder
	cmd := exec.CommandContext(bounded(t), binary, append([]string{"verify", "--json", "--data-dir", dir}, more...)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var report verify.Report
	if parse := json.Unmarshal(out, &report); parse != nil {
		t.Fatalf("verify --data-dir: %v, %v\n%s%s", err, parse, out, errs.String())
	}
	return report, cmd.ProcessState.ExitCode()
}

// lookUp is the answer to a look-up, as any client sees it.
func (s *system) lookUp(t *testing.T, id string) any {
	t.Helper()
	raw, err := json.Marshal(s.awaitSettled(t, id))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, raw)
}

func decode(t *testing.T, raw []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// includes reports whether an answer says all that an older one said; it may say
// more.
func includes(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		for k, v := range want {
			ok = ok && includes(got[k], v)
		}
		return ok
	case []any:
		got, ok := got.([]any)
		ok = ok && len(got) == len(want)
		for i := 0; ok && i < len(want); i++ {
			ok = includes(got[i], want[i])
		}
		return ok
	}
	return got == want
}

func unpackDirectory(t *testing.T, path, dir string) (answers remembered) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	unpack(t, path, dir)
	raw, err := os.ReadFile(filepath.Join(dir, answersFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers.Open) == 0 || len(answers.Settled) == 0 {
		t.Fatalf("%s remembers %d open and %d settled registrations", path, len(answers.Open), len(answers.Settled))
	}
	return answers
}
