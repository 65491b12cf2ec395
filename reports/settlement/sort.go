package settlement

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"time"
)

const (
	// runLength is how many lines are sorted in memory at once.
	runLength = 100_000
	// runBuffer is what reading one run back takes.
	runBuffer = 64 << 10
)

// sorter sorts more entries than memory holds: runs of them go to a temporary
// file and are merged when they are read.
type sorter struct {
	key    Key
	length int // of a run
	run    []Entry
	file   *os.File
	size   int64
	runs   []section
	// first and last are the earliest and latest time seen.
	first, last time.Time
	count       int64
}

// section is where a run lies in the file.
type section struct{ offset, length int64 }

func newSorter(key Key) *sorter { return &sorter{key: key, length: runLength} }

// add takes one entry.
func (s *sorter) add(e Entry) error {
	if s.count == 0 || e.At.Before(s.first) {
		s.first = e.At
	}
	if s.count == 0 || e.At.After(s.last) {
		s.last = e.At
	}
	s.count++
	s.run = append(s.run, e)
	if len(s.run) < s.length {
		return nil
	}
	return s.spill()
}

// order sorts the run; entries with one key stay in the order of their lines.
func (s *sorter) order() {
	slices.SortStableFunc(s.run, func(a, b Entry) int { return s.key.compare(&a, &b) })
}

// spill writes the run to the file.
func (s *sorter) spill() error {
	if s.file == nil {
		file, err := os.CreateTemp("", "boxoffice-settlement-*")
		if err != nil {
			return fmt.Errorf("a file for sorting: %w", err)
		}
		s.file = file
	}
	s.order()
	out := bufio.NewWriterSize(s.file, runBuffer)
	var line []byte
	start := s.size
	for i := range s.run {
		line = appendEntry(line[:0], &s.run[i])
		s.size += int64(len(line))
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("writing the file for sorting: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the file for sorting: %w", err)
	}
	s.runs = append(s.runs, section{start, s.size - start})
	s.run = s.run[:0]
	return nil
}

// close removes the file.
func (s *sorter) close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// sorted gives all entries in order, once.
func (s *sorter) sorted() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		s.order()
		runs := &mergeHeap{key: s.key}
		for _, at := range s.runs {
			in := bufio.NewReaderSize(io.NewSectionReader(s.file, at.offset, at.length), runBuffer)
			runs.open(func() (Entry, error) { return readEntry(in) })
		}
		left := s.run
		runs.open(func() (Entry, error) {
			if len(left) == 0 {
				return Entry{}, io.EOF
			}
			e := left[0]
			left = left[1:]
			return e, nil
		})
		heap.Init(runs)
		for runs.Len() > 0 && runs.err == nil {
			if !yield(runs.take(), nil) {
				return
			}
		}
		if runs.err != nil {
			yield(Entry{}, fmt.Errorf("reading the file for sorting: %w", runs.err))
		}
	}
}

// mergeHeap has the next entry of every run, the least one on top.
type mergeHeap struct {
	key  Key
	runs []mergeRun
	err  error
}

type mergeRun struct {
	head Entry
	next func() (Entry, error)
}

// Len implements heap.Interface.
func (h *mergeHeap) Len() int { return len(h.runs) }

// Less implements heap.Interface. Lines decide between equals, so that the order
// is the file's whatever the runs were.
func (h *mergeHeap) Less(i, j int) bool {
	a, b := &h.runs[i].head, &h.runs[j].head
	if c := h.key.compare(a, b); c != 0 {
		return c < 0
	}
	return a.Line < b.Line
}

// Swap implements heap.Interface.
func (h *mergeHeap) Swap(i, j int) { h.runs[i], h.runs[j] = h.runs[j], h.runs[i] }

// Push implements heap.Interface.
func (h *mergeHeap) Push(x any) { h.runs = append(h.runs, x.(mergeRun)) }

// Pop implements heap.Interface.
func (h *mergeHeap) Pop() any {
	last := h.runs[len(h.runs)-1]
	h.runs = h.runs[:len(h.runs)-1]
	return last
}

// open adds a run that is not empty; heap.Init follows.
func (h *mergeHeap) open(next func() (Entry, error)) {
	head, err := next()
	switch {
	case err == nil:
		h.runs = append(h.runs, mergeRun{head, next})
	case !errors.Is(err, io.EOF):
		h.err = err
	}
}

// take returns the least entry and moves its run on.
func (h *mergeHeap) take() Entry {
	top := &h.runs[0]
	least := top.head
	var err error
	if top.head, err = top.next(); err == nil {
		heap.Fix(h, 0)
		return least
	}
	heap.Remove(h, 0)
	if !errors.Is(err, io.EOF) {
		h.err = err
	}
	return least
}

// appendEntry writes an entry for readEntry: texts with their lengths, then the
// numbers.
func appendEntry(dst []byte, e *Entry) []byte {
	for _, text := range []string{string(e.Kind), e.Reference, e.ProviderID, e.Currency} {
		dst = binary.AppendUvarint(dst, uint64(len(text)))
		dst = append(dst, text...)
	}
	for _, n := range []int64{e.AmountMinor, e.FeeMinor, e.At.UnixMilli(), e.Line} {
		dst = binary.AppendVarint(dst, n)
	}
	return dst
}

// readEntry reads what appendEntry wrote; io.EOF at the end of the run.
func readEntry(in *bufio.Reader) (Entry, error) {
	var texts [4]string
	for i := range texts {
		length, err := binary.ReadUvarint(in)
		if err != nil {
			if i == 0 {
				return Entry{}, err
			}
			return Entry{}, cutShort(err)
		}
		text := make([]byte, length)
		if _, err := io.ReadFull(in, text); err != nil {
			return Entry{}, cutShort(err)
		}
		texts[i] = string(text)
	}
	var numbers [4]int64
	for i := range numbers {
		n, err := binary.ReadVarint(in)
		if err != nil {
			return Entry{}, cutShort(err)
		}
		numbers[i] = n
	}
	return Entry{
		Kind: Kind(texts[0]), Reference: texts[1], ProviderID: texts[2], Currency: texts[3],
		AmountMinor: numbers[0], FeeMinor: numbers[1], At: time.UnixMilli(numbers[2]).UTC(), Line: numbers[3], Booked: true,
	}, nil
}

// cutShort keeps an end inside an entry from being taken for the end of the run.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
