package chaos

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// ill is a system that recovers as its fields say, from begin on.
type ill struct {
	begin     time.Time
	readyAt   time.Duration
	unwellAt  time.Duration // once more, for a second; 0: never
	lagOf     func(at time.Duration) (int64, error)
	decidedAt time.Duration
}

func (i *ill) at() time.Duration { return time.Since(i.begin) }

func (i *ill) unready(context.Context) []string {
	if at := i.at(); at < i.readyAt || i.unwellAt > 0 && at >= i.unwellAt && at < i.unwellAt+time.Second {
		return []string{"payments"}
	}
	return nil
}

func (i *ill) lag(context.Context) (map[string]int64, error) {
	n, err := i.lagOf(i.at())
	return map[string]int64{"payments": n, "inventory": 3}, err
}

func (i *ill) probe(ctx context.Context) error {
	select {
	case <-time.After(i.decidedAt):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// falling is a lag that begins with peak and falls to nothing within span.
func falling(peak int64, span time.Duration) func(time.Duration) (int64, error) {
	return func(at time.Duration) (int64, error) {
		return max(0, peak-int64(float64(peak)*at.Seconds()/span.Seconds())), nil
	}
}

// pass lets a system recover before a gate, on a clock of its own.
func pass(t *testing.T, i ill, check func(Recovery, error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		i.begin = time.Now()
		g := gate{quiet: map[string]int64{"payments": 100, "inventory": 100}, patience: time.Minute, interval: 100 * time.Millisecond, calm: 5}
		check(g.wait(t.Context(), i.begin, &i))
	})
}

// The gate opens when roles, lag and the probe are all well, and says since when
// each of them was.
func TestGateOpensWhenAllIsWell(t *testing.T) {
	t.Parallel()
	pass(t, ill{readyAt: 2 * time.Second, lagOf: falling(1000, 10*time.Second), decidedAt: 3 * time.Second}, func(r Recovery, err error) {
		want := Recovery{TotalMs: 9000, ReadyMs: 2000, LagMs: 9000, ProbeMs: 3000, LagPeak: 1003, LagEnd: 63}
		if err != nil || r != want {
			t.Errorf("%+v, %v; want %+v", r, err, want)
		}
	})
}

// A role that was ready and falls over again has not been ready: its time counts
// from the last time that it came up.
func TestGateIsNotFooledByARoleThatFlaps(t *testing.T) {
	t.Parallel()
	pass(t, ill{readyAt: time.Second, unwellAt: 3 * time.Second, lagOf: falling(1, time.Second), decidedAt: 4950 * time.Millisecond}, func(r Recovery, err error) {
		if err != nil || r.ReadyMs != 4000 || r.TotalMs != 4950 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A lag that was quiet for a moment and comes back has not been quiet.
func TestGateWantsTheLagToStayQuiet(t *testing.T) {
	t.Parallel()
	lag := func(at time.Duration) (int64, error) {
		switch {
		case at < 300*time.Millisecond:
			return 0, nil
		case at < 2*time.Second:
			return 5000, nil
		case at < 4*time.Second:
			return 0, errors.New("the brokers do not answer")
		}
		return 10, nil
	}
	pass(t, ill{lagOf: lag, decidedAt: time.Millisecond}, func(r Recovery, err error) {
		if err != nil || r.LagMs != 4000 || r.LagPeak != 5003 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A backlog that takes longer than the patience, but falls all the time, is no
// reason to give up.
func TestGateIsPatientWithALagThatFalls(t *testing.T) {
	t.Parallel()
	pass(t, ill{lagOf: falling(1_000_000, 5*time.Minute), decidedAt: time.Second}, func(r Recovery, err error) {
		if err != nil || r.TotalMs < 299_000 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// What does not get better within the patience is stuck, and the gate says what
// it waited for.
func TestGateGivesUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		ill  ill
		says string
	}{
		{"a role stays away", ill{readyAt: time.Hour, lagOf: falling(1, time.Second)}, "it waits for payments"},
		{"the lag stands still", ill{lagOf: func(time.Duration) (int64, error) { return 700, nil }}, "payments has 700 records before it"},
		{"the lag grows", ill{lagOf: func(at time.Duration) (int64, error) { return at.Milliseconds(), nil }}, "payments has "},
		{"nothing is decided", ill{lagOf: falling(1, time.Second), decidedAt: time.Hour}, "an order to be decided"},
	} {
		pass(t, c.ill, func(r Recovery, err error) {
			if !errors.Is(err, errStuck) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %+v, %v", c.name, r, err)
			}
		})
	}
}
