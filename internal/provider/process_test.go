package provider

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/embedded/child"
)

// providerDir makes this program a provider on that directory.
const providerDir = "PROVIDER_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(providerDir); dir != "" {
		if err := runProvider(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runProvider(dir string) error {
	o := Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Registerer: prometheus.NewRegistry()}
	// A restart listens where the first one did: its callers go on.
	if at, err := os.ReadFile(dir + "/addr"); err == nil {
		o.Addr = string(at)
	}
	p, err := Open(o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(dir+"/addr", []byte(p.Addr()), 0o600); err != nil {
		return err
	}
	if err := child.AnnounceReady(os.Stdout, p.Addr()); err != nil {
		return err
	}
	return p.Serve(child.StopWithParent(context.Background(), os.Stdin))
}

// startProcess runs a provider as a process that is started again when it ends.
func startProcess(tb testing.TB, dir string) (c *child.Child, r *running) {
	tb.Helper()
	c, err := child.New(child.Spec{
		Name: "provider", Args: []string{"-test.run=^$"}, Env: append(os.Environ(), providerDir+"="+dir),
		Logger: slog.New(slog.DiscardHandler), BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond,
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, func(bool) {}) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	wait, cancelWait := context.WithTimeout(ctx, deadline)
	defer cancelWait()
	raw, err := c.WaitReady(wait)
	if err != nil {
		tb.Fatal(err)
	}
	var addr string
	if err := json.Unmarshal(raw, &addr); err != nil {
		tb.Fatal(err)
	}
	return c, &running{url: "http://" + addr}
}

// I3: the provider is killed with -9 in the middle of its work, again and again,
// while callers repeat what was not answered. Every payment is captured once, every
// answer that was given stays true, and the ledger has no gap.
func TestKilledProvider(t *testing.T) {
	t.Parallel()
	const kills, callers, each = 6, 8, 150
	process, r := startProcess(t, t.TempDir())
	ctx, cancel := context.WithTimeout(context.Background(), 4*deadline)
	defer cancel()
	var answered atomic.Int64
	answers := make([][]answer, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				reference := fmt.Sprintf("p-%d-%d", c, i)
				a, err := r.callUntilAnswered(ctx, "charge-"+reference, chargeBody(reference, 100+i))
				if err != nil {
					t.Errorf("payment %s: %v", reference, err)
					return
				}
				answers[c] = append(answers[c], a)
				answered.Add(1)
			}
		})
	}
	for k := range kills {
		target := int64((k + 1) * callers * each / (kills + 1))
		eventually(t, "charges are answered", func() bool { return answered.Load() >= target })
		if err := process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	for c := range callers {
		for i, a := range answers[c] {
			reference := fmt.Sprintf("p-%d-%d", c, i)
			if again := r.charge(t, reference, 100+i); again.body != a.body {
				t.Errorf("payment %s was answered %s, then %s", reference, a.body, again.body)
			}
		}
	}
	entries := r.ledger(t)
	seen := map[string]bool{}
	for i, e := range entries {
		if e.Seq != uint64(i+1) || seen[e.Reference] {
			t.Fatalf("entry %d is %+v", i, e)
		}
		seen[e.Reference] = true
	}
	if len(entries) != callers*each {
		t.Errorf("%d charges, want %d", len(entries), callers*each)
	}
}

// callUntilAnswered repeats a charge, as a caller must, until it is decided.
func (r *running) callUntilAnswered(ctx context.Context, key, body string) (answer, error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		a, err := r.call(ctx, "POST", "/v1/charges", key, body)
		if err == nil && a.status == http.StatusCreated {
			return a, nil
		}
		select {
		case <-ctx.Done():
			return a, fmt.Errorf("the last answer was %+v, %w", a, err)
		case <-tick.C:
		}
	}
}

// BenchmarkCharges drives a provider in a process of its own over 32 connections
// and reports what a charge costs that process, fsync included.
func BenchmarkCharges(b *testing.B) {
	process, r := startProcess(b, b.TempDir())
	addr := strings.TrimPrefix(r.url, "http://")
	before, err := process.Usage()
	if err != nil {
		b.Skip("usage of a process is not known here: ", err)
	}
	const connections = 32
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range connections {
		wg.Go(func() {
			if err := chargeOver(addr, &next, int64(b.N)); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	after, err := process.Usage()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64((after.CPU-before.CPU).Microseconds())/float64(b.N), "cpu-µs/charge")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "charges/s")
	b.ReportMetric(float64(after.RSSBytes)/float64(b.N), "rss-bytes/charge")
}

// chargeOver sends charges over one connection, written by hand: the client must
// cost less than what it measures.
func chargeOver(addr string, next *atomic.Int64, n int64) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for i := next.Add(1); i <= n; i = next.Add(1) {
		body := fmt.Sprintf(`{"amount_minor":9900,"currency":"EUR","method":"card","reference":"0198f3a0-0000-7000-8000-%012d","metadata":{"event_id":"0198f3a0-1111-7000-8000-000000000001","test_mode":"false"}}`, i)
		if _, err := fmt.Fprintf(conn, "POST /v1/charges HTTP/1.1\r\nHost: p\r\nIdempotency-Key: %d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", i, len(body), body); err != nil {
			return err
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if _, err := in.Discard(int(resp.ContentLength)); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusCreated {
			return fmt.Errorf("charge %d: %s", i, resp.Status)
		}
	}
	return nil
}
