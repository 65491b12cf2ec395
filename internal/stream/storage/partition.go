package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/lovoo/goka/storage"
)

// Mode says what a partition's writes are once it is recovered.
type Mode uint8

const (
	// Transactional writes belong to the open transaction until Store.Commit.
	Transactional Mode = iota + 1
	// Direct writes come from the log and are committed already.
	Direct
)

// A write buffer is written out when it holds this much.
const (
	bufferedBytesMax   = 1 << 20
	bufferedRecordsMax = 4096
)

// NoOffset is the offset of a partition that holds nothing.
const NoOffset int64 = -1

// Partition is the storage of one table partition. It implements Goka's
// storage.Storage: any number of readers, one writer.
type Partition struct {
	store *Store
	id    partitionID
	mode  Mode

	records, deadlines, meta []byte // key prefixes

	mu       sync.RWMutex
	overlay  map[string]write
	hot      hot // values that were committed last
	buffered int
	pending  int64  // offset that goes with the overlay
	missed   string // key that a Get did not find when there were puts puts
	puts     uint64
	live     bool // recovered
	closed   bool

	offset atomic.Int64 // last offset applied: of the overlay while it is a buffer, else of the database
}

// write is one key's pending value (nil deletes it) and what the index holds
// for the committed one.
type write struct {
	value       []byte
	wasDeadline int64
	wasOpen     bool
}

var _ storage.Storage = (*Partition)(nil)

// load reads the offset.
func (p *Partition) load() error {
	v, err := p.store.get(p.metaKey(metaOffset))
	if err != nil {
		return err
	}
	p.pending = NoOffset
	if v != nil {
		if len(v) != 8 {
			err := fmt.Errorf("the offset of %s/%d has %d bytes", p.id.topic, p.id.partition, len(v))
			p.store.damage.note(err)
			return p.store.failed(err)
		}
		p.pending = int64(binary.BigEndian.Uint64(v))
	}
	p.offset.Store(p.pending)
	return nil
}

// Open implements storage.Storage; Store.Partition has done it.
func (p *Partition) Open() error { return nil }

// Offset returns the last offset of the log that is applied, NoOffset for none.
func (p *Partition) Offset() int64 { return p.offset.Load() }

// Verify compares what is stored with the log: origin is the topic's id, end
// the partition's high-water mark. Tables of a topic that was created anew, or
// that are ahead of a log that lost its tail, are dropped, to be rebuilt.
func (p *Partition) Verify(origin [16]byte, end int64) (dropped bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, err := p.store.get(p.metaKey(metaOrigin))
	if err != nil {
		return false, err
	}
	if known != nil && bytes.Equal(known, origin[:]) && p.pending < end {
		return false, nil
	}
	b := p.store.db.NewBatch()
	defer b.Close()
	for _, from := range [][]byte{p.records, p.deadlines, p.meta} {
		if err := b.DeleteRange(from, upper(from), nil); err != nil {
			return false, p.store.failed(err)
		}
	}
	if err := b.Set(p.metaKey(metaOrigin), origin[:], nil); err != nil {
		return false, p.store.failed(err)
	}
	if err := p.store.write(b); err != nil {
		return false, err
	}
	dropped = p.pending != NoOffset
	p.pending = NoOffset
	p.offset.Store(NoOffset)
	p.hot = newHot(p.hot.bytesMax)
	return dropped, nil
}

// Close drops the overlay of an open transaction (runtime rule 4) and writes
// out one that is a buffer.
func (p *Partition) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	defer p.store.release(p)
	if p.transaction() {
		clear(p.overlay)
		return nil
	}
	return p.flush()
}

// transaction says whether the overlay is an open transaction.
func (p *Partition) transaction() bool { return p.mode == Transactional && p.live }

// Get returns a key's value with the writes of the open transaction, nil when
// there is none.
func (p *Partition) Get(key string) ([]byte, error) {
	p.mu.RLock()
	w, ok := p.overlay[key]
	if !ok {
		w.value, ok = p.hot.get(key)
	}
	puts := p.puts
	p.mu.RUnlock()
	if ok {
		return w.value, nil
	}
	value, err := p.committed(key)
	if value == nil && err == nil {
		// A handler asks before it sets: the put need not ask again.
		p.mu.Lock()
		if p.puts == puts {
			p.missed = key
		}
		p.mu.Unlock()
	}
	return value, err
}

func (p *Partition) committed(key string) ([]byte, error) {
	var buf [128]byte
	return p.store.get(append(append(buf[:0], p.records...), key...))
}

// Has implements storage.Storage.
func (p *Partition) Has(key string) (bool, error) {
	v, err := p.Get(key)
	return v != nil, err
}

