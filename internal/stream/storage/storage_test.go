package storage

import (
	"fmt"
	"strconv"
	"testing"
)

const topic = "t-table"

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{CacheBytes: 1 << 20, MemTableBytes: 1 << 20, HotBytes: 1 << 12, Deadline: func(v []byte) (int64, bool) {
		n, err := strconv.ParseInt(string(v), 10, 64)
		return n, err == nil && n > 0
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func partition(t testing.TB, s *Store, n int32, mode Mode) *Partition {
	t.Helper()
	p, err := s.Partition(topic, n, mode)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t testing.TB, p *Partition, key, want string) {
	t.Helper()
	v, err := p.Get(key)
	must(t, err)
	if string(v) != want {
		t.Fatalf("%s is %q, want %q", key, v, want)
	}
}

func offset(t testing.TB, p *Partition, want int64) {
	t.Helper()
	got, err := p.GetOffset(-3)
	must(t, err)
	if got != want {
		t.Fatalf("offset %d, want %d", got, want)
	}
}

func due(t testing.TB, s *Store, n int32, until int64) string {
	t.Helper()
	out := ""
	must(t, s.Due(topic, n, until, func(key string, deadline int64) bool {
		out += fmt.Sprintf("%s@%d ", key, deadline)
		return true
	}))
	return out
}

// Rule 4: a transaction is aborted. What it wrote, and its deadlines, must not
// be seen by the session that follows, nor after a restart.
func TestAnAbortedTransactionLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	p := partition(t, s, 0, Transactional)
	must(t, p.Set("a", []byte("1")))
	must(t, p.SetOffset(7))
	must(t, p.MarkRecovered())

	must(t, p.Set("a", []byte("2")))
	must(t, p.Set("b", []byte("2")))
	must(t, p.SetOffset(9))
	expect(t, p, "a", "2") // the transaction sees itself
	if v, _, _ := s.Committed(topic, 0, "a"); string(v) != "1" {
		t.Fatalf("a reader of committed state saw %q", v)
	}
	if got := due(t, s, 0, 100); got != "a@1 " {
		t.Fatalf("due %q", got)
	}
	must(t, p.Close())
	for range 2 {
		p = partition(t, s, 0, Transactional)
		expect(t, p, "a", "1")
		expect(t, p, "b", "")
		offset(t, p, 7)
		must(t, p.Close())
		must(t, s.Close())
		s = open(t, dir)
	}
	must(t, s.Close())
}

// What Kafka committed is there with its offset after a restart, for all
// partitions of the transaction; a partition that it did not touch keeps its
// offset.
func TestCommitIsAtomicOverPartitions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	ps := []*Partition{partition(t, s, 0, Transactional), partition(t, s, 1, Transactional), partition(t, s, 2, Transactional)}
	for _, p := range ps {
		must(t, p.MarkRecovered())
	}
	must(t, ps[0].Set("a", []byte("10")))
	must(t, ps[1].Set("a", []byte("20")))
	must(t, s.Commit(topic, func(p int32) int64 { return []int64{3, 4, -1}[p] }))
	must(t, ps[1].Set("a", []byte("30")))
	must(t, ps[1].Delete("b"))
	must(t, s.Commit(topic, func(p int32) int64 { return []int64{-1, 6, -1}[p] }))
	for _, p := range ps {
		must(t, p.Close())
	}
	must(t, s.Close())
	s = open(t, dir)
	defer s.Close()
	p0, p1, p2 := partition(t, s, 0, Direct), partition(t, s, 1, Direct), partition(t, s, 2, Direct)
	expect(t, p0, "a", "10")
	expect(t, p1, "a", "30")
	offset(t, p0, 3)
	offset(t, p1, 6)
	offset(t, p2, -3)
	if got := due(t, s, 0, 100) + due(t, s, 1, 100); got != "a@10 a@30 " {
		t.Fatalf("due %q: the index does not follow the values", got)
	}
	must(t, p0.Close())
	must(t, p1.Close())
	must(t, p2.Close())
}

// The deadline index moves with the value, in whatever way it is written, is
// ordered by time, and is not seen by iterators.
func TestDeadlineIndexFollowsTheValues(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{Transactional, Direct} {
		s := open(t, t.TempDir())
		p := partition(t, s, 3, mode)
		commit := func() {
			if p.transaction() {
				must(t, s.Commit(topic, func(int32) int64 { return NoOffset }))
			} else {
				must(t, p.flush())
			}
		}
		if mode == Transactional {
			must(t, p.MarkRecovered())
		}
		for _, kv := range [][2]string{{"a", "300"}, {"b", "20"}, {"c", "1000"}} {
			must(t, p.Set(kv[0], []byte(kv[1])))
		}
		commit()
		if got := due(t, s, 3, 999); got != "b@20 a@300 " {
			t.Fatalf("due %q", got)
		}
		must(t, p.Set("a", []byte("5"))) // twice in one batch
		must(t, p.Set("a", []byte("7")))
		must(t, p.Set("b", []byte("closed")))
		must(t, p.Delete("c"))
		commit()
		if got := due(t, s, 3, 1<<40); got != "a@7 " {
			t.Fatalf("due %q", got)
		}
		it, err := p.Iterator()
		must(t, err)
		keys := ""
		for it.Next() {
			keys += string(it.Key()) + " "
		}
		it.Release()
		if keys != "a b " {
			t.Fatalf("iterated %q", keys)
		}
		must(t, p.Close())
		must(t, s.Close())
	}
}

