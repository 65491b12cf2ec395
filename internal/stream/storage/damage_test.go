package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

const (
	tornKeys   = 50
	tornWrites = 400
)

// written makes a database of tornWrites batches: number i sets key i%tornKeys to
// i and moves the offset to i. The first half is in tables, the rest in the log of
// writes. It returns the files of the directory.
func written(t *testing.T, dir string) (files []string) {
	t.Helper()
	s := open(t, dir)
	p := partition(t, s, 0, Transactional)
	must(t, p.MarkRecovered())
	for i := range tornWrites {
		must(t, p.Set(tornKey(i), number(i)))
		must(t, s.Commit(topic, func(int32) int64 { return int64(i) }))
		if i == tornWrites/4 || i == tornWrites/2 {
			must(t, s.db.Flush())
		}
	}
	must(t, p.Close())
	must(t, s.Close())
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	return files
}

func tornKey(i int) string { return fmt.Sprintf("key-%02d", i%tornKeys) }

func number(i int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 200), uint64(i)) }

// whole opens the database and demands that it holds exactly what belongs to its
// offset, or that it says that it is damaged; then it must be empty once it is
// mended.
func whole(t *testing.T, dir string) (at int64, dropped bool) {
	t.Helper()
	s := open(t, dir)
	defer s.Close()
	at, err := exact(t, s)
	if err == nil {
		return at, at == NoOffset
	}
	if _, cause := s.Damaged(); cause == nil {
		t.Fatalf("reading failed with %v, and the store does not count as damaged", err)
	}
	must(t, s.Mend())
	if at, err = exact(t, s); err != nil || at != NoOffset {
		t.Fatalf("a mended database is at offset %d: %v", at, err)
	}
	return at, true
}

// exact reads all keys.
func exact(t *testing.T, s *Store) (at int64, err error) {
	t.Helper()
	p, err := s.Partition(topic, 0, Transactional)
	if err != nil {
		return NoOffset, err
	}
	defer p.Close()
	if at, err = p.GetOffset(NoOffset); err != nil {
		return at, err
	}
	for k := range tornKeys {
		got, err := p.Get(tornKey(k))
		if err != nil {
			return at, err
		}
		if want := expected(k, at); string(got) != string(want) {
			t.Fatalf("%s is %x at offset %d, want %x", tornKey(k), got, at, want)
		}
	}
	return at, nil
}

// expected is the value of key k when the writes up to offset at are there.
func expected(k int, at int64) []byte {
	last := int(at) - (int(at)-k+tornKeys)%tornKeys
	if at < 0 || last < 0 {
		return nil
	}
	return number(last)
}

// A file of the database is cut, lost, or has other bytes in it. What is read
// afterwards is the state of some offset, or the damage is noticed and the
// database starts empty: never a mixture.
func TestTornFilesAreNeverTrusted(t *testing.T) {
	t.Parallel()
	model := t.TempDir()
	healed, dropped := 0, 0
	for _, file := range written(t, model) {
		name := filepath.Base(file)
		if name == "LOCK" {
			continue
		}
		content, err := os.ReadFile(file)
		must(t, err)
		for how, torn := range damages(content) {
			dir := t.TempDir()
			must(t, os.CopyFS(dir, os.DirFS(model)))
			path := filepath.Join(dir, name)
			if torn == nil {
				must(t, os.Remove(path))
			} else {
				must(t, os.WriteFile(path, torn, 0o600))
			}
			t.Log(name, how)
			at, lost := whole(t, dir)
			switch {
			case lost:
				dropped++
			default:
				healed++
			}
			if strings.HasSuffix(name, ".sst") && how == "removed" && !lost {
				t.Errorf("%s is gone and the database goes on at offset %d", name, at)
			}
		}
	}
	if healed == 0 || dropped == 0 {
		t.Errorf("%d went on, %d were dropped: some of both are expected", healed, dropped)
	}
}

// damages are the ways in which a file's content may come back; nil: not at all.
func damages(content []byte) map[string][]byte {
	all := map[string][]byte{"removed": nil, "emptied": {}}
	const places = 5
	for i := range places {
		at := i * len(content) / places
		if at >= len(content) {
			continue
		}
		other := append([]byte{}, content...)
		other[at] ^= 0x55
		all[fmt.Sprintf("other byte at %d", at)] = other
		all[fmt.Sprintf("cut at %d", at)] = content[:at]
	}
	return all
}

// The machine does not let the database be opened: that is no damage. It is told,
// and nothing is dropped.
func TestARefusalIsNoDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	written(t, dir)
	var refused atomic.Int64
	disk := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpOpen {
			return nil
		}
		refused.Add(1)
		return &os.PathError{Op: "open", Path: op.Path, Err: syscall.EMFILE}
	}))
	_, err := Open(dir, Options{CacheBytes: 1 << 20, MemTableBytes: 1 << 20, FS: disk})
	if !errors.Is(err, syscall.EMFILE) || refused.Load() == 0 {
		t.Fatalf("opened with %v after %d refusals", err, refused.Load())
	}
	if at, dropped := whole(t, dir); dropped || at != tornWrites-1 {
		t.Fatalf("dropped %v, offset %d, want %d", dropped, at, tornWrites-1)
	}
}

