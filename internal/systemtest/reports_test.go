package systemtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newKey makes an API key as an operator does, and waits until the system knows it,
// which is some seconds later.
func (s *system) newKey(t *testing.T, organiser, scopes string) string {
	t.Helper()
	cmd := exec.CommandContext(bounded(t), binary, "keys", "--keys-file", filepath.Join(s.dir, "api-keys.json"),
		"--name", "a test", "--organiser", organiser, "--scopes", scopes)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(out))
	eventually(t, "the system knows the new key", func() error {
		if status, body := s.report(t, key, "/v1/reports"); status == http.StatusUnauthorized {
			return errors.New(string(body))
		}
		return nil
	})
	return key
}

// report asks for a report over HTTP.
func (s *system) report(t *testing.T, key, path string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(bounded(t), http.MethodGet, url(s.views)+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// A ticket is bought, and its money shows in the report that the organiser's
// program fetches with a key for reports, and in no other organiser's. Without a
// key, or with one for something else, nothing is told. The provider's ledger has
// the same, line by line.
func testReports(t *testing.T, s *system) {
	event := s.newEvent(t, "reported", 5)
	r := s.awaitSettled(t, s.register(t, order(event, "reported")))
	key, rival, shop := s.newKey(t, "eventpro", "reports"), s.newKey(t, "rival", "reports"), s.newKey(t, "eventpro", "registrations:read")
	path := "/v1/reports/revenue?event=" + event
	gross := func() (int64, error) {
		status, body := s.report(t, key, path)
		var made struct {
			Sections []struct {
				Rows []struct {
					Gross int64 `json:"gross_minor"`
				}
			}
		}
		if err := json.Unmarshal(body, &made); status != http.StatusOK || err != nil || len(made.Sections) == 0 {
			return 0, fmt.Errorf("%d %s", status, body)
		}
		var sum int64
		for _, row := range made.Sections[0].Rows {
			sum += row.Gross
		}
		return sum, nil
	}
	eventually(t, "the report has the ticket's money", func() error {
		sum, err := gross()
		if err == nil && sum != r.TotalMinor {
			err = fmt.Errorf("gross is %d, want %d", sum, r.TotalMinor)
		}
		return err
	})
	if status, body := s.report(t, rival, path); status != http.StatusNotFound || !strings.Contains(string(body), "event_unknown") {
		t.Errorf("another organiser sees %d %s", status, body)
	}
	if status, body := s.report(t, "", path); status != http.StatusUnauthorized {
		t.Errorf("without a key: %d %s", status, body)
	}
	if status, body := s.report(t, shop, path); status != http.StatusForbidden {
		t.Errorf("with a key for something else: %d %s", status, body)
	}
	if status, body := s.report(t, key, "/v1/reports"); status != http.StatusOK || !strings.Contains(string(body), `"revenue"`) {
		t.Errorf("the list: %d %s", status, body)
	}
	eventually(t, "the ledger and our payments agree line by line", func() error {
		out, err := exec.CommandContext(bounded(t), binary, "settle", "--ledger", "--provider-url", url(s.provider), "--clickhouse-url", url(s.clickhouse)).CombinedOutput()
		if err != nil {
			return errors.New(string(out))
		}
		return nil
	})
	s.scheduledReport(t, event)
}

// scheduledReport tries a schedule out that writes into a folder, and starts it.
func (s *system) scheduledReport(t *testing.T, event string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "schedules.yaml")
	content := "schedules:\n  - name: yearly\n    cron: 0 6 1 1 *\n    reports: [{report: revenue, event: " + event + ", formats: [csv]}]\n    deliver: [{directory: out}]\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(bounded(t), binary, "report-schedule", file, "--dry-run").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "yearly: revenue") || !strings.Contains(string(out), "to directory "+filepath.Join(dir, "out")) {
		t.Errorf("the plan: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(bounded(t), binary, "report-schedule", file, "--once", "yearly",
		"--clickhouse-url", url(s.clickhouse), "--kafka-brokers", strings.Join(s.brokers(), ",")).CombinedOutput()
	files, _ := filepath.Glob(filepath.Join(dir, "out", "revenue_*.csv"))
	if err != nil || len(files) != 1 {
		t.Fatalf("trying it out: %v, files %v\n%s", err, files, out)
	}
	if got, err := os.ReadFile(files[0]); err != nil || !strings.Contains(string(got), event) {
		t.Errorf("the file has no word of the event: %v\n%s", err, got)
	}
}
