package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func mustOpen(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path, "boxoffice test")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// wantError checks that opening fails and that the message says all of it.
func wantError(t *testing.T, path string, says ...string) {
	t.Helper()
	d, err := Open(path, "boxoffice test")
	if err == nil {
		_ = d.Close()
		t.Fatalf("%s was opened, want an error that says %q", path, says)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

// A new directory gets its layout and a key that only its owner can read; the
// next start finds the same key.
func TestNewDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b")
	d := mustOpen(t, path)
	for _, part := range []string{d.Kafka(), d.ClickHouse(), d.Tables(), d.Views(), d.Provider()} {
		if info, err := os.Stat(part); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", part, err)
		}
	}
	key := d.DevKey()
	if len(key) != keyBytes || bytes.Equal(key, make([]byte, keyBytes)) {
		t.Errorf("key: %x", key)
	}
	if info, err := os.Stat(d.Path(keyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", info, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, path)
	defer d.Close()
	if !bytes.Equal(d.DevKey(), key) {
		t.Errorf("the key changed from %x to %x", key, d.DevKey())
	}
}

// A second starter is told which process holds the directory, and gets it once
// that has ended.
func TestSecondStarter(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d := mustOpen(t, path)
	wantError(t, path, path, fmt.Sprintf("in use by pid %d (boxoffice test)", os.Getpid()))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, path).Close(); err != nil {
		t.Fatal(err)
	}
}

// The holder was killed and left a child that has not ended yet: the directory
// stays held until it has.
func TestChildOfKilledHolder(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d := mustOpen(t, path)
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{d.Children()}
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(path, childrenFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if held, err := lockInherited(f); err != nil || held {
		t.Errorf("locked %t, %v, want it held by the child", held, err)
	}
	opened := make(chan error)
	go func() {
		next, err := Open(path, "boxoffice test")
		if err == nil {
			err = next.Close()
		}
		opened <- err
	}()
	if err := errors.Join(stdin.Close(), child.Wait()); err != nil {
		t.Error(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// Somebody else's directory is left exactly as it was.
func TestForeignDirectory(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "thesis.tex"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantError(t, path, "other things in it (thesis.tex)", "choose an empty or a new directory")
	if entries, err := os.ReadDir(path); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// Torn and newer directories, a torn key and a key for everybody are told apart
// and say what to do.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file, content string
		mode                os.FileMode
		says                string
	}{
		{"empty version", versionFile, "", 0o644, "is damaged"},
		{"torn version", versionFile, "boxoffice data dir", 0o644, "is damaged"},
		{"newer version", versionFile, layout + "2\n", 0o644, "layout version 2, and this program knows versions up to 1: use the release that made it or a newer one"},
		{"torn key", keyFile, "abcd", 0o600, "restore it from a copy"},
		{"open key", keyFile, strings.Repeat("ab", keyBytes), 0o644, "chmod 600"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			if err := mustOpen(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(path, c.file)
			if err := os.WriteFile(file, []byte(c.content), c.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, c.mode); err != nil {
				t.Fatal(err)
			}
			wantError(t, path, c.says)
		})
	}
}

// A start that was killed before it wrote VERSION is no obstacle.
func TestKilledFirstStart(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	for _, name := range []string{lockFile, versionFile + newSuffix} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("box"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := mustOpen(t, path).Close(); err != nil {
		t.Fatal(err)
	}
}

// A disk that is nearly full is noticed before anything is written to it, and
// one that is full says so.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	_, err := open(path, "boxoffice test", func(string) (uint64, error) { return 3 << 20, nil }, nil)
	if err == nil || !strings.Contains(err.Error(), "only 3 MB are free") {
		t.Errorf("nearly full: %v", err)
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	if runtime.GOOS == "linux" {
		full := os.WriteFile("/dev/full", []byte("x"), 0o644)
		if err := explain(path, full); full == nil || !strings.Contains(err.Error(), "its disk is full") {
			t.Errorf("full: %v", err)
		}
	}
}

// A file in the way, and a directory that must not be written, are errors that
// say so.
func TestNotWritable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wantError(t, filepath.Join(file, "data"), "a file is in its way")
	if err := explain("d", &os.PathError{Op: "open", Path: "d", Err: os.ErrPermission}); !strings.Contains(err.Error(), "it cannot be written") {
		t.Errorf("permission: %v", err)
	}
}