// Set writes to the overlay. It keeps value.
func (p *Partition) Set(key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return p.put(key, value)
}

// Delete writes to the overlay.
func (p *Partition) Delete(key string) error { return p.put(key, nil) }

func (p *Partition) put(key string, value []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.overlay[key]
	missed := p.missed == key && key != ""
	p.missed = ""
	p.puts++
	if !ok && !missed && p.store.deadline != nil {
		was, hot := p.hot.get(key)
		if !hot {
			var err error
			if was, err = p.committed(key); err != nil {
				return err
			}
		}
		if was != nil {
			w.wasDeadline, w.wasOpen = p.store.deadline(was)
		}
	}
	w.value = value
	p.overlay[key] = w
	p.buffered += len(key) + len(value)
	return nil
}

// GetOffset implements storage.Storage.
func (p *Partition) GetOffset(def int64) (int64, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.pending == NoOffset {
		return def, nil
	}
	return p.pending, nil
}

// SetOffset says up to which offset of the log the writes are complete. It is
// called after the writes of that offset.
func (p *Partition) SetOffset(offset int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending = offset
	if p.transaction() {
		return nil // Store.Commit writes it
	}
	p.offset.Store(offset)
	if p.buffered < bufferedBytesMax && len(p.overlay) < bufferedRecordsMax {
		return nil
	}
	return p.flush()
}

// MarkRecovered ends the recovery: in a processor, what is written from here
// on belongs to a transaction.
func (p *Partition) MarkRecovered() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.flush(); err != nil {
		return err
	}
	p.live = true
	return nil
}

// flush writes the overlay out. The caller holds mu.
func (p *Partition) flush() error {
	if len(p.overlay) == 0 && p.pending == NoOffset {
		return nil
	}
	b := p.store.db.NewBatch()
	defer b.Close()
	if err := p.stage(b); err != nil {
		return err
	}
	if err := p.store.write(b); err != nil {
		return err
	}
	p.staged()
	return nil
}

// stage adds the overlay, the index and the offset to a batch. The caller
// holds mu.
func (p *Partition) stage(b *pebble.Batch) error {
	var buf [256]byte
	for key, w := range p.overlay {
		var err error
		if record := append(append(buf[:0], p.records...), key...); w.value == nil {
			err = b.Delete(record, nil)
		} else {
			err = b.Set(record, w.value, nil)
		}
		if err == nil && p.store.deadline != nil {
			err = p.stageDeadline(b, key, w)
		}
		if err != nil {
			return p.store.failed(err)
		}
	}
	if p.pending == NoOffset {
		return nil
	}
	value := binary.BigEndian.AppendUint64(nil, uint64(p.pending))
	if err := b.Set(p.metaKey(metaOffset), value, nil); err != nil {
		return p.store.failed(err)
	}
	return nil
}

// stageDeadline moves the key's entry in the index.
func (p *Partition) stageDeadline(b *pebble.Batch, key string, w write) error {
	var deadline int64
	var open bool
	if w.value != nil {
		deadline, open = p.store.deadline(w.value)
	}
	if open == w.wasOpen && (!open || deadline == w.wasDeadline) {
		return nil
	}
	if w.wasOpen {
		if err := b.Delete(p.deadlineKey(w.wasDeadline, key), nil); err != nil {
			return err
		}
	}
	if open {
		return b.Set(p.deadlineKey(deadline, key), nil, nil)
	}
	return nil
}

// staged empties the overlay after its batch was written.
func (p *Partition) staged() {
	if p.mode == Transactional {
		for key, w := range p.overlay {
			p.hot.put(key, w.value)
		}
	}
	clear(p.overlay)
	p.buffered = 0
	p.offset.Store(p.pending)
}

func (p *Partition) metaKey(name string) []byte {
	return append(append([]byte(nil), p.meta...), name...)
}

func (p *Partition) deadlineKey(unixMillis int64, key string) []byte {
	return appendDeadline(append([]byte(nil), p.deadlines...), unixMillis, key)
}

// due is Store.Due.
func (p *Partition) due(unixMillis int64, fn func(key string, deadline int64) bool) error {
	it, err := p.store.db.NewIter(&pebble.IterOptions{
		LowerBound: p.deadlines,
		UpperBound: p.deadlineKey(unixMillis+1, ""),
	})
	if err != nil {
		return p.store.failed(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		entry := it.Key()[len(p.deadlines):]
		if !fn(string(entry[deadlineBytes:]), int64(binary.BigEndian.Uint64(entry))) {
			break
		}
	}
	if err := it.Error(); err != nil {
		return p.store.failed(err)
	}
	return nil
}
