package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/time/rate"
)

// diskFullEvery is how often a full disk is told of.
const diskFullEvery = 10 * time.Second

// damage remembers that the database cannot be read any more. The log has all
// that was in it, so what is damaged is dropped and rebuilt, never trusted.
type damage struct {
	mu    sync.Mutex
	cause error
	seen  chan struct{} // closed with the first cause
}

func newDamage() damage { return damage{seen: make(chan struct{})} }

// note keeps the first cause.
func (d *damage) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cause == nil {
		d.cause = err
		close(d.seen)
	}
}

func (d *damage) get() (seen <-chan struct{}, cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen, d.cause
}

func (d *damage) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cause != nil {
		d.cause, d.seen = nil, make(chan struct{})
	}
}

// torn reports files that are torn, missing or unreadable.
func torn(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EIO)
}

// unopenable tells a database that nobody can open from a machine that does not
// let us (no space, no permission, too many open files).
func unopenable(err error) bool {
	var number syscall.Errno
	return torn(err) || err != nil && !errors.As(err, &number)
}

// write writes a batch. When its log cannot be written any more Pebble panics: the
// process ends, and the next one drops or completes what it finds.
func (s *Store) write(b *pebble.Batch) error {
	if err := b.Commit(pebble.NoSync); err != nil {
		return s.failed(fmt.Errorf("writing: %w", err))
	}
	return nil
}

// tellDiskFull tells a person what to do when a write fails for want of room. Pebble
// itself says so, if at all, with the stack of the panic that it ends in.
func tellDiskFull(fs vfs.FS, dir string, log *slog.Logger) vfs.FS {
	seldom := rate.Sometimes{First: 1, Interval: diskFullEvery}
	return vfs.OnDiskFull(fs, func() {
		seldom.Do(func() {
			log.Error("the disk of the local tables is full: make room on it, and start the process again if it has ended; nothing is lost", "directory", dir)
		})
	})
}

// failed names a failure of the database, and notes it when it is damage.
func (s *Store) failed(err error) error {
	if torn(err) {
		s.damage.note(err)
	}
	return fmt.Errorf("local tables: %w", err)
}

// Damaged returns a channel that is closed as soon as the database must be mended,
// and why it must, nil when it need not be.
func (s *Store) Damaged() (seen <-chan struct{}, cause error) { return s.damage.get() }

// Mend drops a damaged database and starts an empty one; it does nothing to a
// whole one. No partition may be open. When it fails, it can be tried again.
func (s *Store) Mend() error {
	_, cause := s.damage.get()
	if cause == nil {
		return nil
	}
	s.life.Lock()
	defer s.life.Unlock()
	s.mu.RLock()
	n := len(s.open)
	s.mu.RUnlock()
	if n > 0 {
		return fmt.Errorf("local tables: %d partitions are open while the database is mended", n)
	}
	s.options.Logger.Warn("local tables are damaged: they are dropped and rebuilt from the log", "directory", s.dir, "cause", cause)
	_ = s.disconnect() // what it complains of is dropped
	if err := s.drop(); err != nil {
		return fmt.Errorf("dropping damaged tables: %w", err)
	}
	if err := s.connect(); err != nil {
		return fmt.Errorf("making the tables anew: %w", err)
	}
	s.damage.clear()
	return nil
}

// drop removes all files but the lock and the format, which says what was dropped
// as long as anything of it is there.
func (s *Store) drop() error {
	names, err := s.options.FS.List(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == "LOCK" || name == formatFile {
			continue
		}
		if err := s.options.FS.RemoveAll(filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	return nil
}
