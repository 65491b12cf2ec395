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
// kfake goes on after those; a cluster that does would show half of a transaction.
type logger struct {
	to   *slog.Logger
	fail func(error)
}

// writeFailures begin kfake's messages about state that is not on disk.
var writeFailures = []string{
	"persist batch", "persist group entry", "persist pid entry",
	"endTx: failed to persist", "persist topics", "persist to disk",
}

func (l *logger) Logf(level kfake.LogLevel, format string, args ...any) {
	// Most messages are about single requests and nobody wants them: they are not
	// even put together.
	at := slogLevel(level)
	if level > kfake.LogLevelWarn && !l.to.Enabled(context.Background(), at) {
		return
	}
	message := fmt.Sprintf(format, args...)
	for _, prefix := range writeFailures {
		if strings.HasPrefix(message, prefix) {
			l.fail(errors.New("the broker cannot write its log: " + message))
		}
	}
	l.to.Log(context.Background(), at, message)
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
