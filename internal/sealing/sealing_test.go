package sealing

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
)

func mustParse(t testing.TB, content []byte) *Keyring {
	t.Helper()
	k, err := Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What is sealed opens again for the same attendee, never repeats, and opens
// neither for another attendee nor when a bit was changed.
func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	k := mustParse(t, Generate())
	who, other := uuid.New(), uuid.New()
	plain := []byte("ada@example.com")
	sealed, id := k.Seal(who, plain)
	again, _ := k.Seal(who, plain)
	if bytes.Contains(sealed, plain) || bytes.Equal(sealed, again) {
		t.Error("the ciphertext shows the text, or repeats")
	}
	got, err := k.Open(who, id, sealed)
	if err != nil || !bytes.Equal(got, plain) {
		t.Errorf("opened %q, %v", got, err)
	}
	if _, err := k.Open(other, id, sealed); err == nil {
		t.Error("opened as somebody else's")
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := k.Open(who, id, sealed); err == nil {
		t.Error("opened after a bit was changed")
	}
}

// After a rotation old data opens, new data is sealed under the new key, and
// attendee ids and digests stay what they were; without the old key its data is
// forgotten.
func TestRotation(t *testing.T) {
	t.Parallel()
	old := mustParse(t, Generate())
	who := old.AttendeeID("acme", "ada@example.com")
	sealed, oldID := old.Seal(who, []byte("x"))

	rotated := mustParse(t, old.Rotate())
	if _, err := rotated.Open(who, oldID, sealed); err != nil {
		t.Errorf("old data does not open: %v", err)
	}
	if _, id := rotated.Seal(who, nil); id == oldID {
		t.Error("still seals with the old key")
	}
	if rotated.AttendeeID("acme", "ada@example.com") != who || rotated.Digest("p", []byte("m")) != old.Digest("p", []byte("m")) {
		t.Error("pseudonyms changed")
	}
	lines := bytes.SplitAfter(rotated.Rotate(), []byte("\n"))
	forgetful := mustParse(t, bytes.Join(lines[:3], nil)) // pepper and the two newest keys
	if _, err := forgetful.Open(who, oldID, sealed); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a dropped key still opens: %v", err)
	}
}

// An attendee is the same person whatever the case of the address, and another
// one at another organiser or under another pepper.
func TestAttendeeID(t *testing.T) {
	t.Parallel()
	k := mustParse(t, Generate())
	id := k.AttendeeID("acme", "ada@example.com")
	if id.Version() != 8 || id.Variant() != uuid.RFC4122 {
		t.Errorf("id %s has version %d", id, id.Version())
	}
	if k.AttendeeID("acme", " Ada@Example.COM ") != id {
		t.Error("case or blanks make another person")
	}
	for _, other := range []uuid.UUID{
		k.AttendeeID("acm", "eada@example.com"),
		k.AttendeeID("other", "ada@example.com"),
		mustParse(t, Generate()).AttendeeID("acme", "ada@example.com"),
	} {
		if other == id {
			t.Error("two people share an id")
		}
	}
}

// A damaged key file is refused instead of sealing with half a key or with ids
// that change at the next rotation.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	line := "key " + "ab" + string(bytes.Repeat([]byte("0"), 62)) + "\n"
	for name, content := range map[string]string{
		"empty":         "",
		"short":         "0123456789",
		"33 bytes":      string(bytes.Repeat([]byte{7}, 33)),
		"no pepper":     line,
		"no key":        "pepper" + line[3:],
		"two peppers":   "pepper" + line[3:] + "pepper" + line[3:] + line,
		"short key":     "pepper" + line[3:] + line[:40],
		"unknown words": "pepper" + line[3:] + line + "salt" + line[3:],
	} {
		if _, err := Parse([]byte(content)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A key file is read from disk; a missing one is named.
func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sealing-key")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(path, Generate(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
}

// What one registration pays: a pseudonym, a digest and a seal.
func BenchmarkRegistration(b *testing.B) {
	k := mustParse(b, Generate())
	body := bytes.Repeat([]byte("x"), 200)
	b.ReportAllocs()
	for b.Loop() {
		id := k.AttendeeID("acme", "ada.lovelace@example.com")
		k.Digest("body", body)
		k.Seal(id, body[:60])
	}
}
