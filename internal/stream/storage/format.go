package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// format is the number of what layout.go describes. It is raised when a database
// that was written before would be misread.
const format = 1

// formatFile has the number. It lies beside what the database writes.
const formatFile = "FORMAT"

// dropOther drops a database of another format: it is a cache, and what it had is
// read again from the log. One without a number is of the first format, which had
// none.
func (s *Store) dropOther() error {
	file := filepath.Join(s.dir, formatFile)
	found, numbered, err := s.readFormat(file)
	if err != nil || numbered && found == format {
		return err
	}
	if found != format {
		s.options.Logger.Warn("local tables have another format: they are dropped and rebuilt from the log", "directory", s.dir)
		if err := s.drop(); err != nil {
			return fmt.Errorf("dropping tables of another format: %w", err)
		}
	}
	// Written last: whatever a kill leaves of the old one is dropped again.
	return s.writeFormat(file)
}

func (s *Store) readFormat(file string) (found int, numbered bool, err error) {
	f, err := s.options.FS.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 1, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		return 0, false, err
	}
	found, _ = strconv.Atoi(strings.TrimSpace(string(raw))) // a torn one is no format
	return found, true, nil
}

func (s *Store) writeFormat(file string) error {
	f, err := s.options.FS.Create(file, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, format)
	return errors.Join(err, f.Sync(), f.Close())
}
