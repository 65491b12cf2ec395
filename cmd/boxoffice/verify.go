package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eventpro/boxoffice/internal/embedded/ports"
	"github.com/eventpro/boxoffice/internal/verify"
)

// verifyCommand recomputes the invariants.
type verifyCommand struct {
	clusterFlags  `embed:""`
	ProviderURL   string `help:"The payment provider, for its ledger." default:"http://127.0.0.1:8090" placeholder:"URL"`
	ClickhouseURL string `help:"The ClickHouse server." default:"http://127.0.0.1:8123" placeholder:"URL"`
	DataDir       string `help:"Verify the stopped system in this folder instead of a running one. Kafka, ClickHouse and the provider are started for it, on free ports." env:"-" type:"path" placeholder:"DIR"`
	ChdbLib       string `help:"Path of libchdb, for --data-dir, when it is not where 'boxoffice setup' puts it." type:"path" placeholder:"FILE"`
	Accepted      string `help:"File of what clients were told, from 'boxoffice simulate'." type:"existingfile" placeholder:"FILE"`
	AtRest        bool   `help:"Nothing may be open, on its way or not loaded any more."`
	JSON          bool   `help:"Print JSON." name:"json"`
	CPUProfile    string `help:"File that gets a CPU profile." hidden:"" name:"cpu-profile" type:"path"`
}

// errBroken is the answer when an invariant does not hold.
var errBroken = errors.New("an invariant is broken; the table above names the first offenders")

// Run implements the command.
func (c *verifyCommand) Run(ctx context.Context, env *environment) (err error) {
	stop, err := childFlags{CPUProfile: c.CPUProfile}.profile()
	if err != nil {
		return err
	}
	defer stop()
	shown := newVerifyProgress(env.stderr)
	options := verify.Options{
		Brokers: c.KafkaBrokers, ProviderURL: c.ProviderURL, ClickHouseURL: c.ClickhouseURL,
		AcceptedFile: c.Accepted, AtRest: c.AtRest, Logger: env.log, Progress: shown.show,
	}
	if c.DataDir != "" {
		var s *system
		if s, err = c.openStopped(ctx, env, shown); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		options.Brokers, options.ProviderURL, options.ClickHouseURL, options.Stopped = s.brokers, s.providerURL, s.clickhouseURL, true
	}
	report, err := verify.Run(ctx, options)
	shown.finish()
	if err != nil {
		return err
	}
	return c.tell(env, report)
}

// openStopped starts the engines of a stopped system.
func (c *verifyCommand) openStopped(ctx context.Context, env *environment, shown *verifyProgress) (*system, error) {
	free, err := ports.Steady(5)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	s, err := openEngines(ctx, env, systemOptions{
		dataDir: c.DataDir, command: "boxoffice verify", chdbLib: c.ChdbLib,
		inUse: "; a running system is verified where it listens: 'boxoffice verify' without --data-dir, with --kafka-brokers, --provider-url and --clickhouse-url unless it has the default ports",
		ports: systemPorts{kafka: [3]int(free[:3]), clickhouse: free[3], provider: free[4]},
		say:   func(format string, args ...any) { shown.say(fmt.Sprintf(format, args...)) },
	})
	if err == nil {
		shown.say(fmt.Sprintf("engines of %s are ready after %s", s.dir.Root(), time.Since(started).Round(10*time.Millisecond)))
	}
	return s, err
}

// tell prints the report; a broken invariant is an error.
func (c *verifyCommand) tell(env *environment, report verify.Report) error {
	var err error
	if c.JSON {
		encoder := json.NewEncoder(env.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		_, err = report.WriteTo(env.stdout)
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if !report.OK() {
		return errBroken
	}
	return nil
}
