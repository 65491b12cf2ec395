package wholefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Writing fails in the middle: the old content stays, and nothing lies beside it.
func TestAFailedWriteLeavesTheOldContent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	if err := Write(path, 0o600, Content([]byte("old"))); err != nil {
		t.Fatal(err)
	}
	full := errors.New("the disk is full")
	err := Write(path, 0o600, func(w io.Writer) error {
		_, _ = io.WriteString(w, "ne")
		return full
	})
	if !errors.Is(err, full) {
		t.Errorf("it failed with %v", err)
	}
	look := func(want string) {
		t.Helper()
		content, err := os.ReadFile(path)
		if err != nil || string(content) != want {
			t.Errorf("the file has %q, %v, want %q", content, err, want)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("the folder has %v, %v", entries, err)
		}
	}
	look("old")
	if err := Write(path, 0o644, Content([]byte("new"))); err != nil {
		t.Fatal(err)
	}
	look("new")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if err := SyncDir(dir); err != nil {
		t.Error(err)
	}
}
