package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
)

// accounts is a loader with the story in its topics, as if it had happened just now,
// and the books to compare.
type accounts struct {
	t       *testing.T
	cfg     Config
	sink    *Sink
	books   *books
	brokers []string
	// now is after the story.
	now time.Time
}

// storyMinutes are the minutes to compare when the story is over.
const storyMinutes = 3

func newAccounts(t *testing.T, cfg Config) *accounts {
	t.Helper()
	a := &accounts{t: t, brokers: newKafka(t), now: time.UnixMilli(noon).Add(4 * time.Minute)}
	a.createCommands()
	records := story(t)
	for i, r := range records {
		r.Timestamp = time.UnixMilli(noon + int64(i)*1_000)
	}
	produce(t, a.brokers, records...)
	name, db := newDatabase(t)
	cfg.Brokers, cfg.Database = a.brokers, name
	cfg.DecideWithin, cfg.ConservationWindow = time.Minute, storyMinutes*time.Minute
	if cfg.URL == "" {
		cfg.URL = engineURL
	}
	a.cfg = impatient(cfg)
	a.sink, _ = start(t, a.cfg)
	a.books = newBooks(a.sink, db)
	return a
}

func (a *accounts) createCommands() {
	a.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(a.brokers...))
	if err != nil {
		a.t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(a.t.Context(), 1, 1, nil, topology.RegistrationCommands.Name); err != nil {
		a.t.Fatal(err)
	}
}

func (a *accounts) exec(statement string) {
	a.t.Helper()
	if _, err := a.books.db.Exec(statement + " SETTINGS mutations_sync = 2"); err != nil {
		a.t.Fatalf("%s: %v", statement, err)
	}
}

func (a *accounts) check() {
	a.t.Helper()
	if err := a.books.check(a.t.Context(), a.now); err != nil {
		a.t.Fatal(err)
	}
}

// want holds the metrics against what should differ, and for how long.
func (a *accounts) want(apart map[string]int64, lasting time.Duration) {
	a.t.Helper()
	got := map[string]int64{}
	for _, kind := range conservationKinds {
		if n := testutil.ToFloat64(a.sink.metrics.booksApart.WithLabelValues(kind)); n != 0 {
			got[kind] = int64(n)
		}
		want := 0.0
		if apart[kind] != 0 {
			want = lasting.Seconds()
		}
		if n := testutil.ToFloat64(a.sink.metrics.booksLasting.WithLabelValues(kind)); n != want {
			a.t.Errorf("%s has differed for %v s, want %v", kind, n, want)
		}
	}
	if !maps.Equal(got, apart) {
		a.t.Errorf("apart are %v, want %v", got, apart)
	}
}

// I4, I8: rows are lost or altered in ClickHouse behind the loader's back. The books
// agree before, differ in the kinds that the rows were part of, still do when the
// minute is long over, and agree again once the topics were loaded anew.
func TestLostRowsUnbalanceTheBooks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, damage string
		want         map[string]int64
	}{
		{"registration", "ALTER TABLE registrations DELETE WHERE outcome = 'confirmed'", map[string]int64{"registrations": 1}},
		{"payment", "ALTER TABLE payments DELETE WHERE 1", map[string]int64{"payments": 1, "orders": 10_000, "charges": 10_000, "refunds": 5_000}},
		{"charge", "ALTER TABLE movements DELETE WHERE kind = 'charge'", map[string]int64{"charges": 10_000}},
		{"altered refund", "ALTER TABLE movements UPDATE amount_minor = 1 WHERE kind = 'refund'", map[string]int64{"refunds": 4_999}},
		{"altered order", "ALTER TABLE registrations UPDATE total_minor = 10007 WHERE outcome = 'confirmed'", map[string]int64{"orders": 7}},
		{"decision", "ALTER TABLE registrations UPDATE outcome = 'unspecified' WHERE outcome = 'sold_out'", map[string]int64{"decisions": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := newAccounts(t, Config{})
			caughtUp(t, a.sink)
			a.check()
			a.want(nil, 0)
			a.exec(c.damage)
			for range storyMinutes { // each minute is looked at again in its turn
				a.check()
			}
			a.want(c.want, 0)
			a.now = a.now.Add(5 * time.Minute)
			a.check()
			a.want(c.want, 5*time.Minute)
			if strings.Contains(c.damage, " UPDATE ") {
				return // an altered row has the version of the right one
			}
			again := a.cfg
			again.Group, again.MaxRecords = "again", 3 // the same batches would be taken for repeated ones
			s, _ := start(t, again)
			caughtUp(t, s)
			a.check()
			a.want(nil, 0)
			if len(a.books.apart) != 0 {
				t.Errorf("%v are still looked at", a.books.apart)
			}
		})
	}
}

