//go:build unix

package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
)

// nullLog acknowledges at once and keeps nothing; it encodes, as a producer does.
type nullLog struct{}

func (nullLog) Emit(_ context.Context, t topology.Topic, _ string, value proto.Message, _ ...stream.Header) (stream.Position, error) {
	_, err := proto.Marshal(value)
	return stream.Position{Topic: t.Name}, err
}

func (n nullLog) EmitAsync(t topology.Topic, key string, value proto.Message, done func(stream.Position, error), _ ...stream.Header) {
	done(n.Emit(context.Background(), t, key, value))
}

// nullWriter is an http.ResponseWriter that costs nothing.
type nullWriter struct {
	header http.Header
	status int
}

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) WriteHeader(status int)      { w.status = status }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }

type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

// cpuTime is what this process has used: on a machine that does other things as
// well, time on the clock says little.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What the handler adds to a net/http request (aim: under 25 us), with the
// command's encoding and without Kafka. Keys differ, as they do.
func BenchmarkRegister(b *testing.B) {
	door := newBench(b, func(c *Config) { c.Producer = nullLog{} })
	content := []byte(orderBody())
	r := httptest.NewRequest(http.MethodPost, "/v1/registrations", nil)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+goodKey)
	r.ContentLength = int64(len(content))
	reader := body{bytes.NewReader(content)}
	w := &nullWriter{header: http.Header{}}
	b.ReportAllocs()
	start := cpuTime(b)
	for i := 0; b.Loop(); i++ {
		reader.Reset(content)
		r.Body = reader
		r.Header[idempotencyKey] = []string{fmt.Sprint("key-", i)}
		door.Handler().ServeHTTP(w, r)
		if w.status != http.StatusAccepted {
			b.Fatal(w.status)
		}
	}
	b.ReportMetric(float64((cpuTime(b)-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// What one registration costs over HTTP, with the public client, sockets and the
// server in one process.
func BenchmarkHTTP(b *testing.B) {
	door := newBench(b, func(c *Config) { c.Producer = nullLog{} })
	url, _ := door.listen()
	c, err := client.New(url, "", goodKey)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var n atomic.Int64
	b.ReportAllocs()
	start := cpuTime(b)
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := c.Register(b.Context(), clientOrder(fmt.Sprint("key-", n.Add(1)))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64((cpuTime(b)-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// What a line of a batch costs, all in (aim: over 50,000 lines/s and core).
func BenchmarkBatchLine(b *testing.B) {
	door := newBench(b, func(c *Config) { c.Producer = nullLog{} })
	line := strings.Replace(orderBody(), `{`, `{"idempotency_key":"key-%09d",`, 1) + "\n"
	in, out := io.Pipe()
	go func() {
		var chunk []byte
		for i := range b.N {
			chunk = fmt.Appendf(chunk, line, i)
			if len(chunk) > 32<<10 || i == b.N-1 {
				_, _ = out.Write(chunk)
				chunk = chunk[:0]
			}
		}
		_ = out.Close()
	}()
	r := httptest.NewRequest(http.MethodPost, "/v1/registrations:batch", in)
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Authorization", "Bearer "+goodKey)
	w := &nullWriter{header: http.Header{}}
	b.ReportAllocs()
	b.ResetTimer()
	start := cpuTime(b)
	door.Handler().ServeHTTP(w, r)
	b.ReportMetric(float64(b.N)/(cpuTime(b)-start).Seconds(), "lines/cpu-s")
}

// Decoding alone, to see what the JSON library costs.
func BenchmarkDecode(b *testing.B) {
	content := []byte(orderBody())
	b.ReportAllocs()
	for b.Loop() {
		var o order
		if err := decode(content, &o); err != nil {
			b.Fatal(err)
		}
	}
}
