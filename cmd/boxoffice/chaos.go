package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/internal/chaos"
	"github.com/eventpro/boxoffice/internal/embedded/ports"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
)

// chaosCommand starts every role as a process, breaks one thing after another
// under load, and checks that nothing was lost, doubled or stuck.
type chaosCommand struct {
	sagaFlags `embed:""`
	Seed      uint64        `help:"Decides which fault comes when; the same again gives the same faults. Default: a new one." placeholder:"N"`
	Rounds    int           `help:"Faults, one after another." default:"25"`
	Rate      float64       `help:"Registrations per second, all the time." default:"500"`
	Faults    []string      `help:"Kinds of fault: NAME, NAME:ROLE, or NAME:* for each role that it can hit. Default: all kinds." placeholder:"NAME,..."`
	Preload   int           `help:"Registrations that are in the tables before the first fault." default:"0" placeholder:"N"`
	Patience  time.Duration `help:"A run in which nothing gets better for so long is stuck." default:"120s"`
	Out       string        `help:"File that gets all that is known of the run, as JSON. Default: chaos-SEED.json." type:"path" placeholder:"FILE"`
	DataDir   string        `help:"Folder of everything that is kept. Default: a temporary one." type:"path" placeholder:"DIR"`
	Keep      bool          `help:"Keep the data folder also when the verdict is 'pass'."`
	ChdbLib   string        `help:"Path of libchdb, when it is not where 'boxoffice setup' puts it." type:"path" placeholder:"FILE"`
	Warmup    time.Duration `help:"How long there is load before the first fault." hidden:"" default:"10s"`
	// Break is for seeing that the verdict tells.
	Break chaos.Break `help:"Negative control: accepted, ledger, reports or faults." hidden:""`
}

// errNoPass is the answer when a run is no pass.
var errNoPass = errors.New("the verdict is not 'pass'")

// doubledGroups have two members each, so that one can take over.
func doubledGroups() []string {
	return []string{topology.Registrations.Name, topology.Inventory.Name, topology.Payments.Name, topology.Gateway.Name}
}

// Run implements the command.
func (c *chaosCommand) Run(ctx context.Context, env *environment) (err error) {
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	cfg := chaos.Config{
		Seed: c.Seed, Rounds: c.Rounds, Rate: c.Rate, Faults: c.Faults, Preload: c.Preload, Break: c.Break, Warmup: c.Warmup, Patience: c.Patience,
		Version: version(), Machine: machine(), Output: env.stdout, Logger: env.log,
	}
	if err := cfg.Validate(); err != nil {
		return usagef("%v", err)
	}
	if c.Out == "" {
		c.Out = fmt.Sprintf("chaos-%d.json", c.Seed)
	}
	dir, remove, err := c.folder()
	if err != nil {
		return err
	}
	cfg.Dir = filepath.Join(dir, "accepted")
	heading(env.stdout, fmt.Sprintf("Chaos, seed %d: %d rounds at %g registrations/s", c.Seed, c.Rounds, c.Rate))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return usagef("--data-dir: %v", err)
	}
	logged, log, err := c.logTo(env, dir+".log")
	if err != nil {
		return err
	}
	defer log.Close()
	cfg.Logger = logged.log
	began := time.Now()
	s, err := c.open(ctx, logged, dir)
	if err != nil {
		return fmt.Errorf("%w (%s has what the processes said)", err, log.Name())
	}
	fmt.Fprintf(env.stdout, "  everything is ready after %s, as %d processes; %s gets what they say\n",
		time.Since(began).Round(10*time.Millisecond), len(s.children), log.Name())
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return errors.Join(err, s.close())
	}
	artefact, err := chaos.Run(ctx, cfg, s.underTest())
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	if err := errors.Join(artefact.WriteSummary(env.stdout), artefact.Write(c.Out)); err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "\nall of it is in %s\n", c.Out)
	if artefact.Verdict != chaos.Pass {
		fmt.Fprintf(env.stdout, "the data is in %s, what the processes said in %s; the same faults again: %s\n", dir, log.Name(), c.again())
		return errNoPass
	}
	return remove()
}

