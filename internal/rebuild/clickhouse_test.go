package rebuild_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/rebuild"
	"github.com/eventpro/boxoffice/internal/testsystem"
	"github.com/eventpro/boxoffice/internal/verify"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// analytics is a system with a loader and a database of the test's own.
type analytics struct {
	*testsystem.System
	t        *testing.T
	database string
	db       *sql.DB
	loader   *clickhouse.Sink
	stop     func() // the loader
}

func newAnalytics(t *testing.T) *analytics {
	t.Helper()
	a := &analytics{System: testsystem.Start(t, 2_000, testsystem.Options{}), t: t, database: "t_" + uuid.NewString()[:8]}
	var err error
	if a.db, err = clickhouse.OpenDB(engineURL, a.database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.db.Close() })
	a.startLoader()
	return a
}

// startLoader runs the loader until it is stopped.
func (a *analytics) startLoader() {
	a.t.Helper()
	s, err := clickhouse.New(clickhouse.Config{
		Brokers: a.Brokers, URL: engineURL, Database: a.database, Logger: slog.New(slog.DiscardHandler),
		FlushAfter: 20 * time.Millisecond, InstanceID: "loader",
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.loader = s
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			a.t.Errorf("the loader ended with %v", err)
		}
	})
	a.t.Cleanup(a.stop)
}

func (a *analytics) exec(statement string, args ...any) {
	a.t.Helper()
	if _, err := a.db.ExecContext(a.t.Context(), statement, args...); err != nil {
		a.t.Fatalf("%s: %v", statement, err)
	}
}

func (a *analytics) count(query string, args ...any) (n uint64) {
	a.t.Helper()
	if err := a.db.QueryRowContext(a.t.Context(), query, args...).Scan(&n); err != nil {
		a.t.Fatalf("%s: %v", query, err)
	}
	return n
}

const settledOf = "SELECT count() FROM registrations FINAL WHERE registration_id = ? AND settled"

// sell sells a ticket and waits until ClickHouse shows it.
func (a *analytics) sell(name string) uuid.UUID {
	a.t.Helper()
	id := a.Register(name)
	a.awaitLoaded(id)
	return id
}

func (a *analytics) awaitLoaded(id uuid.UUID) {
	a.t.Helper()
	a.Eventually(id.String()+" is in ClickHouse", func() error {
		var n uint64
		err := a.db.QueryRowContext(a.t.Context(), settledOf, id.String()).Scan(&n)
		if err == nil && n != 1 {
			err = fmt.Errorf("it is there %d times", n)
		}
		return err
	})
}

func (a *analytics) options(swap bool) rebuild.ClickHouseOptions {
	return rebuild.ClickHouseOptions{
		Brokers: a.Brokers, URL: engineURL, Database: a.database, Swap: swap,
		By: rebuild.Person{Name: "ana", Note: "rows are lost"}, Logger: slog.New(slog.DiscardHandler),
	}
}

func (a *analytics) rebuild(o rebuild.ClickHouseOptions) rebuild.ClickHouseReport {
	a.t.Helper()
	r, err := rebuild.ClickHouse(a.t.Context(), o)
	if err != nil {
		a.t.Fatal(err)
	}
	return r
}

// holds checks that all invariants hold, I8 among them, at rest.
func (a *analytics) holds() {
	a.t.Helper()
	a.BooksHold(verify.Options{ClickHouseURL: engineURL, ClickHouseDB: a.database})
}

// awaitLoader waits until the loader has handled all that the topics hold now. A
// settled registration that is in ClickHouse does not say that its payment is: they
// are records of two topics, and each table has batches of its own.
func (a *analytics) awaitLoader() {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	if err := a.loader.CaughtUp(ctx); err != nil {
		a.t.Fatal(err)
	}
}

