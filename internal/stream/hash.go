package stream

import "hash"

// Partition returns the partition of a key among n, as Java's default
// partitioner, franz-go's StickyKeyPartitioner and librdkafka's
// murmur2_random choose it.
func Partition(key string, n int) int32 {
	return int32((murmur2(key) & 0x7fffffff) % uint32(n))
}

// NewHash returns the hash that Goka's processors, views and emitters choose
// partitions with (runtime rule 7): murmur2 & 0x7fffffff, so that Goka agrees
// with every other Kafka client about where a key lives.
//
// Goka makes one for every look-up and writes the whole key at once, so the
// hash is a single word and keeps no buffer. A key written in several pieces
// is not supported: murmur2 starts from the key's length.
func NewHash() hash.Hash32 { return new(keyHash) }

type keyHash uint32

func (h *keyHash) Write(key []byte) (int, error) {
	*h = keyHash(murmur2(key) & 0x7fffffff)
	return len(key), nil
}
func (h *keyHash) Sum32() uint32  { return uint32(*h) }
func (h *keyHash) Reset()         { *h = 0 }
func (h *keyHash) Size() int      { return 4 }
func (h *keyHash) BlockSize() int { return 1 }
func (h *keyHash) Sum(b []byte) []byte {
	return append(b, byte(*h>>24), byte(*h>>16), byte(*h>>8), byte(*h))
}

// murmur2 is org.apache.kafka.common.utils.Utils.murmur2.
func murmur2[T string | []byte](key T) uint32 {
	const (
		seed uint32 = 0x9747b28c
		m    uint32 = 0x5bd1e995
		r           = 24
	)
	n := len(key)
	h := seed ^ uint32(n)
	i := 0
	for ; i+4 <= n; i += 4 {
		k := uint32(key[i]) | uint32(key[i+1])<<8 | uint32(key[i+2])<<16 | uint32(key[i+3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch n - i {
	case 3:
		h ^= uint32(key[i+2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[i+1]) << 8
		fallthrough
	case 1:
		h ^= uint32(key[i])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
