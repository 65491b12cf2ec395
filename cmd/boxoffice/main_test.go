package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// command runs the program as a person would and returns its exit status and
// what it printed.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	status = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

// A person asks for something that cannot be: the exit status is 2 and the
// message says what to do instead.
func TestMistakesAreToldWithStatusTwo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"no such command", []string{"sell"}, "unexpected argument sell"},
		{"too small a sale", []string{"demo", "-n", "5"}, "--registrations must be at least 100"},
		{"too large a sale", []string{"demo", "-n", "1000000"}, "one event has at most 500000"},
		{"negative rate", []string{"demo", "--rate=-1"}, "--rate must not be negative"},
		{"no such group", []string{"process", "ticketing", "--metrics-addr", "127.0.0.1:0"}, `there is no group "ticketing"`},
		{"no such report", []string{"report", "profit"}, "revenue"},
		{"no such time zone", []string{"report", "revenue", "--tz", "Mars/Olympus"}, "Mars/Olympus"},
		{"period that ends before it starts", []string{"report", "revenue", "--from", "2026-02-01", "--to", "2026-01-01"}, "2026"},
		{"two broker ports", []string{"up", "--kafka-ports", "1,2"}, "three ports"},
		{"no such scenario", []string{"bench", "--only", "fast"}, `there is no scenario "fast"`},
		{"no such scope", []string{"keys", "--keys-file", filepath.Join(t.TempDir(), "k"), "--name", "n", "--organiser", "o", "--scopes", "all"}, `there is no scope "all"`},
		{"settings file that is not there", []string{"--config", "/nowhere/settings.yaml", "topics", "describe"}, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, _, stderr := command(t, c.args...)
			if status != exitUsage || !strings.Contains(stderr, c.says) {
				t.Errorf("status %d, %q; want %d and %q", status, stderr, exitUsage, c.says)
			}
		})
	}
}

// A misspelt setting in the file would be ignored in silence, and the operator
// would wonder for hours.
func TestAMisspeltSettingIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte("kafka-broker: a:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := command(t, "--config", file, "topics", "describe")
	if status != exitUsage || !strings.Contains(stderr, `unknown setting "kafka-broker"`) {
		t.Fatalf("status %d, %q", status, stderr)
	}
}

// A flag beats the environment, which beats the file.
func TestPrecedenceOfSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte("kafka-brokers: [file:1, file:2]\nreplication: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	parse := func(args ...string) topicsCreateCommand {
		t.Helper()
		var c cli
		args = append([]string{"--config", file, "topics", "create"}, args...)
		parser, err := kong.New(&c, kong.DefaultEnvars("BOXOFFICE"), kong.Vars{"version": ""})
		if err != nil {
			t.Fatal(err)
		}
		if err := useConfigFile(parser, args); err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(args); err != nil {
			t.Fatal(err)
		}
		return c.Topics.Create
	}
	if c := parse(); strings.Join(c.KafkaBrokers, ",") != "file:1,file:2" || c.Replication != 2 || c.Partitions != 32 {
		t.Errorf("from the file and the defaults: %+v", c)
	}
	t.Setenv("BOXOFFICE_KAFKA_BROKERS", "env:1")
	if c := parse(); strings.Join(c.KafkaBrokers, ",") != "env:1" || c.Replication != 2 {
		t.Errorf("from the environment: %+v", c)
	}
	if c := parse("--kafka-brokers", "flag:1"); strings.Join(c.KafkaBrokers, ",") != "flag:1" {
		t.Errorf("from the flag: %+v", c)
	}
}

// The key that is made is the one that the key file lists.
func TestAKeyIsMadeAndListed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "api-keys.json")
	status, key, stderr := command(t, "keys", "--keys-file", file, "--name", "shop", "--organiser", "eventpro")
	if status != exitOK {
		t.Fatalf("status %d, %q", status, stderr)
	}
	store, err := (&keyFlags{KeysFile: file}).open(discardLog)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := store.Authenticate("Bearer " + strings.TrimSpace(key))
	if err != nil || identity.Organiser != "eventpro" {
		t.Fatalf("%+v, %v", identity, err)
	}
	if content, _ := os.ReadFile(file); strings.Contains(string(content), strings.TrimSpace(key)) {
		t.Fatal("the key file holds the key itself")
	}
}

// The generated pages name every command; they are what CI compares.
func TestDocumentsAreGenerated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if status, _, stderr := command(t, "docs", dir); status != exitOK {
		t.Fatalf("status %d, %q", status, stderr)
	}
	page, err := os.ReadFile(filepath.Join(dir, "CONFIG.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"boxoffice demo", "boxoffice simulate onsale", "boxoffice topics create", "BOXOFFICE_KAFKA_BROKERS"} {
		if !strings.Contains(string(page), name) {
			t.Errorf("CONFIG.md lacks %q", name)
		}
	}
}

// Figures for people: thousands, negatives, halves of the bar.
func TestFiguresForPeople(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1500: "-1,500"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is written %q, want %q", n, got, want)
		}
	}
	if got := gauge(1, 2, 10); got != "█████░░░░░" {
		t.Errorf("half a bar is %q", got)
	}
	if got := gauge(3, 0, 4); got != "████" {
		t.Errorf("a bar of nothing is %q", got)
	}
	if got := median([]float64{3, 1, 2, 10}); got != 2.5 {
		t.Errorf("the median is %v", got)
	}
}

// Without a libchdb where the person says one is, nothing starts, and the
// message says so.
func TestAMissingEngineIsTold(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs strings.Builder
	status := run(ctx, []string{"up", "--data-dir", t.TempDir(), "--chdb-lib", "/nowhere/libchdb.so"}, strings.NewReader(""), &out, &errs)
	if status != exitUsage || !strings.Contains(errs.String(), "/nowhere/libchdb.so") {
		t.Fatalf("status %d, %q", status, errs.String())
	}
}
