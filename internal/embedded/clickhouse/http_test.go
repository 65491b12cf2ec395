package clickhouse_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// reply is what a raw request got.
type reply struct {
	status int
	header http.Header
	body   string
}

// post sends a statement as curl would, with URL parameters given as name, value, name, value.
func post(t testing.TB, statement string, parameters ...string) reply {
	t.Helper()
	return send(t, http.MethodPost, strings.NewReader(statement), nil, parameters...)
}

func send(t testing.TB, method string, body io.Reader, header http.Header, parameters ...string) reply {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		values.Set(parameters[i], parameters[i+1])
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+shared.Addr()+"/?"+values.Encode(), body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		request.Header[name] = value
	}
	response, err := plain.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(text)}
}

// plain leaves compression to the tests.
var plain = &http.Client{Transport: &http.Transport{DisableCompression: true}}

// want checks a good answer's body.
func (r reply) want(t testing.TB, body string) {
	t.Helper()
	if r.status != http.StatusOK || r.body != body {
		t.Fatalf("got %d %q, want 200 %q", r.status, r.body, body)
	}
}

// fails checks an error's status and code, in header and body.
func (r reply) fails(t testing.TB, status, code int) {
	t.Helper()
	if r.status != status || r.header.Get("X-ClickHouse-Exception-Code") != fmt.Sprint(code) ||
		!strings.HasPrefix(r.body, fmt.Sprintf("Code: %d. DB::Exception: ", code)) {
		t.Fatalf("got %d, header %s, %q; want %d with code %d", r.status, r.header.Get("X-ClickHouse-Exception-Code"), r.body, status, code)
	}
}

// Each kind of mistake gets ClickHouse's code and HTTP status, so that clients that branch on them do the same as with a server.
func TestErrors(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, statement string
		parameters      []string
		status, code    int
	}{
		{"unknown table", "SELECT * FROM nowhere", nil, 404, 60},
		{"unknown database", "SELECT 1", []string{"database", "nowhere"}, 404, 81},
		{"unknown column", "SELECT nothing FROM system.one", nil, 404, 47},
		{"unknown function", "SELECT nonesuch(1)", nil, 404, 46},
		{"unknown format", "SELECT 1 FORMAT Nothing", nil, 404, 73},
		{"unknown setting", "SELECT 1", []string{"nothing", "1"}, 404, 115},
		{"a setting's name that is none", "SELECT 1", []string{"max_threads = 1; DROP", "1"}, 404, 115},
		{"syntax", "SELEC 1", nil, 400, 62},
		{"empty", "  -- only a comment", nil, 400, 62},
		{"two statements", "SELECT 1; DROP TABLE t", nil, 400, 62},
		{"no number", "SELECT 1", []string{"client_protocol_version", "x"}, 400, 36},
		{"missing parameter", "SELECT {x:UInt8}", nil, 500, 456},
		{"bad value", "SELECT CAST('x' AS UInt8)", nil, 400, 6},
		{"memory", "SELECT groupArray(number) FROM numbers(1000000000)", nil, 500, 241},
		{"time", "SELECT sum(sipHash64(number)) FROM numbers(100000000000)", []string{"max_execution_time", "0.2"}, 408, 159},
		{"rows into nothing", "INSERT INTO nowhere VALUES (1)", nil, 404, 60},
		{"session state", "SET max_threads = 1", []string{"session_id", "s"}, 501, 48},
		{"a file of the server to write", "SELECT 1 INTO OUTFILE '/nowhere/file'", nil, 501, 48},
		{"a file of the server to read", "INSERT INTO FUNCTION null('s String') FROM INFILE '/etc/hosts' FORMAT LineAsString", nil, 501, 48},
		{"a file of the server as table", "SELECT * FROM file('/etc/hosts', LineAsString)", nil, 403, 497},
		{"the web as table", "SELECT * FROM url('http://127.0.0.1:1', LineAsString)", nil, 403, 497},
		{"ending the process", "SYSTEM SHUTDOWN", nil, 403, 497},
		{"result too large to hold", "SELECT number FROM numbers(100000000) FORMAT JSON", nil, 500, 396},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			post(t, c.statement, c.parameters...).fails(t, c.status, c.code)
		})
	}
}

