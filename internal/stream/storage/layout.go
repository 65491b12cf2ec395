package storage

import "encoding/binary"

// Kinds of entries. A partition's keys of one kind are contiguous.
const (
	kindRecord   byte = 'r' // key -> value
	kindDeadline byte = 'd' // deadline, key -> nothing
	kindMeta     byte = 'm' // offset, origin
)

const (
	metaOffset = "offset"
	metaOrigin = "origin"
)

// deadlineBytes is the length of a deadline in its index key.
const deadlineBytes = 8

// prefix returns what all keys of one kind in one partition start with:
// kind, topic, 0, partition in big endian.
func prefix(kind byte, topic string, partition int32) []byte {
	b := make([]byte, 0, len(topic)+6)
	b = append(b, kind)
	b = append(b, topic...)
	b = append(b, 0) // no topic name contains it
	return binary.BigEndian.AppendUint32(b, uint32(partition))
}

// upper returns the first key after all that start with p.
func upper(p []byte) []byte {
	end := append([]byte(nil), p...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// appendDeadline orders entries by deadline, then by key. Deadlines are
// milliseconds since 1970, never negative.
func appendDeadline(dst []byte, unixMillis int64, key string) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(max(unixMillis, 0)))
	return append(dst, key...)
}
