package systemtest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// eachFile calls fn for every file below a folder of the data directory whose
// name has the suffix, and wants one at least.
func (l layout) eachFile(t *testing.T, folder, suffix string, fn func(path string, size int64) error) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(l.dir, folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n++
		return fn(path, info.Size())
	})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Fatalf("no %s files in %s", suffix, folder)
	}
}

func halve(path string, size int64) error { return os.Truncate(path, size/2) }

// appendTo leaves what a write that was cut short leaves.
func appendTo(text string) func(string, int64) error {
	return func(path string, _ int64) error {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		if closed := f.Close(); err == nil {
			err = closed
		}
		return err
	}
}

// What is derived, or was being written when the power went, is damaged while
// the system is down: it starts again as if nothing had happened, everything
// sold is still there, and the sale goes on.
func TestTornDirectoryHeals(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	event := s.newEvent(t, "torn", 200)
	var ids []string
	for i, damage := range []struct {
		what string
		do   func()
	}{
		{"local tables lost", func() { _ = os.RemoveAll(filepath.Join(s.dir, "tables")) }},
		{"local tables torn at their ends", func() { s.eachFile(t, "tables", ".log", halve) }},
		{"local tables without their contents' list", func() { s.eachFile(t, "tables", "MANIFEST-000001", halve) }},
		{"half a record at the end of the log", func() { s.eachFile(t, "kafka/log", ".dat", appendTo("\x00\x00\x01")) }},
		{"half a line at the end of the ledger", func() { s.eachFile(t, "provider", "ledger.ndjson", appendTo(`{"kind":"cha`)) }},
	} {
		for n := range 10 {
			ids = append(ids, s.buy(t, event, fmt.Sprintf("torn-%d-%d", i, n)).RegistrationID)
		}
		s.killAll()
		damage.do()
		t.Logf("after: %s", damage.what)
		s = s.restart(t)
		for _, id := range ids {
			if r := s.awaitSettled(t, id); r.Status != "confirmed" {
				t.Errorf("%s: %s is %s", damage.what, id, r.Status)
			}
		}
		s.awaitSeats(t, event, len(ids), 200-len(ids))
	}
	s.checkBooks(t, ids)
}

// ClickHouse's own description of a table is damaged, which nothing can heal: the
// start ends at once and says which folder it is and what to do, and doing it
// helps.
func TestTornDirectoryIsTold(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	event := s.newEvent(t, "told", 20)
	id := s.buy(t, event, "told").RegistrationID
	s.killAll()
	s.eachFile(t, "clickhouse", "/registrations.sql", halve)
	refused(t, s.layout, filepath.Join(s.dir, "clickhouse"), "if the directory is damaged, move it away")
	if err := os.RemoveAll(filepath.Join(s.dir, "clickhouse")); err != nil {
		t.Fatal(err)
	}
	s = s.restart(t)
	s.awaitLoaded(t, id)
	s.checkBooks(t, []string{id})
}