// again is the command that makes the same faults.
func (c *chaosCommand) again() string {
	command := fmt.Sprintf("boxoffice chaos --seed %d --rounds %d --rate %g", c.Seed, c.Rounds, c.Rate)
	if len(c.Faults) > 0 {
		command += " --faults '" + strings.Join(c.Faults, ",") + "'"
	}
	if c.Preload > 0 {
		command += fmt.Sprintf(" --preload %d", c.Preload)
	}
	return command
}

// logTo sends what the processes say to a file: that they end and cannot reach
// each other is what is asked for here.
func (c *chaosCommand) logTo(env *environment, path string) (*environment, *os.File, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("a file for what the processes say: %w", err)
	}
	logged := *env
	logged.stderr = file
	logged.log = slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: env.logLevel}))
	return &logged, file, nil
}

// folder returns the data folder and what removes a temporary one.
func (c *chaosCommand) folder() (dir string, remove func() error, err error) {
	if c.DataDir != "" {
		return c.DataDir, func() error { return nil }, nil
	}
	if dir, err = os.MkdirTemp("", "boxoffice-chaos-"); err != nil {
		return "", nil, fmt.Errorf("make a temporary data folder: %w", err)
	}
	if c.Keep {
		return dir, func() error { return nil }, nil
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), os.Remove(dir+".log")) }, nil
}

func (c *chaosCommand) open(ctx context.Context, env *environment, dir string) (*system, error) {
	free, err := ports.Steady(8)
	if err != nil {
		return nil, err
	}
	return openSystem(ctx, env, systemOptions{
		dataDir: dir, command: "boxoffice chaos", processes: true, second: doubledGroups(), chdbLib: c.ChdbLib, saga: c.sagaFlags,
		ports: systemPorts{
			kafka: [3]int(free[:3]), clickhouse: free[3], provider: free[4],
			ingest: free[5], views: free[6], metrics: free[7],
		},
		provider: []string{"--seed", fmt.Sprint(c.Seed), "--decline-rate", fmt.Sprint(declineRate)},
		say:      func(string, ...any) {},
	})
}

// underTest is the system as a chaos run sees it.
func (s *system) underTest() *chaos.System {
	under := &chaos.System{
		Brokers: s.brokers, IngestURL: s.ingestURL, ViewsURL: s.viewsURL, ProviderURL: s.providerURL,
		ClickHouseURL: s.clickhouseURL, APIKey: s.access.key, Organiser: developmentOrganiser,
		Roles: []*chaos.Role{
			{Name: chaos.Kafka, Engine: true, Dir: s.dir.Kafka(), Process: s.children[chaos.Kafka]},
			{Name: chaos.ClickHouse, Engine: true, Dir: s.dir.ClickHouse(), Process: s.children[chaos.ClickHouse]},
			{Name: chaos.Provider, Engine: true, Dir: s.dir.Provider(), Process: s.children[chaos.Provider]},
		},
	}
	deadlines := []string{topology.Registrations.Name, topology.Payments.Name}
	for _, r := range s.roles {
		role := &chaos.Role{
			Name: r.name, Group: r.group, Member: r.member, Deadlines: slices.Contains(deadlines, r.group),
			Process: s.children[r.name],
		}
		if !outside(r.group) { // those keep nothing
			role.Dir = r.tables
		}
		if slices.Contains(groupNames(), r.group) {
			role.Session = stream.DefaultSessionTimeout
		}
		under.Roles = append(under.Roles, role)
	}
	return under
}

// outside says whether a group has no table, so that its processes keep nothing.
func outside(group string) bool {
	return slices.ContainsFunc(topology.Groups(), func(g topology.Group) bool { return g.Name == group && g.Kind == topology.Outside })
}