// damage deletes, alters and invents rows by hand, once they are all there: a later
// version of a row that was altered would mend it.
func (a *analytics) damage(lost, altered uuid.UUID) {
	a.t.Helper()
	a.awaitLoader()
	for _, statement := range []string{
		"ALTER TABLE registrations DELETE WHERE registration_id = '" + lost.String() + "' SETTINGS mutations_sync = 1",
		"ALTER TABLE payments UPDATE captured_minor = captured_minor - 1 WHERE registration_id = '" + altered.String() + "' SETTINGS mutations_sync = 1",
		"INSERT INTO payments SELECT * REPLACE (generateUUIDv4() AS payment_id) FROM payments FINAL WHERE registration_id = '" + lost.String() + "'",
		"ALTER TABLE movements UPDATE amount_minor = amount_minor + 1 WHERE registration_id = '" + lost.String() + "' SETTINGS mutations_sync = 1",
		"ALTER TABLE events DELETE WHERE key = '" + lost.String() + "' AND topic = 'payment-events' SETTINGS mutations_sync = 1",
	} {
		a.exec(statement)
	}
}

// wantFound wants exactly what damage has done.
func wantFound(t *testing.T, r rebuild.ClickHouseReport, lost uuid.UUID) {
	t.Helper()
	got := map[string]string{}
	for _, c := range r.Tables {
		got[c.Table] = fmt.Sprintf("%d missing, %d wrong, %d surplus", c.Missing, c.Wrong, c.Surplus)
		if c.LiveRows == 0 || c.RebuiltRows == 0 {
			t.Errorf("%+v", c)
		}
	}
	for table, want := range map[string]string{
		"catalog_events": "0 missing, 0 wrong, 0 surplus", "seat_blocks": "0 missing, 0 wrong, 0 surplus",
		"registrations": "1 missing, 0 wrong, 0 surplus", "payments": "0 missing, 1 wrong, 1 surplus",
		"movements": "0 missing, 1 wrong, 0 surplus",
	} {
		if got[table] != want {
			t.Errorf("%s: %s, want %s", table, got[table], want)
		}
	}
	if !strings.HasSuffix(got["events"], " missing, 0 wrong, 0 surplus") || strings.HasPrefix(got["events"], "0 ") {
		t.Errorf("events: %s", got["events"])
	}
	var named strings.Builder
	for _, c := range r.Tables {
		for _, f := range c.First {
			fmt.Fprintln(&named, c.Table, f.Key, f.What, f.Fields)
		}
	}
	for _, want := range []string{lost.String() + " is missing", "captured_minor: 2499, rebuilt 2500", "is surplus", "payment-events/"} {
		if !strings.Contains(named.String(), want) {
			t.Errorf("%q is not named:\n%s", want, named.String())
		}
	}
}

// Rows of ClickHouse are deleted, altered and invented by hand while tickets are
// sold. The rebuild finds and names exactly those and changes nothing; with a swap
// they are right, what came in meanwhile is there, who did it is written down, and
// the old tables are kept.
func TestClickHouseIsMendedUnderLoad(t *testing.T) {
	t.Parallel()
	a := newAnalytics(t)
	lost, altered := a.sell("lost"), a.sell("altered")
	a.damage(lost, altered)
	stop := load(a.System, "meanwhile")
	wantFound(t, a.rebuild(a.options(false)), lost)
	if n := a.count(settledOf, lost.String()); n != 0 {
		t.Error("a rebuild without a swap has written")
	}
	if _, err := clickhouse.RefreshRollups(t.Context(), a.db); err != nil {
		t.Fatal(err)
	}
	o := a.options(true)
	o.KeepOld = true
	r := a.rebuild(o)
	wantFound(t, r, lost)
	if !r.Swapped || r.KeptAs == "" {
		t.Errorf("%+v", r)
	}
	wantAudited(t, a.System, "clickhouse")
	if n := a.count("SELECT toUInt64(sum(amount_minor)) FROM revenue_by_quarter_hour"); n == 0 || n%2_500 != 0 {
		t.Errorf("the rollup still shows the money of the tables that were swapped out: %d", n)
	}
	for _, id := range append(stop(), lost) {
		a.awaitLoaded(id)
	}
	a.holds()
	if r := a.rebuild(a.options(true)); r.Differ != 0 || r.Swapped {
		t.Errorf("after the swap: %+v", r)
	}
	if n := a.count("SELECT count() FROM system.databases WHERE startsWith(name, ?)", a.database+"_rebuild_"); n != 0 {
		t.Errorf("%d databases were left", n)
	}
	if n := a.count("SELECT count() FROM "+r.KeptAs+".registrations FINAL WHERE registration_id = ?", lost.String()); n != 0 {
		t.Error("the old tables were not kept")
	}
	if tables := a.count("SELECT count() FROM system.tables WHERE database = ? AND engine = 'ReplacingMergeTree' AND name NOT IN ('goose_db_version', 'rollup_refreshes', 'paid_orders_snapshots')",
		a.database); int(tables) != len(clickhouse.Tables()) {
		t.Errorf("the database has %d tables of facts, a swap exchanges %v", tables, clickhouse.Tables())
	}
}

