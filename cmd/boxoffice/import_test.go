package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const exports = "../../internal/backfill/testdata/"

// Somebody tries an import out: nothing runs, nothing is sent, and the summary has
// the sums of the file.
func TestImportIsTriedOut(t *testing.T) {
	t.Parallel()
	args := []string{"import", exports + "pretix-orders.csv", exports + "pretix-positions.csv", "--organiser", "acme", "--currency", "EUR", "--tz", "Europe/Berlin", "--create-events", "--dry-run"}
	status, stdout, stderr := command(t, args...)
	if status != exitOK || !strings.Contains(stdout, "EUR 646.50 captured, 228.00 refunded, 0.00 fees") || !strings.Contains(stdout, "was sent (--dry-run)") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	status, stdout, _ = command(t, append(args, "--json")...)
	var r importResult
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != exitOK || !r.DryRun || r.Finished || r.Orders != 5 || r.Money[0].CapturedMinor != 64_650 {
		t.Errorf("status %d, %v\n%s", status, err, stdout)
	}
	for _, path := range []string{exports + "pretix-orders.csv.import.json", exports + "pretix-orders.csv.rejects.ndjson"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("it has written %s", path)
		}
	}
}

// What is wrong with the files or the flags is told before anything is sent, with
// status 2: every line, up to a limit.
func TestImportMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const head = "Order #,Order Date,Ticket Type,Currency,Total Paid,Attendee Status\n"
	wrong := file("wrong.csv", head+"1,2024-05-01T10:00:00Z,R,EUR,ten,Attending\n2,yesterday,R,EUR,10.00,Attending\n3,2024-05-01T10:00:00Z,R,EUR,10.00,Lost\n")
	right := file("right.csv", head+"1,2024-05-01T10:00:00Z,R,EUR,10.00,Attending\n")
	empty := file("empty.csv", head)
	for _, c := range []struct {
		name string
		args []string
		says []string
	}{
		{"wrong lines", []string{wrong, "--dry-run"}, []string{"wrong.csv:2: order 1:", "wrong.csv:3: order 2:", "wrong.csv:4: order 3:", "3 problems, so nothing was sent"}},
		{"more than the limit", []string{wrong, "--dry-run", "--limit", "1"}, []string{"wrong.csv:2", "and 2 more"}},
		{"no event", []string{right, "--dry-run"}, []string{"nothing says which event it is here"}},
		{"no start", []string{right, "--dry-run", "--create-events"}, []string{"nothing says when it starts"}},
		{"no key", []string{right, "--create-events"}, []string{"--sealing-key-file is missing"}},
		{"no zone", []string{right, "--dry-run", "--tz", "Mars/Olympus"}, []string{"Mars/Olympus"}},
		{"no order", []string{empty, "--dry-run"}, []string{"there is no order to import"}},
		{"no layout", []string{file("x.csv", "a,b\n1,2\n"), "--dry-run"}, []string{`eventbrite lacks "Order #"`}},
		{"two answers in the map", []string{right, "--event-map", file("m.json", `{"events":{"":{"event_id":"00000000-0000-0000-0000-000000000001","create":{"name":"x"}}}}`)}, []string{"both event_id and create"}},
		{"a mistyped map", []string{right, "--event-map", file("n.json", `{"event":{}}`)}, []string{"unknown field"}},
		{"a column that nobody knows", []string{right, "--event-map", file("c.json", `{"columns":{"price_of_it":"X"}}`)}, []string{"which no layout has"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := command(t, append([]string{"import", "--organiser", "acme"}, c.args...)...)
			for _, says := range c.says {
				if status != exitUsage || !strings.Contains(stderr, says) {
					t.Errorf("status %d, want %d and %q\n%s%s", status, exitUsage, says, stdout, stderr)
				}
			}
		})
	}
}
