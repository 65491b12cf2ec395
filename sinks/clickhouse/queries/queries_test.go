package queries

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// The names, parameters and meanings are an interface of others: reports,
// dashboards and the plugin.
func TestCatalogueIsTheGoldenOne(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, name := range Names() {
		q, err := Get(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s\n  %s\n", q.Name, q.About)
		for _, p := range slices.Sorted(maps.Keys(q.Params)) {
			fmt.Fprintf(&got, "  %s: %s\n", p, q.Params[p])
		}
	}
	const path = "testdata/catalogue.golden.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the catalogue differs from %s (-update rewrites it):\n%s", path, got.String())
	}
}

// I8: a fact table that is read without FINAL shows superseded versions. The
// audit trail may be, for a maximum, and ids may be, which no version changes.
func TestEveryFactIsReadThroughFinal(t *testing.T) {
	t.Parallel()
	fact := regexp.MustCompile(`(?i)\b(?:FROM|JOIN)\s+(registrations|payments|movements|seat_blocks|catalog_events)\b(?:\s+AS\s+\w+)?(\s+FINAL\b)?`)
	ids := regexp.MustCompile(`SELECT event_id, registration_id\s+FROM (?:registrations|payments)\b`)
	for name, q := range catalog {
		if name == Conservation {
			continue // looks at every version of a key itself
		}
		for _, m := range fact.FindAllStringSubmatch(ids.ReplaceAllString(q.SQL, ""), -1) {
			if m[2] == "" {
				t.Errorf("query %s reads %s without FINAL", name, m[1])
			}
		}
	}
}

// A parameter that is missing, or that the query does not have, would give the
// wrong figures or an error of the server.
func TestArgs(t *testing.T) {
	t.Parallel()
	q, err := Get(Revenue)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"from": "2026-01-01 00:00:00.000", "to": "2027-01-01 00:00:00.000", "basis": "booked",
		"organiser": All, "event": All, "currency": All, "test_mode": "false",
	}
	if args, err := q.Args(all); err != nil || len(args) != len(all) {
		t.Errorf("Args: %v, %v", args, err)
	}
	missing := maps.Clone(all)
	delete(missing, "to")
	if _, err := q.Args(missing); err == nil || !strings.Contains(err.Error(), "parameter to") {
		t.Errorf("Args without to: %v", err)
	}
	other := maps.Clone(all)
	other["evnet"] = "all"
	if _, err := q.Args(other); err == nil || !strings.Contains(err.Error(), "evnet") {
		t.Errorf("Args with evnet: %v", err)
	}
	if _, err := Get("revnue"); err == nil || !strings.Contains(err.Error(), Revenue) {
		t.Errorf("Get of an unknown query: %v, want the list of what exists", err)
	}
}
