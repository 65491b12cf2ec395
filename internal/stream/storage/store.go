package storage

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of a Store.
type Options struct {
	// CacheBytes is the size of the block cache, MemTableBytes that of the
	// write buffer.
	CacheBytes    int64
	MemTableBytes uint64
	// HotBytes is how much of the values that were committed last each
	// partition of a processor keeps at hand.
	HotBytes int
	// Deadline reads from an encoded value when its key wants to be woken; nil
	// keeps no index.
	Deadline func(value []byte) (unixMillis int64, open bool)
	Logger   *slog.Logger
	// FS is where the database is; nil is the disk.
	FS vfs.FS
}

// Store is the database of one role in one process.
type Store struct {
	dir      string
	options  Options
	lock     *pebble.Lock // of the directory
	deadline func([]byte) (int64, bool)
	hotBytes int

	mu   sync.RWMutex
	open map[partitionID]*Partition

	life   sync.RWMutex // held by readers: the database outlives them
	db     *pebble.DB   // nil when it was dropped and could not be made anew
	closed bool

	damage damage
}

type partitionID struct {
	topic     string
	partition int32
}

// Open opens the database in dir, or creates it. One that is damaged is dropped:
// it is rebuilt from the log.
func Open(dir string, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.FS = tellDiskFull(o.FS, dir, o.Logger)
	if err := o.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("local tables: %w", err)
	}
	// The lock comes first: nobody's database is taken for damaged because
	// another process writes it.
	lock, err := pebble.LockDirectory(dir, o.FS)
	if err != nil {
		return nil, fmt.Errorf("local tables in %s: %w (if another process uses them, give this one its own directory)", dir, err)
	}
	s := &Store{dir: dir, options: o, lock: lock, deadline: o.Deadline, hotBytes: o.HotBytes, open: map[partitionID]*Partition{}, damage: newDamage()}
	if err = s.dropOther(); err == nil {
		err = s.connect()
	}
	if unopenable(err) {
		s.damage.note(err)
		err = s.Mend()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("local tables in %s: %w", dir, err), lock.Close())
	}
	return s, nil
}

// connect opens the database.
func (s *Store) connect() error {
	// Pebble takes its write buffers, the one being filled and the one being written
	// out, from the cache: they would leave it no room.
	cache := pebble.NewCache(s.options.CacheBytes + 2*int64(s.options.MemTableBytes))
	defer cache.Unref()
	po := &pebble.Options{
		FS:                          s.options.FS,
		Lock:                        s.lock,
		Cache:                       cache,
		MemTableSize:                s.options.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		FormatMajorVersion:          pebble.FormatNewest,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		Logger:                      logger{s.options.Logger},
		// By default Pebble would end the process.
		EventListener: &pebble.EventListener{DataCorruption: func(info pebble.DataCorruptionInfo) { s.damage.note(info.Details) }},
	}
	for i := range po.Levels {
		// New keys are looked up before they exist: the filter answers for them.
		// One index block a file is found at once; the default's small ones make
		// a second level that has to be read.
		po.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		po.Levels[i].BlockSize = 16 << 10
		po.Levels[i].IndexBlockSize = 256 << 10
	}
	var err error
	s.db, err = pebble.Open(s.dir, po)
	return err
}

// Close waits for readers and closes the database. All partitions must be
// closed.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	s.closed = true
	return errors.Join(s.disconnect(), s.lock.Close())
}

func (s *Store) disconnect() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db = nil
	return err
}

