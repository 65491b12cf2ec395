package kafka

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// recoverLog makes a directory, however it was left, one that kfake can load
// without losing, doubling or half showing anything (I5). It runs at every start:
// there is one way to begin, and it is the one that a kill needs. Afterwards
//
//   - every transaction is complete: committed everywhere when the journal says
//     that its commit had begun, aborted everywhere otherwise, with a marker in
//     each of its partitions and its offsets committed or not;
//   - its producer has the next epoch, so that a client that lived through the
//     kill learns the outcome, and cannot go on in a transaction that is gone;
//   - every producer's sequence window is what its log says, so that a batch that
//     was written and not acknowledged is known when it comes again;
//   - torn tails are cut off, indexes agree with their segments, and snapshots say
//     what the segments say.
//
// It can itself be killed at any point and run again.
func recoverLog(dir string, leader func(string, int32) int32, log *slog.Logger) error {
	data := filepath.Join(dir, logDir)
	if _, err := os.Stat(filepath.Join(data, "meta.json")); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever written
	}
	started := time.Now()
	if err := dropSnapshots(data); err != nil {
		return err
	}
	partitions, err := scanPartitions(data)
	if err != nil {
		return err
	}
	producers, err := readProducers(data)
	if err != nil {
		return err
	}
	if err := readLog(filepath.Join(data, groupsLog), func([]byte) error { return nil }); err != nil {
		return err
	}
	known, err := readJournal(dir)
	if err != nil {
		return err
	}
	v := judge(producers, partitions, known)
	if err := v.apply(data, producers); err != nil {
		return err
	}
	if err := writeWindows(data, partitions); err != nil {
		return err
	}
	for _, p := range partitions {
		if err := p.writeSnapshot(leader(p.topic, p.number)); err != nil {
			return err
		}
	}
	log.Info("the broker's log is checked", "committed", v.committed, "aborted", v.aborted,
		"markers", len(v.markers), "took", time.Since(started).Round(time.Millisecond))
	return removeIfThere(filepath.Join(dir, journalFile))
}

// dropSnapshots removes what kfake noted at an earlier stop: it may not hold any
// more, and all of it can be found out again.
func dropSnapshots(data string) error {
	snapshots, err := filepath.Glob(filepath.Join(data, "partitions", "*", snapshotFile))
	if err != nil {
		return err
	}
	for _, path := range append(snapshots, filepath.Join(data, "session_state.json"), filepath.Join(data, windowsFile)) {
		if err := removeIfThere(path); err != nil {
			return err
		}
	}
	return nil
}

func scanPartitions(data string) ([]*partition, error) {
	dirs, err := filepath.Glob(filepath.Join(data, "partitions", "*"))
	if err != nil {
		return nil, err
	}
	scanned := make([]*partition, len(dirs))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, dir := range dirs {
		g.Go(func() error {
			p, err := scanPartition(dir)
			scanned[i] = p
			return err
		})
	}
	return scanned, g.Wait()
}

// verdict is what recovery does about transactions.
type verdict struct {
	markers []pendingMarker
	offsets []journalEntry
	// producers are those that go on with another state.
	producers          []producer
	committed, aborted int
}

type pendingMarker struct {
	partition *partition
	producer  int64
	marker    marker
}

// judge decides every transaction that was open. It is a function of what stands
// on disk and changes nothing.
func judge(producers map[int64]*producer, partitions []*partition, known map[transaction]*journalled) verdict {
	var v verdict
	for _, id := range slices.Sorted(maps.Keys(producers)) {
		p := *producers[id]
		if p.transactional == "" {
			continue
		}
		now := transaction{p.id, p.epoch}
		j := cmp.Or(known[now], &journalled{})
		switch {
		case j.committing:
			// kfake notes the next epoch when a commit is complete: this one may not be.
			v.end(partitions, p.id, &p.epoch, true)
			v.offsets = append(v.offsets, j.staged...)
			v.goOn(p, p.epoch, true)
			v.committed++
		case v.end(partitions, p.id, nil, false) || len(j.staged) > 0 || abortBegun(partitions, now):
			v.goOn(p, newestEpoch(partitions, p), false)
			v.aborted++
		}
	}
	return v
}

// end collects the markers that a producer's open transaction lacks, with the
// given epoch or that of its batches, and says whether there are any.
func (v *verdict) end(partitions []*partition, producer int64, epoch *int16, commit bool) bool {
	found := false
	for _, part := range partitions {
		of, open := part.open[producer]
		if !open {
			continue
		}
		if epoch != nil && of != *epoch {
			// Batches of a transaction that never began to commit.
			v.markers = append(v.markers, pendingMarker{part, producer, marker{of, false}})
			continue
		}
		v.markers = append(v.markers, pendingMarker{part, producer, marker{of, commit}})
		found = true
	}
	return found
}

// abortBegun says whether a transaction has an abort marker anywhere: its abort
// may be complete, but its producer does not have the next epoch yet.
func abortBegun(partitions []*partition, t transaction) bool {
	return slices.ContainsFunc(partitions, func(p *partition) bool {
		m, ok := p.ended[t.producer]
		return ok && !m.commit && m.epoch >= t.epoch
	})
}

// newestEpoch is the highest epoch that a producer was seen with.
func newestEpoch(partitions []*partition, p producer) int16 {
	newest := p.epoch
	for _, part := range partitions {
		if e, ok := part.open[p.id]; ok {
			newest = max(newest, e)
		}
		if m, ok := part.ended[p.id]; ok {
			newest = max(newest, m.epoch)
		}
	}
	return newest
}

// goOn gives a producer the epoch after the last one that was used. A client
// that asks again to end that transaction is told how it ended.
func (v *verdict) goOn(p producer, used int16, committed bool) {
	p.epoch, p.lastCommitted = used, committed
	if used < math.MaxInt16 {
		p.epoch++
	}
	v.producers = append(v.producers, p)
}

// apply writes the verdict in an order in which a kill in between changes nothing
// about the next verdict: the producers' epochs, which say that a transaction is
// complete, come last.
func (v *verdict) apply(data string, producers map[int64]*producer) error {
	nowMS := time.Now().UnixMilli()
	for _, m := range v.markers {
		if err := m.partition.end(m.producer, m.marker, nowMS); err != nil {
			return fmt.Errorf("ending a transaction: %w", err)
		}
	}
	if err := commitOffsets(data, nowMS, v.offsets); err != nil {
		return fmt.Errorf("committing the offsets of a transaction: %w", err)
	}
	for _, p := range v.producers {
		producers[p.id] = &p
	}
	return writeProducers(data, producers)
}

const windowsFile = "seq_windows.json"

// writeWindows writes the sequence windows as kfake does in a clean stop.
func writeWindows(data string, partitions []*partition) error {
	type entry struct {
		Producer  int64          `json:"pid"`
		Topic     string         `json:"topic"`
		Partition int32          `json:"partition"`
		Entries   [5]windowEntry `json:"entries"`
		Count     uint8          `json:"count"`
		At        uint8          `json:"at"`
		Epoch     int16          `json:"epoch"`
		Seen      bool           `json:"seen"`
		Next      int32          `json:"next_seq"`
	}
	all := []entry{}
	for _, p := range partitions {
		for _, id := range slices.Sorted(maps.Keys(p.windows)) {
			w := p.windows[id]
			all = append(all, entry{id, p.topic, p.number, w.entries, w.count, w.at, w.epoch, true, w.next})
		}
	}
	raw, err := json.Marshal(map[string]any{"version": 1, "windows": all})
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(data, windowsFile), raw)
}
