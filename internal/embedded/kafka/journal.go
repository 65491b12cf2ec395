package kafka

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake ends a transaction in many small writes: a marker for every partition,
// an entry for every offset, the producer's new epoch. A kill between two of them
// would leave half of the transaction committed. The journal is written before
// the first of them, in one write, as the transaction coordinator of a real
// broker writes PREPARE_COMMIT; recovery completes what it finds in it.

const (
	journalFile = "transactions.journal"
	// journalMax is how long the journal gets before it is begun anew.
	journalMax = 16 << 20
	// stageAge is how long a transaction may stay open: the broker's limit.
	stageAge = 15 * time.Minute
)

type journalKind string

const (
	// staged: the transaction asks to commit these offsets when it ends.
	staged journalKind = "staged"
	// committing: the transaction is being committed.
	committing journalKind = "committing"
)

// journalEntry is one line of the journal. Producer and Epoch name the
// transaction: since KIP-890 the epoch changes with every one.
type journalEntry struct {
	Kind     journalKind    `json:"kind"`
	Producer int64          `json:"producer"`
	Epoch    int16          `json:"epoch"`
	Group    string         `json:"group,omitempty"`
	Offsets  []stagedOffset `json:"offsets,omitempty"`
}

type stagedOffset struct {
	// Topic is empty when the client named the topic by its id, as new ones do.
	Topic       string  `json:"topic,omitempty"`
	TopicID     []byte  `json:"topic_id,omitempty"`
	Partition   int32   `json:"partition"`
	Offset      int64   `json:"offset"`
	LeaderEpoch int32   `json:"leader_epoch"`
	Metadata    *string `json:"metadata,omitempty"`
}

// journal is used by one request at a time: kfake handles them in one loop.
type journal struct {
	path string
	file *os.File
	size int
	buf  []byte
	// open has what was staged by transactions that have not ended, by producer.
	open map[int64]openStages
}

type openStages struct {
	epoch   int16
	since   time.Time
	entries []journalEntry
}

// newJournal begins an empty journal; recovery has dealt with the old one.
func newJournal(dir string) (*journal, error) {
	j := &journal{path: filepath.Join(dir, journalFile), open: map[int64]openStages{}}
	return j, j.begin()
}

// begin replaces the journal by one that has the open transactions only. All
// others have ended: kfake ends one before it takes the next request.
func (j *journal) begin() error {
	j.buf = j.buf[:0]
	var err error
	for producer, s := range j.open {
		if time.Since(s.since) > stageAge {
			delete(j.open, producer)
			continue
		}
		for _, e := range s.entries {
			if j.buf, err = appendFrame(j.buf, e); err != nil {
				return err
			}
		}
	}
	if err := replaceFile(j.path, j.buf); err != nil {
		return fmt.Errorf("beginning the journal of transactions: %w", err)
	}
	file, err := os.OpenFile(j.path, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the journal of transactions: %w", err)
	}
	err = j.close()
	j.file, j.size = file, len(j.buf)
	return err
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

func (j *journal) write(e journalEntry) error {
	if j.size > journalMax {
		if err := j.begin(); err != nil {
			return err
		}
	}
	buf, err := appendFrame(j.buf[:0], e)
	if err != nil {
		return err
	}
	j.buf = buf
	if _, err := j.file.Write(buf); err != nil {
		return fmt.Errorf("writing the journal of transactions: %w", err)
	}
	j.size += len(buf)
	return nil
}

// stage notes the offsets that a transaction asks to commit.
func (j *journal) stage(req *kmsg.TxnOffsetCommitRequest) error {
	e := journalEntry{Kind: staged, Producer: req.ProducerID, Epoch: req.ProducerEpoch, Group: req.Group}
	for _, t := range req.Topics {
		var id []byte
		if t.TopicID != [16]byte{} {
			id = bytes.Clone(t.TopicID[:])
		}
		for _, p := range t.Partitions {
			e.Offsets = append(e.Offsets, stagedOffset{t.Topic, id, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata})
		}
	}
	s := j.open[e.Producer]
	if s.epoch != e.Epoch || len(s.entries) == 0 {
		s = openStages{epoch: e.Epoch, since: time.Now()}
	}
	s.entries = append(s.entries, e)
	if err := j.write(e); err != nil {
		return err
	}
	j.open[e.Producer] = s
	return nil
}

// firstWithEpochs is the version of EndTxn from which every transaction has its
// own epoch. Older clients' transactions cannot be told apart and are not
// journalled: after a kill they may be half committed.
const firstWithEpochs = 5

// end notes that a transaction is about to be committed.
func (j *journal) end(req *kmsg.EndTxnRequest) error {
	delete(j.open, req.ProducerID)
	if !req.Commit || req.Version < firstWithEpochs {
		return nil
	}
	return j.write(journalEntry{Kind: committing, Producer: req.ProducerID, Epoch: req.ProducerEpoch})
}

// keepJournal makes kfake show every request that matters to the journal before
// it is handled. When the journal cannot be written, neither this request nor any
// later one is handled: what follows a torn entry could not be read again.
func (c *Cluster) keepJournal(j *journal) {
	keep := func(key kmsg.Key, note func(kmsg.Request) error) {
		c.kfake.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			if err := note(req); err != nil {
				c.halt(err)
			}
			return nil, nil, false
		})
	}
	keep(kmsg.TxnOffsetCommit, func(r kmsg.Request) error { return j.stage(r.(*kmsg.TxnOffsetCommitRequest)) })
	keep(kmsg.EndTxn, func(r kmsg.Request) error { return j.end(r.(*kmsg.EndTxnRequest)) })
}

// transaction names one transaction.
type transaction struct {
	producer int64
	epoch    int16
}

// journalled is what the journal knows of a transaction.
type journalled struct {
	committing bool
	staged     []journalEntry
}

// readJournal returns what stands in the journal, by transaction.
func readJournal(dir string) (map[transaction]*journalled, error) {
	known := map[transaction]*journalled{}
	var last *journalled
	err := readLog(filepath.Join(dir, journalFile), func(data []byte) error {
		var e journalEntry
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		id := transaction{e.Producer, e.Epoch}
		if known[id] == nil {
			known[id] = &journalled{}
		}
		// kfake handles one request at a time: whatever follows says that it had dealt
		// with the commit before, completely or by refusing it.
		if last != nil {
			last.committing = false
		}
		last = known[id]
		switch e.Kind {
		case staged:
			known[id].staged = append(known[id].staged, e)
		case committing:
			known[id].committing = true
		default:
			return errors.New("unknown kind of entry " + string(e.Kind))
		}
		return nil
	})
	return known, err
}
