package ingest

import (
	"fmt"
	"testing"

	"github.com/eventpro/boxoffice/internal/topology"
)

// More keys than there is room for come in: the memory stays bounded, the newest
// are known, the oldest are forgotten, none is mistaken for another.
func TestRecentKeysAreBounded(t *testing.T) {
	t.Parallel()
	const room = 1600
	k := newRecentKeys(room)
	id := func(i int) (out [16]byte) { return topology.RegistrationID("acme", fmt.Sprint(i)) }
	for i := range 10 * room {
		k.accepted(id(i), [32]byte{byte(i)})
	}
	kept := 0
	for i := range k.shards {
		kept += len(k.shards[i].young) + len(k.shards[i].old)
	}
	if kept > room {
		t.Errorf("%d keys kept, room for %d", kept, room)
	}
	last := 10*room - 1
	if k.use(id(last), [32]byte{byte(last % 256)}) != keySame || k.use(id(last), [32]byte{byte(last + 1)}) != keyOther {
		t.Error("the newest key is not known")
	}
	if k.use(id(0), [32]byte{0}) != keyUnseen {
		t.Error("the oldest key is still known")
	}
}

// A body that came second must not displace the first in memory: the first one in
// the log counts.
func TestRecentKeysKeepTheFirstBody(t *testing.T) {
	t.Parallel()
	k := newRecentKeys(2)
	id := topology.RegistrationID("acme", "k")
	k.accepted(id, [32]byte{1})
	k.accepted(id, [32]byte{2})
	if k.use(id, [32]byte{1}) != keySame {
		t.Error("the first body is forgotten")
	}
}
