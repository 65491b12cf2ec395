package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/reports/render"
	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// reportCommand makes a report.
type reportCommand struct {
	Name          string `arg:"" optional:"" help:"Which report; without it, the list of them." default:"list"`
	List          bool   `help:"List the reports." env:"-"`
	From          string `help:"First day (2026-09-01) or moment (RFC 3339) of the period." placeholder:"DATE"`
	To            string `help:"First day or moment after the period." placeholder:"DATE"`
	Period        string `help:"In place of both: yesterday, last-month, this-year, 2026, 2026-Q3, 2026-09 and the like." placeholder:"PERIOD"`
	Tz            string `help:"Time zone, an IANA name: for days and times." default:"UTC" placeholder:"ZONE"`
	Organiser     string `help:"Only this organiser." placeholder:"ID"`
	Event         string `help:"Only this event." placeholder:"ID"`
	Currency      string `help:"Only this currency." placeholder:"CODE"`
	Basis         string `help:"The date that money goes by: booked (a period that ended does not change) or occurred (the provider's)." placeholder:"BASIS"`
	TestMode      bool   `help:"With sales in test mode."`
	reportOutput  `embed:""`
	ClickhouseURL string `help:"The ClickHouse server." default:"http://127.0.0.1:8123" placeholder:"URL"`
	Database      string `name:"clickhouse-database" help:"The database to read." default:"boxoffice" placeholder:"NAME"`
}

// reportOutput says how a report is written and where to.
type reportOutput struct {
	Format string `help:"How it looks: table, csv, json, xlsx, html or pdf. Default: as the name of --out ends, else table." placeholder:"FORMAT"`
	Out    string `help:"File to write to; it appears when it is complete." placeholder:"FILE" type:"path" env:"-"`
	Locale string `help:"How people write figures and dates: a language tag such as en-US, de or ja. CSV and JSON stay as they are." default:"en" placeholder:"TAG"`
}

// listOfReports is asked for like a report.
const listOfReports = "list"

// Run implements the command.
func (c *reportCommand) Run(ctx context.Context, env *environment) error {
	if c.List || c.Name == listOfReports {
		return writeReportList(env.stdout)
	}
	format, err := c.check(env.stdout, c.Name)
	if err != nil {
		return err
	}
	params, err := reports.ParseParams(reports.Asked{
		From: c.From, To: c.To, Period: c.Period, Zone: c.Tz, Organiser: c.Organiser, Event: c.Event, Currency: c.Currency,
		Basis: c.Basis, Locale: c.Locale, TestMode: c.TestMode,
	}, time.Now())
	if err != nil {
		return asUsage(err)
	}
	db, err := openAnalytics(c.ClickhouseURL, c.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	report, err := reports.Make(ctx, db, c.Name, params)
	if err != nil {
		return asUsage(err)
	}
	return c.write(env.stdout, format, report)
}

// check finds the format before work is done for nothing.
func (c *reportOutput) check(stdout io.Writer, name string) (render.Format, error) {
	format, err := c.format()
	if err != nil {
		return format, err
	}
	if _, terminal := terminalWidth(stdout); c.Out == "" && terminal && format.Binary {
		return format, usagef("%s is not for a terminal: use --out %s%s", format.Name, name, format.Extension)
	}
	return format, nil
}

// write writes the report. One that contradicts itself is a failure too.
func (c *reportOutput) write(stdout io.Writer, format render.Format, report *statement.Report) (err error) {
	width, terminal := terminalWidth(stdout)
	switch {
	case c.Out != "":
		err = render.WriteFile(c.Out, format, report)
	case terminal && format.Name == render.Table:
		err = render.WriteTable(stdout, report, width)
	default:
		err = format.Write(stdout, report)
	}
	if err == nil && report.Alarm != "" {
		// It was written all the same: the figures say where to look.
		return errors.New(report.Alarm)
	}
	return err
}

// format is the one that is asked for, or the one of the file's name.
func (c *reportOutput) format() (render.Format, error) {
	name := c.Format
	if name == "" {
		if format, ok := render.ByExtension(strings.ToLower(filepath.Ext(c.Out))); ok {
			return format, nil
		}
		if c.Out != "" {
			return render.Format{}, usagef("--out %s does not say a format: use --format with one of %s", c.Out, strings.Join(render.Names(), ", "))
		}
		name = render.Table
	}
	format, ok := render.Find(name)
	if !ok {
		return format, usagef("there is no format %q; there are: %s", name, strings.Join(render.Names(), ", "))
	}
	return format, nil
}

func writeReportList(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, name := range reports.Names() {
		fmt.Fprintf(out, "%s\t%s\n", name, reports.About(name))
	}
	return out.Flush()
}

// terminalWidth says how wide the terminal is that w is, if it is one.
func terminalWidth(w io.Writer) (width int, terminal bool) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		width = 0
	}
	return width, true
}

// openAnalytics opens the analytics database for queries.
func openAnalytics(url, database string) (*sql.DB, error) {
	db, err := clickhouse.OpenDB(url, database)
	if err != nil {
		return nil, usagef("--clickhouse-url: %v", err)
	}
	return db, nil
}

// asUsage marks a report's complaint about its parameters as the caller's.
func asUsage(err error) error {
	var usage *reports.UsageError
	if errors.As(err, &usage) {
		return usagef("%v", err)
	}
	return err
}