// There is no space to make a damaged database anew: Mend says so, and succeeds
// when it is called again with space.
func TestMendingIsTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	written(t, dir)
	full := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate {
			return &os.PathError{Op: "create", Path: op.Path, Err: syscall.ENOSPC}
		}
		return nil
	})}
	s, err := Open(dir, Options{CacheBytes: 1 << 20, MemTableBytes: 1 << 20, FS: errorfs.Wrap(vfs.Default, &full)})
	must(t, err)
	defer s.Close()
	s.damage.note(errors.New("a test says so"))
	full.On()
	if err := s.Mend(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("mended with %v", err)
	}
	if _, open, err := s.Get(topic, 0, tornKey(0)); open || err != nil {
		t.Fatalf("read from a database that is not there: %v, %v", open, err)
	}
	full.Off()
	must(t, s.Mend())
	if _, cause := s.Damaged(); cause != nil {
		t.Fatalf("still damaged: %v", cause)
	}
	p := partition(t, s, 0, Transactional)
	offset(t, p, -3)
	must(t, p.Close())
}

// died says whether the process would have died of a full disk: Pebble panics at the
// first write after it has learned that its log cannot be written.
func died(t *testing.T, write func()) (dead bool) {
	t.Helper()
	defer func() {
		if v := recover(); v != nil {
			err, ok := v.(error)
			if dead = ok && errors.Is(err, syscall.ENOSPC); !dead {
				panic(v)
			}
		}
	}()
	write()
	return false
}

// noRoomForLog refuses, once it is on, what is written to Pebble's log of writes, and
// counts it.
func noRoomForLog(refused *atomic.Int64) errorfs.Toggle {
	return errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpFileWrite || !strings.HasSuffix(op.Path, ".log") {
			return nil
		}
		refused.Add(1)
		return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
	})}
}

// fillLogBlock has Pebble write its log: of what nobody waits for to be synced, it may
// keep an unfinished block (32 KiB) until the next one begins.
func fillLogBlock(t *testing.T, s *Store) {
	t.Helper()
	must(t, s.db.LogData(make([]byte, 64<<10), pebble.NoSync))
}

// The disk becomes full in the middle of the commits: from then on nothing of the
// log of writes reaches it. Then the process or the machine dies, at some moment. What comes
// back is the state of some offset, whatever share of the unsynced writes was kept.
func TestAFullDiskLosesOnlyTheTail(t *testing.T) {
	t.Parallel()
	for share := range 5 {
		memory := vfs.NewCrashableMem()
		var refused atomic.Int64
		full := noRoomForLog(&refused)
		options := Options{CacheBytes: 1 << 20, MemTableBytes: 1 << 20}
		options.FS = errorfs.Wrap(memory, &full)
		s, err := Open("tables", options)
		must(t, err)
		p := partition(t, s, 0, Transactional)
		must(t, p.MarkRecovered())
		for i := range tornWrites {
			if i == tornWrites/2 {
				must(t, s.db.Flush()) // so that some of it is there for sure
				full.On()
			}
			must(t, p.Set(tornKey(i), number(i)))
			if died(t, func() { must(t, s.Commit(topic, func(int32) int64 { return int64(i) })) }) {
				break
			}
		}
		if refused.Load() == 0 { // else Pebble knows, and a database that has panicked is not used again
			died(t, func() { fillLogBlock(t, s) })
		}
		for refused.Load() == 0 { // the log is written in the background; go test's limit ends this
			runtime.Gosched()
		}
		after := memory.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 25 * share, RNG: rand.New(rand.NewPCG(1, uint64(share)))})
		full.Off()
		options.FS = after
		again, err := Open("tables", options)
		must(t, err)
		at, err := exact(t, again)
		must(t, err)
		if at < tornWrites/2-1 || at >= tornWrites-1 {
			t.Errorf("offset %d of %d: what was flushed is there, what was refused is not", at, tornWrites)
		}
		must(t, again.Close())
		t.Logf("%d%% of what was not synced: offset %d, %d writes refused", 25*share, at, refused.Load())
	}
}

// told is a log that notes whether a person was told what to do about the disk.
type told struct{ atomic.Bool }

// Write implements io.Writer.
func (t *told) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "make room on it") {
		t.Store(true)
	}
	return len(line), nil
}

// Nothing can be written to the disk any more: a person is told what to do, and need
// not understand the panic in which Pebble may end.
func TestAFullDiskIsTold(t *testing.T) {
	t.Parallel()
	var what told
	var refused atomic.Int64
	full := noRoomForLog(&refused)
	options := Options{CacheBytes: 1 << 20, MemTableBytes: 1 << 20, Logger: slog.New(slog.NewTextHandler(&what, nil))}
	options.FS = errorfs.Wrap(vfs.NewMem(), &full)
	s, err := Open("tables", options)
	must(t, err)
	p := partition(t, s, 0, Transactional)
	must(t, p.MarkRecovered())
	if what.Load() {
		t.Fatal("told before the disk was full")
	}
	full.On()
	must(t, p.Set(tornKey(0), number(0)))
	must(t, s.Commit(topic, func(int32) int64 { return 0 }))
	died(t, func() { fillLogBlock(t, s) })
	for !what.Load() { // the log is written in the background; go test's limit ends this
		runtime.Gosched()
	}
}
