package clickhouse

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// flaky stands before ClickHouse and lets inserts go wrong.
type flaky struct {
	*httptest.Server
	// refuse answers 503 to inserts while it is above zero, counting down.
	refuse atomic.Int32
	// mute passes inserts on but breaks the connection instead of answering,
	// while it is above zero, counting down.
	mute atomic.Int32
	// away refuses everything while it is set; refused counts what it refused.
	away    atomic.Bool
	refused atomic.Int32
}

func newFlaky(t *testing.T) *flaky {
	t.Helper()
	target, err := url.Parse(engineURL)
	if err != nil {
		t.Fatal(err)
	}
	f := &flaky{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		insert := strings.HasPrefix(r.URL.Query().Get("query"), "INSERT INTO")
		switch {
		case f.away.Load(), insert && f.refuse.Add(-1) >= 0:
			f.refused.Add(1)
			http.Error(w, "away", http.StatusServiceUnavailable)
		case insert && f.mute.Add(-1) >= 0:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func impatient(cfg Config) Config {
	cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, 5*time.Millisecond
	return cfg
}

// committed sums the group's offsets: how many records of all partitions it
// has vouched for.
func committed(t *testing.T, brokers []string) (sum int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	offsets, err := kadm.NewClient(client).FetchOffsets(t.Context(), topology.ClickHouseSink.Name)
	if err != nil {
		t.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) { sum += max(o.At, 0) })
	return sum
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// I6, I8: ClickHouse refuses some inserts, then takes some and loses the answer.
// Each batch is repeated until it is answered, nothing is missing, nothing twice.
func TestRefusedAndUnansweredInsertsAreRepeated(t *testing.T) {
	t.Parallel()
	brokers, proxy := newKafka(t), newFlaky(t)
	proxy.refuse.Store(3)
	proxy.mute.Store(4)
	produce(t, brokers, story(t)...)
	cfg, name := sinkConfig(t, brokers)
	cfg.URL = proxy.URL
	s, _ := start(t, impatient(cfg))
	caughtUp(t, s)
	golden(t, "story.golden.txt", facts(t, name))
	if n := testutil.ToFloat64(s.metrics.retries); n != 7 {
		t.Errorf("%v retries, want 7", n)
	}
}

// I6: while ClickHouse is away no offset is committed; the sink says that it is
// not ready and why; when ClickHouse is back it goes on by itself.
func TestNothingIsCommittedWhileClickHouseIsAway(t *testing.T) {
	t.Parallel()
	brokers, proxy := newKafka(t), newFlaky(t)
	cfg, name := sinkConfig(t, brokers)
	cfg.URL = proxy.URL
	s, _ := start(t, impatient(cfg))
	until(t, "the sink is ready", func() bool { return s.Ready() == nil })
	proxy.away.Store(true)
	records := story(t)
	produce(t, brokers, records...)
	until(t, "inserts were refused", func() bool { return proxy.refused.Load() > 3 })
	if n := committed(t, brokers); n != 0 {
		t.Errorf("%d records are committed though ClickHouse has none", n)
	}
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("Ready: %v, want the server's refusal", err)
	}
	proxy.away.Store(false)
	caughtUp(t, s)
	if n := committed(t, brokers); n != int64(len(records)) {
		t.Errorf("%d records are committed, want %d", n, len(records))
	}
	golden(t, "story.golden.txt", facts(t, name))
}

// The sink dies between the insert and the commit: the batch was stored and comes
// again, in a run that knows nothing of it.
func TestStoppedBeforeTheCommit(t *testing.T) {
	t.Parallel()
	brokers, proxy := newKafka(t), newFlaky(t)
	proxy.mute.Store(1_000)
	produce(t, brokers, story(t)...)
	cfg, name := sinkConfig(t, brokers)
	first := impatient(cfg)
	first.URL = proxy.URL
	s, stop := start(t, first)
	until(t, "an insert was stored and not answered", func() bool { return testutil.ToFloat64(s.metrics.retries) > 0 })
	stop()
	if n := committed(t, brokers); n != 0 {
		t.Fatalf("%d records are committed, want none", n)
	}
	s, _ = start(t, cfg)
	caughtUp(t, s)
	golden(t, "story.golden.txt", facts(t, name))
}

// The sink is told to stop while it pauses between two tables of a batch: it does not
// wait for the pause's end, and the batch comes again in the next run.
func TestStoppedBetweenTwoTables(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	produce(t, brokers, story(t)...)
	cfg, name := sinkConfig(t, brokers)
	first := cfg
	first.BusyRecords, first.TableGap = 1, 1000*time.Hour
	s, stop := start(t, first)
	written := func(table string) float64 { return testutil.ToFloat64(s.metrics.rows.WithLabelValues(table)) }
	until(t, "a table was written", func() bool {
		return written("catalog_events")+written("seat_blocks")+written("movements")+written("payments")+written("registrations") > 0
	})
	stop()
	if n := committed(t, brokers); n != 0 || written("events") != 0 {
		t.Fatalf("%d records are committed and %v are in the audit trail, want none", n, written("events"))
	}
	s, _ = start(t, cfg)
	caughtUp(t, s)
	golden(t, "story.golden.txt", facts(t, name))
}

// I7: records that nobody can decode stand in the audit trail as such and are
// counted; their neighbours are loaded.
func TestUndecodableRecords(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	poison := func(topic topology.Topic, value string) *kgo.Record {
		return &kgo.Record{Topic: topic.Name, Key: []byte("poison"), Value: []byte(value)}
	}
	shortID := record(t, topology.PaymentEvents, "poison", &pb.Payment{PaymentId: []byte("short"), Version: 1})
	produce(t, brokers, append(story(t), shortID,
		poison(topology.RegistrationEvents, "\xff"), poison(topology.SeatEvents, "\x12\x7f"), poison(topology.CatalogEvents, "\x0a\x02ab"),
		poison(topology.PaymentEvents, ""))...)
	cfg, name := sinkConfig(t, brokers)
	cfg.Registerer = prometheus.NewRegistry()
	s, _ := start(t, cfg)
	caughtUp(t, s)
	db, err := OpenDB(engineURL, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := lines(t, db, "SELECT count() FROM events FINAL WHERE kind = 'undecodable'"); got != "5\n" {
		t.Errorf("%s undecodable audit rows, want 5", got)
	}
	if n := testutil.ToFloat64(s.metrics.undecodable); n != 5 {
		t.Errorf("%v counted as undecodable, want 5", n)
	}
	if got := lines(t, db, "SELECT count() FROM registrations FINAL"); got != "2\n" {
		t.Errorf("%s registrations, want 2", got)
	}
}

// I7: the counters balance: every record that was read is one row of the audit
// trail, and every metric has a value from the start.
func TestCountersBalance(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	records := story(t)
	produce(t, brokers, records...)
	cfg, _ := sinkConfig(t, brokers)
	cfg.LagInterval = 10 * time.Millisecond
	registry := prometheus.NewRegistry()
	cfg.Registerer = registry
	s, _ := start(t, cfg)
	if n := testutil.CollectAndCount(s.metrics.records); n != len(topology.ClickHouseSink.Inputs) {
		t.Errorf("%d topics have a counter at the start, want %d", n, len(topology.ClickHouseSink.Inputs))
	}
	caughtUp(t, s)
	var read float64
	for _, topic := range topology.ClickHouseSink.Inputs {
		read += testutil.ToFloat64(s.metrics.records.WithLabelValues(topic.Name))
	}
	if rows := testutil.ToFloat64(s.metrics.rows.WithLabelValues("events")); read != rows || int(read) != len(records) {
		t.Errorf("read %v records and wrote %v audit rows, want %d of both", read, rows, len(records))
	}
	until(t, "the sink knows that it is fresh", func() bool { return testutil.ToFloat64(s.metrics.freshness) > 0 })
	for _, topic := range topology.ClickHouseSink.Inputs {
		until(t, "there is no lag", func() bool { return testutil.ToFloat64(s.metrics.lagRecords.WithLabelValues(topic.Name)) == 0 })
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("metrics lint: %v %v", problems, err)
	}
}

// A configuration that cannot work is refused with what to do.
func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := New(Config{})
	for _, want := range []string{"Brokers is empty", "URL is empty", "Logger is nil"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(Config{}): %v, want %q", err, want)
		}
	}
	if _, err := New(Config{TableGap: -1}); err == nil || !strings.Contains(err.Error(), "TableGap") {
		t.Errorf("New with a negative gap: %v", err)
	}
	if _, err := OpenDB("http://127.0.0.1:8123", "drop table"); err == nil {
		t.Error("a database name with a space was taken")
	}
}

// I8: the database is lost after it was loaded, while the group's offsets live
// on: it is loaded anew. One that is whole is left as it is.
func TestLostDatabaseIsLoadedAnew(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	records := story(t)
	produce(t, brokers, records...)
	cfg, name := sinkConfig(t, brokers)
	s, stop := start(t, cfg)
	caughtUp(t, s)
	stop()
	db, err := OpenDB(engineURL, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DROP DATABASE " + name + " SYNC"); err != nil {
		t.Fatal(err)
	}
	s, _ = start(t, cfg)
	until(t, "the tables are there", func() bool { return s.Ready() == nil })
	until(t, "everything is there again", func() bool {
		return lines(t, db, "SELECT count() FROM events FINAL") == fmt.Sprintf("%d\n", len(records))
	})
	golden(t, "story.golden.txt", facts(t, name))
}

// Another Sink is made only to ask whether all is loaded: it is no member of the
// group, and the one that loads keeps its partitions.
func TestAskingTakesNoPartitions(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	cfg, _ := sinkConfig(t, brokers)
	s, _ := start(t, cfg)
	produce(t, brokers, story(t)...)
	caughtUp(t, s)
	cfg.Logger = slog.New(slog.DiscardHandler)
	probe, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	for range 20 { // a member would have joined in the meantime
		produce(t, brokers, story(t)...)
		caughtUp(t, probe)
	}
	groups, err := s.admin.DescribeGroups(t.Context(), s.cfg.Group)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(groups[s.cfg.Group].Members); n != 1 {
		t.Errorf("the group has %d members, want 1", n)
	}
}
