package chaos

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// testRoles are those of a system with two members of some groups.
func testRoles() []*Role {
	roles := []*Role{{Name: Kafka, Engine: true, Dir: "k"}, {Name: ClickHouse, Engine: true, Dir: "c"}, {Name: Provider, Engine: true, Dir: "p"}}
	for _, group := range []string{"registrations", "inventory", "payments"} {
		for _, member := range []string{"", "-2"} {
			roles = append(roles, &Role{
				Name: group + member, Group: group, Member: member, Session: time.Second, Dir: "d", Deadlines: group != "inventory",
			})
		}
	}
	return append(roles,
		&Role{Name: "catalog", Group: "catalog", Session: time.Second, Dir: "d"},
		&Role{Name: "sink", Group: "clickhouse-sink", Dir: "d"}, &Role{Name: "views", Dir: "d"}, &Role{Name: "ingest", Dir: "d"})
}

func schedule(t *testing.T, seed uint64, rounds int, selection ...string) []Fault {
	t.Helper()
	faults, err := Schedule(seed, rounds, selection, testRoles())
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

// A run that found something must be repeatable: the seed alone decides which
// fault hits what, when and for how long.
func TestTheSameSeedIsTheSameSchedule(t *testing.T) {
	t.Parallel()
	one, again, other := schedule(t, 7, 60), schedule(t, 7, 60), schedule(t, 8, 60)
	if !reflect.DeepEqual(one, again) {
		t.Errorf("%v\n%v", one, again)
	}
	if reflect.DeepEqual(one, other) {
		t.Errorf("two seeds give %v", one)
	}
	if !reflect.DeepEqual(one[:20], schedule(t, 7, 20)) {
		t.Error("a shorter run is no beginning of the longer one")
	}
}

// A kind of fault that never came would pass unseen: each comes once before any
// comes again, and so does each target of a kind.
func TestEveryKindComesBeforeAnyComesAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		faults := schedule(t, seed, 40*len(kinds))
		hit := map[Kind]map[string]int{}
		for i, f := range faults {
			if hit[f.Kind] == nil {
				hit[f.Kind] = map[string]int{}
			}
			hit[f.Kind][f.Target]++
			if (i+1)%len(kinds) == 0 && len(hit) != len(kinds) {
				t.Fatalf("seed %d: after %d faults only %d kinds came", seed, i+1, len(hit))
			}
		}
		for kind, targets := range hit {
			k, _ := kindOf(kind)
			if want := max(1, len(k.targets(testRoles()))); len(targets) != want {
				t.Errorf("seed %d: %s hit %d of %d targets: %v", seed, kind, len(targets), want, targets)
			}
			fewest, most := 1<<30, 0
			for _, n := range targets {
				fewest, most = min(fewest, n), max(most, n)
			}
			if most-fewest > 1 {
				t.Errorf("seed %d: %s came unevenly: %v", seed, kind, targets)
			}
		}
	}
}

// Spans stay within what is known of the kind, and a clock is never skewed by
// nothing.
func TestSpansAreBounded(t *testing.T) {
	t.Parallel()
	for _, f := range schedule(t, 3, 500) {
		k, _ := kindOf(f.Kind)
		if f.Span < k.from || f.Span > k.to {
			t.Errorf("%v lasts %v, from %v to %v are wanted", f, f.Span, k.from, k.to)
		}
		if skew := f.Ahead.Abs(); (f.Kind == ClockSkew) != (skew >= time.Minute) || skew > 10*time.Minute {
			t.Errorf("%v: the clock is %v ahead", f, f.Ahead)
		}
	}
}

// Only a member that another one can stand in for is taken over from, and only
// roles with deadlines get a wrong clock.
func TestTargetsFitTheKind(t *testing.T) {
	t.Parallel()
	for kind, want := range map[Kind]string{
		Takeover:  "registrations registrations-2 inventory inventory-2 payments payments-2",
		ClockSkew: "registrations registrations-2 payments payments-2",
		KillAll:   "",
		Kill:      "registrations registrations-2 inventory inventory-2 payments payments-2 catalog sink views ingest",
	} {
		k, ok := kindOf(kind)
		if got := strings.Join(k.targets(testRoles()), " "); !ok || got != want {
			t.Errorf("%s hits %q, want %q", kind, got, want)
		}
	}
}

// A person picks faults: a kind, a kind with its target, each target of a kind.
func TestSelection(t *testing.T) {
	t.Parallel()
	faults := schedule(t, 1, 11, "kill:*", "pause:sink")
	seen := map[string]int{}
	for _, f := range faults {
		seen[f.String()]++
	}
	if len(seen) != 11 || seen["pause sink"] != 1 || seen["kill views"] != 1 {
		t.Errorf("%v", seen)
	}
	for selection, says := range map[string]string{
		"meteor":     `no fault "meteor"`,
		"kill:":      "cannot be aimed",
		"kill-all:x": "cannot be aimed",
		"kill:moon":  "kill can hit registrations",
		"kill:kafka": "kill can hit registrations",
	} {
		if _, err := Schedule(1, 1, []string{selection}, testRoles()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", selection, err, says)
		}
	}
}
