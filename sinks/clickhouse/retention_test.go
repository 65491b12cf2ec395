package clickhouse

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// The audit trail is kept for two months: older records go, newer ones and all
// facts stay. A loader that starts again does not take partitions that have no audit
// row any more for lost, and one that is told to keep everything does.
func TestAuditRetention(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	records := story(t)
	now := time.Now()
	lastYear := now.AddDate(-1, 0, 0)
	for i, r := range records {
		r.Timestamp = lastYear
		if r.Topic == topology.RegistrationEvents.Name {
			var v pb.Registration
			if err := proto.Unmarshal(r.Value, &v); err != nil {
				t.Fatal(err)
			}
			v.ChangedAtUnixMs = lastYear.UnixMilli()
			records[i] = record(t, topology.RegistrationEvents, string(r.Key), &v)
			records[i].Timestamp = lastYear
		}
	}
	records[len(records)-1].Timestamp = now
	produce(t, brokers, records...)
	cfg, name := sinkConfig(t, brokers)
	cfg.AuditRetentionMonths = 2
	s, stop := start(t, cfg)
	caughtUp(t, s)
	stop()
	db, err := OpenDB(engineURL, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if months, err := AuditRetention(t.Context(), db); err != nil || months != 2 {
		t.Errorf("kept for %d months, %v", months, err)
	}
	for range 2 {
		if err := SetAuditRetention(t.Context(), db, 2); err != nil {
			t.Fatal(err)
		}
	}
	before := lines(t, db, "SELECT count(), sum(version) FROM registrations FINAL")
	mutate(t, db, "OPTIMIZE TABLE events FINAL")
	if got := lines(t, db, "SELECT count(), min(time) > now() - INTERVAL 1 DAY FROM events FINAL"); got != "1\t1\n" {
		t.Fatalf("the audit trail has %s, want one new row", got)
	}
	poll := func(query, want string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); lines(t, db, query) != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s, want %s", query, lines(t, db, query), want)
			}
		}
	}
	var log strings.Builder
	again := cfg
	again.Logger = slog.New(slog.NewTextHandler(&log, nil))
	_, stop = start(t, again)
	produce(t, brokers, &kgo.Record{Topic: "catalog-events", Key: []byte("poison"), Value: []byte("x")})
	poll("SELECT count() FROM events FINAL WHERE time > now() - INTERVAL 1 DAY", "2\n")
	stop()
	for _, topic := range []string{"registration-events/", "payment-events/"} {
		if anew, _, _ := strings.Cut(log.String(), "level=ERROR"); strings.Contains(anew, topic) {
			t.Errorf("another start loaded everything anew: %s", log.String())
		}
	}
	if got := lines(t, db, "SELECT count(), sum(version) FROM registrations FINAL"); got != before {
		t.Errorf("registrations: %s, before %s", got, before)
	}
	again.AuditRetentionMonths, again.Logger = 0, nil
	start(t, again)
	poll(retention, "0\tReplacingMergeTree\n")
}

// A database that is lost is loaded anew, retention or not.
func TestLostDatabaseWithRetention(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	produce(t, brokers, story(t)...)
	cfg, name := sinkConfig(t, brokers)
	cfg.AuditRetentionMonths = 2
	s, stop := start(t, cfg)
	caughtUp(t, s)
	stop()
	before := facts(t, name)
	db, err := OpenDB(engineURL, "default")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	mutate(t, db, "DROP DATABASE "+name+" SYNC")
	s, _ = start(t, cfg)
	produce(t, brokers, &kgo.Record{Topic: "catalog-events", Key: []byte("poison"), Value: []byte("x")})
	caughtUp(t, s)
	deadline := time.Now().Add(time.Minute)
	for lines(t, db, "SELECT count() FROM "+name+".registrations FINAL") != "2\n" {
		if time.Now().After(deadline) {
			t.Fatalf("not loaded anew:\n%s\nbefore:\n%s", facts(t, name), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
