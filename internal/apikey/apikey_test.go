package apikey

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/internal/problem"
)

func codeOf(err error) problem.Code {
	var p *problem.Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// A caller without a key, with a wrong scheme, with an unlisted or an expired
// key, or without the scope is told apart by code.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	key, expired := Generate(), Generate()
	set := NewSet(key, Identity{Name: "shop", Organiser: "acme", Scopes: []Scope{RegistrationsWrite}})
	set.add(HashOf(expired), &Identity{Organiser: "acme", Scopes: []Scope{Admin}, Expires: time.Unix(1000, 0)})
	store := Fixed(set)
	for name, tc := range map[string]struct {
		header string
		scope  Scope
		want   problem.Code
	}{
		"good":           {"Bearer " + key, RegistrationsWrite, ""},
		"lower case":     {"bearer " + key, RegistrationsWrite, ""},
		"none":           {"", RegistrationsWrite, problem.APIKeyMissing},
		"no scheme":      {key, RegistrationsWrite, problem.APIKeyMissing},
		"wrong scheme":   {"Basic " + key, RegistrationsWrite, problem.APIKeyMissing},
		"empty":          {"Bearer ", RegistrationsWrite, problem.APIKeyMissing},
		"unlisted":       {"Bearer " + Generate(), RegistrationsWrite, problem.APIKeyUnknown},
		"one letter off": {"Bearer " + key[:len(key)-1], RegistrationsWrite, problem.APIKeyUnknown},
		"expired":        {"Bearer " + expired, RegistrationsWrite, problem.APIKeyUnknown},
		"scope missing":  {"Bearer " + key, EventsWrite, problem.ScopeMissing},
	} {
		id, err := store.Authorize(tc.header, tc.scope)
		if got := codeOf(err); got != tc.want || (err == nil) != (id != nil) {
			t.Errorf("%s: code %q, want %q (error %v)", name, got, tc.want, err)
		}
		if err != nil && strings.Contains(err.Error(), key[3:10]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

// Admin may do everything and sees every organiser; others see their own.
func TestAdminSeesEverybody(t *testing.T) {
	t.Parallel()
	admin := Identity{Organiser: "ops", Scopes: []Scope{Admin}}
	shop := Identity{Organiser: "acme", Scopes: []Scope{RegistrationsRead}}
	for _, s := range Scopes() {
		if !admin.Has(s) {
			t.Errorf("admin lacks %s", s)
		}
	}
	if !admin.Sees("acme") || !shop.Sees("acme") || shop.Sees("other") || shop.Has(Reports) {
		t.Error("visibility is wrong")
	}
}

// A key file with a slip is refused with the entry that is at fault.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("ab", 32)
	for name, content := range map[string]string{
		"not JSON":        `keys:`,
		"unknown field":   `{"keys":[{"sha256":"` + hash + `","organiser":"a","scopes":["admin"],"role":"x"}]}`,
		"short hash":      `{"keys":[{"sha256":"abcd","organiser":"a","scopes":["admin"]}]}`,
		"no organiser":    `{"keys":[{"sha256":"` + hash + `","scopes":["admin"]}]}`,
		"no scope":        `{"keys":[{"sha256":"` + hash + `","organiser":"a","scopes":[]}]}`,
		"unknown scope":   `{"keys":[{"sha256":"` + hash + `","organiser":"a","scopes":["root"]}]}`,
		"same hash twice": `{"keys":[{"sha256":"` + hash + `","organiser":"a","scopes":["admin"]},{"sha256":"` + hash + `","organiser":"b","scopes":["admin"]}]}`,
	} {
		if _, err := Parse([]byte(content)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A key is added to the file, later replaced by another one, and the file is
// broken at last: callers follow, and a broken file changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	first, second := Generate(), Generate()
	if err := Append(path, NewEntry("first", first, "acme", EventsWrite)); err != nil {
		t.Fatal(err)
	}
	store, err := Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := Append(path, NewEntry("second", second, "acme", EventsWrite)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Authenticate("Bearer " + second); err == nil {
		t.Fatal("the second key works before the file was looked at")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); store.Watch(ctx, time.Millisecond) }()
	eventually(t, func() bool { _, err := store.Authenticate("Bearer " + second); return err == nil })
	cancel()
	<-done
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	store.look()
	for _, key := range []string{first, second} {
		if _, err := store.Authenticate("Bearer " + key); err != nil {
			t.Errorf("a broken file locked a key out: %v", err)
		}
	}
	if err := os.WriteFile(path, []byte(`{"keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	store.look()
	if _, err := store.Authenticate("Bearer " + first); codeOf(err) != problem.APIKeyUnknown {
		t.Errorf("a key that was taken away still works: %v", err)
	}
}

// Two generated keys differ, and Append refuses an entry that Parse would.
func TestGenerateAndAppend(t *testing.T) {
	t.Parallel()
	if a, b := Generate(), Generate(); a == b || len(a) < 40 {
		t.Errorf("keys %q and %q", a, b)
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := Append(path, NewEntry("bad", Generate(), "Not A Slug", EventsWrite)); err == nil {
		t.Error("a bad organiser was written")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a refused entry left a file")
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("did not happen in time")
		}
	}
}

// What a request pays for the check of its key.
func BenchmarkAuthorize(b *testing.B) {
	key := Generate()
	store := Fixed(NewSet(key, Identity{Organiser: "acme", Scopes: []Scope{RegistrationsWrite}}))
	header := "Bearer " + key
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.Authorize(header, RegistrationsWrite); err != nil {
			b.Fatal(err)
		}
	}
}
