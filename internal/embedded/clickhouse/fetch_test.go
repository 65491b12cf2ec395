package clickhouse

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// tarball packs entries as npm does and returns the bytes with their digest in npm's notation.
func tarball(t *testing.T, entries map[string]string) (content []byte, integrity string) {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	archive := tar.NewWriter(zipped)
	for name, text := range entries {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(b.Bytes())
	return b.Bytes(), "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// packs returns a pack that hands out content and counts its calls.
func packs(content []byte, calls *atomic.Int32) pack {
	return func(_ context.Context, _ Package, dir string) (string, error) {
		calls.Add(1)
		path := filepath.Join(dir, "p.tgz")
		return path, os.WriteFile(path, content, 0o600)
	}
}

func quiet(string) {}

// leftovers lists what a fetch left beside the library and its lock.
func leftovers(t *testing.T, target string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(target))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != filepath.Base(target) && e.Name() != filepath.Base(target)+".lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

// Eight set-ups at the same time download once, and each finds the whole library afterwards.
func TestFetchTogether(t *testing.T) {
	t.Parallel()
	content, integrity := tarball(t, map[string]string{"package/index.js": "x", libraryEntry: "the library"})
	target := filepath.Join(t.TempDir(), "chdb", "package", "libchdb.so")
	var calls atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := fetch(t.Context(), Package{Integrity: integrity}, target, packs(content, &calls), quiet); err != nil {
				t.Error(err)
			}
			if got, err := os.ReadFile(target); err != nil || string(got) != "the library" {
				t.Errorf("%q %v", got, err)
			}
		})
	}
	all.Wait()
	if calls.Load() != 1 || len(leftovers(t, target)) > 0 {
		t.Fatalf("%d downloads, left over: %v", calls.Load(), leftovers(t, target))
	}
}

// A tarball with another digest, without the library, cut short, or not brought at all leaves nothing behind that could be loaded.
func TestFetchRefusesWhatIsNotThePackage(t *testing.T) {
	t.Parallel()
	good, integrity := tarball(t, map[string]string{libraryEntry: strings.Repeat("library", 100_000)})
	other, otherIntegrity := tarball(t, map[string]string{"package/other": "x"})
	cut := good[:len(good)-20]
	sum := sha512.Sum512(cut)
	cases := map[string]struct {
		content   []byte
		integrity string
		pack      pack
		says      string
	}{
		"tampered":    {content: append(bytes.Clone(good), 0), integrity: integrity, says: "digest"},
		"no library":  {content: other, integrity: otherIntegrity, says: "no package/libchdb.so"},
		"cut short":   {content: cut, integrity: "sha512-" + base64.StdEncoding.EncodeToString(sum[:]), says: "EOF"},
		"not brought": {integrity: integrity, pack: func(context.Context, Package, string) (string, error) { return "", errors.New("offline") }, says: "offline"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := filepath.Join(t.TempDir(), "libchdb.so")
			bring := c.pack
			if bring == nil {
				bring = packs(c.content, new(atomic.Int32))
			}
			err := fetch(t.Context(), Package{Integrity: c.integrity}, target, bring, quiet)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v", err)
			}
			if regularFile(target) == nil || len(leftovers(t, target)) > 0 {
				t.Fatalf("left over: %v", leftovers(t, target))
			}
		})
	}
}

// Without npm the message says what brings the engine otherwise.
func TestFetchWithoutNPM(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := fetch(t.Context(), Package{Name: "p"}, filepath.Join(t.TempDir(), "libchdb.so"), packWithNPM, quiet)
	if err == nil || !strings.Contains(err.Error(), "npm is not installed") || !strings.Contains(err.Error(), "BOXOFFICE_CLICKHOUSE_URL") {
		t.Fatalf("got %v", err)
	}
}

// A missing library is one message with the command and the variables that help; a named library that is not there is not replaced by another.
func TestLocate(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	_, err := Locate(cache, "")
	if !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "make setup") || !strings.Contains(err.Error(), "BOXOFFICE_CHDB_LIB") || !strings.Contains(err.Error(), "BOXOFFICE_CLICKHOUSE_URL") {
		t.Fatalf("got %v", err)
	}
	want, err := libraryPath(cache)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(want), 0o755), os.WriteFile(want, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got, err := Locate(cache, ""); err != nil || got != want {
		t.Fatalf("got %s %v, want %s", got, err, want)
	}
	for _, wrong := range []string{filepath.Join(cache, "nowhere.so"), cache} {
		if _, err := Locate(cache, wrong); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), wrong) {
			t.Fatalf("got %v", err)
		}
	}
}
