package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Recovery is how a system came back after a fault. All times are in milliseconds
// from when the fault was over.
type Recovery struct {
	// TotalMs is when all of the following held.
	TotalMs int64 `json:"total"`
	// ReadyMs is since when every role was ready.
	ReadyMs int64 `json:"ready"`
	// LagMs is since when every group's lag was as small as it is under load.
	LagMs int64 `json:"lag"`
	// ProbeMs is when an order that was sent after the fault was decided.
	ProbeMs int64 `json:"probe"`
	// LagPeak is the most records that waited, LagEnd those at the end.
	LagPeak int64 `json:"lag_peak_records"`
	LagEnd  int64 `json:"lag_end_records"`
}

// vitals are what a gate looks at.
type vitals interface {
	// unready returns the roles that do not work.
	unready(ctx context.Context) []string
	// lag is how many records wait for each group.
	lag(ctx context.Context) (map[string]int64, error)
	// probe sends an order and returns when it is decided.
	probe(ctx context.Context) error
}

// errStuck says that a system does not recover.
var errStuck = errors.New("it does not recover")

// gate decides when a system has recovered.
type gate struct {
	// quiet is the lag of each group that is usual under load.
	quiet map[string]int64
	// patience ends the wait when nothing has improved for so long: no more roles
	// ready, no lower lag, no decided probe.
	patience time.Duration
	// interval is how often it looks, calm how often in a row the lag must be quiet.
	interval time.Duration
	calm     int
}

const (
	gateInterval = 200 * time.Millisecond
	gateCalm     = 5
)

// passage is one wait at a gate.
type passage struct {
	*gate
	healed time.Time
	found  Recovery

	quietFor   int
	fewest     int   // roles that were not ready
	lowest     int64 // lag since its peak
	improved   time.Time
	probed     chan answered
	probeDone  bool
	waitingFor string
}

// wait returns when the system has recovered from a fault that was over at
// healed. It fails with errStuck.
func (g *gate) wait(ctx context.Context, healed time.Time, v vitals) (Recovery, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &passage{
		gate: g, healed: healed, fewest: -1, lowest: -1, improved: time.Now(), probed: make(chan answered, 1),
		found: Recovery{ReadyMs: -1, LagMs: -1, ProbeMs: -1},
	}
	go func() {
		err := v.probe(ctx)
		p.probed <- answered{time.Now(), err}
	}()
	defer func() {
		cancel()
		if !p.probeDone {
			<-p.probed
		}
	}()
	tick := time.NewTicker(g.interval)
	defer tick.Stop()
	for {
		if p.open(ctx, v) {
			p.found.TotalMs = max(p.found.ReadyMs, p.found.LagMs, p.found.ProbeMs)
			return p.found, nil
		}
		if ctx.Err() != nil {
			return p.found, ctx.Err()
		}
		if time.Since(p.improved) > g.patience {
			return p.found, fmt.Errorf("%w: nothing has improved for %v, it waits for %s", errStuck, g.patience, p.waitingFor)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// answered is when and how a probe ended.
type answered struct {
	at  time.Time
	err error
}

func (p *passage) since() int64 { return time.Since(p.healed).Milliseconds() }

// open looks once.
func (p *passage) open(ctx context.Context, v vitals) bool {
	var missing []string
	if unready := v.unready(ctx); p.seeRoles(unready) {
		missing = append(missing, strings.Join(unready, ", "))
	}
	lag, err := v.lag(ctx)
	switch {
	case err != nil:
		p.quietFor, p.found.LagMs = 0, -1
		missing = append(missing, fmt.Sprintf("the brokers (%v)", err))
	case p.seeLag(lag):
		missing = append(missing, "a quiet lag: "+loudest(lag, p.quiet))
	}
	select {
	case a := <-p.probed:
		p.probeDone, p.improved = true, a.at
		if a.err == nil {
			p.found.ProbeMs = a.at.Sub(p.healed).Milliseconds()
		} else {
			missing = append(missing, fmt.Sprintf("an order to be decided (%v)", a.err))
		}
	default:
		if !p.probeDone || p.found.ProbeMs < 0 {
			missing = append(missing, "an order to be decided")
		}
	}
	p.waitingFor = strings.Join(missing, "; ")
	return len(missing) == 0
}

// seeRoles takes note of the roles that are not ready; true: there are some.
func (p *passage) seeRoles(unready []string) bool {
	if p.fewest < 0 || len(unready) < p.fewest {
		p.fewest, p.improved = len(unready), time.Now()
	}
	if len(unready) > 0 {
		p.found.ReadyMs = -1
		return true
	}
	if p.found.ReadyMs < 0 {
		p.found.ReadyMs = p.since()
	}
	return false
}

// seeLag takes note of the lag; true: it has not been quiet for long enough.
func (p *passage) seeLag(lag map[string]int64) bool {
	total, loud := int64(0), false
	for group, n := range lag {
		total += n
		loud = loud || n > p.quiet[group]
	}
	p.found.LagEnd = total
	if total > p.found.LagPeak {
		p.found.LagPeak, p.lowest = total, total
	}
	// Falling is progress; a lag that stands still or grows is none.
	if total < p.lowest {
		p.lowest, p.improved = total, time.Now()
	}
	if loud {
		p.quietFor, p.found.LagMs = 0, -1
		return true
	}
	if p.quietFor == 0 {
		p.found.LagMs = p.since()
	}
	p.quietFor++
	return p.quietFor < p.calm
}

// loudest names the groups that are further behind than usual.
func loudest(lag, quiet map[string]int64) string {
	var parts []string
	for _, group := range slices.Sorted(maps.Keys(lag)) {
		if lag[group] > quiet[group] {
			parts = append(parts, fmt.Sprintf("%s has %d records before it, usual are %d", group, lag[group], quiet[group]))
		}
	}
	if len(parts) == 0 {
		return "it has only just become quiet"
	}
	return strings.Join(parts, ", ")
}
