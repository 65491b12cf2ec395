//go:build unix

package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A transaction copies the records of "in" to "left" and "right"; while its
// commit arrives, the directory is copied as a kill at that moment would leave it.
// images has it before anything of the commit happened, but for the journal, and
// after all of it.
type images struct{ before, after string }

func commitImages(t *testing.T) images {
	t.Helper()
	dir := t.TempDir()
	c := openTest(t, dir)
	defer c.Close()
	createTopics(t, c.Brokers(), 2, "in", "left", "right")
	if err := produceIDs(within(t), c.Brokers(), 20); err != nil {
		t.Fatal(err)
	}
	im := images{before: filepath.Join(t.TempDir(), "d"), after: filepath.Join(t.TempDir(), "d")}
	c.kfake.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.kfake.DropControl()
		return nil, copyDir(c.options.Dir, im.before), false
	})
	if err := copyAllInOne(within(t), c.Brokers(), 20); err != nil {
		t.Fatal(err)
	}
	if err := copyDir(dir, im.after); err != nil {
		t.Fatal(err)
	}
	return im
}

// copyAllInOne copies n records from "in" to "left" and "right" in one transaction.
func copyAllInOne(ctx context.Context, brokers []string, n int) error {
	s, err := newCopySession(brokers)
	if err != nil {
		return err
	}
	defer s.Close()
	var records []*kgo.Record
	for len(records) < n {
		fetches := s.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		records = append(records, fetches.Records()...)
	}
	if err := s.Begin(); err != nil {
		return err
	}
	if err := produceCopies(ctx, s, records); err != nil {
		return err
	}
	if committed, err := s.End(ctx, kgo.TryCommit); err != nil || !committed {
		return fmt.Errorf("committed is %v: %w", committed, err)
	}
	return nil
}

func copyDir(from, to string) error { return os.CopyFS(to, os.DirFS(from)) }

// take copies files of one image into another.
func take(t *testing.T, from, to string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(from, logDir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v %v", pattern, found, err)
		}
		for _, path := range found {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel(from, path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to, rel), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// outcome opens an image and returns what is committed in it.
func outcome(t *testing.T, dir string) (left, right int, offsets int64) {
	t.Helper()
	c, err := Open(Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	left = len(readCommitted(t, c.Brokers(), "left"))
	right = len(readCommitted(t, c.Brokers(), "right"))
	return left, right, copiedOffsets(t, c.Brokers())
}

// copiedOffsets is how many records of "in" the copier has committed.
func copiedOffsets(t *testing.T, brokers []string) (sum int64) {
	t.Helper()
	cl := newClient(t, brokers)
	defer cl.Close()
	committed, err := kadm.NewClient(cl).FetchOffsets(within(t), "copier")
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		if at, ok := committed.Lookup("in", p); ok {
			sum += max(at.At, 0)
		}
	}
	return sum
}

// I5: a kill anywhere within a commit leaves all of the transaction or nothing of
// it, its offsets included, however far the broker had come.
func TestKilledWithinCommit(t *testing.T) {
	t.Parallel()
	im := commitImages(t)
	for _, c := range []struct {
		name    string
		also    []string // what had been written when the kill came
		torn    []string // files that lose their last bytes
		journal bool
		want    int
	}{
		{"nothing but the journal", nil, nil, true, 20},
		{"one marker", []string{"partitions/left-0/*"}, nil, true, 20},
		{"the markers of one topic", []string{"partitions/left-*/*"}, nil, true, 20},
		{"all markers", []string{"partitions/left-*/*", "partitions/right-*/*"}, nil, true, 20},
		{"a torn marker", []string{"partitions/left-*/*"}, []string{"partitions/left-0/0.dat"}, true, 20},
		{"a marker without its index", []string{"partitions/left-*/*"}, []string{"partitions/left-0/0.idx"}, true, 20},
		{"markers and offsets", []string{"partitions/left-*/*", "partitions/right-*/*", groupsLog}, nil, true, 20},
		{"a torn offset", []string{"partitions/left-*/*", "partitions/right-*/*", groupsLog}, []string{groupsLog}, true, 20},
		{"all but the last entry about the producer", []string{"partitions/left-*/*", "partitions/right-*/*", groupsLog, producersLog}, []string{producersLog}, true, 20},
		{"everything", []string{"partitions/left-*/*", "partitions/right-*/*", groupsLog, producersLog}, nil, true, 20},
		{"before the journal", nil, nil, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "d")
			if err := copyDir(im.before, dir); err != nil {
				t.Fatal(err)
			}
			if c.also != nil {
				take(t, im.after, dir, c.also...)
			}
			for _, name := range c.torn {
				tear(t, filepath.Join(dir, logDir, name), 3)
			}
			if !c.journal {
				cutJournal(t, dir)
			}
			left, right, offsets := outcome(t, dir)
			if left != c.want || right != c.want || offsets != int64(c.want) {
				t.Errorf("%d left, %d right, %d offsets, want %d each", left, right, offsets, c.want)
			}
		})
	}
}

