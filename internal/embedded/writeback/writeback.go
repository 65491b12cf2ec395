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
	// The folders are searched for files that are written to every searchEvery, or
	// after searchShare times what the last search took, if that is longer.
	searchEvery = 5 * time.Second
	searchShare = 200
	// forgetAfter is how long nothing has come to a file until only a search finds it.
	forgetAfter = 3 * searchEvery
)

// Writer sends the files below some folders to the disk.
type Writer struct {
	dirs []string
	log  *slog.Logger
	send func(path string) error
	// written are the files that were written to lately, with the moment of the last
	// write that was sent.
	written map[string]time.Time
	search  time.Time // the next search
}

// New returns a Writer for all files below dirs, which need not be there yet.
func New(log *slog.Logger, dirs ...string) *Writer {
	return &Writer{dirs: dirs, log: log, send: send, written: map[string]time.Time{}}
}

// Run works until ctx ends. Where the system has no such call, or refuses it, it only
// waits: then the data is written later, that is all.
func (w *Writer) Run(ctx context.Context) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := w.round(time.Now())
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			w.log.Warn("what is written goes to the disk when the system decides, in large bursts", "cause", err)
		}
		if err != nil {
			<-ctx.Done()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// round sends every file that was written to since the last round.
func (w *Writer) round(now time.Time) error {
	if !now.Before(w.search) {
		w.find(now)
		w.search = now.Add(max(searchEvery, searchShare*time.Since(now)))
	}
	for path, sent := range w.written {
		info, err := os.Stat(path)
		if err != nil || now.Sub(info.ModTime()) > forgetAfter {
			delete(w.written, path) // it is gone, or at rest
			continue
		}
		if !info.ModTime().After(sent) {
			continue
		}
		if err := w.send(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		w.written[path] = info.ModTime()
	}
	return nil
}

// find takes up the files that were written to lately.
func (w *Writer) find(now time.Time) {
	for _, dir := range w.dirs {
		// What cannot be listed was removed meanwhile, or does not exist yet.
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return nil
			}
			info, err := entry.Info()
			if err != nil || now.Sub(info.ModTime()) > forgetAfter {
				return nil
			}
			if _, known := w.written[path]; !known {
				w.written[path] = time.Time{}
			}
			return nil
		})
	}
}
