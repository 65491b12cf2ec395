package core_test

import (
	"slices"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/internal/stream/core"
)

// Trace 9: a key that is still due is sent again, with a pause that grows to its
// bound; one whose deadline changed is sent at once, and one that has moved on is
// forgotten.
func TestAlarmsAreSentUntilTheStateMovesOn(t *testing.T) {
	t.Parallel()
	index := map[string]int64{"a": 1000}
	due := func(_ int32, until int64, visit func(string, int64) bool) error {
		for key, deadline := range index {
			if deadline <= until && !visit(key, deadline) {
				return nil
			}
		}
		return nil
	}
	a := core.Alarms{Min: time.Second, Max: 3 * time.Second}
	look := func(ms int64) (sent []string) {
		now := time.UnixMilli(ms)
		if err := a.Look(now, now, []int32{0}, due, func(key string) { sent = append(sent, key) }); err != nil {
			t.Fatal(err)
		}
		return sent
	}
	var at []int64
	for ms := int64(0); ms < 12_000; ms += 100 {
		if len(look(ms)) > 0 {
			at = append(at, ms)
		}
	}
	if want := []int64{1000, 2000, 4000, 7000, 10_000}; !slices.Equal(at, want) {
		t.Fatalf("sent at %v, want %v", at, want)
	}
	index["a"] = 12_000
	if len(look(12_000)) != 1 {
		t.Fatal("a new deadline of the key waits for the pause of the old one")
	}
	delete(index, "a")
	look(12_100)
	index["a"] = 12_000
	if len(look(12_200)) != 1 {
		t.Fatal("a key that had moved on was not forgotten")
	}
}
