package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eventpro/boxoffice/reports"
)

// A report that cannot be written is told, and leaves no file.
func TestMistakesInReports(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"file without a format", []string{"revenue", "--out", filepath.Join(dir, "revenue")}, "--format with one of csv, html"},
		{"no such format", []string{"revenue", "--format", "docx"}, "csv, html, json, pdf, table, xlsx"},
		{"no such period", []string{"revenue", "--period", "last-decade"}, "2026-Q3"},
		{"no such basis", []string{"revenue", "--basis", "paid"}, "booked or occurred"},
		{"no such locale", []string{"revenue", "--locale", "deutsch-"}, "en-US"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, out, stderr := command(t, append([]string{"report"}, c.args...)...)
			if status != exitUsage || out != "" || !strings.Contains(stderr, c.says) {
				t.Errorf("status %d, %q, %q; want %d and %q", status, out, stderr, exitUsage, c.says)
			}
		})
	}
	t.Cleanup(func() {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("the folder has %v, %v", entries, err)
		}
	})
}

// Whoever does not know the names asks for the list, in any of three ways.
func TestReportsAreListed(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"report"}, {"report", "list"}, {"report", "--list"}} {
		status, out, stderr := command(t, args...)
		if status != exitOK {
			t.Errorf("%v: status %d, %q", args, status, stderr)
		}
		for _, name := range reports.Names() {
			if !strings.Contains(out, name+" ") || !strings.Contains(out, reports.About(name)) {
				t.Errorf("%v lacks %s:\n%s", args, name, out)
			}
		}
	}
}
