package stream

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// damages are what may happen to the files of local tables.
var tableDamages = []struct {
	name, files string
	do          func(path string, content []byte) error
}{
	{"the manifest is cut", "MANIFEST-*", func(path string, content []byte) error { return os.WriteFile(path, content[:10], 0o600) }},
	{"the manifest is gone", "MANIFEST-*", func(path string, _ []byte) error { return os.Remove(path) }},
	{"a table file is gone", "*.sst", func(path string, _ []byte) error { return os.Remove(path) }},
	{"a table file is cut", "*.sst", func(path string, content []byte) error { return os.WriteFile(path, content[:len(content)/2], 0o600) }},
	{"a table file has other bytes", "*.sst", func(path string, content []byte) error {
		return os.WriteFile(path, bytes.Repeat([]byte{0x55}, len(content)), 0o600)
	}},
	// This one is found only when a state is read for a record.
	{"a table's values have other bytes", "*.sst", func(path string, content []byte) error {
		content[8] ^= 0x55
		return os.WriteFile(path, content, 0o600)
	}},
}

// damage flushes the database of a stopped member and damages its files.
func damage(t *testing.T, dir, files string, do func(path string, content []byte) error) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, files))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s in %s: %v", files, dir, err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := do(path, content); err != nil {
			t.Fatal(err)
		}
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, _ ...any) {
	panic(format)
}

// The local tables of a member are damaged while it is down. It notices, at the
// latest when it reads a state, says so, and rebuilds them from the log: every
// number is counted once, and no record goes to the dead letters for it.
func TestDamagedTablesAreRebuilt(t *testing.T) {
	t.Parallel()
	for _, d := range tableDamages {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			cfg := b.config("a")
			r := b.start(cfg, Processor{Group: count, Handle: add})
			b.produce(numbers.Name, faultKeys, faultNumbers)
			b.consumed(count.Name, numbers.Name)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			damage(t, filepath.Join(cfg.DataDir, "tables", count.Name), d.files, d.do)
			b.produce(numbers.Name, faultKeys, faultNumbers)

			again := b.config("a")
			again.DataDir, again.BatchRecordsMax = cfg.DataDir, faultBatch
			said := &lines{}
			again.Logger = slog.New(slog.NewTextHandler(said, nil))
			r = b.start(again, Processor{Group: count, Handle: add})
			b.consumed(count.Name, numbers.Name)
			b.exact(r, 2*faultNumbers)
			if !strings.Contains(said.String(), "dropped and rebuilt from the log") {
				t.Errorf("the damage was not told:\n%s", said)
			}
			if dead := b.read(DeadLetterTopic.Name); len(dead) != 0 {
				t.Errorf("%d dead letters, one says %s", len(dead), header(dead[0], HeaderDetail))
			}
		})
	}
}

// The files of a view are damaged while it is down: it is not ready before it has
// them from the log again, and then it is complete.
func TestADamagedViewIsRebuilt(t *testing.T) {
	t.Parallel()
	for _, d := range tableDamages[4:] { // one that shows at the start, one that shows later
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.produce(table.Name, faultKeys, 1)
			cfg := b.config("v")
			v, stop := b.view(cfg)
			b.eventually("ready", v.Ready)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			damage(t, filepath.Join(cfg.DataDir, "views", "lookup", table.Name), d.files, d.do)
			v, _ = b.view(cfg)
			for k := range faultKeys {
				// Whoever is answered is answered right; damage that only shows
				// when a value is read is an error until it is mended.
				b.eventually(key(k)+" is answered", func() bool {
					m, err := v.Get(key(k))
					if err == nil && value(m) != 1 {
						t.Fatalf("%s is %d, want 1", key(k), value(m))
					}
					return err == nil
				})
			}
		})
	}
}
