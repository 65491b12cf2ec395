package simulation

import (
	"flag"
	"strings"
	"testing"
	"time"
)

var (
	schedules = flag.Int("schedules", schedulesDefault, "how many schedules TestSchedules runs")
	from      = flag.Uint64("from", 1, "its first seed")
	seed      = flag.Uint64("seed", 0, "the schedule that TestReplay tells")
)

// Crashes, pauses, rebalances, zombies, lost disks, wrong clocks, a provider that
// answers late, clients that repeat themselves: whatever the schedule, the
// invariants hold at every prefix and at rest. And every kind of fault did happen.
func TestSchedules(t *testing.T) {
	n := *schedules
	start := time.Now()
	stats, failure, err := Run(*from, n)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if failure != nil {
		if err := failure.Tell(&out, 400); err != nil {
			t.Error(err)
		}
		t.Fatalf("%s", &out)
	}
	if _, err := stats.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f s\n%s", time.Since(start).Seconds(), &out)
	if missing := stats.Missing(); len(missing) > 0 && n >= 1000 {
		t.Errorf("no schedule exercised: %s", strings.Join(missing, ", "))
	}
}

// The schedule of a seed is the same each time, with a story or without: or a
// failing seed could not be told again. With -seed it tells the story.
func TestReplay(t *testing.T) {
	t.Parallel()
	var first, second strings.Builder
	failure, err := Replay(&first, *seed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Replay(&second, *seed); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Error("the same seed makes two stories")
	}
	if *seed != 0 {
		t.Logf("\n%s", &first)
	}
	if failure != nil {
		var short strings.Builder
		if err := failure.Tell(&short, 400); err != nil {
			t.Error(err)
		}
		t.Fatalf("%s", &short)
	}
}
