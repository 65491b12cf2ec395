package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/reports/settlement"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// settleCommand holds a provider's settlement against our payments.
type settleCommand struct {
	File          string `arg:"" optional:"" help:"CSV file of the provider, - for standard input: the ledger's columns (kind, id, reference, amount_minor, currency, fee_minor, at), or Stripe's balance transactions." type:"path"`
	Ledger        bool   `help:"In place of a file, the ledger of the provider at --provider-url." env:"-"`
	ProviderURL   string `help:"The payment provider." default:"http://127.0.0.1:8090" placeholder:"URL"`
	From          string `help:"First day (2026-09-01) or moment (RFC 3339) of the period, by the provider's time. Default: the first day of the file; the ledger's beginning." placeholder:"DATE"`
	To            string `help:"First day or moment after the period. Default: after the last day of the file; the ledger's end." placeholder:"DATE"`
	Period        string `help:"In place of both: yesterday, last-month, 2026-09 and the like." placeholder:"PERIOD"`
	Tz            string `help:"Time zone, an IANA name: it decides what a day is." default:"UTC" placeholder:"ZONE"`
	Currency      string `help:"Only this currency." placeholder:"CODE"`
	ProviderName  string `help:"Only payments that this provider took, by its name in the payments. Default: all that were not imported." placeholder:"NAME"`
	reportOutput  `embed:""`
	ClickhouseURL string `help:"The ClickHouse server." default:"http://127.0.0.1:8123" placeholder:"URL"`
}

// Run implements the command. Differences are the report's alarm, and a failure.
func (c *settleCommand) Run(ctx context.Context, env *environment) error {
	if (c.File == "") != c.Ledger {
		return usagef("settle takes a file or --ledger, one of the two")
	}
	format, err := c.check(env.stdout, "settlement")
	if err != nil {
		return err
	}
	params, err := reports.ParseParams(reports.Asked{
		From: c.From, To: c.To, Period: c.Period, Zone: c.Tz, Currency: c.Currency, Locale: c.Locale,
	}, time.Now())
	if err != nil {
		return asUsage(err)
	}
	db, err := openAnalytics(c.ClickhouseURL, clickhouse.DefaultDatabase)
	if err != nil {
		return err
	}
	defer db.Close()
	name, source, done, err := c.source(ctx, env)
	if err != nil {
		return err
	}
	defer done()
	result, err := settlement.Reconcile(ctx, db, source, settlement.Options{
		Scope:     settlement.Scope{From: params.From, To: params.To, Zone: params.Zone, Currency: params.Currency},
		WholeDays: !c.Ledger, Provider: c.ProviderName,
	})
	var bad *settlement.FileError
	if errors.As(err, &bad) {
		return usagef("%s: %v", name, bad)
	} else if err != nil {
		return err
	}
	report, err := result.Statement(settlement.Head{Source: name, Locale: params.Locale})
	if err != nil {
		return err
	}
	return c.write(env.stdout, format, report)
}

// source opens the provider's side; done closes it.
func (c *settleCommand) source(ctx context.Context, env *environment) (name string, source settlement.Source, done func(), err error) {
	switch {
	case c.Ledger:
		return "the ledger at " + strings.TrimSuffix(c.ProviderURL, "/"), settlement.Ledger(ctx, c.ProviderURL), func() {}, nil
	case c.File == "-":
		return "standard input", settlement.File(env.stdin), func() {}, nil
	}
	file, err := os.Open(c.File)
	if err != nil {
		return "", nil, nil, usagef("the settlement file cannot be read: %v", err)
	}
	return filepath.Base(c.File), settlement.File(file), func() { _ = file.Close() }, nil
}
