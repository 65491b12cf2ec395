package storage

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
	"github.com/lovoo/goka/storage"
)

// Iterator walks a snapshot of the committed records in key order.
func (p *Partition) Iterator() (storage.Iterator, error) { return p.IteratorWithRange(nil, nil) }

// IteratorWithRange walks [start, limit); a nil bound is open. Unlike Goka's
// own storage, a start without a limit is no prefix.
func (p *Partition) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.transaction() {
		if err := p.flush(); err != nil {
			return nil, err
		}
	}
	o := &pebble.IterOptions{LowerBound: p.recordKey(start), UpperBound: upper(p.records)}
	if limit != nil {
		o.UpperBound = p.recordKey(limit)
	}
	it, err := p.store.db.NewIter(o)
	if err != nil {
		return nil, p.store.failed(err)
	}
	return &iterator{store: p.store, it: it, prefix: p.records}, nil
}

func (p *Partition) recordKey(key []byte) []byte {
	return append(bytes.Clone(p.records), key...)
}

type iterator struct {
	store   *Store
	it      *pebble.Iterator
	prefix  []byte
	started bool
}

func (i *iterator) Next() bool {
	if !i.started {
		i.started = true
		return i.it.First()
	}
	return i.it.Next()
}

func (i *iterator) Err() error {
	if err := i.it.Error(); err != nil {
		return i.store.failed(err)
	}
	return nil
}

func (i *iterator) Key() []byte { return i.it.Key()[len(i.prefix):] }

func (i *iterator) Value() ([]byte, error) {
	v, err := i.it.ValueAndErr()
	switch {
	case err != nil:
		return nil, i.store.failed(err)
	case v == nil:
		return []byte{}, nil
	}
	return v, nil
}

func (i *iterator) Release() { _ = i.it.Close() }

// Seek moves to the first key that is not below key; as with Goka's own
// storage, Key and Value read it at once and Next moves past it.
func (i *iterator) Seek(key []byte) bool {
	i.started = true
	return i.it.SeekGE(append(bytes.Clone(i.prefix), key...))
}
