package clickhouse

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// replica is one of several ways to the engine, as replicas are ways to the same
// rows. What goes wrong with it goes wrong once it is broken.
type replica struct {
	*httptest.Server
	broken   atomic.Bool
	inserted atomic.Int32
	met      atomic.Int32 // requests since it broke
}

func newReplica(t *testing.T, wrong mishap) *replica {
	t.Helper()
	target, err := url.Parse(engineURL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	r := &replica{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.broken.Load() {
			r.met.Add(1)
			wrong(w, q, proxy)
			return
		}
		if isInsert(q) {
			r.inserted.Add(1)
		}
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

func isInsert(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Query().Get("query"), "INSERT INTO")
}

func (r *replica) addr() string { return strings.TrimPrefix(r.URL, "http://") }

// deadPort is an address where nobody listens.
const deadPort = "127.0.0.1:1"

// I6, I8: of three servers one is off from the start. The second one goes away in
// the middle: off, or read-only though it answers, or dead with an insert that it
// applied and did not answer. The third takes over; nothing is missing, and the audit
// trail, read without FINAL, has nothing twice.
func TestTheNextServerTakesOver(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]mishap{
		"off": func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
		"cannot write": func(w http.ResponseWriter, r *http.Request, clickhouse http.Handler) {
			if isInsert(r) {
				http.Error(w, "Code: 242. DB::Exception: Table is in readonly mode", http.StatusInternalServerError)
				return
			}
			clickhouse.ServeHTTP(w, r)
		},
		"dead with an applied insert": func(_ http.ResponseWriter, r *http.Request, clickhouse http.Handler) {
			if isInsert(r) {
				apply(r, clickhouse)
			}
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			second := newReplica(t, wrong)
			third := newReplica(t, nil)
			brokers, records := newKafka(t), story(t)
			cfg, database := sinkConfig(t, brokers)
			cfg.URL = "http://" + strings.Join([]string{deadPort, second.addr(), third.addr()}, ",")
			s, _ := start(t, impatient(cfg))
			produce(t, brokers, records[:6]...)
			caughtUp(t, s)
			if second.inserted.Load() == 0 {
				t.Error("the second server took nothing while it was well")
			}
			second.broken.Store(true)
			before := third.inserted.Load()
			produce(t, brokers, records[6:]...)
			caughtUp(t, s)
			if second.met.Load() == 0 || third.inserted.Load() == before {
				t.Errorf("the broken server met %d requests, then the third took %d inserts; want some of both",
					second.met.Load(), third.inserted.Load()-before)
			}
			golden(t, "story.golden.txt", facts(t, database))
			db, err := OpenDB(engineURL, database)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if got := lines(t, db, "SELECT count(), uniqExact(topic, partition, offset) FROM events"); got != "13\t13\n" {
				t.Errorf("rows and records of the audit trail: %s, want 13 and 13", got)
			}
		})
	}
}

// Two servers with tables of their own would share the rows between them. Two ways
// to one server are fine, and so is a server that cannot be asked.
func TestSeveralServersAreOneOrACluster(t *testing.T) {
	t.Parallel()
	name, db := newDatabase(t)
	same := newReplica(t, nil)
	ways := same.addr() + "," + strings.TrimPrefix(engineURL, "http://") + "," + deadPort
	if _, err := Migrate(t.Context(), "http://"+ways, name); err != nil {
		t.Fatalf("two ways to one server: %v", err)
	}
	id := strings.TrimSpace(lines(t, db, "SELECT toString(serverUUID())"))
	other := newReplica(t, func(w http.ResponseWriter, r *http.Request, clickhouse http.Handler) {
		answer := httptest.NewRecorder()
		clickhouse.ServeHTTP(answer, r)
		_, _ = w.Write(bytes.ReplaceAll(answer.Body.Bytes(), []byte(id), []byte(strings.Repeat("f", len(id)))))
	})
	other.broken.Store(true)
	until(t, "two servers without a cluster are refused", func() bool { // one that is slow to answer is taken for away
		_, err := Migrate(t.Context(), "http://"+other.addr()+","+strings.TrimPrefix(engineURL, "http://"), name)
		return err != nil && strings.Contains(err.Error(), "different servers")
	})
}

