package clickhouse

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// 4 MB of records wait, and ClickHouse takes none. The loader holds one batch and one
// fetch of them, however long it lasts; the rest stays in Kafka, and all of it is
// loaded when ClickHouse takes inserts again.
func TestMemoryIsBoundedWhileClickHouseIsAway(t *testing.T) {
	t.Parallel()
	const (
		count, size  = 4_000, 1_000
		batchRecords = 100
		fetchBytes   = 64 << 10
	)
	brokers, proxy := newKafka(t), newFlaky(t)
	cfg, name := sinkConfig(t, brokers)
	cfg.URL, cfg.MaxRecords = proxy.URL, batchRecords
	cfg.KafkaOptions = []kgo.Opt{kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchBytes), kgo.FetchMinBytes(1)}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ProducerBatchMaxBytes(16<<10), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records := make([]*kgo.Record, count)
	for i := range records {
		id := topology.RegistrationID("acme", fmt.Sprint(i))
		noise := make([]byte, size)
		_, _ = rand.Read(noise)
		records[i] = record(t, topology.RegistrationEvents, id.String(), &pb.Registration{
			RegistrationId: id[:], EventId: conference[:], Version: 1, RequestTimeUnixMs: noon, BodyDigest: noise,
		})
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	// Of a partition a fetch brings at least one whole batch of the producer.
	const mostBytes = batchRecords*(size+100) + fetchBytes + 16<<10
	proxy.refuse.Store(1_000_000)
	s, _ := start(t, impatient(cfg))
	until(t, "the sink has tried forty times", func() bool {
		if n, bytes := s.buffered(); bytes > mostBytes || n > mostBytes/size {
			t.Fatalf("%d bytes of %d records are held, want at most %d", bytes, n, mostBytes)
		}
		return proxy.refused.Load() > 40
	})
	if n, _ := s.buffered(); n < batchRecords/2 {
		t.Errorf("%d records are held: the test saw no pressure", n)
	}
	proxy.refuse.Store(0)
	caughtUp(t, s)
	db, err := OpenDB(engineURL, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := lines(t, db, "SELECT count() FROM registrations FINAL"); got != fmt.Sprintf("%d\n", count) {
		t.Errorf("%s registrations are loaded, want %d", got, count)
	}
	until(t, "nothing is held", func() bool { // a moment after the commit
		n, _ := s.buffered()
		return n == 0
	})
}

// Records that come one by one are written within a second, and more of them do not put
// it off for ever: at no rate does the first record of a batch wait longer.
func TestFlushDelayIsBounded(t *testing.T) {
	t.Parallel()
	cfg := Config{}.withDefaults()
	first := time.UnixMilli(noon)
	for _, c := range []struct {
		perSecond int
		want      time.Duration
	}{
		{1, cfg.FlushAfter},
		{1_000, cfg.FlushAfter},
		{10_000, cfg.FlushAfterBusy},
		{1_000_000, 50 * time.Millisecond}, // it is full by then
	} {
		waited := time.Duration(0)
		for ; ; waited += time.Millisecond {
			records := 1 + int(waited.Milliseconds())*c.perSecond/1_000
			if !first.Add(waited).Before(cfg.flushAt(first, records, records*400)) {
				break
			}
		}
		if waited != c.want {
			t.Errorf("at %d records/s the first one waits %s, want %s", c.perSecond, waited, c.want)
		}
	}
	if quiet := fetchWait + cfg.FlushAfter; quiet >= time.Second/2 {
		t.Errorf("a lone record waits %s before its insert", quiet)
	}
	if at := cfg.flushAt(first, 1, cfg.MaxBytes); at != first {
		t.Errorf("a batch of %d bytes is written at %s, want at once", cfg.MaxBytes, at)
	}
}

// Pauses between tables would hold up a loader that is behind, and records that come one
// by one: neither has any.
func TestOnlyABusyBatchInTimePauses(t *testing.T) {
	t.Parallel()
	cfg := Config{TableGap: time.Second}.withDefaults()
	for _, c := range []struct {
		records, bytes int
		want           time.Duration
	}{
		{cfg.BusyRecords - 1, 0, 0},
		{cfg.BusyRecords, 0, time.Second},
		{cfg.MaxRecords - 1, cfg.MaxBytes - 1, time.Second},
		{cfg.MaxRecords, 0, 0},
		{cfg.BusyRecords, cfg.MaxBytes, 0},
	} {
		if got := cfg.gap(c.records, c.bytes); got != c.want {
			t.Errorf("a batch of %d records and %d bytes pauses for %s, want %s", c.records, c.bytes, got, c.want)
		}
	}
	if none := (Config{}).withDefaults(); none.gap(none.BusyRecords, 0) != 0 {
		t.Error("a loader pauses though nobody asked for it")
	}
}
