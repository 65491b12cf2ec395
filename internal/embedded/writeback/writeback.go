// Package writeback has the operating system write a data directory to disk little by
// little. Linux keeps what was written for half a minute and then writes it all: on a
// disk that others use as well, that has stopped everything for half a second.
//
// It promises nothing about a loss of power: what must survive one is fsynced by who
// wrote it.
package writeback

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

const (
	// interval is how often what was written since is sent to the disk.
	interval = time.Second
	// The folders are searched for files that are written to every searchMin, or after
	// searchShare times what the last search took, but at least every searchMax: Linux
	// begins by itself after 30 s.
	searchMin, searchMax, searchShare = 5 * time.Second, 20 * time.Second, 200
	// forgetAfter is how long nothing has come to a file until only a search finds it.
	forgetAfter = 30 * time.Second
)

// Writer sends the files below some folders to the disk.
type Writer struct {
	dirs []string
	log  *slog.Logger
	send func(path string) error
	// written are the files that were written to lately, with the time of the last
	// write that was sent.
	written  map[string]time.Time
	searched time.Time // when the last search began
	search   time.Time // the next one
	failed   bool      // to send a file, at least once
}

// New returns a Writer for all files below dirs, which need not be there yet.
func New(log *slog.Logger, dirs ...string) *Writer {
	return &Writer{dirs: dirs, log: log, send: send, written: map[string]time.Time{}}
}

// Run works until ctx ends. Where the system has no such call it only waits: then the
// data is written later, that is all.
func (w *Writer) Run(ctx context.Context) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for ctx.Err() == nil && w.round(ctx, time.Now()) {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	return nil
}

// round sends every file that was written to since the last round, and reports
// whether there is a point in another one.
func (w *Writer) round(ctx context.Context, now time.Time) bool {
	if !now.Before(w.search) {
		begun := time.Now()
		w.find(now)
		w.search = now.Add(min(max(searchMin, searchShare*time.Since(begun)), searchMax))
	}
	for path, sent := range w.written {
		if ctx.Err() != nil {
			return false
		}
		info, err := os.Stat(path)
		if err != nil || now.Sub(info.ModTime()) > forgetAfter {
			delete(w.written, path) // it is gone, or at rest
			continue
		}
		if info.ModTime().Equal(sent) {
			continue
		}
		w.written[path] = info.ModTime()
		if err := w.send(path); errors.Is(err, errors.ErrUnsupported) {
			return false
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !w.failed {
			w.failed = true
			w.log.Warn("a file is written to the disk when the system decides; others that fail are not told", "cause", err)
		}
	}
	return true
}

// find takes up the files that were written to since the last search.
func (w *Writer) find(now time.Time) {
	since := w.searched.Add(-interval) // file systems' clocks are coarse
	if w.searched.IsZero() {
		since = now.Add(-forgetAfter)
	}
	w.searched = now
	for _, dir := range w.dirs {
		root, err := filepath.EvalSymlinks(dir)
		if err != nil {
			continue // it is not there yet
		}
		// What cannot be listed was removed meanwhile.
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return nil
			}
			info, err := entry.Info()
			if err != nil || info.ModTime().Before(since) {
				return nil
			}
			if _, known := w.written[path]; !known {
				w.written[path] = time.Time{}
			}
			return nil
		})
	}
}
