package schedule

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write puts a file of schedules into a folder of its own.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schedules.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func noEnv(string) string { return "" }

// A mistake anywhere in the file shows when it is read, with the schedule that has
// it and what to write instead; a password never shows.
func TestMistakesInTheFile(t *testing.T) {
	t.Parallel()
	good := func(smtp, reports, deliver string) string {
		return smtp + "\nschedules:\n  - name: daily\n    cron: 0 6 * * *\n    reports: [" + reports + "]\n    deliver: [" + deliver + "]\n"
	}
	const server = "smtp: {host: mail.example.org, from: reports@example.org}"
	const report = "{report: revenue, period: yesterday, formats: [csv]}"
	for name, c := range map[string]struct{ file, want string }{
		"empty":              {"", "there is no schedule"},
		"no YAML":            {"schedules: [", "line 1"},
		"misspelt":           {"schedule: []", "field schedule not found"},
		"a password":         {"smtp: {host: h, from: a@b, password: hunter2}", "field password not found"},
		"name":               {strings.Replace(good("", report, "{directory: out}"), "daily", "Dai ly", 1), "name must be"},
		"cron":               {strings.Replace(good("", report, "{directory: out}"), "0 6 * * *", "at six", 1), "cron is \"at six\""},
		"twice":              {good("", report, "{directory: out}") + "  - name: daily\n    cron: 0 6 * * *\n    reports: [" + report + "]\n    deliver: [{directory: out}]\n", "there twice"},
		"zone":               {good("", report, "{directory: out}") + "    zone: Mars/Base\n", "IANA"},
		"no report":          {good("", "", "{directory: out}"), "at least one report"},
		"no place":           {good("", report, ""), "one place under deliver"},
		"unknown report":     {good("", "{report: revnue, formats: [csv]}", "{directory: out}"), "there is no report \"revnue\""},
		"unknown format":     {good("", "{report: revenue, formats: [doc]}", "{directory: out}"), "there is no format \"doc\""},
		"no format":          {good("", "{report: revenue}", "{directory: out}"), "at least one of the formats"},
		"period":             {good("", "{report: revenue, period: last-moth, formats: [csv]}", "{directory: out}"), "period is \"last-moth\""},
		"two periods":        {good("", "{report: revenue, period: last-month, from: 2026-09-01, formats: [csv]}", "{directory: out}"), "leave from and to out"},
		"currency":           {good("", "{report: revenue, currency: EURO, formats: [csv]}", "{directory: out}"), "ISO 4217"},
		"neither":            {good("", report, "{}"), "a directory or a mail"},
		"both":               {good(server, report, "{directory: out, mail: {to: [a@b.c]}}"), "a directory or a mail"},
		"the same place":     {good("", report, "{directory: out}, {directory: ./out}"), "goes twice"},
		"mail without smtp":  {good("", report, "{mail: {to: [a@b.c]}}"), "set smtp"},
		"nobody":             {good(server, report, "{mail: {}}"), "set to"},
		"address":            {good(server, report, "{mail: {to: [anna]}}"), "\"anna\" is no mail address"},
		"subject":            {good(server, report, "{mail: {to: [a@b.c], subject: \"a\\nBcc: x@y.z\"}}"), "one line"},
		"from":               {good("smtp: {host: h, from: us}", report, "{mail: {to: [a@b.c]}}"), "from is \"us\""},
		"tls":                {good("smtp: {host: h, from: a@b.c, tls: maybe}", report, "{mail: {to: [a@b.c]}}"), "tls is \"maybe\""},
		"in the clear":       {good("smtp: {host: h, from: a@b.c, tls: none, user: u, password_env: X}", report, "{mail: {to: [a@b.c]}}"), "in the clear"},
		"user without":       {good("smtp: {host: h, from: a@b.c, user: u}", report, "{mail: {to: [a@b.c]}}"), "belong together"},
		"env":                {good("smtp: {host: h, from: a@b.c, user: u, password_env: NONE}", report, "{mail: {to: [a@b.c]}}"), "no NONE"},
		"password file":      {good("smtp: {host: h, from: a@b.c, user: u, password_file: none}", report, "{mail: {to: [a@b.c]}}"), "password_file"},
		"wait":               {good("", report, "{directory: out}") + "    wait: -1h\n", "wait is -1h"},
		"unwanted parameter": {good("", "{report: open-items, event: 00000000-0000-0000-0000-00000000000a, basis: nonsense, formats: [csv]}", "{directory: out}"), "basis"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(write(t, c.file), noEnv)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// The example in the documentation is one: with the files that it names it loads,
// and its paths are relative to it.
func TestTheExample(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	for line := range strings.SplitSeq(string(source), "\n") {
		if text, ok := strings.CutPrefix(line, "//\t"); ok && !strings.Contains(line, "password_env") && !strings.Contains(line, "ca_file") {
			example.WriteString(strings.ReplaceAll(text, "[pdf, csv]", "[json, csv]") + "\n")
		}
	}
	path := write(t, example.String())
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "smtp-password"), []byte("hunter2\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, noEnv)
	if err != nil {
		t.Fatalf("%v\n%s", err, example.String())
	}
	if c.SMTP.password() != "hunter2" || c.SMTP.Port != 587 || strings.Contains(fmt.Sprintf("%v %+v %#v", c.SMTP, c.SMTP, c.SMTP), "hunter2") {
		t.Errorf("smtp %+v", c.SMTP)
	}
	runs := c.Plan(time.Date(2026, 9, 15, 0, 0, 0, 0, time.UTC), 2)
	if len(runs) != 2 || runs[1].Due.Format(time.RFC3339) != "2026-11-01T06:00:00+01:00" || runs[0].Reports[0] != "revenue 2026-09-01 to 2026-09-30" ||
		runs[0].Places[0] != "directory /srv/reports" || runs[0].Places[1] != "mail anna@example.org" {
		t.Errorf("plan %+v", runs)
	}
}