// The disk is full when one of a commit's markers is to be written: the broker ends
// there and then, and the next start leaves all of the transaction. kfake would go
// on, note that the transaction has ended, and answer the next one.
func TestMarkerThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := openTest(t, dir)
	createTopics(t, c.Brokers(), 2, "in", "left")
	createRollingTopic(t, c.Brokers(), "right")
	if err := produceIDs(within(t), c.Brokers(), 20); err != nil {
		t.Fatal(err)
	}
	// A marker of this topic begins a segment, and its directory is gone.
	partition := filepath.Join(dir, logDir, "partitions", "right-0")
	c.kfake.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.kfake.DropControl()
		return nil, os.Rename(partition, partition+".away"), false
	})
	client, stop := context.WithCancel(within(t))
	defer stop()
	answered := make(chan error, 1)
	go func() { answered <- copyAllInOne(client, c.Brokers(), 20) }()
	if err := c.Serve(within(t)); err == nil || !strings.Contains(err.Error(), "cannot write its log") {
		t.Errorf("the broker ended with %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("what failed was told already, and again: %v", err)
	}
	stop()
	if err := <-answered; err == nil {
		t.Error("the commit was acknowledged")
	}
	if err := os.Rename(partition+".away", partition); err != nil {
		t.Fatal(err)
	}
	if left, right, offsets := outcome(t, dir); left != 20 || right != 20 || offsets != 20 {
		t.Errorf("%d left, %d right, %d offsets, want 20 each", left, right, offsets)
	}
}

// The journal cannot be written when a commit arrives: it is not acknowledged, and a
// stop leaves the directory as it is, for the next start.
func TestJournalThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := openTest(t, dir)
	createTopics(t, c.Brokers(), 2, "in", "left", "right")
	if err := produceIDs(within(t), c.Brokers(), 20); err != nil {
		t.Fatal(err)
	}
	if err := c.journal.close(); err != nil {
		t.Fatal(err)
	}
	client, stop := context.WithCancel(within(t))
	defer stop()
	answered := make(chan error, 1)
	go func() { answered <- copyAllInOne(client, c.Brokers(), 20) }()
	if err := c.Serve(within(t)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the broker ended with %v", err)
	}
	_ = c.Close() // the journal was closed before
	if _, err := os.Stat(filepath.Join(dir, logDir, "session_state.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stop wrote what it had in memory: %v", err)
	}
	stop()
	if err := <-answered; err == nil {
		t.Error("the commit was acknowledged")
	}
	if left, right, offsets := outcome(t, dir); left != 0 || right != 0 || offsets != 0 {
		t.Errorf("%d left, %d right, %d offsets of a commit that never began", left, right, offsets)
	}
}

// createRollingTopic creates a topic of two partitions in which every batch begins
// a segment.
func createRollingTopic(t *testing.T, brokers []string, topic string) {
	t.Helper()
	cl := newClient(t, brokers)
	defer cl.Close()
	one := "1"
	rs, err := kadm.NewClient(cl).CreateTopics(within(t), 2, NumBrokers, map[string]*string{"segment.bytes": &one}, topic)
	if err := errors.Join(err, rs.Error()); err != nil {
		t.Fatal(err)
	}
}

