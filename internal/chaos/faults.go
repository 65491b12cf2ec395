package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/eventpro/boxoffice/internal/pause"
)

// effect is what a fault is known to have done.
type effect struct {
	// evidence is what was seen of it.
	evidence string
	// healed is when the fault was over; recovery counts from then.
	healed time.Time
	// after is looked at once the system has recovered; nil: nothing.
	after func() (evidence string, err error)
}

// inject lets a fault happen and returns when it is over. An error says that it
// is not known to have taken effect.
func (c *controller) inject(ctx context.Context, f Fault) (effect, error) {
	role := c.roles[f.Target]
	switch f.Kind {
	case Kill:
		return c.killed(ctx, role)
	case KillRoles:
		return c.killed(ctx, c.onlyRoles()...)
	case KillAll:
		return c.killed(ctx, c.system.Roles...)
	case Takeover:
		return c.takenOver(ctx, role)
	case Pause:
		return c.paused(ctx, role, f.Span)
	case Restart:
		return c.restarted(ctx, role)
	case KafkaKill:
		return c.killed(ctx, c.roles[Kafka])
	case KafkaPause:
		return c.paused(ctx, c.roles[Kafka], f.Span)
	case KafkaRestart:
		return c.restarted(ctx, c.roles[Kafka])
	case ClickHouseKill:
		return c.killed(ctx, c.roles[ClickHouse])
	case ClickHousePause:
		return c.paused(ctx, c.roles[ClickHouse], f.Span)
	case ProviderKill:
		return c.killed(ctx, c.roles[Provider])
	case ProviderAway, ProviderLate, ProviderErrors:
		return c.misbehaved(ctx, f.Kind, f.Span)
	case DiskLost:
		return c.diskLost(ctx, role)
	case ClockSkew:
		return c.skewed(ctx, role, f.Ahead, f.Span)
	}
	return effect{}, fmt.Errorf("nobody knows how to do %q", f.Kind)
}

// signal sends a signal, unless the negative control is that nothing happens.
func (c *controller) signal(r *Role, s syscall.Signal) error {
	if c.cfg.Break == BreakFaults {
		return nil
	}
	if s == 0 {
		return errors.ErrUnsupported
	}
	return r.Process.Signal(s)
}

// ended sends all roles a signal that ends them and waits until all their
// processes are gone. want is how each of them must have ended. They are held then:
// the caller releases them.
func (c *controller) ended(ctx context.Context, s syscall.Signal, want string, roles ...*Role) (pids []int, err error) {
	for _, r := range roles {
		r.Process.Hold()
		pids = append(pids, r.pid())
	}
	for _, r := range roles {
		if err := c.signal(r, s); err != nil {
			return nil, err
		}
	}
	for i, r := range roles {
		how, err := r.gone(ctx, pids[i], c.cfg.EffectPatience)
		switch {
		case err != nil:
			return nil, err
		case pids[i] == 0:
			return nil, fmt.Errorf("%s did not run", r.Name)
		case how != want:
			return nil, fmt.Errorf("%s ended with %q instead of %q", r.Name, how, want)
		}
	}
	return pids, nil
}

// release lets roles be started again.
func release(roles ...*Role) {
	for _, r := range roles {
		r.Process.Release()
	}
}

// How processes end, as they are reported.
const (
	endKilled = "signal: killed"
	endOrder  = "exit status 0"
)

// killed ends roles with SIGKILL, all at once. None is started again before the
// last one is gone.
func (c *controller) killed(ctx context.Context, roles ...*Role) (effect, error) {
	defer release(roles...)
	pids, err := c.ended(ctx, sigKill, endKilled, roles...)
	if err != nil {
		return effect{}, err
	}
	if err := c.loseLedger(roles); err != nil {
		return effect{}, err
	}
	e := effect{evidence: "all gone at once: " + count(len(pids), "process", "processes"), healed: time.Now()}
	if len(roles) == 1 {
		e.evidence = fmt.Sprintf("pid %d killed", pids[0])
	}
	e.after = func() (string, error) { return startedAgain(roles, pids) }
	return e, nil
}

// startedAgain demands that each role runs as another process than it did.
func startedAgain(roles []*Role, before []int) (evidence string, err error) {
	for i, r := range roles {
		if evidence, err = r.started(before[i]); err != nil {
			return "", err
		}
	}
	if len(roles) > 1 {
		evidence = "all run again"
	}
	return evidence, nil
}

// loseLedger is the negative control that has the provider forget.
func (c *controller) loseLedger(roles []*Role) error {
	if c.cfg.Break != BreakLedger || !slices.Contains(roles, c.roles[Provider]) {
		return nil
	}
	_, err := empty(c.roles[Provider].Dir)
	return err
}

// restarted stops a role in order; its supervisor starts it again.
func (c *controller) restarted(ctx context.Context, r *Role) (effect, error) {
	defer release(r)
	began := time.Now()
	pids, err := c.ended(ctx, sigTerm, endOrder, r)
	if err != nil {
		return effect{}, err
	}
	return effect{
		evidence: fmt.Sprintf("pid %d ended in order after %s", pids[0], seconds(time.Since(began))), healed: time.Now(),
		after: func() (string, error) { return startedAgain([]*Role{r}, pids) },
	}, nil
}

// takenOver kills a member and keeps it away until another one has all of its
// group's partitions.
func (c *controller) takenOver(ctx context.Context, r *Role) (effect, error) {
	defer release(r)
	began := time.Now()
	pids, err := c.ended(ctx, sigKill, endKilled, r)
	if err != nil {
		return effect{}, err
	}
	members, err := c.awaitGivenUp(ctx, r)
	if err != nil {
		return effect{}, err
	}
	if len(members) == 0 {
		return effect{}, fmt.Errorf("nobody has taken over from %s", r.Name)
	}
	return effect{
		evidence: fmt.Sprintf("pid %d killed; %s after %s", pids[0], holders(members), seconds(time.Since(began))), healed: time.Now(),
		after: func() (string, error) { return startedAgain([]*Role{r}, pids) },
	}, nil
}

