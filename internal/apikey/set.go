package apikey

import (
	"crypto/subtle"
	"encoding/binary"
)

type listed struct {
	hash     Hash
	identity *Identity
}

// Set is an immutable set of keys.
type Set struct {
	// byPrefix finds candidates by the first bytes of their hash. What the time
	// of this look-up tells is a prefix of SHA-256(key), from which no key can
	// be built; the rest is compared in constant time.
	byPrefix map[uint64][]listed
}

// NewSet returns a set of one key, for development and tests.
func NewSet(key string, id Identity) *Set {
	s := &Set{}
	s.add(HashOf(key), &id)
	return s
}

// Len is the number of keys.
func (s *Set) Len() int {
	n := 0
	for _, l := range s.byPrefix {
		n += len(l)
	}
	return n
}

func (s *Set) add(h Hash, id *Identity) {
	if s.byPrefix == nil {
		s.byPrefix = map[uint64][]listed{}
	}
	p := binary.BigEndian.Uint64(h[:])
	s.byPrefix[p] = append(s.byPrefix[p], listed{h, id})
}

func (s *Set) find(h Hash) *Identity {
	for _, l := range s.byPrefix[binary.BigEndian.Uint64(h[:])] {
		if subtle.ConstantTimeCompare(l.hash[:], h[:]) == 1 {
			return l.identity
		}
	}
	return nil
}
