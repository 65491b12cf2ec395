package stream

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// configureGoka sets Goka's global configuration, once a process. No Sarama
// client is ever opened here, but Goka checks the configuration, and what it
// says must be true of the clients that take their place.
var configureGoka = sync.OnceFunc(func() {
	cfg := goka.DefaultConfig()
	cfg.Version = sarama.V3_6_0_0
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.IsolationLevel = sarama.ReadCommitted
	goka.ReplaceGlobalConfig(cfg)
})

// gokaLog passes Goka's log on at debug level: what matters in it comes back
// as an error as well, and is reported where it is handled.
type gokaLog struct{ l *slog.Logger }

func (g gokaLog) Print(args ...any)   { g.l.Debug("goka", "detail", fmt.Sprint(args...)) }
func (g gokaLog) Println(args ...any) { g.l.Debug("goka", "detail", fmt.Sprint(args...)) }
func (g gokaLog) Printf(format string, args ...any) {
	g.l.Debug("goka", "detail", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// kafkaLog passes the Kafka client's warnings and errors on.
type kafkaLog struct{ l *slog.Logger }

func (k kafkaLog) Level() kgo.LogLevel { return kgo.LogLevelWarn }
func (k kafkaLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	// The client retries what it logs; an operator sees it at debug level, and
	// as an error if it does not pass.
	k.l.Debug("kafka client: "+msg, append([]any{"severity", level.String()}, keyvals...)...)
}
