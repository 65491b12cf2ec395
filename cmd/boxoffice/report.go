package main

import (
	"context"
	"errors"
	"io"

	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// reportCommand prints a revenue report.
type reportCommand struct {
	Name          string `arg:"" help:"Report: revenue."`
	From          string `help:"First day (2026-09-01) or moment (RFC 3339) of the period." placeholder:"DATE"`
	To            string `help:"First day or moment after the period." placeholder:"DATE"`
	Tz            string `help:"Time zone, an IANA name." default:"UTC" placeholder:"ZONE"`
	Event         string `help:"Only this event." placeholder:"ID"`
	Currency      string `help:"Only this currency." placeholder:"CODE"`
	TestMode      bool   `help:"With sales in test mode."`
	Format        string `help:"How it looks: table, csv or json." default:"table"`
	ClickhouseURL string `help:"The ClickHouse server." default:"http://127.0.0.1:8123" placeholder:"URL"`
}

// Run implements the command.
func (c *reportCommand) Run(ctx context.Context, env *environment) error {
	return c.write(ctx, env.stdout)
}

func (c *reportCommand) write(ctx context.Context, w io.Writer) error {
	params, err := reports.ParseParams(c.From, c.To, c.Tz, c.Event, c.Currency, c.TestMode)
	if err != nil {
		return asUsage(err)
	}
	db, err := clickhouse.OpenDB(c.ClickhouseURL, clickhouse.DefaultDatabase)
	if err != nil {
		return usagef("--clickhouse-url: %v", err)
	}
	defer db.Close()
	return asUsage(reports.Run(ctx, db, c.Name, params, c.Format, w))
}

// asUsage marks a report's complaint about its parameters as the caller's.
func asUsage(err error) error {
	var usage *reports.UsageError
	if errors.As(err, &usage) {
		return usagef("%v", err)
	}
	return err
}
