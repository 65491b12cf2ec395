package clickhouse

import (
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"
)

type alertRules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

// An alert on a metric that nobody exports never fires, and one whose runbook is gone
// helps nobody at night.
func TestAlertsFitTheMetricsAndTheRunbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../dashboards/alerts/conservation.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules alertRules
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	labels, sections := exported(t), headings(t, "README.md")
	metric := regexp.MustCompile(`\bboxoffice_[a-z_]+`)
	grouped := regexp.MustCompile(`by \(([a-z]+)\)`)
	fires := map[string]bool{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			for _, m := range metric.FindAllString(r.Expr, -1) {
				fires[m] = true
				label, known := labels[m]
				if !known {
					t.Errorf("%s: nobody exports %s", r.Alert, m)
				}
				if by := grouped.FindStringSubmatch(r.Expr); by != nil && by[1] != label {
					t.Errorf("%s: %s has the label %q, not %q", r.Alert, m, label, by[1])
				}
			}
			if wait, err := time.ParseDuration(r.For); err != nil || wait < time.Minute {
				t.Errorf("%s: for %q", r.Alert, r.For)
			}
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: severity %q", r.Alert, s)
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s lacks a summary or a description", r.Alert)
			}
			page, section, _ := strings.Cut(r.Annotations["runbook_url"], "#")
			if !strings.HasSuffix(page, "/sinks/clickhouse/README.md") || !sections[section] {
				t.Errorf("%s: the runbook %s has no such section", r.Alert, r.Annotations["runbook_url"])
			}
		}
	}
	if !fires["boxoffice_conservation_lasting_seconds"] || !fires["boxoffice_conservation_checked_timestamp_seconds"] {
		t.Error("no alert fires when the books differ, or when nobody compares them")
	}
}

// exported are the loader's metrics, each with its label.
func exported(t *testing.T) map[string]string {
	t.Helper()
	registry := prometheus.NewRegistry()
	s, err := New(Config{Brokers: []string{"127.0.0.1:1"}, URL: engineURL, Logger: slog.New(slog.DiscardHandler), Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, f := range families {
		labels[f.GetName()] = ""
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels[f.GetName()] = l.GetName()
		}
	}
	return labels
}

// headings are the sections of a page, as their links name them.
func headings(t *testing.T, page string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if name := strings.TrimLeft(line, "#"); name != line {
			sections[strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), " ", "-")] = true
		}
	}
	return sections
}