// An error after the first megabyte has gone out reaches the client as a marked block, not as a short answer that looks complete.
func TestErrorInTheMiddleOfTheOutput(t *testing.T) {
	t.Parallel()
	r := post(t, "SELECT number, throwIf(number = 3000000) FROM numbers(4000000)")
	tag := r.header.Get("X-ClickHouse-Exception-Tag")
	if r.status != 200 || len(r.body) < 1<<20 || tag == "" || !strings.Contains(r.body, "\r\n__exception__\r\n"+tag+"\r\nCode: 395. ") {
		t.Fatalf("got %d with %d bytes, tag %q, ending in %q", r.status, len(r.body), tag, r.body[max(0, len(r.body)-300):])
	}
	for _, method := range []ch.CompressionMethod{ch.CompressionNone, ch.CompressionLZ4, ch.CompressionZSTD, ch.CompressionGZIP} {
		conn := connect(t, func(o *ch.Options) { o.Compression = &ch.Compression{Method: method, Level: 1} })
		rows, err := conn.Query(t.Context(), "SELECT number, throwIf(number = 3000000) FROM numbers(4000000)")
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
			_ = rows.Close()
		}
		if exception := new(ch.Exception); !errors.As(err, &exception) || exception.Code != 395 {
			t.Fatalf("with %s clickhouse-go saw %v", method, err)
		}
	}
}

// With wait_end_of_query the same error is the status, however late it comes; what is too much to wait for is an error too.
func TestWaitForTheEnd(t *testing.T) {
	t.Parallel()
	post(t, "SELECT number, throwIf(number = 3000000) FROM numbers(4000000)", "wait_end_of_query", "1").fails(t, 500, 395)
	post(t, "SELECT number FROM numbers(100000000)", "wait_end_of_query", "1").fails(t, 500, 396)
	if r := post(t, "SELECT number FROM numbers(1000000)", "wait_end_of_query", "1"); r.status != 200 || strings.Count(r.body, "\n") != 1000000 {
		t.Fatalf("got %d with %d bytes", r.status, len(r.body))
	}
}

// Settings, the current database and temporary tables end with their request, also when the request fails.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	const ask = "SELECT getSetting('max_block_size') = 11, getSetting('max_memory_usage') = 12000000, currentDatabase() FORMAT CSV"
	post(t, ask, "max_block_size", "11", "max_memory_usage", "12000000", "database", "system").want(t, "1,1,\"system\"\n")
	post(t, "SELECT nothing", "max_block_size", "11", "database", "system").fails(t, 404, 47)
	post(t, "SET max_block_size = 11").want(t, "")
	post(t, "USE system").want(t, "")
	post(t, "CREATE TEMPORARY TABLE leak (n UInt8)").want(t, "")
	for range 20 {
		post(t, ask).want(t, "0,0,\"default\"\n")
		post(t, "SELECT * FROM leak").fails(t, 404, 60)
	}
	// A failed query's output stays in its connection's buffer: it must not come out with the next answer.
	post(t, "SELECT number, throwIf(number = 100000) FROM numbers(200000) FORMAT JSON").fails(t, 500, 395)
	for range 20 {
		post(t, "SELECT 1 FORMAT JSONCompactEachRow").want(t, "[1]\n")
	}
}

// The request forms that ClickHouse documents: query in the URL, in the body, in both, formats by clause, parameter and header.
func TestRequestForms(t *testing.T) {
	t.Parallel()
	send(t, http.MethodGet, nil, nil, "query", "SELECT 1").want(t, "1\n")
	send(t, http.MethodGet, nil, nil).want(t, "Ok.\n")
	send(t, http.MethodGet, nil, nil, "query", "CREATE TABLE t (n UInt8) ENGINE = Memory").fails(t, 500, 164)
	post(t, "1", "query", "SELECT").want(t, "1\n")
	post(t, "SELECT 1 AS a;  -- the end\n", "default_format", "JSONEachRow").want(t, "{\"a\":1}\n")
	post(t, "SELECT 1 AS a FORMAT CSVWithNames SETTINGS max_threads = 1", "default_format", "JSON").want(t, "\"a\"\n1\n")
	send(t, http.MethodPost, strings.NewReader("SELECT 1 AS a"), http.Header{"X-Clickhouse-Format": {"JSONEachRow"}}).want(t, "{\"a\":1}\n")
	post(t, "SELECT {a:UInt8} + {b:UInt8}, {s:String}", "param_a", "3", "param_b", "4", "param_s", `it's; "x"`).want(t, "7\tit\\'s; \"x\"\n")
	post(t, "SHOW DATABASES LIKE 'sys%'").want(t, "system\n")
	post(t, "DESCRIBE TABLE system.one FORMAT CSV").want(t, "\"dummy\",\"UInt8\",\"\",\"\",\"\",\"\",\"\"\n")
	post(t, "EXISTS system.one").want(t, "1\n")
	if r := post(t, "EXPLAIN SELECT 1"); r.status != 200 || !strings.Contains(r.body, "ReadFromSystemOne") {
		t.Fatalf("EXPLAIN answered %v", r)
	}
	r := post(t, "SELECT number FROM numbers(3)", "query_id", "mine")
	r.want(t, "0\n1\n2\n")
	for name, value := range map[string]string{"Query-Id": "mine", "Format": "TabSeparated", "Timezone": "UTC", "Server-Display-Name": "boxoffice"} {
		if got := r.header.Get("X-ClickHouse-" + name); got != value {
			t.Errorf("X-ClickHouse-%s is %q, want %q", name, got, value)
		}
	}
	if s := r.header.Get("X-ClickHouse-Summary"); !strings.Contains(s, `"read_rows":"3"`) || !strings.Contains(s, `"result_rows":"3"`) {
		t.Errorf("the summary is %s", s)
	}
}