// awaitGivenUp waits until the role's group does without it, and returns who has
// its partitions then; nobody, when it was alone.
func (c *controller) awaitGivenUp(ctx context.Context, r *Role) (members map[string]int, err error) {
	others := doubled(c.system.Roles, r)
	err = await(ctx, c.cfg.EffectPatience, func() error {
		var err error
		if members, err = c.groups.members(ctx, r.Group); err != nil {
			return err
		}
		if _, still := members[r.Member]; still {
			return fmt.Errorf("%s is still a member of its group", r.Name)
		}
		if others && partitionsOf(members) == 0 {
			return fmt.Errorf("the partitions of %s have no owner yet", r.Group)
		}
		return nil
	})
	return members, err
}

func partitionsOf(members map[string]int) (n int) {
	for _, p := range members {
		n += p
	}
	return n
}

// holders says who has how many partitions.
func holders(members map[string]int) string {
	var parts []string
	for name, n := range members {
		parts = append(parts, fmt.Sprintf("member %q has %s", name, count(n, "partition", "partitions")))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return "nobody has its partitions"
	}
	return strings.Join(parts, ", ")
}

// paused stops a process, for a span and, where it is a member of a group that
// notices, at least until that has given it up; then it goes on where it thought it was.
func (c *controller) paused(ctx context.Context, r *Role, span time.Duration) (effect, error) {
	pid, began := r.pid(), time.Now()
	if err := c.signal(r, sigStop); err != nil {
		return effect{}, err
	}
	// Whatever comes, it must go on: a stopped process cannot even end.
	defer func() { _ = r.Process.Signal(sigCont) }()
	if err := await(ctx, min(span, c.cfg.EffectPatience), func() error { return stopped(pid) }); err != nil {
		return effect{}, err
	}
	if !pause.For(ctx, span) {
		return effect{}, ctx.Err()
	}
	evidence := fmt.Sprintf("pid %d stopped", pid)
	if r.Session > 0 {
		members, err := c.awaitGivenUp(ctx, r)
		if err != nil {
			return effect{}, err
		}
		evidence += " and given up by its group: " + holders(members)
	}
	if err := stopped(pid); err != nil {
		return effect{}, err
	}
	if err := c.signal(r, sigCont); err != nil {
		return effect{}, err
	}
	return effect{evidence: fmt.Sprintf("%s, for %s", evidence, seconds(time.Since(began))), healed: time.Now()}, nil
}

// diskLost kills a role and deletes its local tables while it is away.
func (c *controller) diskLost(ctx context.Context, r *Role) (effect, error) {
	defer release(r)
	pids, err := c.ended(ctx, sigKill, endKilled, r)
	if err != nil {
		return effect{}, err
	}
	if c.cfg.Break == BreakFaults {
		return effect{}, errors.New("nothing was deleted")
	}
	lost, err := empty(r.Dir)
	if err != nil {
		return effect{}, err
	}
	if lost == 0 {
		return effect{}, fmt.Errorf("%s had nothing on its disk", r.Name)
	}
	return effect{
		evidence: fmt.Sprintf("pid %d killed, %.1f MB of local tables deleted", pids[0], float64(lost)/(1<<20)), healed: time.Now(),
		after: func() (string, error) { return startedAgain([]*Role{r}, pids) },
	}, nil
}

// empty deletes all that a folder holds and returns how many bytes that were.
func empty(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		return bytes, fmt.Errorf("look into %s: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return bytes, err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return bytes, err
		}
	}
	return bytes, nil
}

// skewed has a role run for a span with a clock that is wrong, then with the
// right one again.
func (c *controller) skewed(ctx context.Context, r *Role, ahead, span time.Duration) (effect, error) {
	if c.cfg.Break != BreakFaults {
		r.Process.SetArgs("--clock-skew=" + ahead.String())
	}
	defer release(r)
	defer r.Process.SetArgs()
	if _, err := c.ended(ctx, sigTerm, endOrder, r); err != nil {
		return effect{}, err
	}
	release(r)
	var shown time.Duration
	err := await(ctx, c.cfg.EffectPatience, func() (err error) {
		if !r.Process.State().Ready {
			return fmt.Errorf("%s is not ready", r.Name)
		}
		shown, err = r.clockAhead()
		return err
	})
	if err != nil {
		return effect{}, err
	}
	if (shown - ahead).Abs() > time.Second {
		return effect{}, fmt.Errorf("the clock of %s is %v ahead and should be %v", r.Name, shown, ahead)
	}
	if !pause.For(ctx, span) {
		return effect{}, ctx.Err()
	}
	r.Process.SetArgs()
	pids, err := c.ended(ctx, sigTerm, endOrder, r)
	if err != nil {
		return effect{}, err
	}
	healed := time.Now()
	return effect{
		evidence: fmt.Sprintf("pid %d ran with its clock %+.0f min off for %s", pids[0], shown.Minutes(), seconds(span)), healed: healed,
		after: func() (string, error) {
			if now, err := r.clockAhead(); err != nil || now.Abs() > time.Second {
				return "", fmt.Errorf("the clock of %s is still %v ahead (%w)", r.Name, now, err)
			}
			return startedAgain([]*Role{r}, pids)
		},
	}, nil
}

// onlyRoles are all processes but the engines.
func (c *controller) onlyRoles() []*Role {
	return slices.DeleteFunc(slices.Clone(c.system.Roles), func(r *Role) bool { return r.Engine })
}