// The negative control: kfake alone, killed when it had written half of the
// markers, shows the output of a transaction whose offsets are not committed. When
// this fails, kfake has learned to survive a kill, and recovery may go.
func TestKfakeAloneShowsHalf(t *testing.T) {
	t.Parallel()
	im := commitImages(t)
	take(t, im.after, im.before, "partitions/left-*/*")
	alone, err := kfake.NewCluster(kfake.NumBrokers(NumBrokers), kfake.DataDir(filepath.Join(im.before, logDir)))
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	left := len(readCommitted(t, alone.ListenAddrs(), "left"))
	if offsets := copiedOffsets(t, alone.ListenAddrs()); left != 20 || offsets != 0 {
		t.Errorf("%d left and %d offsets, expected 20 and none", left, offsets)
	}
}

func tear(t *testing.T, path string, bytes int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-bytes); err != nil {
		t.Fatal(err)
	}
}

// cutJournal takes the last entry out of the journal.
func cutJournal(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, journalFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	starts, at := []int{}, 0
	if _, err := readFrames(raw, func(data []byte) error {
		starts = append(starts, at)
		at += frameHeader + len(data)
		return nil
	}); err != nil || len(starts) == 0 {
		t.Fatalf("%d entries, %v", len(starts), err)
	}
	if err := os.Truncate(path, int64(starts[len(starts)-1])); err != nil {
		t.Fatal(err)
	}
}

// A kill comes while recovery itself is at work, after any of its files was
// written: the next recovery ends in the same state.
func TestKilledWithinRecovery(t *testing.T) {
	t.Parallel()
	im := commitImages(t)
	done := filepath.Join(t.TempDir(), "d")
	if err := copyDir(im.before, done); err != nil {
		t.Fatal(err)
	}
	if err := recoverLog(done, spread, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	steps := []string{"partitions/left-0/*", "partitions/left-1/*", "partitions/right-0/*", "partitions/right-1/*", groupsLog, producersLog}
	for n := range len(steps) + 1 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "d")
			if err := copyDir(im.before, dir); err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				take(t, done, dir, steps[:n]...)
			}
			if left, right, offsets := outcome(t, dir); left != 20 || right != 20 || offsets != 20 {
				t.Errorf("%d left, %d right, %d offsets, want 20 each", left, right, offsets)
			}
		})
	}
}

// A batch that was written and not acknowledged comes again after the kill with
// the same sequence: the broker knows it.
func TestRepeatedBatchAfterKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := openTest(t, dir)
	defer c.Close()
	createTopics(t, c.Brokers(), 1, "facts")
	// The broker writes the batch, and the image is taken before the client hears
	// of it; then the client goes on with the broker that came from the image.
	image := filepath.Join(t.TempDir(), "d")
	cl := newClient(t, c.Brokers(), kgo.DefaultProduceTopic("facts"))
	defer cl.Close()
	if err := cl.ProduceSync(within(t), kgo.StringRecord("1")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := copyDir(dir, image); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, image)
	defer again.Close()
	produced := lastBatch(t, image, "facts-0")
	for range 2 {
		if code := produceRaw(t, again.Brokers(), "facts", produced); code != 0 {
			t.Errorf("the repeated batch got error code %d", code)
		}
	}
	if got := readCommitted(t, again.Brokers(), "facts"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("records: %v", got)
	}
}

// lastBatch returns the only batch of a partition as a client sends it.
func lastBatch(t *testing.T, dir, partition string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, logDir, "partitions", partition, "0.dat"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func produceRaw(t *testing.T, brokers []string, topic string, batch []byte) int16 {
	t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = batch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	cl := newClient(t, brokers)
	defer cl.Close()
	meta, err := kadm.NewClient(cl).ListTopics(within(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	req.Topics[0].TopicID = meta[topic].ID
	leader := meta[topic].Partitions[0].Leader
	resp, err := cl.Broker(int(leader)).RetriableRequest(within(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
}

// Damage that no kill leaves is an error that says where, not a shorter log.
func TestDamagedSegment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := openTest(t, dir)
	createTopics(t, c.Brokers(), 1, "facts")
	cl := newClient(t, c.Brokers(), kgo.DefaultProduceTopic("facts"))
	for i := range 3 {
		if err := cl.ProduceSync(within(t), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cl.Close()
	image := filepath.Join(t.TempDir(), "d")
	if err := copyDir(dir, image); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(image, logDir, "partitions", "facts-0", "0.dat")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[batchHeader+2] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(Options{Dir: image, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "0.dat is damaged at byte 0") {
		t.Errorf("error: %v", err)
	}
}
