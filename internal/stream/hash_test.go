package stream

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Rule 7: the vectors of Kafka's own org.apache.kafka.common.utils.UtilsTest.
// With another hash, Goka would look for a key where no producer put it.
func TestHashEqualsJavas(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2(key)); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
		h := NewHash()
		if _, err := h.Write([]byte(key)); err != nil {
			t.Fatal(err)
		}
		if got, want := h.Sum32(), uint32(want)&0x7fffffff; got != want {
			t.Errorf("hash of %q = %d, want %d", key, got, want)
		}
	}
}

// The client's partitioner, which places everything that is produced, agrees
// for keys of every length.
func TestPartitionEqualsTheClients(t *testing.T) {
	t.Parallel()
	p := kgo.StickyKeyPartitioner(nil).ForTopic("any")
	for i := range 1000 {
		key := fmt.Sprintf("%0*d", i%40+1, i)
		if want, got := p.Partition(&kgo.Record{Key: []byte(key)}, 32), int(Partition(key, 32)); got != want {
			t.Fatalf("key %q: partition %d, the client's is %d", key, got, want)
		}
	}
}

// A look-up hashes one key; it must not cost an allocation.
func TestHashDoesNotAllocate(t *testing.T) {
	key := []byte("a-little-bit-long-string")
	h := NewHash()
	if n := testing.AllocsPerRun(100, func() {
		h.Reset()
		_, _ = h.Write(key)
		_ = h.Sum32()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkHash(b *testing.B) {
	key := []byte("conference/standard/0042")
	h := NewHash()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = h.Write(key)
	}
}
