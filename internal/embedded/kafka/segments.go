package kafka

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A partition is a directory of segments: "<base offset>.dat" has record batches
// as they are on the wire, "<base offset>.idx" has for each of them the leader
// epoch and whether it belongs to a transaction, which kfake needs to know what
// was open.

const (
	batchHeader = 61
	// batchMax is far above what a broker takes.
	batchMax = 1 << 30

	attributeTransactional = 0x10
	attributeControl       = 0x20
)

// partition is what its segments say.
type partition struct {
	topic  string
	number int32
	dir    string

	segments    []segment
	first       int64 // offset of the first record
	next        int64 // offset of the next record
	leaderEpoch int32
	newestMS    int64 // largest time stamp
	// open has the producers whose last transaction has no marker here, with its
	// epoch.
	open map[int64]int16
	// began has the first offset of what is open; aborted has what was aborted.
	began   map[int64]int64
	aborted []abortedRange
	// ended has each producer's last marker.
	ended map[int64]marker
	// windows has each producer's last batches, by which the broker knows repeated
	// ones.
	windows map[int64]*window
}

// segment is one file of a partition, as snapshots describe it.
type segment struct {
	Base     int64 `json:"base_offset"`
	Size     int64 `json:"size"`
	MinEpoch int32 `json:"min_epoch,omitempty"`
	MaxEpoch int32 `json:"max_epoch,omitempty"`
}

// abortedRange is an aborted transaction, up to its marker.
type abortedRange struct {
	Producer int64 `json:"producer_id"`
	First    int64 `json:"first_offset"`
	Last     int64 `json:"last_offset"`
}

type marker struct {
	epoch  int16
	commit bool
}

// window is a producer's sequence window as kfake keeps it: the last five batches.
type window struct {
	epoch   int16
	entries [5]windowEntry
	count   uint8
	at      uint8
	next    int32
}

type windowEntry struct {
	FirstSequence int32 `json:"first_seq"`
	NextSequence  int32 `json:"next_seq"`
	Offset        int64 `json:"offset"`
}

func (w *window) add(b *batch) {
	if w.count == 0 || w.epoch != b.epoch {
		*w = window{epoch: b.epoch}
	}
	// Sequences wrap before the largest number, as kfake has it.
	w.next = int32((int64(b.firstSequence) + int64(b.records)) % math.MaxInt32) //nolint:gosec // below MaxInt32
	w.entries[w.at] = windowEntry{b.firstSequence, w.next, b.firstOffset}
	w.at = (w.at + 1) % uint8(len(w.entries))
	w.count = min(w.count+1, uint8(len(w.entries)))
}

// batch is a record batch's header.
type batch struct {
	firstOffset   int64
	leaderEpoch   int32
	attributes    int16
	lastDelta     int32
	newestMS      int64
	producer      int64
	epoch         int16
	firstSequence int32
	records       int32
}

func (b *batch) control() bool       { return b.attributes&attributeControl != 0 }
func (b *batch) transactional() bool { return b.attributes&attributeTransactional != 0 && !b.control() }

func parseBatch(raw []byte) batch {
	be := binary.BigEndian
	return batch{
		firstOffset:   int64(be.Uint64(raw)),      //nolint:gosec // signed on the wire
		leaderEpoch:   int32(be.Uint32(raw[12:])), //nolint:gosec // signed on the wire
		attributes:    int16(be.Uint16(raw[21:])), //nolint:gosec // signed on the wire
		lastDelta:     int32(be.Uint32(raw[23:])), //nolint:gosec // signed on the wire
		newestMS:      int64(be.Uint64(raw[35:])), //nolint:gosec // signed on the wire
		producer:      int64(be.Uint64(raw[43:])), //nolint:gosec // signed on the wire
		epoch:         int16(be.Uint16(raw[51:])), //nolint:gosec // signed on the wire
		firstSequence: int32(be.Uint32(raw[53:])), //nolint:gosec // signed on the wire
		records:       int32(be.Uint32(raw[57:])), //nolint:gosec // signed on the wire
	}
}

