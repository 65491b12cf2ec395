package main

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	embedded "github.com/eventpro/boxoffice/internal/embedded/clickhouse"
	"github.com/eventpro/boxoffice/internal/goldensales"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// engine starts the one engine that this process can have, and gives its URL.
func engine(t *testing.T) string {
	t.Helper()
	library, err := embedded.Locate("", os.Getenv("BOXOFFICE_CHDB_LIB"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := embedded.Open(embedded.Options{Library: library, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Addr()
}

// A bookkeeper works on the golden sales.
func TestReportsOnSales(t *testing.T) {
	t.Parallel()
	url := engine(t)
	db, err := goldensales.Load(t.Context(), url, clickhouse.DefaultDatabase, goldensales.Records())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	t.Run("history", func(t *testing.T) { aPastIsMadeUp(t, url) })
	t.Run("files", func(t *testing.T) { reportsAreWrittenToFiles(t, url) })
	t.Run("unknown event", func(t *testing.T) { anUnknownEventIsAMistake(t, url, db) })
	t.Run("open items", func(t *testing.T) { openItemsThatDoNotBalanceFail(t, url, db) })
}

// A past is made up beside the real one, twice, and its books balance like those of
// sales that took place. Into the real one it does not get.
func aPastIsMadeUp(t *testing.T, url string) {
	args := []string{"--clickhouse-url", url, "--clickhouse-database"}
	open := append([]string{"report", "open-items", "--format", "csv"}, append(args, "boxoffice_history")...)
	var before string
	for range 2 {
		status, stdout, stderr := command(t, append([]string{"simulate", "history", "-n", "1500", "--until", "2026-11-01"}, append(args, "boxoffice_history")...)...)
		if status != exitOK || !strings.Contains(stdout, "1,500 registrations for 6 events") {
			t.Fatalf("status %d, %s%s", status, stdout, stderr)
		}
		status, stdout, stderr = command(t, open...)
		if status != exitOK || strings.Count(stdout, "roll_forward,") < 2 || before != "" && stdout != before {
			t.Fatalf("status %d, %s%s\nbefore %s", status, stdout, stderr, before)
		}
		before = stdout
	}
	status, _, stderr := command(t, append([]string{"simulate", "history", "-n", "10"}, append(args, clickhouse.DefaultDatabase)...)...)
	if status != exitUsage || !strings.Contains(stderr, "what really happened") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// Last month's revenue is wanted as files: the format follows from the file's
// name, nothing else lies in the folder, and the locale is the one that was asked
// for.
func reportsAreWrittenToFiles(t *testing.T, url string) {
	dir := t.TempDir()
	for file, begins := range map[string]string{
		"revenue.pdf": "%PDF-", "revenue.xlsx": "PK", "revenue.html": "<!DOCTYPE html>", "revenue.csv": "event,", "revenue.json": "{", "revenue.txt": "Revenue",
	} {
		status, out, stderr := command(t, "report", "revenue", "--clickhouse-url", url, "--period", "2026-09", "--tz", "Europe/Berlin", "--locale", "de", "--out", filepath.Join(dir, file))
		if status != exitOK || out != "" {
			t.Fatalf("%s: status %d, %q, %q", file, status, out, stderr)
		}
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.HasPrefix(string(content), begins) {
			t.Errorf("%s begins with %.20q, %v", file, content, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 6 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "revenue.html"))
	if err != nil || !strings.Contains(string(page), "519,95\u00a0€") || !strings.Contains(string(page), "01.09.2026 to 30.09.2026") {
		t.Errorf("the page does not show September's gross in German: %v", err)
	}
}

// Somebody mistypes an event's id: that is said, with where to find ids, instead of a
// report without sales, and no file is written. The right id makes the report.
func anUnknownEventIsAMistake(t *testing.T, url string, db *sql.DB) {
	file := filepath.Join(t.TempDir(), "revenue.csv")
	args := []string{"report", "revenue", "--clickhouse-url", url, "--out", file, "--event"}
	status, _, stderr := command(t, append(args, "00000000-0000-4000-8000-000000000001")...)
	if status != exitUsage || !strings.Contains(stderr, "there is no event 00000000") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a file was written: %v", err)
	}
	var event string
	if err := db.QueryRowContext(t.Context(), "SELECT toString(any(event_id)) FROM catalog_events FINAL").Scan(&event); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr = command(t, append(args, event)...); status != exitOK {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// A person closes October: the report balances and the exit status is 0. Then a
// charge is gone from the journal: the first line says so, the exit status is 1, and
// a file is written all the same.
func openItemsThatDoNotBalanceFail(t *testing.T, url string, db *sql.DB) {
	args := []string{"report", "open-items", "--period", "2026-10", "--tz", "Europe/Berlin", "--clickhouse-url", url}
	status, stdout, stderr := command(t, args...)
	if status != exitOK || !strings.HasPrefix(stdout, "Open items\n") {
		t.Fatalf("status %d, %s%s", status, stdout, stderr)
	}
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE movements DELETE WHERE kind = 'charge' AND amount_minor = 15000 SETTINGS mutations_sync = 2"); err != nil {
		t.Fatal(err)
	}
	const alarm = "The open items do not balance: EUR by -150.00"
	status, stdout, stderr = command(t, args...)
	if status != exitFailed || !strings.HasPrefix(stdout, alarm) || !strings.Contains(stderr, alarm) {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
	file := filepath.Join(t.TempDir(), "october.csv")
	if status, _, _ = command(t, append(args, "--out", file)...); status != exitFailed {
		t.Errorf("status %d with --out", status)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), alarm) {
		t.Errorf("the file says %q, %v", text, err)
	}
	// An organiser's figures are its own.
	if status, stdout, stderr = command(t, "report", "payout", "--organiser", "gulf", "--period", "2026-09", "--clickhouse-url", url); status != exitOK ||
		!strings.Contains(stdout, "organiser gulf") || !strings.Contains(stdout, "25.180") || strings.Contains(stdout, "acme") {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
}
