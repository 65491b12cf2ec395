package clickhouse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// mishap is what goes wrong with an insert.
type mishap func(w http.ResponseWriter, r *http.Request, clickhouse http.Handler)

var mishaps = []struct {
	name string
	do   mishap
}{
	{"refuses", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, "Code: 202. DB::Exception: Too many simultaneous queries", http.StatusInternalServerError)
	}},
	{"hangs", func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body) // a server that is stopped still has its buffers
		<-r.Context().Done()
	}},
	{"hangs after the insert was applied", func(_ http.ResponseWriter, r *http.Request, clickhouse http.Handler) {
		apply(r, clickhouse)
		<-r.Context().Done()
	}},
	{"dies in the middle of an insert", func(_ http.ResponseWriter, r *http.Request, clickhouse http.Handler) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		cut := r.Clone(context.WithoutCancel(r.Context()))
		cut.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), torn{}))
		clickhouse.ServeHTTP(httptest.NewRecorder(), cut)
		panic(http.ErrAbortHandler)
	}},
	{"dies after the insert was applied", func(_ http.ResponseWriter, r *http.Request, clickhouse http.Handler) {
		apply(r, clickhouse)
		panic(http.ErrAbortHandler)
	}},
	{"breaks off in its answer", func(w http.ResponseWriter, r *http.Request, clickhouse http.Handler) {
		apply(r, clickhouse)
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusOK)
		panic(http.ErrAbortHandler)
	}},
}

// apply does the insert to its end, whether the caller waits or not.
func apply(r *http.Request, clickhouse http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	whole := r.Clone(context.WithoutCancel(r.Context()))
	whole.Body = io.NopCloser(bytes.NewReader(body))
	clickhouse.ServeHTTP(httptest.NewRecorder(), whole)
}

// torn is the end of a body whose sender is gone.
type torn struct{}

func (torn) Read([]byte) (int, error) { return 0, errors.New("the sender is gone") }

// once stands before ClickHouse and has the first insert into each table go wrong.
type once struct {
	*httptest.Server
	mu  sync.Mutex
	met map[string]bool // by table
}

func newOnce(t *testing.T, do mishap) *once {
	t.Helper()
	target, err := url.Parse(engineURL)
	if err != nil {
		t.Fatal(err)
	}
	o := &once{met: map[string]bool{}}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		words := strings.Fields(r.URL.Query().Get("query"))
		if len(words) > 2 && words[0] == "INSERT" && o.first(words[2]) {
			do(w, r, proxy)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *once) first(table string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.met[table] {
		return false
	}
	o.met[table] = true
	return true
}

// I8: the first insert into each table goes wrong in one way. It is repeated until
// it is answered; at read nothing is missing and nothing is there twice.
func TestEveryMishap(t *testing.T) {
	t.Parallel()
	for _, m := range mishaps {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			brokers, proxy := newKafka(t), newOnce(t, m.do)
			produce(t, brokers, story(t)...)
			cfg, name := sinkConfig(t, brokers)
			cfg.URL, cfg.InsertTimeout = proxy.URL, time.Second
			s, _ := start(t, impatient(cfg))
			caughtUp(t, s)
			for _, table := range newBatch().tables() {
				if proxy.first(table.name) {
					t.Errorf("no insert into %s went wrong", table.name)
				}
			}
			golden(t, "story.golden.txt", facts(t, name))
		})
	}
}
