package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logger hands kfake's messages to slog, and watches for writes that failed.
// kfake goes on after those: it would leave a marker out, note that the transaction
// has ended, and with that hide from recovery that half of it is missing.
type logger struct {
	to *slog.Logger
	// halt does not return: kfake says what failed from the one loop that handles
	// everything, which is thereby held at the failed write. What is on disk then
	// is what a kill at that moment leaves.
	halt func(error)
	// fail notes what failed while the cluster was being closed.
	fail func(error)
}

// writeFailures begin kfake's messages about state that is not on disk.
var writeFailures = []string{
	"persist batch", "persist group entry", "persist pid entry",
	"endTx: failed to persist", "persist topics",
}

// closeFailure begins kfake's message about state that a stop did not write;
// every start finds it out anew.
const closeFailure = "persist to disk"

func (l *logger) Logf(level kfake.LogLevel, format string, args ...any) {
	// Most messages are about single requests and nobody wants them: they are not
	// even put together.
	at := slogLevel(level)
	if level > kfake.LogLevelWarn && !l.to.Enabled(context.Background(), at) {
		return
	}
	message := fmt.Sprintf(format, args...)
	l.to.Log(context.Background(), at, message)
	failure := func() error { return errors.New("the broker cannot write its log: " + message) }
	if strings.HasPrefix(message, closeFailure) {
		l.fail(failure())
	}
	for _, prefix := range writeFailures {
		if strings.HasPrefix(message, prefix) {
			l.halt(failure())
		}
	}
}

// slogLevel shifts everything but errors down: kfake warns about what is daily
// business in a cluster, such as a transaction that timed out.
func slogLevel(level kfake.LogLevel) slog.Level {
	switch level {
	case kfake.LogLevelError:
		return slog.LevelError
	case kfake.LogLevelWarn:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}
