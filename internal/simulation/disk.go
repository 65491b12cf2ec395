package simulation

import (
	"maps"
	"slices"
	"strings"
)

// value is a table value and the offset of the table record that carried it.
type value struct {
	bytes  []byte
	offset int64
}

// disk is what survives a process: one group's local tables, with the offset of
// the table's log up to which they are complete and the index of deadlines. All
// of a partition changes in one batch; the last batches may be lost with the
// power, since nothing is synced.
type disk struct {
	deadline func([]byte) (int64, bool)
	parts    [partitions]tablePart
	undo     []undo
	version  int // raised by every batch
}

type tablePart struct {
	values map[string]value
	index  map[string]int64
	offset int64 // last one applied, -1 for none
}

// undo brings back what a batch has overwritten.
type undo struct {
	part   int32
	offset int64
	values map[string]value // without bytes: there was none
}

// undoMax is how many of the last batches a loss of power can take.
const undoMax = 6

func newDisk(deadline func([]byte) (int64, bool)) *disk {
	d := &disk{deadline: deadline}
	for i := range d.parts {
		d.parts[i] = tablePart{values: map[string]value{}, index: map[string]int64{}, offset: -1}
	}
	return d
}

func (d *disk) get(part int32, key string) (value, bool) {
	v, ok := d.parts[part].values[key]
	return v, ok
}

// write is one batch.
func (d *disk) write(part int32, values map[string]value, offset int64) {
	p := &d.parts[part]
	u := undo{part: part, offset: p.offset, values: make(map[string]value, len(values))}
	for key, v := range values {
		u.values[key] = p.values[key]
		d.set(p, key, v)
	}
	p.offset = max(p.offset, offset)
	d.version++
	if d.undo = append(d.undo, u); len(d.undo) > undoMax {
		d.undo = d.undo[1:]
	}
}

func (d *disk) set(p *tablePart, key string, v value) {
	delete(p.index, key)
	if v.bytes == nil {
		delete(p.values, key)
		return
	}
	p.values[key] = v
	if d.deadline == nil {
		return
	}
	if at, open := d.deadline(v.bytes); open {
		p.index[key] = at
	}
}

// losePower takes back up to n of the last batches.
func (d *disk) losePower(n int) {
	for ; n > 0 && len(d.undo) > 0; n-- {
		u := d.undo[len(d.undo)-1]
		d.undo = d.undo[:len(d.undo)-1]
		p := &d.parts[u.part]
		for key, v := range u.values {
			d.set(p, key, v)
		}
		p.offset = u.offset
	}
	d.version++
}

// forgetDeadlines empties the index; only a broken runtime does.
func (d *disk) forgetDeadlines() {
	for i := range d.parts {
		clear(d.parts[i].index)
	}
	d.version++
}

// due is core.Due.
func (d *disk) due(part int32, until int64, visit func(string, int64) bool) error {
	index := d.parts[part].index
	keys := slices.SortedFunc(maps.Keys(index), func(a, b string) int {
		if index[a] != index[b] {
			return int(index[a] - index[b])
		}
		return strings.Compare(a, b)
	})
	for _, key := range keys {
		if at := index[key]; at > until || !visit(key, at) {
			break
		}
	}
	return nil
}

// earliest is the first deadline of the partitions, 0 for none.
func (d *disk) earliest(parts []int32) int64 {
	first := int64(0)
	for _, p := range parts {
		for _, at := range d.parts[p].index {
			if first == 0 || at < first {
				first = at
			}
		}
	}
	return first
}
