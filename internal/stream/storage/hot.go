package storage

// hot keeps the values that were committed last, so that a key that is busy is
// not read from the database each time. It has two generations: what is used
// moves to the younger one, and when that is full, the older one is forgotten.
// Its owner guards it.
type hot struct {
	bytesMax, bytes int
	young, old      map[string][]byte
}

// hotEntryBytes is about what a map entry costs beside its key and value.
const hotEntryBytes = 64

func newHot(bytesMax int) hot { return hot{bytesMax: bytesMax, young: map[string][]byte{}} }

// get returns a value and whether it is known; a known nil is a missing key.
func (h *hot) get(key string) (value []byte, ok bool) {
	if value, ok = h.young[key]; ok {
		return value, true
	}
	value, ok = h.old[key]
	return value, ok
}

// put keeps value, which nobody may change any more.
func (h *hot) put(key string, value []byte) {
	if h.bytesMax <= 0 {
		return
	}
	if before, ok := h.young[key]; ok {
		h.bytes -= len(before)
	} else {
		h.bytes += len(key) + hotEntryBytes
	}
	h.young[key] = value
	h.bytes += len(value)
	if h.bytes > h.bytesMax/2 {
		h.old, h.young, h.bytes = h.young, make(map[string][]byte, len(h.young)), 0
	}
}
