// Package sealing keeps personal data unreadable outside the front door. A
// Keyring seals it with AES-256-GCM and derives the pseudonyms that stand for
// people and bodies everywhere else.
//
// A key file is one of
//
//   - 32 raw bytes: one key, from which the pepper is derived;
//   - text with a line "pepper <64 hex digits>" and one line "key <64 hex
//     digits>" for each key, newest first. The first key seals; all of them
//     open. Dropping a key forgets what it sealed.
//
// The pepper decides attendee ids, so it never changes: Rotate pins it when it
// puts a new key on top.
package sealing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"strings"
	"sync"

	"github.com/google/uuid"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// ErrUnknownKey says that the data was sealed under a key that the key ring
// does not hold (any more): the person has been forgotten, or a key file is
// incomplete.
var ErrUnknownKey = errors.New("sealed under a key that is not in the key file")

// Keyring seals and opens personal data. It is safe for concurrent use.
type Keyring struct {
	keys   [][KeySize]byte
	pepper [KeySize]byte
	// first is the id of the key that seals.
	first string
	aeads map[string]cipher.AEAD
	macs  sync.Pool // of *mac
}

// Generate returns the content of a new key file.
func Generate() []byte {
	key := make([]byte, KeySize)
	// crypto/rand.Read never fails: it ends the program instead.
	_, _ = rand.Read(key)
	return key
}

// Load reads the key file at path.
func Load(path string) (*Keyring, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("sealing key file: %w", err)
	}
	k, err := Parse(content)
	if err != nil {
		return nil, fmt.Errorf("sealing key file %s: %w", path, err)
	}
	return k, nil
}

// Parse reads the content of a key file. Its errors never show key material.
func Parse(content []byte) (*Keyring, error) {
	if len(content) == KeySize {
		key := [KeySize]byte(content)
		return newKeyring([][KeySize]byte{key}, derive(key, "attendee pepper"))
	}
	var keys [][KeySize]byte
	var pepper *[KeySize]byte
	for n, line := range strings.Split(string(content), "\n") {
		word, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		raw, err := hex.DecodeString(strings.TrimSpace(digits))
		if err != nil || len(raw) != KeySize {
			return nil, fmt.Errorf("line %d: want %d hex digits; a file of one key is exactly %d raw bytes", n+1, 2*KeySize, KeySize)
		}
		switch value := [KeySize]byte(raw); {
		case word == "key":
			keys = append(keys, value)
		case word == "pepper" && pepper == nil:
			pepper = &value
		default:
			return nil, fmt.Errorf("line %d: want \"key\" or one \"pepper\"", n+1)
		}
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("no key in it")
	case pepper == nil:
		return nil, errors.New("no pepper in it: attendee ids would change with the first key")
	}
	return newKeyring(keys, *pepper)
}

func newKeyring(keys [][KeySize]byte, pepper [KeySize]byte) (*Keyring, error) {
	k := &Keyring{keys: keys, pepper: pepper, first: keyID(keys[0]), aeads: make(map[string]cipher.AEAD, len(keys))}
	k.macs.New = func() any { return &mac{hash: hmac.New(sha256.New, pepper[:])} }
	for _, key := range keys {
		block, err := aes.NewCipher(key[:])
		if err != nil {
			return nil, fmt.Errorf("set up AES: %w", err)
		}
		// 96 random bits of nonce: fit for 2^32 seals under one key, after which
		// the operators rotate.
		if k.aeads[keyID(key)], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("set up GCM: %w", err)
		}
	}
	return k, nil
}

func derive(key [KeySize]byte, purpose string) [KeySize]byte {
	out, err := hkdf.Expand(sha256.New, key[:], "boxoffice "+purpose, KeySize)
	if err != nil {
		panic("sealing: HKDF refuses a key of 32 bytes: " + err.Error()) // only a length over 8160 fails
	}
	return [KeySize]byte(out)
}

// keyID names a key without telling anything of it.
func keyID(key [KeySize]byte) string {
	id := derive(key, "key id")
	return hex.EncodeToString(id[:8])
}

// Rotate returns the content of a key file that seals with a new key, still
// opens what the old ones sealed, and keeps the pepper.
func (k *Keyring) Rotate() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "pepper %x\nkey %x\n", k.pepper, Generate())
	for _, key := range k.keys {
		fmt.Fprintf(&b, "key %x\n", key)
	}
	return []byte(b.String())
}

// Seal encrypts personal data of an attendee and names the key. The ciphertext
// is bound to the attendee: it does not open as somebody else's.
func (k *Keyring) Seal(attendee uuid.UUID, plain []byte) (sealed []byte, keyID string) {
	aead := k.aeads[k.first]
	return aead.Seal(make([]byte, 0, len(plain)+aead.Overhead()), nil, plain, attendee[:]), k.first
}

// Open decrypts what Seal made. The error is ErrUnknownKey when the key is
// gone.
func (k *Keyring) Open(attendee uuid.UUID, keyID string, sealed []byte) ([]byte, error) {
	aead, ok := k.aeads[keyID]
	if !ok {
		return nil, fmt.Errorf("key %q: %w", keyID, ErrUnknownKey)
	}
	plain, err := aead.Open(nil, nil, sealed, attendee[:])
	if err != nil {
		return nil, fmt.Errorf("open personal data of attendee %s: %w", attendee, err)
	}
	return plain, nil
}

// AttendeeID is the pseudonym of a person at an organiser: a UUIDv8 of the first
// 16 bytes of HMAC-SHA256 over organiser and lower-cased e-mail address. Without
// the pepper nobody can try addresses until one fits.
func (k *Keyring) AttendeeID(organiser, email string) uuid.UUID {
	digest := k.Digest("attendee", []byte(organiser+"\x00"+strings.ToLower(strings.TrimSpace(email))))
	id := uuid.UUID(digest[:16])
	id[6] = id[6]&0x0f | 0x80 // version 8
	id[8] = id[8]&0x3f | 0x80 // RFC 9562 variant
	return id
}

// Digest is the keyed SHA-256 of a message for a purpose. Digests of bodies that
// hold personal data leave the front door, so they are keyed as well.
func (k *Keyring) Digest(purpose string, message []byte) (digest [sha256.Size]byte) {
	m := k.macs.Get().(*mac)
	defer k.macs.Put(m)
	m.hash.Reset()
	m.buf = append(append(append(m.buf[:0], purpose...), 0), message...)
	// Hashes never fail to write.
	_, _ = m.hash.Write(m.buf)
	copy(digest[:], m.hash.Sum(m.buf[:0]))
	return digest
}

// mac is a keyed HMAC state with a buffer, used again because setting one up
// costs as much as using it.
type mac struct {
	hash hash.Hash
	buf  []byte
}