// A loader starts where nothing has happened for as long as it looks back: no minute is
// compared, and those that come are. When all that falls into that time is that an order
// should have been decided, it is found.
func TestQuietMinutesAreSkippedAtTheStart(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, Config{})
	caughtUp(t, a.sink)
	quiet := newBooks(a.sink, a.books.db)
	to := time.UnixMilli(noon).Add(time.Hour)
	if err := quiet.begin(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if list := quiet.minutes(to); len(list) != 0 {
		t.Errorf("compares %v, where nothing has happened", list)
	}
	if list := quiet.minutes(to.Add(time.Minute)); len(list) != 1 || !list[0].Equal(to) {
		t.Errorf("a minute later it compares %v", list)
	}
	a.exec("ALTER TABLE registrations UPDATE outcome = 'unspecified' WHERE outcome = 'sold_out'")
	a.now = a.now.Add(time.Minute) // the window begins when the last record is over
	a.check()
	a.want(map[string]int64{"decisions": 1}, 0)
}

// A loader that is merely late raises nothing: ClickHouse takes no payments, so that
// their journal is there without them. When it does again, the books agree.
func TestALateLoaderIsNoDifference(t *testing.T) {
	t.Parallel()
	target, err := url.Parse(engineURL)
	if err != nil {
		t.Fatal(err)
	}
	var refusing atomic.Bool
	var refused atomic.Int32
	refusing.Store(true)
	clickhouse := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refusing.Load() && strings.HasPrefix(r.URL.Query().Get("query"), "INSERT INTO payments") {
			refused.Add(1)
			http.Error(w, "no payments", http.StatusServiceUnavailable)
			return
		}
		clickhouse.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	a := newAccounts(t, Config{URL: proxy.URL})
	until(t, "payments were refused", func() bool { return refused.Load() > 0 })
	if got := lines(t, a.books.db, "SELECT uniqExact(kind), (SELECT count() FROM payments) FROM movements"); got != "2\t0\n" {
		t.Fatalf("kinds of movements and payments: %s, want 2 and none", got)
	}
	if err := a.books.check(t.Context(), a.now); !errors.Is(err, errLate) {
		t.Errorf("check: %v, want that the loader is late", err)
	}
	a.want(nil, 0)
	if n := testutil.ToFloat64(a.sink.metrics.booksChecked); n != 0 {
		t.Errorf("checked up to %v though nothing was compared", n)
	}
	refusing.Store(false)
	caughtUp(t, a.sink)
	a.check()
	a.want(nil, 0)
	if n := int64(testutil.ToFloat64(a.sink.metrics.booksChecked)); n != a.now.Add(-time.Minute).Truncate(time.Minute).Unix() {
		t.Errorf("checked up to %v", n)
	}
}

// I2: commands were accepted and their processor does not deal with them, because it
// stands still. Those of the last minute may still be on their way.
func TestAcceptedCommandsThatWait(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, Config{})
	caughtUp(t, a.sink)
	var commands []*kgo.Record
	for i := range 5 {
		at := a.now.Add(-2 * time.Minute)
		if i > 2 {
			at = a.now.Add(-time.Second)
		}
		commands = append(commands, &kgo.Record{Topic: topology.RegistrationCommands.Name, Key: fmt.Append(nil, i), Value: []byte("command"), Timestamp: at})
	}
	produce(t, a.brokers, commands...)
	a.check()
	a.want(map[string]int64{"commands": 3}, 0)
	offsets := kadm.Offsets{}
	offsets.AddOffset(topology.RegistrationCommands.Name, 0, 3, -1)
	if err := a.sink.admin.CommitAllOffsets(t.Context(), topology.Registrations.Name, offsets); err != nil {
		t.Fatal(err)
	}
	a.check()
	a.want(nil, 0)
}

// The books are compared by themselves, and every interval again.
func TestBooksAreComparedByThemselves(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, Config{ConservationInterval: 10 * time.Millisecond})
	caughtUp(t, a.sink)
	until(t, "the books were compared", func() bool { return testutil.ToFloat64(a.sink.metrics.booksChecked) > 0 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.books.check(ctx, a.now); err == nil {
		t.Error("a check that is interrupted says that all is well")
	}
}