// scanPartition reads a partition's segments, cuts a torn batch off the last one
// and repairs its index. Damage elsewhere is an error.
func scanPartition(dir string) (*partition, error) {
	p, bases, err := listPartition(dir)
	if err != nil {
		return nil, err
	}
	for i, base := range bases {
		if err := p.scanSegment(base, i == len(bases)-1); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func listPartition(dir string) (*partition, []int64, error) {
	name := filepath.Base(dir)
	cut := strings.LastIndexByte(name, '-')
	if cut < 0 {
		return nil, nil, fmt.Errorf("%s is no partition's directory", dir)
	}
	topic, err := url.PathUnescape(name[:cut])
	if err != nil {
		return nil, nil, fmt.Errorf("%s is no partition's directory: %w", dir, err)
	}
	number, err := strconv.ParseInt(name[cut+1:], 10, 32)
	if err != nil {
		return nil, nil, fmt.Errorf("%s is no partition's directory: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	var bases []int64
	for _, e := range entries {
		if text, ok := strings.CutSuffix(e.Name(), ".dat"); ok {
			base, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, nil, fmt.Errorf("%s is no segment: %w", filepath.Join(dir, e.Name()), err)
			}
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return &partition{
		topic: topic, number: int32(number), dir: dir, //nolint:gosec // parsed as 32 bits
		open: map[int64]int16{}, began: map[int64]int64{}, ended: map[int64]marker{}, windows: map[int64]*window{},
	}, bases, nil
}

func (p *partition) file(base int64, kind string) string {
	return filepath.Join(p.dir, strconv.FormatInt(base, 10)+kind)
}

var errTorn = errors.New("the batch is incomplete or its checksum is wrong")

// scanSegment reads one segment. Only the last one can have a torn batch at its
// end.
func (p *partition) scanSegment(base int64, last bool) error {
	path := p.file(base, ".dat")
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	p.segments = append(p.segments, segment{Base: base, MinEpoch: math.MaxInt32})
	in := bufio.NewReaderSize(f, 256<<10)
	var raw, index []byte
	var at int64
	for {
		raw, err = readBatch(in, raw)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			_, more := in.Peek(1)
			if !errors.Is(err, errTorn) || !last || more == nil {
				return fmt.Errorf("%s is damaged at byte %d (%w): restore the directory from a copy, or remove it to begin anew", path, at, err)
			}
			if err := os.Truncate(path, at); err != nil {
				return err
			}
			break
		}
		b := parseBatch(raw)
		if err := p.take(&b, raw); err != nil {
			return fmt.Errorf("%s at byte %d: %w", path, at, err)
		}
		index = appendIndex(index, &b)
		at += int64(len(raw))
	}
	return repairIndex(p.file(base, ".idx"), index)
}

// readBatch reads the next batch into buf. io.EOF means that there is none,
// errTorn that there is only a part of one or that its checksum is wrong.
func readBatch(in *bufio.Reader, buf []byte) ([]byte, error) {
	head, err := in.Peek(batchHeader)
	if err != nil {
		if len(head) == 0 && errors.Is(err, io.EOF) {
			return buf, io.EOF
		}
		// Taken, so that nothing seems to follow.
		_, _ = in.Discard(len(head))
		return buf, errTorn
	}
	size := 12 + int64(binary.BigEndian.Uint32(head[8:]))
	if magic := head[16]; magic != 2 || size < batchHeader || size > batchMax {
		return buf, fmt.Errorf("no record batch: magic %d, %d bytes", magic, size)
	}
	buf = slices.Grow(buf[:0], int(size))[:size]
	if _, err := io.ReadFull(in, buf); err != nil {
		return buf, errTorn
	}
	if crc32.Checksum(buf[21:], castagnoli) != binary.BigEndian.Uint32(buf[17:]) {
		return buf, errTorn
	}
	return buf, nil
}

// take notes what a batch of the last segment says.
func (p *partition) take(b *batch, raw []byte) error {
	if p.next == 0 {
		p.first = b.firstOffset
	}
	p.next = b.firstOffset + int64(b.lastDelta) + 1
	p.leaderEpoch = b.leaderEpoch
	p.newestMS = max(p.newestMS, b.newestMS)
	s := &p.segments[len(p.segments)-1]
	s.Size += int64(len(raw))
	s.MinEpoch, s.MaxEpoch = min(s.MinEpoch, b.leaderEpoch), max(s.MaxEpoch, b.leaderEpoch)
	switch {
	case b.control():
		commit, err := isCommit(raw[batchHeader:])
		if err != nil {
			return err
		}
		if first, ok := p.began[b.producer]; ok && !commit {
			p.aborted = append(p.aborted, abortedRange{b.producer, first, b.firstOffset})
		}
		p.ended[b.producer] = marker{b.epoch, commit}
		delete(p.open, b.producer)
		delete(p.began, b.producer)
	case b.producer >= 0:
		if b.transactional() {
			p.open[b.producer] = b.epoch
			if _, ok := p.began[b.producer]; !ok {
				p.began[b.producer] = b.firstOffset
			}
		}
		w := p.windows[b.producer]
		if w == nil {
			w = &window{}
			p.windows[b.producer] = w
		}
		w.add(b)
	}
	return nil
}

func isCommit(records []byte) (bool, error) {
	var r kmsg.Record
	if err := r.ReadFrom(records); err != nil {
		return false, fmt.Errorf("reading a transaction's marker: %w", err)
	}
	var key kmsg.ControlRecordKey
	if err := key.ReadFrom(r.Key); err != nil {
		return false, fmt.Errorf("reading a transaction's marker: %w", err)
	}
	return key.Type == kmsg.ControlRecordKeyTypeCommit, nil
}

// An index entry is version (1), the low byte of the CRC of what follows (1),
// leader epoch (4), largest earlier time stamp (8), flags (1). kfake does not
// trust the stored time stamp, so that it is left 0 here.
const (
	indexEntry         = 15
	indexTransactional = 1
)

func appendIndex(dst []byte, b *batch) []byte {
	start := len(dst)
	dst = append(dst, frameVersion, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(b.leaderEpoch)) //nolint:gosec // signed in the file
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	flags := byte(0)
	if b.transactional() {
		flags = indexTransactional
	}
	dst = append(dst, flags)
	dst[start+1] = byte(crc32.Checksum(dst[start+2:], castagnoli)) //nolint:gosec // the low byte
	return dst
}

// repairIndex replaces an index that does not say of every batch what the batch
// says of itself. kfake finds entries by counting: one that a kill has lost would
// shift all that follow, and open transactions would be taken for committed ones.
func repairIndex(path string, want []byte) error {
	have, err := os.ReadFile(path)
	if err == nil && sameIndex(have, want) {
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return replaceFile(path, want)
}

func sameIndex(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i += indexEntry {
		sum := byte(crc32.Checksum(a[i+2:i+indexEntry], castagnoli)) //nolint:gosec // the low byte
		if a[i+1] != sum || string(a[i+2:i+6]) != string(b[i+2:i+6]) || a[i+14] != b[i+14] {
			return false
		}
	}
	return true
}

// end appends the marker that ends a producer's open transaction.
func (p *partition) end(producer int64, m marker, nowMS int64) error {
	raw := markerBatch(p.next, p.leaderEpoch, producer, m, nowMS)
	base := p.segments[len(p.segments)-1].Base
	if err := appendFile(p.file(base, ".dat"), raw); err != nil {
		return err
	}
	b := parseBatch(raw)
	if err := appendFile(p.file(base, ".idx"), appendIndex(nil, &b)); err != nil {
		return err
	}
	return p.take(&b, raw)
}

// markerBatch is the control batch that a transaction coordinator writes.
func markerBatch(offset int64, leaderEpoch int32, producer int64, m marker, nowMS int64) []byte {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	if m.commit {
		key.Type = kmsg.ControlRecordKeyTypeCommit
	}
	value := kmsg.EndTxnMarker{}
	record := kmsg.Record{Key: key.AppendTo(nil), Value: value.AppendTo(nil)}
	// The length does not count itself, which is one byte here.
	record.Length = int32(len(record.AppendTo(nil)) - 1) //nolint:gosec // a few bytes
	b := kmsg.RecordBatch{
		FirstOffset:          offset,
		PartitionLeaderEpoch: leaderEpoch,
		Magic:                2,
		Attributes:           attributeControl | attributeTransactional,
		FirstTimestamp:       nowMS,
		MaxTimestamp:         nowMS,
		ProducerID:           producer,
		ProducerEpoch:        m.epoch,
		FirstSequence:        -1,
		NumRecords:           1,
		Records:              record.AppendTo(nil),
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12)) //nolint:gosec // a few bytes
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	return raw
}

// writeSnapshot says all of this to kfake, which then loads the partition segment
// by segment instead of all at once, and with the leader that it had before
// instead of a random one, so that clients need not look for it.
func (p *partition) writeSnapshot(leader int32) error {
	if len(p.segments) == 0 || p.next == 0 {
		return nil
	}
	raw, err := json.Marshal(map[string]any{
		"version":            frameVersion,
		"high_watermark":     p.next,
		"last_stable_offset": p.next, // nothing is open any more
		"log_start_offset":   p.first,
		"epoch":              p.leaderEpoch,
		"leader_node":        leader,
		"max_timestamp":      p.newestMS,
		"created_at":         time.UnixMilli(p.newestMS),
		"aborted_txns":       p.aborted,
		"segments":           p.segments,
	})
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(p.dir, snapshotFile), raw)
}

const snapshotFile = "snapshot.json"
