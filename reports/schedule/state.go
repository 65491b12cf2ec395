package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/eventpro/boxoffice/internal/wholefile"
)

// state is what was done, as the state file has it.
type state struct {
	path string
	lock *flock.Flock

	Schedules map[string]*progress `json:"schedules"`
}

// progress is how far one schedule is.
type progress struct {
	// Done is the time for which the last run that is done was due; for a new
	// schedule, when it was first seen.
	Done time.Time `json:"done"`
	// Run is a run that some places have already; nil for none.
	Run *partial `json:"run,omitempty"`
}

// partial is a run that is not done.
type partial struct {
	Due time.Time `json:"due"`
	// Delivered are the places that have it.
	Delivered []string `json:"delivered"`
}

// ErrStateInUse is the error of opening a state file that another process works
// with.
var ErrStateInUse = errors.New("another process works with this state file: two would send everything twice")

// openState reads the state file, which need not exist, and holds it until close.
func openState(path string) (*state, error) {
	s := &state{path: path, lock: flock.New(path + ".lock"), Schedules: map[string]*progress{}}
	held, err := s.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("the state file's lock: %w", err)
	}
	if !held {
		return nil, ErrStateInUse
	}
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, errors.Join(fmt.Errorf("the state file: %w", err), s.lock.Unlock())
	}
	if err := json.Unmarshal(content, s); err != nil {
		return nil, errors.Join(fmt.Errorf("the state file %s cannot be read; put back a copy, or remove it to start anew from now: %w", path, err), s.lock.Unlock())
	}
	for name, p := range s.Schedules {
		if p == nil {
			delete(s.Schedules, name)
		}
	}
	return s, nil
}

func (s *state) close() error { return s.lock.Unlock() }

// save replaces the file in one step and makes it durable: a mark that a loss of
// power takes back would be a mail that is sent again.
func (s *state) save() error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := wholefile.Write(s.path, 0o600, wholefile.Content(append(content, '\n'))); err != nil {
		return fmt.Errorf("the state file: %w", err)
	}
	return wholefile.SyncDir(filepath.Dir(s.path))
}
