package systemtest

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// answersFile is what a packed directory has besides a data directory's files.
const answersFile = "answers.json"

// left out of an archive: locks, what the engine said, the links that ClickHouse
// makes again, and the local tables, which are a cache and made again from the
// topics.
var leftOut = []string{"lock", "children", "engine.log", "engine.xml", "tables", "views", "data/data"}

// packDirectory writes a stopped data directory into an archive.
func packDirectory(t *testing.T, dir string, answers remembered, path string) {
	t.Helper()
	raw, err := json.MarshalIndent(answers, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, answersFile), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	compressed, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(compressed)
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == "." {
			return err
		}
		if slices.ContainsFunc(leftOut, func(end string) bool { return name == end || strings.HasSuffix(name, "/"+end) }) {
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		return pack(archive, name, path, e)
	})
	if err := errors.Join(err, archive.Close(), compressed.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

func pack(archive *tar.Writer, name, path string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name, header.Uname, header.Gname, header.Uid, header.Gid = name, "", "", 0, 0
	if err := archive.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	content, err := os.Open(path)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(archive, content)
	return err
}

// unpack makes the directory of an archive.
func unpack(t *testing.T, path, dir string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	compressed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(compressed)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = unpackOne(archive, header, filepath.Join(dir, filepath.FromSlash(header.Name)))
		}
		if err != nil {
			t.Fatalf("unpacking %s: %v", path, err)
		}
	}
}

func unpackOne(archive io.Reader, header *tar.Header, to string) error {
	switch header.Typeflag {
	case tar.TypeDir:
		return os.MkdirAll(to, header.FileInfo().Mode().Perm())
	case tar.TypeSymlink:
		return os.Symlink(header.Linkname, to)
	}
	file, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, header.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(file, archive)
	return errors.Join(err, file.Close())
}