// A view's writes are only buffered: reads see them at once, iterators too, and
// closing keeps them.
func TestDirectWritesAreBuffered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	p := partition(t, s, 0, Direct)
	must(t, p.MarkRecovered())
	for i := range 3 * bufferedRecordsMax {
		must(t, p.Set(fmt.Sprintf("%06d", i), []byte("x")))
		must(t, p.SetOffset(int64(i)))
		if len(p.overlay) > bufferedRecordsMax {
			t.Fatalf("the buffer holds %d", len(p.overlay))
		}
	}
	must(t, p.Set("empty", nil))
	if ok, err := p.Has("empty"); err != nil || !ok {
		t.Fatal("an empty value is not a missing one")
	}
	n := 0
	_, err := s.Range(topic, 0, func(_, _ []byte) bool { n++; return true })
	must(t, err)
	if n != 3*bufferedRecordsMax+1 {
		t.Fatalf("%d keys", n)
	}
	must(t, p.Close())
	must(t, s.Close())
	s = open(t, dir)
	p = partition(t, s, 0, Direct)
	offset(t, p, 3*bufferedRecordsMax-1)
	expect(t, p, "012287", "x")
	must(t, p.Close())
	must(t, s.Close())
}

// Iterators stay within their partition and their range, and seek.
func TestIteratorRange(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	defer s.Close()
	other := partition(t, s, 1, Direct)
	p := partition(t, s, 0, Direct)
	for _, k := range []string{"a", "b", "c", "d"} {
		must(t, p.Set(k, []byte(k)))
		must(t, other.Set(k, []byte("other")))
	}
	it, err := p.IteratorWithRange([]byte("b"), []byte("d"))
	must(t, err)
	got := ""
	for it.Next() {
		v, err := it.Value()
		must(t, err)
		got += string(it.Key()) + string(v)
	}
	if got != "bbcc" {
		t.Fatalf("got %q", got)
	}
	if !it.Seek([]byte("bb")) || string(it.Key()) != "c" || it.Next() {
		t.Fatal("seek does not find the next key, or runs out of the range")
	}
	it.Release()
	must(t, other.Close())
	must(t, p.Close())
}

// A table of a topic that was created anew, or ahead of a log that lost its
// tail, is dropped; one of this log is kept.
func TestVerifyDropsForeignTables(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	defer s.Close()
	one, two := [16]byte{1}, [16]byte{2}
	fill := func(origin [16]byte) {
		p := partition(t, s, 0, Direct)
		_, err := p.Verify(origin, 100)
		must(t, err)
		must(t, p.Set("a", []byte("1")))
		must(t, p.SetOffset(50))
		must(t, p.Close())
	}
	check := func(what string, origin [16]byte, end int64, dropped bool) {
		t.Helper()
		p := partition(t, s, 0, Direct)
		got, err := p.Verify(origin, end)
		must(t, err)
		if got != dropped {
			t.Fatalf("%s: dropped %v", what, got)
		}
		if v, _ := p.Get("a"); (v == nil) != dropped {
			t.Fatalf("%s: a is %q", what, v)
		}
		if dropped && due(t, s, 0, 100) != "" {
			t.Fatalf("%s: deadlines are left", what)
		}
		must(t, p.Close())
	}
	fill(one)
	check("the same log", one, 51, false)
	check("a log that lost its tail", one, 50, true)
	fill(one)
	check("another log", two, 1000, true)
}

// A second process on the same directory is told so.
func TestADirectoryHasOneOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	if _, err := Open(dir, Options{CacheBytes: 1 << 20, MemTableBytes: 1 << 20}); err == nil {
		t.Fatal("it was opened twice")
	}
}

// The values at hand are bounded, and what was put last is among them.
func TestHotIsBounded(t *testing.T) {
	t.Parallel()
	h := newHot(10_000)
	for i := range 1000 {
		k := strconv.Itoa(i)
		h.put(k, make([]byte, 100))
		if _, ok := h.get(k); !ok {
			t.Fatal("what was put last is gone")
		}
	}
	if n := len(h.young) + len(h.old); n > 10_000/100 {
		t.Fatalf("%d values are kept", n)
	}
}

func BenchmarkCommit(b *testing.B) {
	s := open(b, b.TempDir())
	defer s.Close()
	p := partition(b, s, 0, Transactional)
	must(b, p.MarkRecovered())
	value := make([]byte, 200)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		must(b, p.Set(strconv.Itoa(i%20_000), value))
		if i++; i%100 == 0 {
			must(b, s.Commit(topic, func(int32) int64 { return int64(i) }))
		}
	}
	must(b, p.Close())
}
