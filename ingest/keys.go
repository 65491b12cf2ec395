package ingest

import (
	"sync"

	"github.com/google/uuid"
)

// recentKeys remembers the digests of the bodies that were accepted lately, by
// the id that their idempotency key gives. It is a hint: it tells at once what
// otherwise the look-up tells. A key that is not in it may have been used.
//
// It keeps two generations and drops the older one when the younger is full, so
// that it is bounded without a list of ages.
type recentKeys struct {
	shards [16]recentShard
	perGen int
}

type recentShard struct {
	mu    sync.Mutex
	young map[uuid.UUID]shortDigest
	old   map[uuid.UUID]shortDigest
	_     [40]byte // keeps two shards off one cache line
}

// shortDigest is the first half of a body digest: enough to tell two bodies of
// one key apart.
type shortDigest [16]byte

type keyUse uint8

const (
	// keyUnseen: nothing is known of the key.
	keyUnseen keyUse = iota
	// keySame: the same body was accepted.
	keySame
	// keyOther: another body was accepted.
	keyOther
)

func newRecentKeys(keysMax int) *recentKeys {
	k := &recentKeys{}
	k.perGen = max(1, keysMax/(2*len(k.shards)))
	return k
}

func (k *recentKeys) use(id uuid.UUID, digest [32]byte) keyUse {
	s := &k.shards[id[15]&15]
	s.mu.Lock()
	d, ok := s.young[id]
	if !ok {
		d, ok = s.old[id]
	}
	s.mu.Unlock()
	switch {
	case !ok:
		return keyUnseen
	case d == shortDigest(digest[:16]):
		return keySame
	}
	return keyOther
}

// accepted remembers a body once its command is acknowledged. The first one
// stays: it is before the others in the log.
func (k *recentKeys) accepted(id uuid.UUID, digest [32]byte) {
	s := &k.shards[id[15]&15]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.young[id]; ok {
		return
	}
	d, ok := s.old[id]
	if !ok {
		d = shortDigest(digest[:16])
	}
	if len(s.young) >= k.perGen {
		s.old, s.young = s.young, nil
	}
	if s.young == nil {
		s.young = make(map[uuid.UUID]shortDigest)
	}
	s.young[id] = d
}
