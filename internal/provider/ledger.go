package provider

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eventpro/boxoffice/internal/wholefile"
)

const (
	ledgerFile   = "ledger.ndjson"
	ledgerHeader = "# boxoffice provider ledger, version 1\n"
	// A line is "crc key body json\n": the CRC-32C of all that follows it up to
	// the line's end, the digests of the idempotency key and of the request, all
	// in hexadecimal, and the entry as the HTTP interface shows it.
	crcWidth    = 8
	digestWidth = 2 * len(digest{})
	jsonStart   = crcWidth + 1 + digestWidth + 1 + digestWidth + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ledgerLine is one line of the ledger file.
type ledgerLine struct {
	key, body digest
	entry     Entry
}

func (l *ledgerLine) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, "00000000 "...)
	dst = append(hex.AppendEncode(dst, l.key[:]), ' ')
	dst = append(hex.AppendEncode(dst, l.body[:]), ' ')
	dst = l.entry.appendJSON(dst)
	sum := crc32.Checksum(dst[start+crcWidth+1:], castagnoli)
	hex.Encode(dst[start:start+crcWidth], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	return append(dst, '\n')
}

var errBadLine = errors.New("the line is incomplete or its checksum is wrong")

// parseLine reads one line without its end.
func parseLine(raw []byte) (ledgerLine, error) {
	var l ledgerLine
	if len(raw) < jsonStart+2 {
		return l, errBadLine
	}
	var sum [4]byte
	if _, err := hex.Decode(sum[:], raw[:crcWidth]); err != nil {
		return l, errBadLine
	}
	want := uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3])
	if crc32.Checksum(raw[crcWidth+1:], castagnoli) != want {
		return l, errBadLine
	}
	at := crcWidth + 1
	if _, err := hex.Decode(l.key[:], raw[at:at+digestWidth]); err != nil {
		return l, errBadLine
	}
	at += digestWidth + 1
	if _, err := hex.Decode(l.body[:], raw[at:at+digestWidth]); err != nil {
		return l, errBadLine
	}
	if err := json.Unmarshal(raw[jsonStart:], &l.entry); err != nil {
		return l, errBadLine
	}
	return l, nil
}

// ledger is the append-only file. Lines are written and fsynced in groups: while
// one group is on its way to the disk the next one gathers.
type ledger struct {
	file *os.File
	path string
	// sync makes what was written durable; tests replace it.
	sync func() error
	// syncEvery is the least time between two syncs: under load it makes groups
	// larger and syncs fewer, and it delays nothing when it is quiet.
	syncEvery time.Duration
	// observe is told how many lines each group had.
	observe func(lines int)

	durable atomic.Uint64 // seq of the last line on disk

	mu      sync.Mutex
	size    int64 // of the file with all that is gathered
	pending *group
	failed  error

	wake chan struct{}
}

// span is where a line stands in the file, its end included.
type span struct {
	offset int64
	length int
}

// group is lines that become durable together.
type group struct {
	lines []byte
	count int
	last  uint64        // seq of the last line
	done  chan struct{} // closed when it is durable or has failed
	err   error         // set before done is closed
}

