package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"
)

// Scope is something that a key may do.
type Scope string

// The scopes. Admin includes every other one and, in look-ups, sees the data of
// every organiser.
const (
	EventsWrite        Scope = "events:write"
	RegistrationsWrite Scope = "registrations:write"
	RegistrationsRead  Scope = "registrations:read"
	Reports            Scope = "reports"
	Admin              Scope = "admin"
)

// Scopes lists every scope.
func Scopes() []Scope {
	return []Scope{EventsWrite, RegistrationsWrite, RegistrationsRead, Reports, Admin}
}

// Hash is the SHA-256 of a key, all that is ever stored of it.
type Hash [sha256.Size]byte

// HashOf returns the hash under which a key is listed.
func HashOf(key string) Hash { return sha256.Sum256([]byte(key)) }

// Identity is who calls.
type Identity struct {
	// Name says in words what the key is for; it is fit for logs.
	Name string
	// Organiser is the organiser that the caller acts for.
	Organiser string
	Scopes    []Scope
	// Expires is when the key stops working; zero means never.
	Expires time.Time
}

// Has reports whether the caller may do what the scope names.
func (id *Identity) Has(scope Scope) bool {
	return slices.Contains(id.Scopes, scope) || slices.Contains(id.Scopes, Admin)
}

// Sees reports whether the caller may see an organiser's data.
func (id *Identity) Sees(organiser string) bool {
	return id.Organiser == organiser || slices.Contains(id.Scopes, Admin)
}

// prefix makes keys easy to find for scanners that look for leaked secrets.
const prefix = "bo_"

// Generate returns a new key of 256 random bits. It is shown to its owner once;
// only its hash is kept.
func Generate() string {
	var secret [32]byte
	// crypto/rand.Read never fails: it ends the program instead.
	_, _ = rand.Read(secret[:])
	return prefix + base64.RawURLEncoding.EncodeToString(secret[:])
}
