package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/eventpro/boxoffice/internal/rebuild"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/processors/attendees"
	"github.com/eventpro/boxoffice/processors/inventory"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// rebuildCommand recomputes what is derived from the log.
type rebuildCommand struct {
	Table      rebuildTableCommand      `cmd:"" help:"Recompute a group's table while the system runs and compare it with the live one; exit 1 when they differ."`
	Clickhouse rebuildClickhouseCommand `cmd:"" help:"Recompute the ClickHouse database while the system runs and compare it with the live one; exit 1 when they differ."`
}

type rebuildTableCommand struct {
	clusterFlags  `embed:""`
	operatorFlags `embed:""`
	Group         string `arg:"" help:"Group whose table is recomputed: catalog, registrations, inventory, payments or attendees."`
	Swap          bool   `help:"Write the recomputed values in place of those that differ. The group's members start again."`
	Dir           string `help:"Folder for the fresh storage; it needs as much room as the table, twice. Default: the temporary folder." type:"existingdir" placeholder:"DIR"`
	JSON          bool   `help:"Print JSON." name:"json"`
}

// errDiffers is the answer when something is not what the log makes of it.
var errDiffers = errors.New("it differs from its log; --swap puts the recomputed values in place")

// Run implements the command.
func (c *rebuildTableCommand) Run(ctx context.Context, env *environment) error {
	name, err := c.name()
	if err != nil {
		return err
	}
	report, err := rebuild.Table(ctx, rebuild.TableOptions{
		Brokers: c.KafkaBrokers, Group: c.Group, Dir: c.Dir, Swap: c.Swap, By: rebuild.Person{Name: name, Note: c.Note}, Logger: env.log, Progress: readingProgress(env.stderr),
		Handlers: map[string]stream.Handler{
			topology.Inventory.Name: inventory.New(inventory.Config{}).Handle, topology.Attendees.Name: attendees.New(attendees.Config{}).Handle,
		},
	})
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(env.stdout, report)
	} else {
		err = writeTableReport(env.stdout, report)
	}
	if err == nil && report.Differ > report.Swapped {
		return errDiffers
	}
	return err
}

func writeJSON(w io.Writer, report any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

func writeTableReport(w io.Writer, r rebuild.TableReport) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s keys in the table, %s recomputed from %s records in %.1f s\n", r.Group, grouped(r.LiveKeys), grouped(r.RebuiltKeys), grouped(r.Records), r.DurationS)
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "  %s %s\n", d.Key, d.What)
		for _, f := range d.Fields {
			fmt.Fprintf(&b, "    %s\n", f)
		}
	}
	fmt.Fprintf(&b, "%s differ, %s were put right\n", grouped(int64(r.Differ)), grouped(int64(r.Swapped)))
	_, err := io.WriteString(w, b.String())
	return err
}

type rebuildClickhouseCommand struct {
	clusterFlags  `embed:""`
	operatorFlags `embed:""`
	ClickhouseURL string `help:"The ClickHouse server. It needs room for the database once more." default:"http://127.0.0.1:8123" placeholder:"URL"`
	Swap          bool   `help:"Exchange the tables for the recomputed ones when some row differs. The loader writes on."`
	KeepOld       bool   `help:"With --swap: keep the tables that were exchanged, in a database of their own."`
	JSON          bool   `help:"Print JSON." name:"json"`
}

// Run implements the command.
func (c *rebuildClickhouseCommand) Run(ctx context.Context, env *environment) error {
	if c.KeepOld && !c.Swap {
		return usagef("--keep-old keeps what --swap exchanges: it says nothing without it")
	}
	name, err := c.name()
	if err != nil {
		return err
	}
	report, err := rebuild.ClickHouse(ctx, rebuild.ClickHouseOptions{
		Brokers: c.KafkaBrokers, URL: c.ClickhouseURL, Database: clickhouse.DefaultDatabase, Swap: c.Swap, KeepOld: c.KeepOld,
		By: rebuild.Person{Name: name, Note: c.Note}, Logger: env.log, Progress: readingProgress(env.stderr),
	})
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(env.stdout, report)
	} else {
		err = writeClickhouseReport(env.stdout, report)
	}
	if err == nil && report.Differ > 0 && !report.Swapped {
		return errDiffers
	}
	return err
}

func writeClickhouseReport(w io.Writer, r rebuild.ClickHouseReport) error {
	var b strings.Builder
	if r.Finished != "" {
		fmt.Fprintf(&b, "an earlier swap, %s, had not come to its end: what it left out is loaded\n", r.Finished)
	}
	fmt.Fprintf(&b, "database %s, recomputed from %s records in %.1f s\n", r.Database, grouped(r.Records), r.DurationS)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "table\trows\trebuilt\tmissing\twrong\tsurplus\tnewer\t")
	for _, c := range r.Tables {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", c.Table,
			grouped(c.LiveRows), grouped(c.RebuiltRows), grouped(c.Missing), grouped(c.Wrong), grouped(c.Surplus), grouped(c.Newer))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range r.Tables {
		writeComparison(&b, c)
	}
	fmt.Fprintf(&b, "%s rows differ", grouped(r.Differ))
	if r.Swapped {
		b.WriteString("; the recomputed tables are in place")
	}
	if r.KeptAs != "" {
		fmt.Fprintf(&b, ", the old ones in database %s", r.KeptAs)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// writeComparison names the first rows of a table that differ, and the sums.
func writeComparison(b *strings.Builder, c rebuild.Comparison) {
	for _, s := range c.Sums {
		if s.Live != s.Rebuilt {
			fmt.Fprintf(b, "  %s: the sum of %s is %s, rebuilt %s\n", c.Table, s.Column, grouped(s.Live), grouped(s.Rebuilt))
		}
	}
	for _, d := range c.First {
		fmt.Fprintf(b, "  %s %s %s\n", c.Table, d.Key, d.What)
		for _, f := range d.Fields {
			fmt.Fprintf(b, "    %s\n", f)
		}
	}
}
