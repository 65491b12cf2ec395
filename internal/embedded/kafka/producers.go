package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
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
	// lastCommitted is whether the transaction of the epoch before was committed;
	// a client that asks again to end that one is told so.
	lastCommitted bool
}

// readProducers returns the live producers by id. A transactional id has one: when
// its epochs are used up it goes on with another producer id.
func readProducers(dir string) (map[int64]*producer, error) {
	all := map[int64]*producer{}
	current := map[string]int64{}
	ended := int64(-1) // the producer whose transaction the entry before has ended
	err := readLog(filepath.Join(dir, producersLog), func(data []byte) error {
		var e producerEntry
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		p := all[e.ID]
		switch {
		case e.Type == "init":
			// An end is followed by the next epoch. Without an end this is a client's
			// fresh start, which aborts what was open.
			committed := p != nil && ended == e.ID && p.lastCommitted
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
		ended = -1
		if e.Type == "endtx" {
			ended = e.ID
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

// readTopicNames returns the topics' names by their ids.
func readTopicNames(dir string) (map[[16]byte]string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "topics.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // killed before there was a topic
	}
	if err != nil {
		return nil, err
	}
	var all struct {
		Topics []struct {
			Name string `json:"name"`
			ID   []byte `json:"id"`
		} `json:"topics"`
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("reading topics.json: %w", err)
	}
	names := make(map[[16]byte]string, len(all.Topics))
	for _, t := range all.Topics {
		if len(t.ID) != len([16]byte{}) {
			return nil, fmt.Errorf("topics.json has an id of %d bytes for %s", len(t.ID), t.Name)
		}
		names[[16]byte(t.ID)] = t.Name
	}
	return names, nil
}

// commitOffsets adds committed offsets to groups.log; the last entry of a
// partition counts.
func commitOffsets(dir string, nowMS int64, entries []journalEntry) error {
	if len(entries) == 0 {
		return nil
	}
	names, err := readTopicNames(dir)
	if err != nil {
		return err
	}
	var log []byte
	for _, e := range entries {
		for _, o := range e.Offsets {
			topic := o.Topic
			if topic == "" && len(o.TopicID) == len([16]byte{}) {
				topic = names[[16]byte(o.TopicID)]
			}
			if topic == "" {
				continue // deleted meanwhile; the broker refused it
			}
			log, err = appendFrame(log, groupEntry{
				"commit", e.Group, topic, o.Partition, o.Offset, o.LeaderEpoch, o.Metadata, &nowMS,
			})
			if err != nil {
				return err
			}
		}
	}
	return appendFile(filepath.Join(dir, groupsLog), log)
}
