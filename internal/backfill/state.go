package backfill

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/eventpro/boxoffice/internal/wholefile"
)

// stateVersion is that of the state file.
const stateVersion = 1

// State is how far an import has come, in a file beside its input, so that one
// that was killed goes on. It is a shortcut: without it everything is sent again,
// and found to be there.
type State struct {
	Version int `json:"version"`
	// Digest stands for the files and for what was asked for.
	Digest    string `json:"digest"`
	Source    string `json:"source"`
	Organiser string `json:"organiser"`
	Orders    int    `json:"orders"`
	// Done are the orders, in their order, up to which all are decided.
	Done int `json:"done"`
	// Outcomes counts what became of those.
	Outcomes  map[string]int `json:"outcomes"`
	Finished  bool           `json:"finished"`
	UpdatedAt time.Time      `json:"updated_at"`
}

// ErrChanged says that the files, or the request, are not those that the state
// file is of.
var ErrChanged = errors.New("the files or the flags have changed since this import began")

// digestOf stands for a plan: the files' content, and whatever decides what
// becomes of it.
func (p *Plan) digest() string {
	sum := sha256.New()
	t := &p.targets
	fmt.Fprintf(sum, "%s\n%s\n%s\n%s\n%v\n%d\n", p.Reading.Digest, p.Reading.Source, t.Organiser, t.EventID, t.CreateEvents, len(p.Orders))
	if t.Mapping != nil {
		sum.Write(t.Mapping.text())
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// openState reads the state of a plan's import, or begins one.
func openState(path string, p *Plan) (*State, error) {
	s := &State{
		Version: stateVersion, Digest: p.digest(), Source: p.Reading.Source, Organiser: p.targets.Organiser, Orders: len(p.Orders),
		Outcomes: map[string]int{},
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading how far the import is: %w", err)
	}
	known := &State{}
	if err := json.Unmarshal(content, known); err != nil || known.Version != stateVersion || known.Done > known.Orders {
		return nil, fmt.Errorf("%s is no state of an import: name another file with --state", path)
	}
	if known.Digest != s.Digest {
		return nil, fmt.Errorf("%w (%s): put them back, or name another file with --state to begin anew; orders that are here already stay as they are", ErrChanged, path)
	}
	if known.Outcomes == nil {
		known.Outcomes = map[string]int{}
	}
	return known, nil
}

// save replaces the file in one step: a crash leaves the old one or the new one.
func (s *State) save(path string) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing how far the import is: %w", err)
	}
	if err := wholefile.Write(path, 0o600, wholefile.Content(append(content, '\n'))); err != nil {
		return fmt.Errorf("writing how far the import is: %w", err)
	}
	return nil
}
