package clickhouse

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// libraryEntry is the library's name inside the npm package.
const libraryEntry = "package/libchdb.so"

// Fetch brings libchdb for this platform through npm into cacheDir, where [Locate] finds it. It downloads about 170 MB and unpacks 570 MB.
// The tarball's digest has to be the one in [Packages]. A library that is there already is left alone; of two set-ups at the same time
// the second waits for the first. An empty cacheDir means the user's cache folder; progress gets a line for each step and may be nil.
func Fetch(ctx context.Context, cacheDir string, progress func(string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	pkg, ok := Packages[Platform()]
	if !ok {
		return fmt.Errorf("there is no checked package of the ClickHouse engine for %s: set BOXOFFICE_CHDB_LIB to a libchdb %s of your own, or BOXOFFICE_CLICKHOUSE_URL to a ClickHouse server",
			Platform(), Version)
	}
	target, err := libraryPath(cacheDir)
	if err != nil {
		return err
	}
	return fetch(ctx, pkg, target, packWithNPM, progress)
}

// pack puts a package's tarball into dir and returns its path.
type pack func(ctx context.Context, pkg Package, dir string) (string, error)

func fetch(ctx context.Context, pkg Package, target string, pack pack, progress func(string)) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("engine cache: %w", err)
	}
	lock := flock.New(target + ".lock")
	defer lock.Close()
	if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return fmt.Errorf("engine cache: waiting for another set-up: %w", err)
	}
	if regularFile(target) == nil {
		progress("the ClickHouse engine is here already: " + target)
		return nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(target), "fetch-*")
	if err != nil {
		return fmt.Errorf("engine cache: %w", err)
	}
	defer os.RemoveAll(dir)
	progress(fmt.Sprintf("bringing %s@%s with npm (170 MB)", pkg.Name, pkg.Version))
	tarball, err := pack(ctx, pkg, dir)
	if err != nil {
		return err
	}
	progress("checking its digest")
	if err := checkIntegrity(tarball, pkg.Integrity); err != nil {
		return fmt.Errorf("%s@%s: %w", pkg.Name, pkg.Version, err)
	}
	progress("unpacking libchdb.so (570 MB)")
	unpacked := filepath.Join(dir, "libchdb.so")
	if err := unpack(tarball, libraryEntry, unpacked); err != nil {
		return fmt.Errorf("%s@%s: %w", pkg.Name, pkg.Version, err)
	}
	// The rename is last: a library at its place is always a whole one.
	if err := os.Rename(unpacked, target); err != nil {
		return fmt.Errorf("engine cache: %w", err)
	}
	progress("the ClickHouse engine is ready: " + target)
	return nil
}

// packWithNPM lets npm download the tarball, so that proxies and mirrors that the user has set for npm apply. Nothing in the package runs.
func packWithNPM(ctx context.Context, pkg Package, dir string) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", errors.New("npm is not installed, and it is what brings the ClickHouse engine: install Node.js with npm, or set BOXOFFICE_CHDB_LIB to a libchdb of your own, or BOXOFFICE_CLICKHOUSE_URL to a ClickHouse server")
	}
	cmd := exec.CommandContext(ctx, npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", dir, pkg.Name+"@"+pkg.Version)
	cmd.Dir = dir
	var complaint strings.Builder
	cmd.Stderr = &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("npm pack %s@%s: %w: %s", pkg.Name, pkg.Version, err, strings.TrimSpace(complaint.String()))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("npm pack %s@%s left %d tarballs, not one", pkg.Name, pkg.Version, len(found))
	}
	return found[0], nil
}

// checkIntegrity compares a file's SHA-512 with npm's notation of it.
func checkIntegrity(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha512.New()
	if _, err := io.Copy(hash, f); err != nil {
		return err
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(hash.Sum(nil)); got != want {
		return fmt.Errorf("the digest of what was downloaded is %s and not %s: it is not used", got, want)
	}
	return nil
}

// unpack writes one entry of a tarball to target and makes it durable.
func unpack(tarball, entry, target string) error {
	f, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	archive := tar.NewReader(zipped)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("there is no %s in it", entry)
		}
		if err != nil {
			return err
		}
		if header.Name == entry {
			return writeFile(target, archive)
		}
	}
}

func writeFile(path string, content io.Reader) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	return f.Sync()
}
