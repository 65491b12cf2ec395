package gateway

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

// cannedProvider answers every request on a connection with the same bytes, so
// that next to all CPU time of the benchmark is the client's.
func cannedProvider(b *testing.B, answer string) (url string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	response := []byte(fmt.Sprintf("HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer))
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4<<10) // a request is smaller and comes in one write
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write(response); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCharge is a whole gateway call: policies, HTTP over loopback, mapping.
func BenchmarkCharge(b *testing.B) {
	g := newBench(b, cannedProvider(b, string(encoded(shown(chargeRequest(), "captured", nil)))), nil)
	m := message(chargeRequest())
	b.ReportAllocs()
	b.SetParallelism(8)
	start := cpu(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.handle(context.Background(), m); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64((cpu(b)-start).Microseconds())/float64(b.N), "cpu-us/op")
}

// BenchmarkLoopback is what the canned provider and the kernel cost without the
// client: the part of BenchmarkCharge that is not the gateway's.
func BenchmarkLoopback(b *testing.B) {
	url := cannedProvider(b, string(encoded(shown(chargeRequest(), "captured", nil))))
	conn, err := net.Dial("tcp", url[len("http://"):])
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	request, buf := make([]byte, 400), make([]byte, 4<<10)
	start := cpu(b)
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-start).Microseconds())/float64(b.N), "cpu-us/op")
}