// A page of another origin, open in the user's browser, cannot write.
func TestCrossOriginRequestIsRefused(t *testing.T) {
	t.Parallel()
	r := send(t, http.MethodPost, strings.NewReader("SELECT 1"), http.Header{"Origin": {"https://elsewhere.example"}, "Sec-Fetch-Site": {"cross-site"}})
	if r.status != http.StatusForbidden {
		t.Fatalf("got %v", r)
	}
}

// Rows arrive in every form of INSERT and every encoding of the body.
func TestInsertForms(t *testing.T) {
	t.Parallel()
	db := database(t)
	post(t, "CREATE TABLE t (n UInt32, s String DEFAULT 'none') ENGINE = MergeTree ORDER BY n", "database", db).want(t, "")
	in := func(statement string, parameters ...string) {
		t.Helper()
		post(t, statement, append(parameters, "database", db)...).want(t, "")
	}
	in("INSERT INTO t VALUES (1, 'a;b'), (2, 'it''s -- no comment')")
	in("insert into t (n) values (3);")
	in("/* a comment */ INSERT INTO TABLE t (n, s) FORMAT JSONEachRow\n{\"n\":4,\"s\":\"four\"}\n{\"n\":5}\n")
	in("n,s\n6,six\n", "query", "INSERT INTO t FORMAT CSVWithNames")
	in("INSERT INTO t SELECT number + 7, 'selected' FROM numbers(2)")
	in("INSERT INTO t (n) SETTINGS async_insert = 0 VALUES (9)")
	in("INSERT INTO t (n) WITH 10 AS x SELECT x")
	in("INSERT INTO " + db + ".`t` FORMAT TabSeparated 11\televen\n")
	in("", "query", "INSERT INTO t VALUES (12, 'twelve')")
	for i, encode := range []func(io.Writer) io.WriteCloser{
		func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
		func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
		func(w io.Writer) io.WriteCloser { e, _ := zstd.NewWriter(w); return e },
		func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) },
	} {
		var body bytes.Buffer
		e := encode(&body)
		fmt.Fprintf(e, "%d,encoded\n", 13+i)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		encoding := []string{"gzip", "deflate", "br", "zstd", "lz4"}[i]
		send(t, http.MethodPost, &body, http.Header{"Content-Encoding": {encoding}}, "query", "INSERT INTO t FORMAT CSV", "database", db).want(t, "")
	}
	post(t, "SELECT groupArray(n), uniqExact(n) FROM (SELECT n FROM t ORDER BY n) FORMAT TSV", "database", db).
		want(t, "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]\t17\n")
	post(t, "SELECT s FROM t WHERE n IN (1, 2, 3) ORDER BY n FORMAT TSVRaw", "database", db).want(t, "a;b\nit's -- no comment\nnone\n")
}

// A damaged body is refused as the client's mistake and inserts nothing.
func TestDamagedBodyInsertsNothing(t *testing.T) {
	t.Parallel()
	db := database(t)
	post(t, "CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n", "database", db).want(t, "")
	post(t, "INSERT INTO t FORMAT CSV\n1\n2\nthree\n", "database", db).fails(t, 400, 117)
	into := []string{"query", "INSERT INTO t FORMAT CSV", "database", db}
	send(t, http.MethodPost, strings.NewReader("no gzip at all"), http.Header{"Content-Encoding": {"gzip"}}, into...).fails(t, 400, 117)
	send(t, http.MethodPost, strings.NewReader("1\n"), http.Header{"Content-Encoding": {"rot13"}}, into...).fails(t, 400, 117)
	var cut bytes.Buffer
	w := gzip.NewWriter(&cut)
	_, _ = w.Write([]byte(strings.Repeat("1\n2\n3\n", 1000)))
	_ = w.Close()
	send(t, http.MethodPost, bytes.NewReader(cut.Bytes()[:cut.Len()/2]), http.Header{"Content-Encoding": {"gzip"}}, into...).fails(t, 400, 117)
	send(t, http.MethodPost, strings.NewReader("not framed"), nil, append(into, "decompress", "1")...).fails(t, 400, 117)
	post(t, "SELECT count() FROM t", "database", db).want(t, "0\n")
}

