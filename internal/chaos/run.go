package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/pause"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/verify"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// controller is one run.
type controller struct {
	cfg      Config
	system   *System
	roles    map[string]*Role
	groups   *groups
	health   *health
	prober   *prober
	sales    *sales
	artefact *Artefact
}

// Run breaks a system as the configuration asks and returns what came of it.
// An error says that there is no verdict, because the run could not even begin.
func Run(ctx context.Context, cfg Config, s *System) (*Artefact, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if cfg.Break == BreakFaults {
		cfg.EffectPatience = 2 * time.Second // it is known that nothing comes
	}
	schedule, err := Schedule(cfg.Seed, cfg.Rounds, cfg.Faults, s.Roles)
	if err != nil {
		return nil, err
	}
	c := &controller{cfg: cfg, system: s, roles: map[string]*Role{}}
	for _, r := range s.Roles {
		c.roles[r.Name] = r
	}
	defer c.letGo()
	if c.groups, err = openGroups(s.Brokers); err != nil {
		return nil, err
	}
	defer c.groups.close()
	c.health = newHealth(s, c.groups)
	// Runs on the same data are different sales.
	name := fmt.Sprintf("chaos-%d-%s", cfg.Seed, time.Now().UTC().Format("20060102T150405"))
	c.sales = newSales(&cfg, s, name)
	if c.prober, err = openProber(ctx, s, name, c.sales.file("probes")); err != nil {
		return nil, err
	}
	c.artefact = c.newArtefact()
	// A run that was interrupted lacks rounds or books, and the verdict says so.
	if err := c.run(ctx, schedule); err != nil && ctx.Err() == nil {
		c.artefact.Errors = append(c.artefact.Errors, err.Error())
	}
	c.artefact.Verdict, c.artefact.Reasons = judge(c.artefact)
	c.artefact.DurationS = time.Since(c.artefact.Started).Seconds()
	return c.artefact, nil
}

func (c *controller) newArtefact() *Artefact {
	a := &Artefact{
		Seed: c.cfg.Seed, Version: c.cfg.Version, Machine: c.cfg.Machine, Started: time.Now().UTC(),
		Config: ArtefactConfig{
			Rounds: c.cfg.Rounds, Rate: c.cfg.Rate, Faults: c.cfg.Faults, Preload: c.cfg.Preload, Break: c.cfg.Break,
		},
		Rounds: []Round{},
	}
	for _, r := range c.system.Roles {
		a.Config.Processes = append(a.Config.Processes, r.Name)
	}
	return a
}

// letGo leaves no process held or stopped.
func (c *controller) letGo() {
	for _, r := range c.system.Roles {
		r.Process.SetArgs()
		r.Process.Release()
		_ = r.Process.Signal(sigCont) // one that does not run needs none
	}
}

// run is the whole of a run but its verdict.
func (c *controller) run(ctx context.Context, schedule []Fault) error {
	if err := c.preload(ctx); err != nil {
		return errors.Join(err, c.prober.close())
	}
	selling, stop := context.WithCancel(ctx)
	defer stop()
	c.sales.start(selling)
	quiet, err := c.usualLag(ctx)
	if err == nil {
		c.artefact.QuietLag = quiet
		err = c.rounds(ctx, schedule, &gate{quiet: quiet, patience: c.cfg.Patience, interval: gateInterval, calm: gateCalm})
	}
	if err != nil {
		// The books of a system that does not work cannot be read.
		stop()
		sold, _ := c.sales.finish(selling, 0)
		c.artefact.take(sold)
		if errors.Is(err, errStuck) {
			err = nil // its round says so
		}
		return errors.Join(err, c.prober.close())
	}
	c.say("fence: nothing is sent any more, waiting until what was accepted is settled")
	sold, err := c.sales.finish(ctx, c.cfg.Patience)
	c.artefact.take(sold)
	patience := c.cfg.Patience
	if errors.Is(err, errStillOpen) {
		patience = 0 // it has been had
		c.say("%v", err)
	}
	return errors.Join(err, c.prober.close(), c.checkBooks(ctx, patience))
}

// preload fills the tables before anything is broken.
func (c *controller) preload(ctx context.Context) error {
	if c.cfg.Preload == 0 {
		return nil
	}
	began := time.Now()
	c.say("selling %d registrations first", c.cfg.Preload)
	if err := c.sales.preload(ctx, c.cfg.Preload); err != nil {
		return fmt.Errorf("preload: %w", err)
	}
	c.say("they are in the tables after %s", seconds(time.Since(began)))
	return nil
}

// usualLag is what each group's lag may be while nothing is broken: three times
// the most that was seen after the warm-up, and what two seconds of load bring.
func (c *controller) usualLag(ctx context.Context) (map[string]int64, error) {
	c.say("warming up under %g registrations/s", c.cfg.Rate)
	quiet := map[string]int64{}
	var failed error // of the last look; the brokers have no time for one now and then
	for began := time.Now(); time.Since(began) < c.cfg.Warmup; {
		if !pause.For(ctx, gateInterval) {
			return nil, ctx.Err()
		}
		if time.Since(began) < c.cfg.Warmup/2 {
			continue
		}
		lag, err := c.groups.lag(ctx)
		if failed = err; err != nil {
			continue
		}
		for group, n := range lag {
			quiet[group] = max(quiet[group], n)
		}
	}
	if len(quiet) == 0 && failed != nil {
		return nil, fmt.Errorf("the lag before the first fault: %w", failed)
	}
	for group := range quiet {
		quiet[group] = 3*quiet[group] + int64(2*c.cfg.Rate)
	}
	return quiet, nil
}

