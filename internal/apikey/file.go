package apikey

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/eventpro/boxoffice/internal/wholefile"
)

// Entry is one key as the key file lists it.
type Entry struct {
	Name      string    `json:"name"`
	SHA256    string    `json:"sha256"`
	Organiser string    `json:"organiser"`
	Scopes    []Scope   `json:"scopes"`
	Expires   time.Time `json:"expires,omitzero"`
}

type document struct {
	Keys []Entry `json:"keys"`
}

// NewEntry lists a key for an organiser.
func NewEntry(name, key, organiser string, scopes ...Scope) Entry {
	h := HashOf(key)
	return Entry{Name: name, SHA256: hex.EncodeToString(h[:]), Organiser: organiser, Scopes: scopes}
}

var organiserPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func (e *Entry) identity() (Hash, *Identity, error) {
	var h Hash
	raw, err := hex.DecodeString(e.SHA256)
	switch {
	case err != nil || len(raw) != len(h):
		return h, nil, errors.New("sha256 must be the 64 hex digits of the key's hash")
	case !organiserPattern.MatchString(e.Organiser):
		return h, nil, errors.New("organiser must be 1 to 63 of a-z, 0-9 and -, and start with a letter or digit")
	case len(e.Scopes) == 0:
		return h, nil, fmt.Errorf("scopes must name at least one of %v", Scopes())
	}
	for _, s := range e.Scopes {
		if !slices.Contains(Scopes(), s) {
			return h, nil, fmt.Errorf("scope %q is unknown; the scopes are %v", s, Scopes())
		}
	}
	copy(h[:], raw)
	return h, &Identity{Name: e.Name, Organiser: e.Organiser, Scopes: slices.Clone(e.Scopes), Expires: e.Expires}, nil
}

// Parse reads the content of a key file. The error names the entry that is at
// fault; it never shows a hash.
func Parse(content []byte) (*Set, error) {
	var doc document
	if err := json.Unmarshal(content, &doc, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("key file is not the JSON that is expected: %w", err)
	}
	set := &Set{}
	for i := range doc.Keys {
		h, id, err := doc.Keys[i].identity()
		if err != nil {
			return nil, fmt.Errorf("key %d (%q): %w", i, doc.Keys[i].Name, err)
		}
		if set.find(h) != nil {
			return nil, fmt.Errorf("key %d (%q) is listed twice", i, doc.Keys[i].Name)
		}
		set.add(h, id)
	}
	return set, nil
}

// Append adds an entry to the key file at path, which need not exist, and
// replaces the file in one step. One writer at a time.
func Append(path string, e Entry) error {
	var doc document
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read key file: %w", err)
	default:
		if err := json.Unmarshal(content, &doc, json.RejectUnknownMembers(true)); err != nil {
			return fmt.Errorf("key file %s is not the JSON that is expected: %w", path, err)
		}
	}
	doc.Keys = append(doc.Keys, e)
	content, err = json.Marshal(doc, jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("encode key file: %w", err)
	}
	if _, err := Parse(content); err != nil {
		return err
	}
	if err := wholefile.Write(path, 0o600, wholefile.Content(append(content, '\n'))); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	return nil
}
