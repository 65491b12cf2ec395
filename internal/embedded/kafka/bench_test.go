//go:build unix

package kafka

import (
	"context"
	"encoding/binary"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/embedded/child"
)

// The benchmarks run the broker as a process of its own, as the product does, and
// report what a record costs that process. Records have 1 KB: half of it repeats
// between records, as field names and fixed values do, half does not.

const (
	recordBytes = 1024
	partitions  = 8
)

func recordValue(i int) []byte {
	v := make([]byte, recordBytes)
	random := rand.New(rand.NewPCG(uint64(i), 0)) //nolint:gosec // no secret
	for at := 0; at < recordBytes/2; at += 8 {
		binary.LittleEndian.PutUint64(v[at:], random.Uint64())
	}
	return v
}

// values are made before the clock runs.
var values = func() [][]byte {
	all := make([][]byte, 4096)
	for i := range all {
		all[i] = recordValue(i)
	}
	return all
}()

func diskBytes(tb testing.TB, dir string) int64 {
	tb.Helper()
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return sum
}

// measured runs fn with a broker process and reports what it used.
func measured(b *testing.B, fn func(broker *child.Child, brokers []string)) {
	b.Helper()
	dir := b.TempDir()
	broker, brokers := startBroker(b, dir)
	createTopics(b, brokers, partitions, "in", "left", "right")
	before, err := broker.Usage()
	if err != nil {
		b.Skip("usage of a process is not known here: ", err)
	}
	b.ResetTimer()
	fn(broker, brokers)
	b.StopTimer()
	after, err := broker.Usage()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64((after.CPU-before.CPU).Nanoseconds())/float64(b.N)/1e3, "broker-cpu-µs/record")
	b.ReportMetric(float64(diskBytes(b, dir))/float64(b.N), "disk-bytes/record")
	b.ReportMetric(float64(after.RSSBytes)/(1<<20), "rss-MB")
	b.ReportMetric(float64(after.PeakRSSBytes)/(1<<20), "peak-rss-MB")
}

func produceValues(b *testing.B, brokers []string, opts ...kgo.Opt) {
	b.Helper()
	cl := newClient(b, brokers, append(opts, kgo.DefaultProduceTopic("in"), kgo.ProducerLinger(2*time.Millisecond), kgo.MaxBufferedRecords(4000))...)
	defer cl.Close()
	var failed kgo.FirstErrPromise
	for i := range b.N {
		cl.Produce(context.Background(), &kgo.Record{Key: values[i%4096][:16], Value: values[i%4096]}, failed.Promise())
	}
	if err := failed.Err(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkProduce compares the codecs; the client's own cost is in the rate.
func BenchmarkProduce(b *testing.B) {
	for _, c := range []struct {
		name  string
		codec kgo.CompressionCodec
	}{
		{"none", kgo.NoCompression()},
		{"snappy", kgo.SnappyCompression()},
		{"lz4", kgo.Lz4Compression()},
		{"zstd", kgo.ZstdCompression()},
	} {
		b.Run(c.name, func(b *testing.B) {
			measured(b, func(_ *child.Child, brokers []string) {
				produceValues(b, brokers, kgo.ProducerBatchCompression(c.codec))
			})
		})
	}
}

// BenchmarkConsume reads everything back; the writing is not counted.
func BenchmarkConsume(b *testing.B) {
	measured(b, func(_ *child.Child, brokers []string) {
		b.StopTimer()
		produceValues(b, brokers, kgo.ProducerBatchCompression(kgo.SnappyCompression()))
		b.StartTimer()
		cl := newClient(b, brokers, kgo.ConsumeTopics("in"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		defer cl.Close()
		for n := 0; n < b.N; {
			fetches := cl.PollFetches(context.Background())
			if err := fetches.Err(); err != nil {
				b.Fatal(err)
			}
			n += fetches.NumRecords()
		}
	})
}

// BenchmarkTransactions writes transactions of 50 records over 8 partitions, one
// after the other.
func BenchmarkTransactions(b *testing.B) {
	const each = 50
	measured(b, func(_ *child.Child, brokers []string) {
		ctx := context.Background()
		cl := newClient(b, brokers, kgo.TransactionalID("bench"), kgo.DefaultProduceTopic("in"),
			kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.SnappyCompression()))
		defer cl.Close()
		for i := 0; i < b.N; i += each {
			if err := cl.BeginTransaction(); err != nil {
				b.Fatal(err)
			}
			var failed kgo.FirstErrPromise
			for j := i; j < min(i+each, b.N); j++ {
				cl.Produce(ctx, &kgo.Record{Value: values[j%4096]}, failed.Promise())
			}
			if err := failed.Err(); err != nil {
				b.Fatal(err)
			}
			if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/each/b.Elapsed().Seconds(), "transactions/s")
}

// BenchmarkRecovery kills a broker with that many records of 1 KB and waits until
// it serves again.
func BenchmarkRecovery(b *testing.B) {
	measured(b, func(broker *child.Child, brokers []string) {
		b.StopTimer()
		produceValues(b, brokers, kgo.ProducerBatchCompression(kgo.SnappyCompression()))
		b.StartTimer()
		if err := broker.Kill(); err != nil {
			b.Fatal(err)
		}
		for broker.State().Restarts == 0 {
			<-time.After(time.Millisecond)
		}
		if _, err := broker.WaitReady(within(b)); err != nil {
			b.Fatal(err)
		}
	})
}
