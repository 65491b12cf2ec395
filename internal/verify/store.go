package verify

import (
	"hash/maphash"
	"sync"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/wire"
)

// store holds state by id, for several goroutines. Ids are hashes, so their
// first byte spreads them over the stripes.
type store[T any] struct {
	stripes [64]stripe[T]
}

type stripe[T any] struct {
	sync.Mutex
	byID map[uuid.UUID]*T
}

func newStore[T any]() *store[T] {
	s := &store[T]{}
	for i := range s.stripes {
		s.stripes[i].byID = map[uuid.UUID]*T{}
	}
	return s
}

// update calls fn with the state of an id, which is made when it is missing. No
// other goroutine has it meanwhile.
func (s *store[T]) update(id uuid.UUID, fn func(*T)) {
	st := &s.stripes[id[0]%uint8(len(s.stripes))]
	st.Lock()
	defer st.Unlock()
	v := st.byID[id]
	if v == nil {
		v = new(T)
		st.byID[id] = v
	}
	fn(v)
}

// get returns the state of an id or nil. It is for when reading has ended.
func (s *store[T]) get(id uuid.UUID) *T {
	return s.stripes[id[0]%uint8(len(s.stripes))].byID[id]
}

// each calls fn for every state; for when reading has ended.
func (s *store[T]) each(fn func(uuid.UUID, *T)) {
	for i := range s.stripes {
		for id, v := range s.stripes[i].byID {
			fn(id, v)
		}
	}
}

// symbol stands for a string or an id that comes very often.
type symbol uint32

// symbols gives equal strings equal symbols; symbol 0 is the empty string.
type symbols struct {
	mu    sync.RWMutex
	by    map[string]symbol
	names []string
}

func newSymbols() *symbols {
	return &symbols{by: map[string]symbol{"": 0}, names: []string{""}}
}

func (s *symbols) of(b []byte) symbol {
	s.mu.RLock()
	v, ok := s.by[string(b)]
	s.mu.RUnlock()
	if ok {
		return v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.by[string(b)]; ok {
		return v
	}
	name := string(b)
	v = symbol(len(s.names))
	s.names = append(s.names, name)
	s.by[name] = v
	return v
}

func (s *symbols) name(v symbol) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.names[v]
}

// event is a symbol's name as an id.
func (s *symbols) event(v symbol) string {
	id, err := uuid.FromBytes([]byte(s.name(v)))
	if err != nil {
		return "(no event)"
	}
	return id.String()
}

// seed of the digests: they are compared within one run only.
var seed = maphash.MakeSeed()

// digest stands for a message without the fields that omit names, whatever
// their order. nested names the fields to omit of the messages in a field.
func digest(b []byte, omit func(id int32) bool, nested map[int32]func(id int32) bool) (uint64, error) {
	var sum uint64
	var nestedErr error
	err := wire.Scan(b, func(f wire.Field) {
		id := int32(f.ID)
		switch inner := nested[id]; {
		case omit(id):
		case inner != nil:
			d, err := digest(f.Bytes, inner, nil)
			if err != nil {
				nestedErr = err
			}
			// Multiplied, so that fields of two inner messages cannot change places.
			sum += d * (2*uint64(id) + 0x9e3779b97f4a7c15)
		default:
			sum += maphash.Bytes(seed, f.Raw)
		}
	})
	if err == nil {
		err = nestedErr
	}
	return sum, err
}

func idOf(b []byte) (id uuid.UUID) {
	if len(b) == len(id) {
		copy(id[:], b)
	}
	return id
}
