package simulation

import (
	"slices"

	"github.com/eventpro/boxoffice/internal/topology"
)

// partitions is the number of every topic's partitions: two are enough for
// records to cross and for partitions to move.
const partitions = 2

// record is one entry of a partition's log.
type record struct {
	offset int64
	key    string
	value  []byte // nil: the record has none
	at     int64  // its producer's clock, Unix milliseconds
	tx     *transaction
	marker bool // a transaction's end: takes an offset, carries nothing
	// repeat: an edge said the same before.
	repeat bool
	retry  *retry // of a record that was put off, and of one that came back
}

// committed reports whether readers may see the record's data.
func (r *record) committed() bool { return !r.marker && (r.tx == nil || r.tx.state == committed) }

// topicLog is one topic.
type topicLog struct {
	def        topology.Topic
	partitions [partitions]*partitionLog
}

// partitionLog is the log of one partition. Compaction leaves gaps in it.
type partitionLog struct {
	topic   *topicLog
	number  int32
	records []*record
	end     int64 // the high-water mark
	open    []span
}

// span is a transaction whose marker the partition misses, and its first offset.
type span struct {
	tx    *transaction
	first int64
}

func newTopicLog(def topology.Topic) *topicLog {
	t := &topicLog{def: def}
	for i := range t.partitions {
		t.partitions[i] = &partitionLog{topic: t, number: int32(i)}
	}
	return t
}

// append adds a record at the end.
func (l *partitionLog) append(r *record) {
	r.offset = l.end
	l.end++
	l.records = append(l.records, r)
	if r.tx != nil && !r.marker && !slices.ContainsFunc(l.open, func(s span) bool { return s.tx == r.tx }) {
		l.open = append(l.open, span{r.tx, r.offset})
		r.tx.touched = append(r.tx.touched, l)
	}
}

// mark writes a transaction's marker.
func (l *partitionLog) mark(tx *transaction) {
	l.open = slices.DeleteFunc(l.open, func(s span) bool { return s.tx == tx })
	l.append(&record{tx: tx, marker: true})
}

// stable is the last stable offset: that of the first record whose transaction
// has not ended.
func (l *partitionLog) stable() int64 {
	if len(l.open) == 0 {
		return l.end
	}
	first := l.open[0].first
	for _, s := range l.open[1:] {
		first = min(first, s.first)
	}
	return first
}

// index is where the first record at or after an offset is in records.
func (l *partitionLog) index(offset int64) int {
	if len(l.records) == int(l.end) { // nothing was compacted away
		return int(min(max(offset, 0), l.end))
	}
	i, _ := slices.BinarySearchFunc(l.records, offset, func(r *record, o int64) int { return int(r.offset - o) })
	return i
}

// next returns the first record at or after an offset that a committed read
// delivers, nil when there is none yet.
func (l *partitionLog) next(offset int64) *record {
	stable := l.stable()
	for _, r := range l.records[l.index(offset):] {
		if r.offset >= stable {
			return nil
		}
		if r.committed() {
			return r
		}
	}
	return nil
}

// nextDirty is next for who reads uncommitted.
func (l *partitionLog) nextDirty(offset int64) *record {
	for _, r := range l.records[l.index(offset):] {
		if !r.marker {
			return r
		}
	}
	return nil
}

// compact keeps the last committed record of each key below the last stable
// offset, up to the very end of the log. Records of aborted transactions go, and
// the markers if asked. It returns how many records went.
func (l *partitionLog) compact(markers bool) int {
	stable := l.stable()
	last := map[string]int64{}
	for _, r := range l.records {
		if r.offset < stable && r.committed() {
			last[r.key] = r.offset
		}
	}
	before := len(l.records)
	l.records = slices.DeleteFunc(l.records, func(r *record) bool {
		switch {
		case r.offset >= stable:
			return false
		case r.marker:
			return markers
		}
		return !r.committed() || last[r.key] != r.offset
	})
	return before - len(l.records)
}