// rounds lets one fault after another happen. It ends with errStuck when the
// system does not recover from one.
func (c *controller) rounds(ctx context.Context, schedule []Fault, g *gate) error {
	c.sayRoundsHeader()
	for i, f := range schedule {
		round, err := c.round(ctx, i+1, f, g)
		if round != nil {
			c.artefact.Rounds = append(c.artefact.Rounds, *round)
			c.sayRound(round)
		}
		if err != nil {
			return err
		}
		if !pause.For(ctx, c.cfg.Pause) {
			return ctx.Err()
		}
	}
	return nil
}

// round lets one fault happen and waits at the gate. One that was interrupted is
// none: it returns nil.
func (c *controller) round(ctx context.Context, number int, f Fault, g *gate) (*Round, error) {
	began, before := time.Now(), c.sales.counts()
	round := &Round{Number: number, Fault: f, StartedS: began.Sub(c.sales.begun).Seconds()}
	e, err := c.inject(ctx, f)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	round.TookEffect, round.Effect = err == nil, e.evidence
	if err != nil {
		round.Effect, e.healed = err.Error(), time.Now()
	}
	round.FaultMs = e.healed.Sub(began).Milliseconds()
	round.Recovery, err = g.wait(ctx, e.healed, c)
	switch {
	case errors.Is(err, errStuck):
		round.Stuck = err.Error()
	case err != nil:
		return nil, err
	case e.after != nil:
		more, unseen := e.after()
		if round.Effect += ", " + more; unseen != nil {
			round.TookEffect, round.Effect = false, unseen.Error()
		}
	}
	after := c.sales.counts()
	round.Accepted, round.Decided = after.Accepted-before.Accepted, after.Decided-before.Decided
	return round, err
}

// The gate's vitals.

func (c *controller) unready(ctx context.Context) []string { return c.health.unready(ctx) }

func (c *controller) lag(ctx context.Context) (map[string]int64, error) {
	return c.groups.lag(ctx)
}
func (c *controller) probe(ctx context.Context) error { return c.prober.order(ctx) }

// checkBooks waits for quiescence, as long as patience lasts, and holds what
// clients were told against what the sources say.
func (c *controller) checkBooks(ctx context.Context, patience time.Duration) error {
	files, err := c.sales.files()
	if err != nil {
		return err
	}
	if c.cfg.Break == BreakAccepted {
		if err := forge(c.sales.file("forged"), c.system.Organiser); err != nil {
			return err
		}
		files = append(files, c.sales.file("forged"))
	}
	all := filepath.Join(c.cfg.Dir, "accepted.ndjson")
	if err := join(all, files); err != nil {
		return err
	}
	if c.cfg.Break == BreakReports {
		if err := c.loseCharge(ctx, time.Now().Add(patience)); err != nil {
			return err
		}
	}
	c.say("checking the books")
	books, err := c.readBooks(ctx, all, patience)
	if err != nil {
		return fmt.Errorf("the books cannot be read: %w", err)
	}
	counts, err := audit(ctx, c.system, files)
	if err != nil {
		return fmt.Errorf("the sources cannot be read: %w", err)
	}
	for _, n := range books.DeadLetters {
		counts.DeadLetters += n
	}
	c.artefact.Books, c.artefact.Oracle = &books, &counts
	return nil
}

// readBooks verifies until nothing is under way, or patience is over.
func (c *controller) readBooks(ctx context.Context, accepted string, patience time.Duration) (verify.Report, error) {
	deadline := time.Now().Add(patience)
	for {
		if err := c.awaitStill(ctx, deadline); err != nil {
			return verify.Report{}, err
		}
		report, err := verify.Run(ctx, verify.Options{
			Brokers: c.system.Brokers, ProviderURL: c.system.ProviderURL, ClickHouseURL: c.system.ClickHouseURL,
			AcceptedFile: accepted, AtRest: true, Logger: c.cfg.Logger,
		})
		if err != nil || atRest(report) || time.Now().After(deadline) {
			return report, err
		}
	}
}

// awaitStill waits until no topic has grown for two seconds.
func (c *controller) awaitStill(ctx context.Context, deadline time.Time) error {
	last, since := int64(-1), time.Now()
	for time.Since(since) < 2*time.Second && time.Now().Before(deadline) {
		ends, err := c.groups.ends(ctx)
		if err != nil || ends != last { // what is not known is not still
			last, since = ends, time.Now()
		}
		if !pause.For(ctx, gateInterval) {
			return ctx.Err()
		}
	}
	return nil
}

// loseCharge is the negative control that has reports show less than was charged.
func (c *controller) loseCharge(ctx context.Context, deadline time.Time) (err error) {
	if err := c.awaitStill(ctx, deadline); err != nil {
		return err
	}
	db, err := clickhouse.OpenDB(c.system.ClickHouseURL, clickhouse.DefaultDatabase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "ALTER TABLE movements DELETE WHERE movement_id = (SELECT min(movement_id) FROM movements WHERE kind = 'charge') "+
		"SETTINGS mutations_sync = 2")
	return err
}

// join writes files one after the other into one.
func join(to string, files []string) error {
	var all []byte
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		all = append(all, raw...)
	}
	return os.WriteFile(to, all, 0o600)
}

// forge is the negative control that claims an acceptance that never was.
func forge(file, organiser string) error {
	key := "forged-" + uuid.NewString()
	line := fmt.Sprintf("{\"idempotency_key\":%q,\"registration_id\":%q}\n", key, topology.RegistrationID(organiser, key))
	return os.WriteFile(file, []byte(line), 0o600)
}
