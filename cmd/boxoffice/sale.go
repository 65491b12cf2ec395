package main

import (
	"context"
	"fmt"
	"runtime/pprof"

	"github.com/eventpro/boxoffice/internal/load"
)

// saleFlags say how an event is sold out.
type saleFlags struct {
	Registrations int     `help:"Requests to send; the event has places for about four fifths of the tickets that they ask for." default:"83333" short:"n"`
	Rate          float64 `help:"Requests per second, sent on time whatever comes back; 0 means as fast as the system decides." default:"0"`
	Door          string  `help:"Way in: single (one request each) or batch (NDJSON)." enum:"single,batch" default:"single"`
	Free          bool    `help:"Make every ticket free: no payments."`
	Seed          uint64  `help:"Decides who asks for what, and whose card is declined." default:"1"`
}

// registrationsMin is the smallest sale that has all kinds of requests; placesMax is
// how many places one event can have: 10,000 blocks of 50 seats.
const (
	registrationsMin = 100
	placesMax        = 500_000
)

// config makes the load's configuration.
func (f *saleFlags) config() (load.Config, error) {
	if f.Registrations < registrationsMin {
		return load.Config{}, usagef("--registrations must be at least %d, it is %d", registrationsMin, f.Registrations)
	}
	if places := load.PlacesFor(f.Registrations); places > placesMax {
		return load.Config{}, usagef("--registrations %d asks for an event of %d places, and one event has at most %d: sell several events, one after the other, with 'boxoffice up' and 'boxoffice simulate onsale'",
			f.Registrations, places, placesMax)
	}
	if f.Rate < 0 {
		return load.Config{}, usagef("--rate must not be negative")
	}
	return load.Config{Places: load.PlacesFor(f.Registrations), Rate: f.Rate, Door: load.Door(f.Door), Free: f.Free, Seed: f.Seed}, nil
}

// sell runs the sale and shows its progress.
func sell(ctx context.Context, env *environment, cfg load.Config) (load.Result, error) {
	shown := newProgress(env.stdout)
	var result load.Result
	var err error
	pprof.Do(ctx, pprof.Labels("role", loadRole), func(ctx context.Context) { result, err = load.Run(ctx, cfg, shown.show) })
	shown.finish()
	if err != nil {
		return result, fmt.Errorf("the sale: %w", err)
	}
	return result, nil
}

// simulateCommand makes up sales.
type simulateCommand struct {
	Onsale  onsaleCommand  `cmd:"" help:"Sell out an event on a running system."`
	History historyCommand `cmd:"" help:"Write a plausible past into an analytics database of its own."`
}

type onsaleCommand struct {
	clusterFlags `embed:""`
	saleFlags    `embed:""`
	IngestURL    string `help:"The front door." default:"http://127.0.0.1:8080" placeholder:"URL"`
	APIKey       string `help:"Key with the scopes events:write and registrations:write." required:"" placeholder:"KEY"`
	Run_         string `name:"run" help:"Name of the sale: the same name again is a repetition and sells nothing. Default: a new one." placeholder:"NAME"`
	Accepted     string `help:"File that gets a line for every accepted registration; 'boxoffice verify --accepted' reads it." type:"path" placeholder:"FILE"`
}

// Run implements the command.
func (c *onsaleCommand) Run(ctx context.Context, env *environment) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	cfg.IngestURL, cfg.APIKey, cfg.Brokers = c.IngestURL, c.APIKey, c.KafkaBrokers
	cfg.AcceptedFile, cfg.Logger = c.Accepted, env.log
	if cfg.Run = c.Run_; cfg.Run == "" {
		cfg.Run = newRunName()
	}
	if err := cfg.Validate(); err != nil {
		return usagef("%v", err)
	}
	result, err := sell(ctx, env, cfg)
	if err != nil {
		return err
	}
	writeSale(env.stdout, result)
	return nil
}
