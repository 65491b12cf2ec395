package distributed_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pressly/goose/v3"

	embedded "github.com/eventpro/boxoffice/internal/embedded/clickhouse"
	"github.com/eventpro/boxoffice/internal/testsystem"
	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
	sink "github.com/eventpro/boxoffice/sinks/clickhouse"
	"github.com/eventpro/boxoffice/sinks/clickhouse/distributed"
	"github.com/eventpro/boxoffice/sinks/clickhouse/migrations"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// clusters are what the engine of this process believes to be part of. Its port is
// not open: a shard that is this very server is read and written within the process.
// A second shard cannot be had that way; it is the same one again.
const clusters = `<clickhouse>
<tcp_port>9000</tcp_port>
<remote_servers>
  <one><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></one>
  <two>
    <shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
    <shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
  </two>
</remote_servers>
<users><default><grants replace="replace"><query>GRANT ALL ON *.*</query></grants></default></users>
</clickhouse>`

// engineURL is the one engine of this process.
var engineURL string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	library, err := embedded.Locate("", os.Getenv("BOXOFFICE_CHDB_LIB"))
	if err != nil {
		return fail(err)
	}
	dir, err := os.MkdirTemp("", "cluster")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(filepath.Join(dir, "engine.d"), 0o700); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "engine.d", "cluster.xml"), []byte(clusters), 0o600); err != nil {
		return fail(err)
	}
	server, err := embedded.Open(embedded.Options{Library: library, DataDir: dir})
	if err != nil {
		return fail(err)
	}
	engineURL = "http://" + server.Addr()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	code := m.Run()
	cancel()
	if err := <-ended; err != nil {
		return fail(err)
	}
	return code
}

var (
	onCluster  = regexp.MustCompile(` ON CLUSTER '[a-z]+'`)
	replicated = regexp.MustCompile(`Replicated([A-Za-z]*MergeTree)\('[^']*', '[^']*'(?:, )?`)
)

// within takes away what needs other servers: the statement for a cluster and the
// replication, which go through Keeper.
func within(statement string) string {
	return replicated.ReplaceAllString(onCluster.ReplaceAllString(statement, ""), "$1(")
}

// keeperless stands before the engine and does so with every statement; applied
// counts those that were for a cluster.
type keeperless struct {
	*httptest.Server
	applied atomic.Int32
}

