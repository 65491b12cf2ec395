// Command boxoffice is the whole of boxoffice: one binary, one role per
// sub-command, and the operators' tools. Only this package reads flags and the
// environment, handles signals, owns the metric registry and decides the exit
// status.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // it ran and failed, or an invariant is broken
	exitUsage  = 2 // it was asked for something that cannot be
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// errUsage marks an error of the person at the keyboard: exit status 2.
var errUsage = errors.New("usage")

// usagef is an error that the person can mend by asking differently.
func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

type usageError struct{ text string }

func (e *usageError) Error() string        { return e.text }
func (e *usageError) Is(target error) bool { return target == errUsage }

// run is main with its surroundings handed in; tests call it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var cli cli
	status := -1
	parser, err := kong.New(&cli,
		kong.Name("boxoffice"),
		kong.Description("Event-driven ticketing backbone and real-time analytics pipeline."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 110}),
		kong.DefaultEnvars("BOXOFFICE"),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { status = code }),
		kong.Vars{"version": version()},
	)
	if err != nil {
		fmt.Fprintln(stderr, "boxoffice:", err)
		return exitFailed
	}
	if err := useConfigFile(parser, args); err != nil {
		fmt.Fprintln(stderr, "boxoffice:", err)
		return exitUsage
	}
	command, err := parser.Parse(args)
	if status >= 0 {
		return status // --help and --version
	}
	if err != nil {
		fmt.Fprintf(stderr, "boxoffice: %v\nRun 'boxoffice --help' or 'boxoffice COMMAND --help'.\n", err)
		return exitUsage
	}
	env := &environment{stdin: stdin, stdout: stdout, stderr: stderr, log: cli.logger(stderr), logLevel: cli.LogLevel}
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(env)
	switch {
	case err == nil, errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "boxoffice:", err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "boxoffice:", err)
		return exitFailed
	}
}
