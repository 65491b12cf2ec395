package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/reports/schedule"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// reportScheduleCommand makes reports at set times.
type reportScheduleCommand struct {
	childFlags    `embed:""`
	File          string   `arg:"" help:"File of schedules, YAML: what is made when and where it goes. The package's documentation (reports/schedule) shows one." type:"path"`
	State         string   `help:"File of what was delivered. Default: the file of schedules with .state behind its name." placeholder:"FILE" type:"path"`
	Once          string   `help:"Make this schedule's run now, bring it to all of its places, mark nothing, and end." placeholder:"NAME" env:"-"`
	DryRun        bool     `help:"Check the file, show the next runs, and end." env:"-"`
	KafkaBrokers  []string `help:"Kafka brokers, to tell a night without sales from a loader that lags. Default: a run waits for a newer record." placeholder:"HOST:PORT,..."`
	MetricsAddr   string   `help:"Address of metrics, health and profiles." default:"127.0.0.1:9465" placeholder:"HOST:PORT"`
	ClickhouseURL string   `help:"The ClickHouse server." default:"http://127.0.0.1:8123" placeholder:"URL"`
}

// Run implements the command.
func (c *reportScheduleCommand) Run(ctx context.Context, env *environment) error {
	config, err := schedule.Load(c.File, os.Getenv)
	if err != nil {
		return usagef("the file of schedules: %v", err)
	}
	if c.DryRun {
		return writePlan(env.stdout, config.Plan(time.Now(), planned))
	}
	db, err := openAnalytics(c.ClickhouseURL, clickhouse.DefaultDatabase)
	if err != nil {
		return err
	}
	defer db.Close()
	registry := newRegistry()
	caughtUp, done, err := c.loader(env)
	if err != nil {
		return err
	}
	defer done()
	scheduler, err := c.open(schedule.Options{Config: config, DB: db, CaughtUp: caughtUp, Logger: env.log, Registerer: registry})
	if err != nil {
		return err
	}
	defer scheduler.Close()
	if c.Once != "" {
		return scheduler.Once(ctx, c.Once)
	}
	if err := writePlan(env.stdout, config.Plan(time.Now(), 1)); err != nil {
		return err
	}
	run := part{name: "report schedule", run: scheduler.Run, ready: func() bool { return true }}
	return runRole(ctx, env, c.childFlags, c.MetricsAddr, registry, addresses{}, []part{run})
}

// open takes the state file; to try a schedule out it is not needed, and another
// process may hold it.
func (c *reportScheduleCommand) open(o schedule.Options) (*schedule.Scheduler, error) {
	state := c.State
	switch {
	case c.Once != "":
		state = ""
	case state == "":
		state = c.File + ".state"
	}
	o.State = state
	scheduler, err := schedule.Open(o)
	if errors.Is(err, schedule.ErrStateInUse) {
		return nil, usagef("--state %s: %v", state, err)
	}
	return scheduler, err
}

// loader is what tells whether the loader has everything; nothing without brokers.
func (c *reportScheduleCommand) loader(env *environment) (caughtUp func(context.Context) error, done func(), err error) {
	if len(c.KafkaBrokers) == 0 {
		return nil, func() {}, nil
	}
	probe, err := clickhouse.New(clickhouse.Config{Brokers: c.KafkaBrokers, URL: c.ClickhouseURL, Logger: env.log})
	if err != nil {
		return nil, nil, usagef("%v", err)
	}
	return probe.CaughtUp, probe.Close, nil
}

// planned is how many runs of each schedule --dry-run shows.
const planned = 3

func writePlan(w io.Writer, runs []schedule.Planned) error {
	var b strings.Builder
	for _, r := range runs {
		fmt.Fprintf(&b, "%s  %s: %s\n", r.Due.Format("Mon 2006-01-02 15:04 MST"), r.Schedule, strings.Join(r.Reports, "; "))
		for _, place := range r.Places {
			fmt.Fprintf(&b, "    to %s\n", place)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
