package ingest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/internal/stream"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// batchAnswer is a line of a batch's answer.
type batchAnswer struct {
	Index          int            `json:"index"`
	Status         int            `json:"status"`
	RegistrationID string         `json:"registration_id"`
	Position       map[string]any `json:"position"`
	StatusURL      string         `json:"status_url"`
	Problem        struct {
		Code       string
		Violations []struct{ Field string }
	} `json:"problem"`
}

func batchLine(key string, replacements ...string) string {
	return `{"idempotency_key":"` + key + `",` + orderBody(replacements...)[1:] + "\n"
}

func parseAnswers(t *testing.T, content string) []batchAnswer {
	t.Helper()
	var answers []batchAnswer
	for line := range strings.Lines(content) {
		var a batchAnswer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		answers = append(answers, a)
	}
	return answers
}

var ndjsonBody = header("Content-Type", "application/x-ndjson")

// Good and bad lines are mixed: each gets its answer, in order, and the good ones
// are written.
func TestBatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.do("POST", "/v1/registrations:batch", batchLine("a")+
		"{broken\n"+
		"\n"+ // blank lines do not count
		batchLine("b", `"quantity":2`, `"quantity":11`)+
		batchLine("c", `Lovelace`, strings.Repeat("x", 70<<10))+
		batchLine("")+
		batchLine("a")+
		strings.TrimSuffix(batchLine("d", `{"ticket_type":"standard","quantity":2}`, `{"ticket_type":"vip","quantity":1},{"ticket_type":"free","quantity":2}`), "\n"),
		ndjsonBody)
	if a.status != 200 || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("answered %d %v", a.status, a.header)
	}
	answers := parseAnswers(t, a.body)
	want := []struct {
		status    int
		key, code string
	}{
		{202, "a", ""},
		{400, "", "malformed_json"},
		{422, "", "invalid_request"},
		{413, "", "body_too_large"},
		{400, "", "idempotency_key_missing"},
		{202, "a", ""},
		{202, "d", ""},
	}
	if len(answers) != len(want) {
		t.Fatalf("%d answers, want %d:\n%s", len(answers), len(want), a.body)
	}
	for i, w := range want {
		got := answers[i]
		if got.Index != i || got.Status != w.status || got.Problem.Code != w.code {
			t.Errorf("answer %d: %+v, want %+v", i, got, w)
		}
		if id := registrationID(w.key).String(); w.key != "" && (got.RegistrationID != id || got.StatusURL != "http://views/v1/registrations/"+id) {
			t.Errorf("answer %d: %+v", i, got)
		}
	}
	if answers[2].Problem.Violations[0].Field != "lines[0].quantity" {
		t.Errorf("violations %+v", answers[2].Problem)
	}
	records := b.log.all()
	if len(records) != 3 || len(records[2].value.(*pb.RegistrationCommand).GetRegister().Lines) != 2 {
		t.Errorf("%d records: %v", len(records), records)
	}
}

// Each line is its own order: nothing of one leaks into the next through the
// memory that is used again.
func TestBatchLinesAreApart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.do("POST", "/v1/registrations:batch",
		batchLine("a", `"quantity":2}`, `"quantity":2,"discount_minor":500},{"ticket_type":"vip","quantity":1,"discount_minor":7}`)+
			batchLine("b", `,"channel":"web","region":"eu"`, ``), ndjsonBody)
	records := b.log.all()
	first, second := records[0].value.(*pb.RegistrationCommand).GetRegister(), records[1].value.(*pb.RegistrationCommand).GetRegister()
	if len(first.Lines) != 2 || first.Lines[0].DiscountMinor != 500 || first.Lines[1].TicketType != "vip" {
		t.Errorf("first %v", first)
	}
	if len(second.Lines) != 1 || second.Lines[0].DiscountMinor != 0 || second.Channel != "" || second.Lines[0].TicketType != "standard" {
		t.Errorf("second %v", second)
	}
}

// A batch of the wrong content type, or without a key, is refused as a whole.
func TestBatchRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if a := b.do("POST", "/v1/registrations:batch", batchLine("a")); a.status != 415 {
		t.Errorf("content type: %d %s", a.status, a.body)
	}
	if a := b.do("POST", "/v1/registrations:batch", batchLine("a"), ndjsonBody, bearer(readKey)); a.status != 403 {
		t.Errorf("scope: %d %s", a.status, a.body)
	}
	if a := b.do("POST", "/v1/registrations:batch", "", ndjsonBody); a.status != 200 || a.body != "" {
		t.Errorf("an empty batch: %d %s", a.status, a.body)
	}
}

