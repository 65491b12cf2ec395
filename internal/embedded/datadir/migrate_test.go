package datadir

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// renameStep is a migration that has two steps, as real ones do, and is killed
// between them as often as kills says.
func renameStep(kills *int) migration {
	return func(d *Dir) error {
		if err := os.MkdirAll(d.Path("ledger"), 0o755); err != nil {
			return err
		}
		if *kills > 0 {
			*kills--
			return errors.New("no space left")
		}
		return os.WriteFile(d.Path("ledger/moved"), nil, 0o644)
	}
}

func versionOf(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path + "/" + versionFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(raw), layout))
}

// The step to the second of three layouts fails half-way: the directory stays at
// the first, the message says from where to where, the next start runs the step
// again and goes on to the third, and the release before refuses what is newer.
func TestMigrationThatFailsHalfWay(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if err := mustOpen(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	kills, second := 1, 0
	steps := []migration{renameStep(&kills), func(*Dir) error { second++; return nil }}
	if _, err := open(path, "boxoffice test", freeBytes, steps); err == nil || !strings.Contains(err.Error(), "from layout version 1 to 2: no space left") {
		t.Fatalf("a step that failed: %v", err)
	}
	if v := versionOf(t, path); v != "1" || second != 0 {
		t.Fatalf("after a failed step it is version %s, and the next step ran %d times", v, second)
	}
	for range 2 { // the second time nothing is left to do
		d, err := open(path, "boxoffice test", freeBytes, steps)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if v := versionOf(t, path); v != "3" || second != 1 {
			t.Fatalf("it is version %s after %d second steps, want 3 after 1", v, second)
		}
	}
	wantError(t, path, "layout version 3, and this program knows versions up to 1", "restore the copy")
}

// A new directory has the newest layout from the start: no step runs on it.
func TestNewDirectoryNeedsNoMigration(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d, err := open(path, "boxoffice test", freeBytes, []migration{func(*Dir) error { return errors.New("ran") }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if v := versionOf(t, path); v != "2" {
		t.Errorf("a new directory has version %s, want 2", v)
	}
}

// A command that only looks at a directory does not make one.
func TestOpenExisting(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if _, err := OpenExisting(path, "boxoffice test"); err == nil || !strings.Contains(err.Error(), "no data directory of boxoffice") {
		t.Errorf("an empty folder: %v", err)
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	if err := mustOpen(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	d, err := OpenExisting(path, "boxoffice test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenExisting(path, "boxoffice test"); !errors.Is(err, ErrInUse) {
		t.Errorf("a second one: %v, want %v", err, ErrInUse)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
