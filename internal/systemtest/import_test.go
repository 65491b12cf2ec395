package systemtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/backfill"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// importArgs are those of `boxoffice import` for the system's own organiser.
func (s *system) importArgs(more ...string) []string {
	return append([]string{
		"import", "--json", "--organiser", "eventpro", "--sealing-key-file", filepath.Join(s.dir, "sealing-key"),
		"--currency", "EUR", "--tz", "Europe/Berlin", "--kafka-brokers", strings.Join(s.brokers(), ","),
	}, more...)
}

// imported is what an import says at its end.
type imported struct {
	Orders   int            `json:"orders"`
	Standing int            `json:"standing"`
	Tickets  int            `json:"tickets"`
	Finished bool           `json:"finished"`
	Outcomes map[string]int `json:"outcomes"`
	Money    []backfill.Sum `json:"money"`
	Events   []backfill.EventSummary
}

func (s *system) bringIn(t *testing.T, args ...string) imported {
	t.Helper()
	var errs strings.Builder
	cmd := exec.CommandContext(bounded(t), binary, s.importArgs(args...)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var result imported
	if err != nil || json.Unmarshal(out, &result) != nil || !result.Finished {
		t.Fatalf("import %v: %v\n%s%s", args, err, out, &errs)
	}
	return result
}

// page is a page of the books of one event: a day's money.
type page struct{ event, day string }

type sums struct{ captured, refunded, fee int64 }

// past writes an export of that many orders at Eventbrite over two months, of one
// to three tickets at 49.00, of which every seventh was refunded, and says what the
// books must show.
func past(t *testing.T, event string, orders int) (path string, books map[page]sums, standing int) {
	t.Helper()
	var b strings.Builder
	b.WriteString("Order #,Order Date,First Name,Last Name,Email,Ticket Type,Currency,Total Paid,Eventbrite Fees,Eventbrite Payment Processing,Attendee Status,Event Name,Event ID,Event Start Date\r\n")
	books = map[page]sums{}
	at := time.Date(2024, 1, 30, 0, 5, 0, 0, time.UTC)
	for i := range orders {
		status := "Attending"
		if i%7 == 6 {
			status = "Refunded"
		}
		for range 1 + i%3 {
			fmt.Fprintf(&b, "%d,%s,A,%d,a%d@example.org,Regular,EUR,49.00,1.20,1.42,%s,Past,%s,2024-05-01\r\n", 5000+i, at.Format(time.RFC3339), i, i, status, event)
			of := page{event, at.Format(time.DateOnly)}
			sum := books[of]
			sum.captured, sum.fee = sum.captured+4900, sum.fee+262
			if status == "Refunded" {
				sum.refunded += 4900
			} else {
				standing++
			}
			books[of] = sum
		}
		at = at.Add(7 * time.Hour)
	}
	path = filepath.Join(t.TempDir(), "past.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, books, standing
}

// killImport runs an import, slowly, and kills it when it has decided some orders
// and not all.
func (s *system) killImport(t *testing.T, path string, args ...string) {
	t.Helper()
	cmd := exec.Command(binary, s.importArgs(append(args, path, "--in-flight", "1")...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some orders are imported", func() error {
		var state backfill.State
		content, err := os.ReadFile(path + ".import.json")
		if err == nil {
			err = json.Unmarshal(content, &state)
		}
		if err == nil && (state.Done < 3 || state.Finished) {
			err = fmt.Errorf("%+v", state)
		}
		return err
	})
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("it had ended before it was killed")
	}
}

// facts are how many records the topics have that are for ever.
func (s *system) facts(t *testing.T) map[string]int64 {
	t.Helper()
	ends, err := kadm.NewClient(s.kafkaClient(t)).ListCommittedOffsets(t.Context(), topology.RegistrationEvents.Name,
		topology.PaymentEvents.Name, topology.CatalogEvents.Name, topology.GatewayRequests.Name)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int64{}
	ends.Each(func(o kadm.ListedOffset) { n[o.Topic] += o.Offset })
	return n
}

// awaitMoney waits until ClickHouse shows that money of one event, per day.
func (s *system) awaitMoney(t *testing.T, event string, want map[page]sums) {
	t.Helper()
	db, err := clickhouse.OpenDB(url(s.clickhouse), clickhouse.DefaultDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	eventually(t, "ClickHouse has the money of "+event, func() error {
		rows, err := queries.Run(t.Context(), db, queries.MoneyByDay, nil)
		if err != nil {
			return err
		}
		defer rows.Close()
		found := map[page]sums{}
		for rows.Next() {
			var of page
			var currency string
			var sum sums
			if err := rows.Scan(&of.event, &currency, &of.day, &sum.captured, &sum.refunded, &sum.fee); err != nil {
				return err
			}
			if of.event == event {
				found[of] = sum
			}
		}
		if !maps.Equal(found, want) {
			return fmt.Errorf("it shows %v, the file says %v", found, want)
		}
		return rows.Err()
	})
}

// The past of three systems is brought in. The importer is killed in the middle and
// goes on, is run again from nothing, and changes nothing: each order is here once,
// with its seats, and with its money on the day that it moved; the books balance
// without our provider having heard of any of it.
func TestImport(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	const orders = 120
	path, books, standing := past(t, "E-1", orders)
	s.killImport(t, path, "--create-events")
	first := s.bringIn(t, path, "--create-events")
	if first.Orders != orders || first.Tickets != standing || first.Outcomes[backfill.OutcomeConfirmed] != first.Standing ||
		first.Outcomes[backfill.OutcomeEnded] != orders-first.Standing {
		t.Errorf("it says %+v", first)
	}
	event := first.Events[0].ID
	s.awaitSeats(t, event, standing, 0)
	want := map[page]sums{}
	for of, sum := range books {
		want[page{event, of.day}] = sum
	}
	s.awaitMoney(t, event, want)
	exports, err := filepath.Abs("../backfill/testdata")
	if err != nil {
		t.Fatal(err)
	}
	state := func() string { return filepath.Join(t.TempDir(), "state.json") }
	pretix := []string{filepath.Join(exports, "pretix-orders.csv"), filepath.Join(exports, "pretix-positions.csv"), "--create-events"}
	monolith := []string{filepath.Join(exports, "monolith.ndjson"), "--create-events"}
	s.bringIn(t, append(pretix, "--state", state())...)
	s.bringIn(t, append(monolith, "--state", state())...)
	s.checkBooks(t, nil)
	before := s.facts(t)
	for _, args := range [][]string{{path, "--create-events"}, pretix, monolith} {
		s.bringIn(t, append(args, "--state", state())...)
	}
	s.bringInButOne(t, path)
	report := s.checkBooks(t, nil)
	if after := s.facts(t); !maps.Equal(before, after) || after[topology.GatewayRequests.Name] != 0 {
		t.Errorf("a repeated import made %v of %v", after, before)
	}
	for _, group := range []string{"registrations", "payments", "inventory"} {
		if out, code := s.tool(t, "rebuild", "table", group); code != 0 || !strings.Contains(out, "0 differ") {
			t.Errorf("rebuild table %s ended with %d:\n%s", group, code, out)
		}
	}
	if entries := s.wholeLedger(t); len(entries) > 0 {
		t.Errorf("our provider moved %v", entries)
	}
	if i, _ := report.Invariant("I4"); !strings.Contains(i.Detail, "payments were imported") {
		t.Errorf("I4 says %s", i.Detail)
	}
}

// bringInButOne imports an export once more, with a line that is wrong: what is
// right is imported, and the line is named in the file beside it.
func (s *system) bringInButOne(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := filepath.Join(t.TempDir(), "spoilt.csv")
	if err := os.WriteFile(spoilt, append(content, "9999,2024-01-30T00:05:00Z,A,B,a@example.org,Regular,EUR,much,,,Attending,Past,E-1,2024-05-01\r\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := s.tool(t, s.importArgs(spoilt, "--create-events")...); code != 2 || !strings.Contains(out, "order 9999") {
		t.Errorf("a wrong line ended with %d: %s", code, out)
	}
	s.bringIn(t, spoilt, "--create-events", "--skip-invalid")
	if said, err := os.ReadFile(spoilt + ".rejects.ndjson"); err != nil || !strings.Contains(string(said), `"order":"9999"`) {
		t.Errorf("left out are %s, %v", said, err)
	}
}

// An event is on sale here and has been elsewhere: what was sold there takes its
// seats, and exactly the others can still be had. An imported order is cancelled:
// its money can only be given back there, so it waits for a person, who does that
// and says so. An import that does not fit, or that is not right, sends nothing.
func TestImportIntoASale(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	event := s.newEvent(t, "both", 10)
	file := filepath.Join(t.TempDir(), "e.csv")
	content, err := os.ReadFile("../backfill/testdata/eventbrite.csv")
	if err != nil {
		t.Fatal(err)
	}
	mapping := filepath.Join(t.TempDir(), "map.json")
	rule := `{"events":{"901":{"event_id":"` + event + `","ticket_types":{"Regular":"seat","VIP, front row":"seat","Press":"seat"}}}}`
	for path, b := range map[string][]byte{file: content, mapping: []byte(rule)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := s.facts(t)
	for _, c := range []struct {
		says string
		args []string
	}{
		{"has no ticket type", []string{file, "--event-id", event}},
		{"nothing says which event it is here", []string{file}},
		{"too few places", []string{file, "--event-map", mapping}},
	} {
		if c.says == "too few places" {
			for i := range 3 {
				s.buy(t, event, fmt.Sprint("early-", i))
			}
			before = s.facts(t)
		}
		if out, code := s.tool(t, s.importArgs(c.args...)...); code != 2 || !strings.Contains(out, c.says) {
			t.Errorf("%v ended with %d, want 2 and %q:\n%s", c.args, code, c.says, out)
		}
		if after := s.facts(t); !maps.Equal(before, after) {
			t.Errorf("%v sent something: %v became %v", c.args, before, after)
		}
	}
	if _, err := s.client.SetCapacity(bounded(t), event, "seat", 20); err != nil {
		t.Fatal(err)
	}
	s.awaitSeats(t, event, 3, 17)
	s.bringIn(t, file, "--event-map", mapping)
	s.awaitSeats(t, event, 11, 9)
	for i := range 9 {
		s.buy(t, event, fmt.Sprint("late-", i))
	}
	if r := s.awaitSettled(t, s.register(t, order(event, "too-late"))); r.Status != "sold_out" {
		t.Errorf("a seat that was sold elsewhere is sold again: %+v", *r)
	}
	s.cancelImported(t)
	if report := s.checkBooks(t, nil); len(report.DeadLetters) > 0 {
		t.Errorf("there are dead letters: %v", report.DeadLetters)
	}
}

// cancelImported cancels an imported order here, and is the person who gives its
// money back.
func (s *system) cancelImported(t *testing.T) {
	t.Helper()
	id := topology.RegistrationID("eventpro", "import:eventbrite:1002").String()
	s.awaitSettled(t, id)
	if _, err := s.client.Cancel(bounded(t), id, "cancel-1002", "by_attendee"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its refund waits for a person", func() error {
		if out, code := s.tool(t, "sagas", "list", "--stuck"); code != 0 || !strings.Contains(out, "give it back at eventbrite") {
			return fmt.Errorf("%d: %s", code, out)
		}
		return nil
	})
	// Asking again asks nobody: our provider has never heard of it.
	s.must(t, "sagas", "retry", id)
	if out, code := s.tool(t, "sagas", "resolve", id, "--as", "not-refunded", "--note", "x"); code != 1 || !strings.Contains(out, "was imported") {
		t.Errorf("ended with %d: %s", code, out)
	}
	s.must(t, "sagas", "resolve", id, "--as", "refunded", "--reference", "eb-77", "--provider-time", "2026-01-05T10:00:00Z", "--note", "done there",
		"--provider-url", url(s.provider))
	s.awaitRegistration(t, id, "settled", func(r *client.Registration) bool { return r.Status == "cancelled" && r.Settled })
}