// An answer is compressed in the way that the client accepts, with the same content.
func TestAnswerEncodings(t *testing.T) {
	t.Parallel()
	const query = "SELECT number FROM numbers(300000)"
	whole := post(t, query).body
	decoders := map[string]func(io.Reader) (io.Reader, error){
		"gzip":    func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"deflate": func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
		"br":      func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
		"zstd":    func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
		"lz4":     func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil },
	}
	for name, decoder := range decoders {
		r := send(t, http.MethodPost, strings.NewReader(query), http.Header{"Accept-Encoding": {"identity;q=0, " + name + ";q=0.8"}})
		if r.header.Get("Content-Encoding") != name {
			t.Fatalf("asked for %s, got %q", name, r.header.Get("Content-Encoding"))
		}
		d, err := decoder(strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(d); err != nil || string(text) != whole {
			t.Fatalf("%s: %d bytes of %d, %v", name, len(text), len(whole), err)
		}
	}
	send(t, http.MethodPost, strings.NewReader("SELECT 1"), http.Header{"Accept-Encoding": {"gzip"}}, "enable_http_compression", "0").want(t, "1\n")
}

// running counts the statements that contain a text and are now executed.
func running(t testing.TB, text string) string {
	t.Helper()
	return post(t, "SELECT count() FROM system.processes WHERE query LIKE '%"+text+"%' AND query NOT LIKE '%processes%'").body
}

// A client that goes away takes its statement with it, whether it computes without output or streams output: otherwise four
// impatient clients would stop the server for everybody.
func TestAbandonedStatementsAreCancelled(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"computing": "SELECT sum(sipHash64(number)) FROM numbers(1000000000000) /* abandoned computing */",
		"streaming": "SELECT number FROM numbers(1000000000000) /* abandoned streaming */",
		"whole":     "SELECT sum(sipHash64(number)) FROM numbers(1000000000000) /* abandoned whole */ FORMAT JSON",
		"insert":    "INSERT INTO FUNCTION null('n UInt64') SELECT number FROM numbers(1000000000000) /* abandoned insert */",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+shared.Addr(), strings.NewReader(statement))
			if err != nil {
				t.Fatal(err)
			}
			left := make(chan struct{})
			go func() {
				defer close(left)
				response, err := plain.Do(request)
				if err == nil {
					<-ctx.Done()
					_ = response.Body.Close()
				}
			}()
			eventually(t, "the statement runs", func() bool { return running(t, "abandoned "+name) == "1\n" })
			leave()
			<-left
			eventually(t, "the statement is cancelled", func() bool { return running(t, "abandoned "+name) == "0\n" })
		})
	}
}

// Data that a client sends beside its query is a table of that query.
func TestExternalTables(t *testing.T) {
	t.Parallel()
	form := "--B\r\nContent-Disposition: form-data; name=\"wanted\"; filename=\"\"\r\n\r\n1\tone\n3\tthree\n\r\n" +
		"--B\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT number, _2 FROM numbers(5) AS n JOIN wanted AS w ON n.number = w._1 ORDER BY number\r\n--B--\r\n"
	header := http.Header{"Content-Type": {"multipart/form-data; boundary=B"}}
	send(t, http.MethodPost, strings.NewReader(form), header, "wanted_types", "UInt64,String").want(t, "1\tone\n3\tthree\n")
	send(t, http.MethodPost, strings.NewReader(form), header).fails(t, 400, 36)
}

// When all workers are busy further requests wait, and when too many wait they are refused at once, with a status that says so.
func TestTooManyRequestsAreRefused(t *testing.T) {
	t.Parallel()
	c := serveWith(t, childOptions{DataDir: t.TempDir(), Workers: 1, Queue: 1})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	ask := func(statement string) (int, string) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr, strings.NewReader(statement))
		if err != nil {
			return 0, err.Error()
		}
		response, err := plain.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return response.StatusCode, response.Header.Get("Retry-After") + " " + string(text)
	}
	const endless = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
	for range 2 {
		go ask(endless) // the first takes the worker, the second the place in the queue
	}
	refused := make(chan string, 100)
	for range cap(refused) {
		go func() {
			if status, text := ask("SELECT 1"); status == http.StatusServiceUnavailable {
				refused <- text
			}
		}()
	}
	select {
	case text := <-refused:
		if !strings.HasPrefix(text, "1 Code: 202. DB::Exception: Too many simultaneous queries") {
			t.Fatal(text)
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody was refused")
	}
}
