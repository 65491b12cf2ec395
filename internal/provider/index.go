package provider

// slot is what memory keeps of one ledger entry; the rest is read from disk. A
// million charges take about 150 MB, maps included.
type slot struct {
	offset     int64 // of the line in the file
	amount     int64
	refunded   int64 // of a charge, refunds on their way to the disk included
	atMS       int64 // Unix milliseconds
	key        digest
	previous   uint32 // seq of the entry before it with the same kind and reference; 0: none
	lineLength uint32
	kind       slotKind
}

type slotKind uint8

const (
	slotCharge slotKind = iota + 1
	slotRefund
	slotDecline
)

func slotKindOf(k Kind) slotKind {
	switch k {
	case KindRefund:
		return slotRefund
	case KindDecline:
		return slotDecline
	default:
		return slotCharge
	}
}

const slotsPerChunk = 1 << 12

// slots is a list that grows without copying what it has.
type slots struct {
	chunks [][]slot
	count  uint64
}

// at returns the slot of a seq between 1 and count. The pointer stays valid.
func (s *slots) at(seq uint64) *slot {
	return &s.chunks[(seq-1)/slotsPerChunk][(seq-1)%slotsPerChunk]
}

func (s *slots) add(v slot) {
	if s.count%slotsPerChunk == 0 {
		s.chunks = append(s.chunks, make([]slot, 0, slotsPerChunk))
	}
	last := &s.chunks[len(s.chunks)-1]
	*last = append(*last, v)
	s.count++
}