// The URL of several servers is read as clickhouse-go does, for both protocols, and
// its settings stand above ours.
func TestURLs(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]struct {
		protocol ch.Protocol
		addr     []string
		secure   bool
	}{
		"http://a:8123,b:8124":                        {ch.HTTP, []string{"a:8123", "b:8124"}, false},
		"https://u:p@a:8443/ignored?secure=true":      {ch.HTTP, []string{"a:8443"}, true},
		"clickhouse://u:p@a:9000,b:9000?compress=lz4": {ch.Native, []string{"a:9000", "b:9000"}, false},
		"clickhouse://a:9440?secure=true":             {ch.Native, []string{"a:9440"}, true},
	} {
		o, err := options(given, "boxoffice")
		if err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if o.Protocol != want.protocol || !slices.Equal(o.Addr, want.addr) || (o.TLS != nil) != want.secure || o.Auth.Database != "boxoffice" {
			t.Errorf("%s: %v of %v, TLS %v, database %s", given, o.Protocol, o.Addr, o.TLS != nil, o.Auth.Database)
		}
	}
}

// An insert into a cluster is answered when a majority of the replicas has it, unless
// the URL asks for something else; one server is asked for neither.
func TestInsertsIntoAClusterAreDurable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url, cluster string
		foreground   any
		quorum       any
	}{
		{"http://a:8123", "", nil, nil},
		{"http://a:8123", "sales", 1, "auto"},
		{"clickhouse://a:9000?insert_quorum=2", "sales", 1, nil},
	} {
		cluster, err := clusterInserts(c.url, "boxoffice", c.cluster)
		if err != nil {
			t.Fatal(err)
		}
		s := (&writer{cluster: cluster}).settings("token")
		if s["distributed_foreground_insert"] != c.foreground || s["insert_quorum"] != c.quorum || s["insert_deduplication_token"] != "token" {
			t.Errorf("%s in cluster %q: %v", c.url, c.cluster, s)
		}
	}
}

// nativeServer takes connections of the native protocol, reads what comes first and
// hangs up. There is no engine here that speaks it.
func nativeServer(t *testing.T, wrap func(net.Listener) net.Listener) (addr string, first <-chan byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	addr = l.Addr().String()
	if wrap != nil {
		l = wrap(l)
	}
	said := make(chan byte, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var b [64]byte
			if n, _ := conn.Read(b[:]); n > 0 {
				said <- b[0]
			}
			_ = conn.Close()
		}
	}()
	return addr, said
}

// Of two servers of the native protocol each is greeted, in the clear or under TLS,
// the bytes of the greeting are counted, and that both hang up is an error.
func TestNativeProtocolDials(t *testing.T) {
	t.Parallel()
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	secure := func(l net.Listener) net.Listener {
		return tls.NewListener(l, &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12})
	}
	for name, c := range map[string]struct {
		wrap   func(net.Listener) net.Listener
		params string
	}{
		"clear": {nil, ""},
		"TLS":   {secure, "?secure=true&skip_verify=true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, firstOne := nativeServer(t, c.wrap)
			two, firstTwo := nativeServer(t, c.wrap)
			var sent atomic.Int64
			conn, err := openWriter("clickhouse://"+one+","+two+c.params, "boxoffice", func(n int) { sent.Add(int64(n)) })
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := conn.Ping(ctx); err == nil {
				t.Error("two servers that hang up answered a ping")
			}
			const hello = 0 // ClientHello of the native protocol
			if a, b := <-firstOne, <-firstTwo; a != hello || b != hello {
				t.Errorf("the servers were greeted with %d and %d, want a hello", a, b)
			}
			if n := sent.Load(); n < 20 {
				t.Errorf("%d bytes were counted, want those of two greetings", n)
			}
		})
	}
}

// Bytes are counted that the server has seen, whichever way they were written.
func TestSentBytesAreCounted(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	seen := make(chan int, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		all, _ := io.ReadAll(conn)
		seen <- len(all)
	}()
	sent := 0
	conn, err := countingDial(&ch.Options{}, func(n int) { sent += n })(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("written")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(conn, strings.NewReader(" and copied")); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if n := <-seen; n != sent || n != len("written and copied") {
		t.Errorf("%d bytes were counted, the server saw %d", sent, n)
	}
}

// The loader's own counter sees the inserts of a load.
func TestALoadCountsItsBytes(t *testing.T) {
	t.Parallel()
	brokers := newKafka(t)
	produce(t, brokers, story(t)...)
	cfg, _ := sinkConfig(t, brokers)
	s, _ := start(t, cfg)
	caughtUp(t, s)
	if n := testutil.ToFloat64(s.metrics.sentBytes); n < 1_000 {
		t.Errorf("%v bytes counted for 13 records", n)
	}
}