// gate stands before ClickHouse, for a rebuild: it says when an exchange comes,
// and cuts the rebuild off for good after one.
type gate struct {
	*httptest.Server
	mu     sync.Mutex
	before func(statement string) // called before an exchange goes on
	cut    string                 // the last exchange that comes through is of this table
	closed bool
}

func newGate(t *testing.T) *gate {
	t.Helper()
	target, err := url.Parse(engineURL)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		statement := string(body) // where clickhouse-go has what is no insert
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.closed {
			panic(http.ErrAbortHandler)
		}
		if strings.HasPrefix(statement, "EXCHANGE") {
			g.before(statement)
			g.closed = g.cut != "" && strings.HasSuffix(statement, "`"+g.cut+"`")
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

// swapPast has a rebuild swap through a gate. What is sold as soon as the first
// table is about to be exchanged goes to the old tables: the fresh ones lack it.
func (a *analytics) swapPast(g *gate) (report rebuild.ClickHouseReport, late uuid.UUID, err error) {
	a.t.Helper()
	lost, altered := a.sell("lost"), a.sell("altered")
	a.damage(lost, altered)
	var exchanged []string
	g.before = func(statement string) {
		if len(exchanged) == 0 {
			late = a.sell("late")
			a.awaitLoader() // all of it is in the old tables
		}
		exchanged = append(exchanged, statement)
	}
	o := a.options(true)
	o.URL, o.Patience = g.URL, 100*time.Millisecond
	report, err = rebuild.ClickHouse(a.t.Context(), o)
	if len(exchanged) == 0 || !slices.ContainsFunc(exchanged, func(s string) bool { return strings.Contains(s, "`registrations`") }) {
		a.t.Fatalf("%v were exchanged: %v", exchanged, err)
	}
	return report, late, err
}

// An order that is loaded into the old tables after the fresh ones were read, just
// before they are exchanged, is in the new ones afterwards.
func TestClickHouseSwapLosesNoRow(t *testing.T) {
	t.Parallel()
	a := newAnalytics(t)
	r, late, err := a.swapPast(newGate(t))
	if err != nil || !r.Swapped {
		t.Fatalf("%+v, %v", r, err)
	}
	if n := a.count(settledOf, late.String()); n != 1 {
		t.Errorf("the swap has lost the order that came late")
	}
	a.holds()
}

// The rebuild is killed when the tables are exchanged and what they lack is not
// loaded yet. The next run ends the swap before anything else.
func TestClickHouseSwapIsEndedByTheNextRun(t *testing.T) {
	t.Parallel()
	for _, cut := range []string{"events", "registrations"} {
		t.Run(cut, func(t *testing.T) {
			t.Parallel()
			a := newAnalytics(t)
			g := newGate(t)
			g.cut = cut
			_, late, err := a.swapPast(g)
			if err == nil {
				t.Fatal("it was not killed")
			}
			if n := a.count(settledOf, late.String()); n != 0 {
				t.Fatal("nothing is missing: the kill came too late")
			}
			r := a.rebuild(a.options(true))
			if r.Finished == "" || cut == "events" && r.Differ != 0 {
				t.Errorf("%+v", r)
			}
			if n := a.count(settledOf, late.String()); n != 1 {
				t.Error("the order that came late is still missing")
			}
			a.holds()
		})
	}
}

// The rebuild is killed in the same moment, the loader writes on, and then it is the
// loader that starts again: it goes back to where the new tables ended.
func TestClickHouseSwapIsEndedByTheLoader(t *testing.T) {
	t.Parallel()
	for _, cut := range []string{"events", "registrations"} {
		t.Run(cut, func(t *testing.T) {
			t.Parallel()
			a := newAnalytics(t)
			g := newGate(t)
			g.cut = cut
			_, late, err := a.swapPast(g)
			if err == nil {
				t.Fatal("it was not killed")
			}
			for i := range 10 { // something in each partition
				a.sell(fmt.Sprint("since-", i))
			}
			a.awaitLoader()
			a.stop()
			a.startLoader()
			a.awaitLoaded(late)
			if cut == "events" {
				a.holds() // else a part of the tables is still the damaged one
			}
		})
	}
}

// A loader that stands still has not loaded the newest rows. They are newer, not
// missing, and the run says so; what it had loaded is compared nevertheless.
func TestClickHouseWithoutItsLoader(t *testing.T) {
	t.Parallel()
	a := newAnalytics(t)
	lost, altered := a.sell("lost"), a.sell("altered")
	a.damage(lost, altered)
	a.stop()
	a.Await(a.Register("not-loaded"), "settled", testsystem.Settled)
	o := a.options(false)
	o.LoadPatience = 300 * time.Millisecond
	r := a.rebuild(o)
	wantFound(t, r, lost)
	newer := int64(0)
	for _, c := range r.Tables {
		newer += c.Newer
	}
	if newer == 0 {
		t.Errorf("nothing is newer: %+v", r)
	}
}

// A second rebuild begins while the first one reads. The first one's database is
// taken away, it says so at once and swaps nothing; the second one is right.
func TestTheLaterOfTwoClickHouseRebuildsWins(t *testing.T) {
	t.Parallel()
	a := newAnalytics(t)
	lost, altered := a.sell("lost"), a.sell("altered")
	a.damage(lost, altered)
	second := rebuild.ClickHouseReport{}
	o := a.options(true)
	o.Progress = func(string, int64, int64) {
		if second.Database == "" {
			second = a.rebuild(a.options(false))
		}
	}
	first, err := rebuild.ClickHouse(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "has another rebuild begun") || first.Swapped {
		t.Errorf("the first one: %+v, %v", first, err)
	}
	wantFound(t, second, lost)
	if r := a.rebuild(a.options(true)); !r.Swapped {
		t.Errorf("%+v", r)
	}
	a.holds()
}

// The tables of a cluster are Distributed ones over those with the rows: exchanging
// them on one server would leave the cluster with two truths. It is refused.
func TestClickHouseOfAClusterIsLeftAlone(t *testing.T) {
	t.Parallel()
	a := newAnalytics(t)
	a.sell("one")
	a.exec("CREATE TABLE registrations_local AS registrations ENGINE = MergeTree ORDER BY registration_id")
	if _, err := rebuild.ClickHouse(t.Context(), a.options(true)); err == nil || !strings.Contains(err.Error(), "is a cluster's") {
		t.Fatalf("%v", err)
	}
}

// There is no database: that is said, and none is made.
func TestClickHouseWithoutDatabase(t *testing.T) {
	t.Parallel()
	s := testsystem.Start(t, 50, testsystem.Options{})
	o := rebuild.ClickHouseOptions{Brokers: s.Brokers, URL: engineURL, Database: "t_nobody", Logger: slog.New(slog.DiscardHandler)}
	if _, err := rebuild.ClickHouse(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no database t_nobody") {
		t.Fatalf("%v", err)
	}
	db, err := clickhouse.OpenDB(o.URL, "default")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n uint64
	if err := db.QueryRowContext(t.Context(), "SELECT count() FROM system.databases WHERE startsWith(name, 't_nobody')").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d databases were made, %v", n, err)
	}
	o.URL = "http://127.0.0.1:1"
	if _, err := rebuild.ClickHouse(t.Context(), o); err == nil || !strings.Contains(err.Error(), "ClickHouse") {
		t.Fatalf("%v", err)
	}
}