// openLedger opens or creates the file, hands every line to replay with its
// place, and cuts a torn last line off: whoever sent it was never answered. The
// caller starts run.
func openLedger(dir string, replay func(at span, l *ledgerLine) error) (*ledger, error) {
	path := filepath.Join(dir, ledgerFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	l := &ledger{
		file: file, path: path, sync: file.Sync, observe: func(int) {},
		wake: make(chan struct{}, 1),
	}
	if err := l.load(replay); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

func (l *ledger) load(replay func(at span, l *ledgerLine) error) error {
	header := make([]byte, len(ledgerHeader))
	n, err := l.file.ReadAt(header, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	if n < len(header) && string(header[:n]) == ledgerHeader[:n] {
		return l.begin()
	}
	if string(header) != ledgerHeader {
		return fmt.Errorf("%s is no provider ledger of version 1: choose another directory, or move the file away", l.path)
	}
	l.size = int64(len(ledgerHeader))
	in := bufio.NewReaderSize(io.NewSectionReader(l.file, l.size, 1<<62), 256<<10)
	for {
		raw, err := readLine(in)
		if errors.Is(err, io.EOF) && len(raw) == 0 {
			break
		}
		if err == nil {
			var line ledgerLine
			if line, err = parseLine(raw[:len(raw)-1]); err == nil {
				if err := replay(span{l.size, len(raw)}, &line); err != nil {
					return fmt.Errorf("%s at byte %d: %w", l.path, l.size, err)
				}
				l.size += int64(len(raw))
				l.durable.Store(line.entry.Seq)
				continue
			}
		}
		if _, peekErr := in.Peek(1); !errors.Is(peekErr, io.EOF) {
			return fmt.Errorf("%s is damaged at byte %d, and more follows (%w): restore it from a copy", l.path, l.size, err)
		}
		break
	}
	return l.truncate()
}

// begin writes the header of a new ledger.
func (l *ledger) begin() error {
	if _, err := l.file.WriteAt([]byte(ledgerHeader), 0); err != nil {
		return fmt.Errorf("writing the ledger: %w", err)
	}
	l.size = int64(len(ledgerHeader))
	if err := l.truncate(); err != nil {
		return err
	}
	return wholefile.SyncDir(filepath.Dir(l.path))
}

// truncate cuts the file at size and writes from there.
func (l *ledger) truncate() error {
	if err := l.file.Truncate(l.size); err != nil {
		return fmt.Errorf("cutting a torn line off the ledger: %w", err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("syncing the ledger: %w", err)
	}
	if _, err := l.file.Seek(l.size, io.SeekStart); err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	return nil
}

// readLine returns the next line with its end; io.EOF with what there is when
// the end is missing.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = in.ReadSlice('\n')
		long = append(long, line...)
	}
	return long, err
}

// add puts a line into the gathering group and returns its place and the group
// to wait for. The caller's lock orders lines by seq.
func (l *ledger) add(line *ledgerLine) (span, *group, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return span{}, nil, l.failed
	}
	if l.pending == nil {
		l.pending = &group{done: make(chan struct{})}
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	g := l.pending
	before := len(g.lines)
	g.lines = line.append(g.lines)
	g.count++
	g.last = line.entry.Seq
	at := span{l.size, len(g.lines) - before}
	l.size += int64(at.length)
	return at, g, nil
}

// run writes groups until stop is closed and nothing is left, or until one
// cannot be written. After a failed write or fsync nobody knows what the disk
// has, so the ledger takes no more lines; a restart reads what is there.
func (l *ledger) run(stop <-chan struct{}) error {
	gather := time.NewTimer(0)
	defer gather.Stop()
	<-gather.C
	for {
		select {
		case <-l.wake:
		case <-stop:
			return l.flush()
		}
		if err := l.flush(); err != nil {
			return err
		}
		gather.Reset(l.syncEvery)
		select {
		case <-gather.C:
		case <-stop:
			return l.flush()
		}
	}
}

func (l *ledger) flush() error {
	l.mu.Lock()
	g := l.pending
	l.pending = nil
	l.mu.Unlock()
	if g == nil {
		return nil
	}
	if _, err := l.file.Write(g.lines); err != nil {
		g.err = fmt.Errorf("writing the ledger: %w", err)
	} else if err := l.sync(); err != nil {
		g.err = fmt.Errorf("syncing the ledger: %w", err)
	}
	g.lines = nil
	if g.err != nil {
		l.fail(g.err)
	} else {
		l.durable.Store(g.last)
		l.observe(g.count)
	}
	close(g.done)
	return g.err
}

// fail refuses all further lines and ends those that have gathered meanwhile.
func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = err
	if l.pending != nil {
		l.pending.err = err
		close(l.pending.done)
		l.pending = nil
	}
}

// lineAt reads a durable line.
func (l *ledger) lineAt(at span) (ledgerLine, error) {
	raw := make([]byte, at.length)
	if _, err := l.file.ReadAt(raw, at.offset); err != nil {
		return ledgerLine{}, fmt.Errorf("reading the ledger: %w", err)
	}
	line, err := parseLine(raw[:at.length-1])
	if err != nil {
		return ledgerLine{}, fmt.Errorf("reading the ledger at byte %d: %w", at.offset, err)
	}
	return line, nil
}

// list copies the entries of whole durable lines from the file to out, at most
// limit of them, leaving declined charges out unless they are asked for.
func (l *ledger) list(out io.Writer, lines span, limit int, declines bool) error {
	in := bufio.NewReaderSize(io.NewSectionReader(l.file, lines.offset, int64(lines.length)), 64<<10)
	for limit > 0 {
		raw, err := readLine(in)
		if errors.Is(err, io.EOF) && len(raw) == 0 {
			return nil
		}
		if err != nil || len(raw) <= jsonStart {
			return fmt.Errorf("reading the ledger: %w", cmp.Or(err, errBadLine))
		}
		entry := raw[jsonStart:]
		if !declines && bytes.HasPrefix(entry, declinePrefix) {
			continue
		}
		if _, err := out.Write(entry); err != nil {
			return err
		}
		limit--
	}
	return nil
}

var declinePrefix = []byte(`{"kind":"` + KindDecline + `"`)