func newKeeperless(t *testing.T) *keeperless {
	t.Helper()
	target, err := url.Parse(engineURL)
	if err != nil {
		t.Fatal(err)
	}
	k := &keeperless{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if onCluster.Match(body) {
			k.applied.Add(1)
			body = []byte(within(string(body)))
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(k.Close)
	return k
}

// open makes a database with the schema of a cluster.
func open(t *testing.T, cluster, name string) *sql.DB {
	t.Helper()
	to := distributed.Target{Cluster: cluster, Database: name}
	files, err := distributed.Migrations(migrations.FS, to)
	if err != nil {
		t.Fatal(err)
	}
	for file, statements := range files {
		files[file] = []byte(within(string(statements)))
	}
	server, err := sink.OpenDB(engineURL, "default")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, statement := range []string{within(to.CreateDatabase()), within(to.CreateVersions(goose.DefaultTablename))} {
		if _, err := server.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	db := database(t, name)
	p, err := goose.NewProvider(goose.DialectClickHouse, db, fs.FS(files))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// load runs a loader until everything is in its database.
func load(t *testing.T, cfg sink.Config) {
	t.Helper()
	// Few records a batch: more versions of a key are written.
	cfg.Logger, cfg.MaxRecords = slog.New(slog.DiscardHandler), 7
	s, err := sink.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	patient, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := s.CaughtUp(patient); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// ends tells where all topics end.
func ends(t *testing.T, brokers []string) string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	at, err := topicreader.Ends(t.Context(), kadm.NewClient(client), topology.ClickHouseSink.Inputs...)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(at)
}

// parameters are values of all parameters that named queries have.
var parameters = map[string]string{
	"from": queries.Time(time.Now().Add(-time.Hour)), "to": queries.Time(time.Now().Add(time.Hour)),
	"event": queries.All, "currency": queries.All, "test_mode": "false", "decide_within": "60", "key": "reference", "provider": queries.All, "since": queries.Time(time.UnixMilli(0)), "zone": "UTC", "basis": "booked", "organiser": queries.All,
}

func database(t *testing.T, name string) *sql.DB {
	t.Helper()
	db, err := sink.OpenDB(engineURL, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func text(db *sql.DB, query string) (s string, err error) {
	return s, db.QueryRow(query).Scan(&s)
}

// answer is what a named query says, its rows in order.
func answer(t *testing.T, db *sql.DB, name string) (string, error) {
	t.Helper()
	q, err := queries.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]string{}
	for p := range q.Params {
		value, ok := parameters[p]
		if !ok {
			t.Fatalf("query %s: this test has no value for the parameter %s, add one", name, p)
		}
		used[p] = value
	}
	rows, err := queries.Run(t.Context(), db, name, used)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var lines []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		lines = append(lines, fmt.Sprintln(values...))
	}
	slices.Sort(lines)
	return strings.Join(lines, ""), rows.Err()
}

// A sale is loaded into the tables of one server and into those of a cluster of one
// shard, which the loader makes. Every named query says the same of both. A second
// start of the loader makes nothing, hence waits for no server that is away.
func TestQueriesSayTheSameOfACluster(t *testing.T) {
	t.Parallel()
	s := testsystem.Start(t, 50, testsystem.Options{})
	for i := range 5 {
		s.Await(s.Register(fmt.Sprint(i)), "settled", testsystem.Settled)
	}
	servers := newKeeperless(t)
	cluster := sink.Config{Brokers: s.Brokers, URL: servers.URL, Database: "clustered", Cluster: "one", Group: "clustered"}
	load(t, cluster)
	made := servers.applied.Load()
	cluster.Group = "again"
	load(t, cluster)
	if n := servers.applied.Load() - made; made == 0 || n != 0 {
		t.Errorf("%d statements for the cluster at the first start and %d at the second, want some and none", made, n)
	}
	for before := ""; before != ends(t, s.Brokers); { // what a group repeats late must not come between the two
		before = ends(t, s.Brokers)
		load(t, cluster)
		load(t, sink.Config{Brokers: s.Brokers, URL: engineURL, Database: "plain", Group: "plain"})
	}
	clustered, plain := database(t, "clustered"), database(t, "plain")
	if engine, err := text(clustered, "SELECT engine FROM system.tables WHERE database = 'clustered' AND name = 'registrations'"); err != nil || engine != "Distributed" {
		t.Errorf("registrations has the engine %q, %v", engine, err)
	}
	for _, name := range queries.Names() {
		want, err := answer(t, plain, name)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && name == queries.Revenue {
			t.Error("nothing was sold")
		}
		if got, err := answer(t, clustered, name); err != nil || got != want {
			t.Errorf("%s of a cluster: %v\n%s\nwant\n%s", name, err, got, want)
		}
	}
}

// A query that joins two Distributed tables is refused by servers that have more than
// one shard. No named query is.
func TestQueriesRunOnSeveralShards(t *testing.T) {
	t.Parallel()
	db := open(t, "two", "sharded")
	const join = "SELECT count() FROM registrations AS r JOIN payments AS p ON p.registration_id = r.registration_id"
	if _, err := db.Exec(join); err == nil || !strings.Contains(err.Error(), "distributed_product_mode") {
		t.Errorf("a join of two tables: %v, want it refused", err)
	}
	if _, err := db.Exec(join + " SETTINGS distributed_product_mode = 'global'"); err != nil {
		t.Errorf("a join of two tables in the mode global: %v", err)
	}
	for _, name := range queries.Names() {
		if _, err := answer(t, db, name); err != nil {
			t.Errorf("%s on two shards: %v", name, err)
		}
	}
}
