package simulation

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/eventpro/boxoffice/internal/stream/storage"
	"github.com/eventpro/boxoffice/internal/wire"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	twinTopic = "registrations-table"
	twinKeys  = 6
)

// twins are the simulation's disk and the real local tables, which are told the same.
type twins struct {
	t      *rapid.T
	dir    string
	model  *disk
	store  *storage.Store
	real   *storage.Partition
	offset int64
}

func (x *twins) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *twins) open() {
	x.t.Helper()
	var err error
	x.store, err = storage.Open(x.dir, storage.Options{
		CacheBytes: 1 << 20, MemTableBytes: 1 << 20, HotBytes: 200, Deadline: wire.Deadline, Logger: slog.New(slog.DiscardHandler),
	})
	x.must(err)
	x.recover(0)
}

// recover opens the partition and reads some records of the log into it.
func (x *twins) recover(most int) {
	x.t.Helper()
	var err error
	x.real, err = x.store.Partition(twinTopic, 0, storage.Transactional)
	x.must(err)
	if written := x.apply(rapid.IntRange(0, most).Draw(x.t, "recovered")); len(written) > 0 {
		x.model.write(0, written, x.offset)
	}
	x.must(x.real.MarkRecovered())
}

// apply draws n writes and makes them in the real tables.
func (x *twins) apply(n int) map[string]value {
	x.t.Helper()
	written := map[string]value{}
	for range n {
		key := fmt.Sprint(rapid.IntRange(0, twinKeys-1).Draw(x.t, "key"))
		x.offset++
		encoded, err := proto.Marshal(&pb.Registration{DeadlineUnixMs: rapid.Int64Range(0, 4).Draw(x.t, "deadline"), Version: uint64(x.offset)})
		x.must(err)
		x.must(x.real.Set(key, encoded))
		x.must(x.real.SetOffset(x.offset))
		written[key] = value{encoded, x.offset}
	}
	return written
}

// transaction writes, and commits or aborts.
func (x *twins) transaction() {
	written := x.apply(rapid.IntRange(1, 5).Draw(x.t, "writes"))
	for key, v := range written {
		have, err := x.real.Get(key)
		x.must(err)
		if string(have) != string(v.bytes) {
			x.t.Fatalf("the transaction does not see its own write of %s", key)
		}
	}
	if rapid.Bool().Draw(x.t, "commits") {
		x.must(x.store.Commit(twinTopic, func(int32) int64 { return x.offset }))
		x.model.write(0, written, x.offset)
		return
	}
	x.must(x.real.Close())
	x.recover(0)
}

func (x *twins) same() {
	x.t.Helper()
	for n := range twinKeys {
		key := fmt.Sprint(n)
		have, err := x.real.Get(key)
		x.must(err)
		want, _ := x.model.get(0, key)
		if string(have) != string(want.bytes) {
			x.t.Fatalf("key %s: the real tables have %x, the model %x", key, have, want.bytes)
		}
	}
	if have, err := x.real.GetOffset(-1); err != nil || have != x.model.parts[0].offset {
		x.t.Fatalf("the real offset is %d (%v), the model's %d", have, err, x.model.parts[0].offset)
	}
	for until := range int64(6) {
		var have, want []string
		x.must(x.store.Due(twinTopic, 0, until, func(key string, at int64) bool { have = append(have, fmt.Sprint(key, " ", at)); return true }))
		x.must(x.model.due(0, until, func(key string, at int64) bool { want = append(want, fmt.Sprint(key, " ", at)); return true }))
		if !slices.Equal(have, want) {
			x.t.Fatalf("due until %d are %v, in the model %v", until, have, want)
		}
	}
}

// The simulation's disk is a model. Whatever is committed, aborted, recovered and
// reopened, it has the values, the offset and the due deadlines that the real local
// tables have.
func TestTheDiskIsAsTheRealOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "twins")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		x := &twins{t: t, dir: dir, model: newDisk(wire.Deadline), offset: -1}
		x.open()
		defer func() { x.must(x.real.Close()); x.must(x.store.Close()) }()
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0: // the process starts again
				x.must(x.real.Close())
				x.must(x.store.Close())
				x.open()
			case 1: // the next session recovers
				x.must(x.real.Close())
				x.recover(4)
			default:
				x.transaction()
			}
			x.same()
		}
	})
}
