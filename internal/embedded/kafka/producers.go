package kafka

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
)

const (
	producersLog = "pids.log"
	groupsLog    = "groups.log"
)

// producerEntry is an entry of kfake's pids.log.
type producerEntry struct {
	Type          string `json:"type"` // init, endtx, timeout
	ID            int64  `json:"pid"`
	Epoch         int16  `json:"epoch"`
	Transactional string `json:"txid,omitempty"`
	TimeoutMS     int32  `json:"timeout,omitempty"`
	Commit        *bool  `json:"commit,omitempty"`
}

// producer is what kfake knew of a producer id.
type producer struct {
	id            int64
	epoch         int16
	transactional string // empty for one that is idempotent only
	timeoutMS     int32
	lastCommitted bool // whether its last transaction was committed
}

// readProducers returns the live producers by id. A transactional id has one: when
// its epochs are used up it goes on with another producer id.
func readProducers(dir string) (map[int64]*producer, error) {
	all := map[int64]*producer{}
	current := map[string]int64{}
	err := readLog(filepath.Join(dir, producersLog), func(data []byte) error {
		var e producerEntry
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		p := all[e.ID]
		switch {
		case e.Type == "init":
			// The entry follows the transaction's end, whose outcome stays known.
			committed := p != nil && p.lastCommitted
			if e.Commit != nil {
				committed = *e.Commit
			}
			all[e.ID] = &producer{e.ID, e.Epoch, e.Transactional, e.TimeoutMS, committed}
			if e.Transactional != "" {
				if before, ok := current[e.Transactional]; ok && before != e.ID {
					delete(all, before)
				}
				current[e.Transactional] = e.ID
			}
		case p != nil:
			p.epoch = e.Epoch
			p.lastCommitted = e.Commit != nil && *e.Commit
		}
		return nil
	})
	return all, err
}

// writeProducers replaces pids.log.
func writeProducers(dir string, all map[int64]*producer) error {
	var log []byte
	for _, id := range slices.Sorted(maps.Keys(all)) {
		p := all[id]
		e := producerEntry{Type: "init", ID: id, Epoch: p.epoch, Transactional: p.transactional}
		if p.transactional != "" {
			e.TimeoutMS, e.Commit = p.timeoutMS, &p.lastCommitted
		}
		var err error
		if log, err = appendFrame(log, e); err != nil {
			return err
		}
	}
	return replaceFile(filepath.Join(dir, producersLog), log)
}

// groupEntry is an entry of kfake's groups.log that commits an offset.
type groupEntry struct {
	Type          string  `json:"type"`
	Group         string  `json:"g"`
	Topic         string  `json:"t,omitempty"`
	Partition     int32   `json:"p,omitempty"`
	Offset        int64   `json:"o,omitempty"`
	LeaderEpoch   int32   `json:"e,omitempty"`
	Metadata      *string `json:"m,omitempty"`
	CommittedAtMS *int64  `json:"lc,omitempty"`
}

// commitOffsets adds committed offsets to groups.log; the last entry of a
// partition counts.
func commitOffsets(dir string, nowMS int64, entries []journalEntry) error {
	var log []byte
	for _, e := range entries {
		for _, o := range e.Offsets {
			var err error
			log, err = appendFrame(log, groupEntry{
				"commit", e.Group, o.Topic, o.Partition, o.Offset, o.LeaderEpoch, o.Metadata, &nowMS,
			})
			if err != nil {
				return err
			}
		}
	}
	if len(log) == 0 {
		return nil
	}
	return appendFile(filepath.Join(dir, groupsLog), log)
}
