package clickhouse

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Version is the release of libchdb that this code was written for. Its engine is ClickHouse 26.7.
const Version = "26.7.3-stable.1"

// Package is the npm package that carries libchdb for one platform.
type Package struct {
	// Name and Version name it on npm.
	Name, Version string
	// Integrity is the tarball's digest in npm's notation: "sha512-" and base64.
	Integrity string
}

// Packages holds, by GOOS/GOARCH, the packages whose digest is known. chDB is also built for linux/arm64, darwin/amd64 and
// darwin/arm64; there the library has to be named by hand until its digest is here.
var Packages = map[string]Package{
	"linux/amd64": {
		Name:      "@chdb/lib-linux-x64-gnu",
		Version:   Version,
		Integrity: "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
	},
}

// Platform is this process's key in [Packages].
func Platform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// ErrNoLibrary is wrapped by the error that says that libchdb is not there, and what to do.
var ErrNoLibrary = errors.New("the ClickHouse engine is not installed")

// Locate returns the path of libchdb: override if it is not empty (the value of BOXOFFICE_CHDB_LIB), else its place below cacheDir.
// An empty cacheDir means the user's cache folder. The error wraps [ErrNoLibrary] and names the commands that help.
func Locate(cacheDir, override string) (string, error) {
	if override != "" {
		if err := regularFile(override); err != nil {
			return "", fmt.Errorf("%w: BOXOFFICE_CHDB_LIB names %s, which cannot be used (%w); point it at a libchdb %s or unset it", ErrNoLibrary, override, err, Version)
		}
		return filepath.Abs(override)
	}
	path, err := libraryPath(cacheDir)
	if err != nil {
		return "", err
	}
	if err := regularFile(path); err == nil {
		return path, nil
	}
	if _, ok := Packages[Platform()]; !ok {
		return "", fmt.Errorf("%w: there is no checked package for %s; set BOXOFFICE_CHDB_LIB to a libchdb %s of your own, or BOXOFFICE_CLICKHOUSE_URL to a ClickHouse server",
			ErrNoLibrary, Platform(), Version)
	}
	return "", fmt.Errorf("%w: %s is missing; run `make setup`, or set BOXOFFICE_CHDB_LIB to a libchdb %s, or BOXOFFICE_CLICKHOUSE_URL to a ClickHouse server",
		ErrNoLibrary, path, Version)
}

// libraryPath is where [Fetch] puts the library and [Locate] expects it.
func libraryPath(cacheDir string) (string, error) {
	if cacheDir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("%w: there is no cache folder to look in (%w); set BOXOFFICE_CHDB_LIB", ErrNoLibrary, err)
		}
		cacheDir = filepath.Join(user, "boxoffice")
	}
	return filepath.Abs(filepath.Join(cacheDir, "chdb-"+Version, "package", "libchdb.so"))
}

func regularFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a file")
	}
	return nil
}
