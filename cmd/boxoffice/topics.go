package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
)

// topicsCommand is the topics tool.
type topicsCommand struct {
	Create   topicsCreateCommand   `cmd:"" help:"Create what is missing; fail on a topic that is not as the catalogue says."`
	Describe topicsDescribeCommand `cmd:"" help:"Compare the topics with the catalogue."`
}

type topicsCreateCommand struct {
	clusterFlags   `embed:""`
	partitionFlags `embed:""`
}

// Run implements the command.
func (c *topicsCreateCommand) Run(ctx context.Context, env *environment) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.KafkaBrokers...))
	if err != nil {
		return usagef("--kafka-brokers: %v", err)
	}
	defer client.Close()
	if err := stream.Ensure(ctx, client, topology.Topics(), c.Partitions, c.Replication); err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "%d topics are as the catalogue says\n", len(topology.Topics()))
	return nil
}

type topicsDescribeCommand struct {
	clusterFlags   `embed:""`
	partitionFlags `embed:""`
}

// Run implements the command.
func (c *topicsDescribeCommand) Run(ctx context.Context, env *environment) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.KafkaBrokers...))
	if err != nil {
		return usagef("--kafka-brokers: %v", err)
	}
	defer client.Close()
	descriptions, err := stream.Describe(ctx, client, topology.Topics(), c.Partitions, c.Replication)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TOPIC\tPARTITIONS\tREPLICATION\tAS THE CATALOGUE SAYS")
	wrong := 0
	for _, d := range descriptions {
		state := "yes"
		switch {
		case !d.Exists:
			state = "missing"
		case len(d.Differences) > 0:
			state = "no: " + strings.Join(d.Differences, "; ")
		}
		if state != "yes" {
			wrong++
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\n", d.Topic, d.Partitions, d.Replication, state)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d topics are not as the catalogue says", wrong, len(descriptions))
	}
	return nil
}