// Partition opens one partition of a topic. At most one is open at a time.
func (s *Store) Partition(topic string, partition int32, mode Mode) (*Partition, error) {
	p := &Partition{
		store:     s,
		id:        partitionID{topic, partition},
		mode:      mode,
		records:   prefix(kindRecord, topic, partition),
		deadlines: prefix(kindDeadline, topic, partition),
		meta:      prefix(kindMeta, topic, partition),
		overlay:   map[string]write{},
		hot:       newHot(s.hotBytes),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[p.id] != nil {
		return nil, fmt.Errorf("partition %s/%d is open already", topic, partition)
	}
	if err := p.load(); err != nil {
		return nil, err
	}
	s.open[p.id] = p
	return p, nil
}

func (s *Store) release(p *Partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[p.id] == p {
		delete(s.open, p.id)
	}
}

// Commit writes what the open partitions of topic hold in their overlays, with
// the offset of each one's last table record in the transaction, in one batch.
// It is called when Kafka has committed that transaction, while no handler
// runs. Offsets below zero leave a partition's offset as it is.
func (s *Store) Commit(topic string, offset func(partition int32) int64) error {
	b := s.db.NewBatch()
	defer b.Close()
	s.mu.RLock()
	defer s.mu.RUnlock()
	var done []*Partition
	for id, p := range s.open {
		if id.topic != topic {
			continue
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if o := offset(id.partition); o >= 0 {
			p.pending = o
		}
		if len(p.overlay) == 0 && p.pending == p.offset.Load() {
			continue
		}
		if err := p.stage(b); err != nil {
			return err
		}
		done = append(done, p)
	}
	if len(done) == 0 {
		return nil
	}
	if err := s.write(b); err != nil {
		return err
	}
	for _, p := range done {
		p.staged()
	}
	return nil
}

// Committed returns the committed value of a key in an open partition, nil
// when there is none. It does not see the open transaction.
func (s *Store) Committed(topic string, partition int32, key string) (value []byte, open bool, err error) {
	open, err = s.read(topic, partition, func(p *Partition) (err error) {
		value, err = p.committed(key)
		return err
	})
	return value, open, err
}

// Get returns the value of a key in an open partition, nil when there is none.
func (s *Store) Get(topic string, partition int32, key string) (value []byte, open bool, err error) {
	open, err = s.read(topic, partition, func(p *Partition) (err error) {
		value, err = p.Get(key)
		return err
	})
	return value, open, err
}

// Range calls fn for the committed records of an open partition in key order
// until it returns false. fn must not keep the slices.
func (s *Store) Range(topic string, partition int32, fn func(key, value []byte) bool) (open bool, err error) {
	return s.read(topic, partition, func(p *Partition) error {
		it, err := p.Iterator()
		if err != nil {
			return err
		}
		defer it.Release()
		for it.Next() {
			value, err := it.Value()
			if err != nil {
				return err
			}
			if !fn(it.Key(), value) {
				break
			}
		}
		return it.Err()
	})
}

// Due calls fn for the keys of an open partition whose deadline is not after
// unixMillis, the oldest first, until fn returns false. Only committed values
// are indexed.
func (s *Store) Due(topic string, partition int32, unixMillis int64, fn func(key string, deadline int64) bool) error {
	_, err := s.read(topic, partition, func(p *Partition) error { return p.due(unixMillis, fn) })
	return err
}

// read calls fn with an open partition, and reports whether there is one.
func (s *Store) read(topic string, partition int32, fn func(*Partition) error) (open bool, err error) {
	s.life.RLock()
	defer s.life.RUnlock()
	s.mu.RLock()
	p := s.open[partitionID{topic, partition}]
	s.mu.RUnlock()
	if p == nil || s.closed {
		return false, nil
	}
	return true, fn(p)
}

// lookups have the filters of the last level answer too, which DB.Get does not
// use: most keys that are looked up and not there are there nowhere, and without
// the filter each of them reads a block of that level.
var lookups = pebble.IterOptions{UseL6Filters: true}

func (s *Store) get(key []byte) (value []byte, err error) {
	it, err := s.db.NewIter(&lookups)
	if err != nil {
		return nil, s.failed(err)
	}
	if it.SeekPrefixGE(key) && bytes.Equal(it.Key(), key) {
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, s.failed(errors.Join(err, it.Close()))
		}
		value = make([]byte, len(v)) // never nil: an empty value is not a missing one
		copy(value, v)
	}
	if err := it.Close(); err != nil {
		return nil, s.failed(err)
	}
	return value, nil
}

// logger passes Pebble's log on. Pebble calls Fatalf when it cannot go on (a full
// disk) and does not expect it to return.
type logger struct{ l *slog.Logger }

func (l logger) Infof(format string, args ...any) {
	l.l.Debug("local tables", "detail", fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	l.l.Error("local tables", "detail", fmt.Sprintf(format, args...))
}

func (l logger) Fatalf(format string, args ...any) {
	panic("local tables: " + fmt.Sprintf(format, args...))
}
