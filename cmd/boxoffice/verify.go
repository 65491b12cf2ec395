package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/eventpro/boxoffice/internal/verify"
)

// verifyCommand recomputes the invariants.
type verifyCommand struct {
	clusterFlags  `embed:""`
	ProviderURL   string `help:"The payment provider, for its ledger." default:"http://127.0.0.1:8090" placeholder:"URL"`
	ClickhouseURL string `help:"The ClickHouse server." default:"http://127.0.0.1:8123" placeholder:"URL"`
	Accepted      string `help:"File of what clients were told, from 'boxoffice simulate'." type:"existingfile" placeholder:"FILE"`
	AtRest        bool   `help:"Nothing may be open any more."`
	JSON          bool   `help:"Print JSON." name:"json"`
}

// errBroken is the answer when an invariant does not hold.
var errBroken = errors.New("an invariant is broken; the table above names the first offenders")

// Run implements the command.
func (c *verifyCommand) Run(ctx context.Context, env *environment) error {
	report, err := verify.Run(ctx, verify.Options{
		Brokers: c.KafkaBrokers, ProviderURL: c.ProviderURL, ClickHouseURL: c.ClickhouseURL,
		AcceptedFile: c.Accepted, AtRest: c.AtRest, Logger: env.log,
	})
	if err != nil {
		return err
	}
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
