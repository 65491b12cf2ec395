package main

import (
	"context"
	"fmt"
	"os/user"
	"time"

	"github.com/eventpro/boxoffice/internal/deadletters"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// dlqCommand is the tool for dead letters.
type dlqCommand struct {
	List    dlqListCommand    `cmd:"" help:"List dead letters, and what was done with them."`
	Show    dlqShowCommand    `cmd:"" help:"Show one dead letter and what its record says."`
	Redrive dlqRedriveCommand `cmd:"" help:"Send dead letters to their topics again, once the cause is mended. Safe to repeat."`
	Discard dlqDiscardCommand `cmd:"" help:"Note that dead letters are not to be handled any more."`
}

// letterFlags choose dead letters.
type letterFlags struct {
	ID     []string `help:"Id, or the beginning of one." placeholder:"ID,..." env:"-"`
	Reason []string `help:"Reason, as the list shows it." placeholder:"CODE,..." env:"-"`
	Class  []string `help:"Class of error: undecodable, poison or error." placeholder:"CLASS,..." env:"-"`
	Group  []string `help:"Group that could not handle the record." placeholder:"GROUP,..." env:"-"`
	Topic  []string `help:"Topic of the record." placeholder:"TOPIC,..." env:"-"`
	Key    []string `help:"Key of the record." placeholder:"KEY,..." env:"-"`
	Since  string   `help:"Written at or after a moment (RFC 3339), or that long ago (2h)." placeholder:"WHEN" env:"-"`
	Until  string   `help:"Written before a moment, or that long ago." placeholder:"WHEN" env:"-"`
	Limit  int      `help:"At most so many, the oldest first; 0 for all." default:"0" env:"-"`
}

func (f *letterFlags) filter() (deadletters.Filter, error) {
	if f.Limit < 0 {
		return deadletters.Filter{}, usagef("--limit must not be negative")
	}
	filter := deadletters.Filter{
		IDs: f.ID, Reasons: f.Reason, Classes: f.Class, Groups: f.Group, Topics: f.Topic, Keys: f.Key, Limit: f.Limit,
	}
	for _, m := range []struct {
		name, text string
		to         *time.Time
	}{{"--since", f.Since, &filter.Since}, {"--until", f.Until, &filter.Until}} {
		if m.text == "" {
			continue
		}
		moment, err := parseMoment(m.text, time.Now())
		if err != nil {
			return filter, usagef("%s: %v", m.name, err)
		}
		*m.to = moment
	}
	return filter, nil
}

// parseMoment reads a moment, or how long ago it was.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return moment, fmt.Errorf("%q is neither a moment like 2026-09-01T12:00:00Z nor a duration like 90m", text)
	}
	return moment, nil
}

type dlqListCommand struct {
	clusterFlags `embed:""`
	letterFlags  `embed:""`
	State        []string `help:"Only letters in these states: open, redriven, discarded." enum:"open,redriven,discarded" placeholder:"STATE,..." env:"-"`
	JSON         bool     `help:"Print JSON." name:"json"`
}

// Run implements the command.
func (c *dlqListCommand) Run(ctx context.Context, env *environment) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	for _, s := range c.State {
		filter.States = append(filter.States, deadletters.State(s))
	}
	letters, err := deadletters.Read(ctx, deadletters.Options{Brokers: c.KafkaBrokers, Logger: env.log})
	if err != nil {
		return err
	}
	chosen, err := filter.Select(letters)
	if err != nil {
		return usagef("%v", err)
	}
	if c.JSON {
		return deadletters.WriteJSON(env.stdout, chosen)
	}
	return deadletters.WriteList(env.stdout, chosen)
}

type dlqShowCommand struct {
	clusterFlags `embed:""`
	ID           string `arg:"" help:"Id of the letter, or the beginning of it."`
}

// Run implements the command.
func (c *dlqShowCommand) Run(ctx context.Context, env *environment) error {
	letters, err := deadletters.Read(ctx, deadletters.Options{Brokers: c.KafkaBrokers, Logger: env.log})
	if err != nil {
		return err
	}
	chosen, err := (&deadletters.Filter{IDs: []string{c.ID}}).Select(letters)
	if err != nil {
		return usagef("%v", err)
	}
	return deadletters.WriteLetter(env.stdout, chosen[0])
}

// deskFlags are those of both commands that act on letters.
type deskFlags struct {
	clusterFlags `embed:""`
	letterFlags  `embed:""`
	All          bool   `help:"Act on all letters; needed when nothing else chooses some." env:"-"`
	Again        bool   `help:"Also on letters that were redriven or discarded already." env:"-"`
	DryRun       bool   `help:"Show what would be done, and do nothing." env:"-"`
	Operator     string `help:"Who does it, for the audit record. Default: the user's name." placeholder:"NAME"`
	Note         string `help:"Why, for the audit record; a discard needs it." placeholder:"TEXT" env:"-"`
}

type dlqRedriveCommand struct {
	deskFlags `embed:""`
	Rate      float64 `help:"Letters a second; 0 for as fast as it goes." default:"100" env:"-"`
}

// Run implements the command.
func (c *dlqRedriveCommand) Run(ctx context.Context, env *environment) error {
	return c.execute(ctx, env, deadletters.Order{Kind: pb.OperatorActionKind_OPERATOR_ACTION_KIND_REDRIVE, PerSecond: c.Rate})
}

type dlqDiscardCommand struct {
	deskFlags `embed:""`
}

// Run implements the command.
func (c *dlqDiscardCommand) Run(ctx context.Context, env *environment) error {
	return c.execute(ctx, env, deadletters.Order{Kind: pb.OperatorActionKind_OPERATOR_ACTION_KIND_DISCARD})
}

func (c *deskFlags) execute(ctx context.Context, env *environment, order deadletters.Order) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	if filter.Empty() && !c.All {
		return usagef("nothing says which letters: choose some, for example with --reason or --id, or take --all")
	}
	order.Operator, order.Note, order.Again, order.DryRun = c.Operator, c.Note, c.Again, c.DryRun
	if order.Operator == "" {
		if u, err := user.Current(); err == nil {
			order.Operator = u.Username
		}
	}
	if err := order.Validate(); err != nil {
		return usagef("%v", err)
	}
	if c.Limit > 0 && !c.Again {
		filter.States = []deadletters.State{deadletters.Open} // those are what the limit counts
	}
	desk, err := deadletters.OpenDesk(ctx, deadletters.Options{Brokers: c.KafkaBrokers, Logger: env.log}, order)
	if err != nil {
		return err
	}
	defer desk.Close()
	chosen, err := filter.Select(desk.Letters())
	if err != nil {
		return usagef("%v", err)
	}
	done, impossible := 0, 0
	err = desk.Execute(ctx, chosen, func(o deadletters.Outcome) {
		if o.Done {
			done++
		}
		if o.Impossible {
			impossible++
		}
		fmt.Fprintf(env.stdout, "%s  %s  %s\n", o.Letter.ShortID(), o.Letter.Reason, o.Text)
	})
	if c.DryRun {
		fmt.Fprintf(env.stdout, "%d of %d letters would be acted on; nothing was done\n", done, len(chosen))
	} else {
		fmt.Fprintf(env.stdout, "%d of %d letters were acted on, %d left alone\n", done, len(chosen), len(chosen)-done)
	}
	if err == nil && impossible > 0 {
		err = fmt.Errorf("%d open letters cannot be acted on: each is listed with its reason; `boxoffice dlq discard` notes that they are not to be handled", impossible)
	}
	return err
}
