package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/eventpro/boxoffice/internal/history"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// historyCommand makes up a past for reports, dashboards and measurements.
type historyCommand struct {
	Days          int    `help:"How long the past is." default:"365"`
	Registrations int    `help:"How many registrations there are." default:"100000" short:"n"`
	Events        int    `help:"How many events they are for; 0 for one for about 4,000 registrations." default:"0"`
	Until         string `help:"First day after the past (2026-09-01). Default: today." placeholder:"DATE"`
	Seed          uint64 `help:"Decides everything else: the same seed makes the same past." default:"1"`
	ClickhouseURL string `help:"The ClickHouse server." default:"http://127.0.0.1:8123" placeholder:"URL"`
	Database      string `name:"clickhouse-database" help:"The database to write to; it is made when it is missing." default:"boxoffice_history" placeholder:"NAME"`
}

// Run implements the command.
func (c *historyCommand) Run(ctx context.Context, env *environment) (err error) {
	cfg := history.Config{Days: c.Days, Registrations: c.Registrations, Events: c.Events, Seed: c.Seed}
	if cfg.Until, err = untilDay(c.Until, time.Now()); err != nil {
		return err
	}
	h, err := history.New(cfg)
	if err != nil {
		return usagef("%v", err)
	}
	schema, err := clickhouse.Migrate(ctx, c.ClickhouseURL, c.Database)
	if err != nil {
		return fmt.Errorf("%w\nstart a server with 'boxoffice up' or 'boxoffice clickhouse', or name one with --clickhouse-url", err)
	}
	db, err := openAnalytics(c.ClickhouseURL, c.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := c.refuseTheLogs(ctx, db); err != nil {
		return err
	}
	began := time.Now()
	shown := newProgress(env.stdout)
	written, err := h.Load(ctx, history.Target{URL: c.ClickhouseURL, Database: c.Database, Schema: schema, Logger: env.log},
		func(p history.Progress) { shown.showHistory(p, cfg.Registrations, h.Events(), time.Since(began)) },
		func() { fmt.Fprintln(env.stdout, "\nbringing the months of the past together") })
	if err != nil {
		return err
	}
	took := time.Since(began)
	fmt.Fprintf(env.stdout, "%s registrations for %s events, %d days until %s, are in database %s: %s records in %.1f s, %s/s\n",
		grouped(int64(written.Registrations)), grouped(int64(written.Events)), c.Days, cfg.Until.Format(time.DateOnly), c.Database,
		grouped(int64(written.Records)), took.Seconds(), grouped(int64(float64(written.Records)/took.Seconds())))
	return nil
}

// untilDay reads a day; it is today in UTC when none is given.
func untilDay(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now.UTC().Truncate(24 * time.Hour), nil
	}
	day, err := time.ParseInLocation(time.DateOnly, text, time.UTC)
	if err != nil {
		return day, usagef("--until is %q: use a date such as 2026-09-01", text)
	}
	return day, nil
}

// refuseTheLogs keeps what is made up out of a database that shows what happened.
func (c *historyCommand) refuseTheLogs(ctx context.Context, db *sql.DB) error {
	var rows uint64
	if err := db.QueryRowContext(ctx, "SELECT count() FROM (SELECT 1 FROM events WHERE partition >= 0 LIMIT 1)").Scan(&rows); err != nil {
		return fmt.Errorf("looking what is in database %s: %w", c.Database, err)
	}
	if rows > 0 {
		return usagef("database %s shows what really happened: a made-up past would falsify it; name another one with --clickhouse-database", c.Database)
	}
	return nil
}

// showHistory shows how far a past is written.
func (p *progress) showHistory(h history.Progress, registrations, events int, took time.Duration) {
	if !p.live {
		if time.Since(p.plain) < plainEvery {
			return
		}
		p.plain = time.Now()
		fmt.Fprintf(p.out, "  %4.0f s  %s of %s registrations\n", took.Seconds(), grouped(int64(h.Registrations)), grouped(int64(registrations)))
		return
	}
	bar := max(10, min(48, p.width-34))
	p.redraw([]string{
		fmt.Sprintf("  registrations  %s  %9s", gauge(int64(h.Registrations), int64(registrations), bar), grouped(int64(h.Registrations))),
		fmt.Sprintf("  %s of %s events, %s records, %.0f s", grouped(int64(h.Events)), grouped(int64(events)), grouped(int64(h.Records)), took.Seconds()),
	})
}