// Kafka's buffer is full for a while: the batch slows down instead of failing;
// Kafka away fails the lines, not the batch.
func TestBatchWithKafkaFullAndAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var calls atomic.Int64
	b.log.fail = func() error {
		switch n := calls.Add(1); {
		case n%3 != 0:
			return stream.ErrFull
		case n == 6:
			return errors.New("broker is gone")
		}
		return nil
	}
	a := b.do("POST", "/v1/registrations:batch", batchLine("a")+batchLine("b")+batchLine("c"), ndjsonBody)
	refused := 0
	for _, got := range parseAnswers(t, a.body) {
		switch {
		case got.Status == 503 && got.Problem.Code == "kafka_unavailable":
			refused++
		case got.Status != 202:
			t.Errorf("answer %+v", got)
		}
	}
	if refused != 1 || len(b.log.all()) != 2 {
		t.Errorf("%d refused, %d written:\n%s", refused, len(b.log.all()), a.body)
	}
}

// listen runs a real server and returns its address, its end, and a stop.
func (b *bench) listen() (url string, stop func() error) {
	b.t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	listener := srv.Listener
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(ctx, listener) }()
	stop = func() error { cancel(); return <-ended }
	b.t.Cleanup(func() { cancel() })
	return "http://" + listener.Addr().String(), stop
}

func startBatch(t *testing.T, url string) (send *io.PipeWriter, answers *bufio.Scanner) {
	t.Helper()
	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/registrations:batch", in)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Authorization", "Bearer "+goodKey)
	// HTTP/1.1 answers have no headers before the first line is answered.
	if _, err := write(out, batchLine("first")); err != nil {
		t.Log(err)
	}
	res, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return out, bufio.NewScanner(res.Body)
}

// write writes from beside, because the other end starts reading later.
func write(w io.Writer, s string) (int, error) {
	go func() { _, _ = io.WriteString(w, s) }()
	return len(s), nil
}

func nextAnswer(t *testing.T, answers *bufio.Scanner) batchAnswer {
	t.Helper()
	if !answers.Scan() {
		t.Fatalf("no answer: %v", answers.Err())
	}
	return parseAnswers(t, answers.Text()+"\n")[0]
}

// Answers stream while the caller still sends: each line is answered before the
// next is sent.
func TestBatchStreams(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, stop := b.listen()
	send, answers := startBatch(t, url)
	for i := range 5 {
		if a := nextAnswer(t, answers); a.Index != i || a.Status != 202 {
			t.Fatalf("answer %+v", a)
		}
		if _, err := io.WriteString(send, batchLine(fmt.Sprint("line-", i))); err != nil {
			t.Fatal(err)
		}
	}
	_ = send.Close()
	nextAnswer(t, answers)
	if answers.Scan() {
		t.Errorf("one answer too many: %s", answers.Text())
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// The server stops in the middle of a batch: what was read is answered, the
// caller is told where to go on, and the stop does not wait for it.
func TestBatchAtShutdown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, stop := b.listen()
	send, answers := startBatch(t, url)
	if a := nextAnswer(t, answers); a.Status != 202 {
		t.Fatalf("answer %+v", a)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	a := nextAnswer(t, answers)
	if a.Index != 1 || a.Status != 503 || a.Problem.Code != "shutting_down" {
		t.Errorf("answer %+v", a)
	}
	_ = send.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if n := len(b.log.all()); n != 1 {
		t.Errorf("%d records", n)
	}
}

// A caller that falls silent in the middle of a batch is told that the batch
// ended, and does not hold the server.
func TestBatchOfASilentCaller(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.BatchIdleMax = 2 * time.Second })
	url, _ := b.listen()
	_, answers := startBatch(t, url)
	nextAnswer(t, answers)
	if a := nextAnswer(t, answers); a.Index != 1 || a.Status != 400 {
		t.Errorf("answer %+v", a)
	}
}

// More lines than may be in flight, and acknowledgements that wait: reading stops
// at the bound, and goes on when Kafka answers.
func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 8
	b := newBench(t, func(c *Config) { c.BatchInFlightMax = bound })
	hold := make(chan struct{})
	b.log.hold = hold
	var started atomic.Int64
	counted := &countingLog{fakeLog: b.log, started: &started, reached: make(chan struct{}, 1), at: bound + 1}
	b.cfg.Producer = counted
	var lines strings.Builder
	for i := range 100 {
		lines.WriteString(batchLine(fmt.Sprint("key-", i)))
	}
	done := make(chan answer)
	go func() { done <- b.do("POST", "/v1/registrations:batch", lines.String(), ndjsonBody) }()
	<-counted.reached
	// One more may be in the reader's hand and one in the answerer's. Given time,
	// a reader without a bound would take all of them.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 30 {
		<-tick.C
		if n := started.Load(); n > bound+2 {
			t.Fatalf("%d in flight, bound %d", n, bound)
		}
	}
	close(hold)
	answers := parseAnswers(t, (<-done).body)
	if len(answers) != 100 {
		t.Errorf("%d answers", len(answers))
	}
	for i, a := range answers {
		if a.Index != i || a.RegistrationID != registrationID(fmt.Sprint("key-", i)).String() {
			t.Errorf("answer %d is %+v", i, a)
		}
	}
}
