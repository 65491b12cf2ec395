package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/sealing"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
)

// Producer writes commands; *stream.Emitter is one. Both methods acknowledge a
// record when all in-sync replicas have it, refuse with stream.ErrFull, without
// waiting, when too much is unacknowledged, and report any other error when the
// record could not be written.
type Producer interface {
	Emit(ctx context.Context, topic topology.Topic, key string, value proto.Message, headers ...stream.Header) (stream.Position, error)
	// EmitAsync calls done exactly once, from any goroutine.
	EmitAsync(topic topology.Topic, key string, value proto.Message, done func(stream.Position, error), headers ...stream.Header)
}

// Catalogue is a view of catalog-table; *stream.View is one. Keys are event ids
// as text, values *pb.Event.
type Catalogue interface {
	Ready() bool
	// Get returns nil for an unknown key and stream.ErrRecovering while the view
	// is behind.
	Get(key string) (proto.Message, error)
	// WaitFor returns the first value that satisfies pred, or ctx's error with
	// the last value seen.
	WaitFor(ctx context.Context, key string, pred func(proto.Message) bool) (proto.Message, error)
}

// Registrations is a view of registrations-table; *stream.View is one.
type Registrations interface {
	Get(key string) (proto.Message, error)
}

// Config is what the front door needs. Fields without a default are required.
type Config struct {
	Producer  Producer
	Catalogue Catalogue
	// Registrations is optional. With it the door refuses at once what otherwise
	// the look-up tells: a key that was reused with another body, and the
	// cancellation of somebody else's registration.
	Registrations Registrations
	Keys          *apikey.Store
	Sealing       *sealing.Keyring
	// ViewsURL is where callers look up what became of their commands; the
	// status_url of every answer starts with it. Empty gives paths only.
	ViewsURL string

	Log        *slog.Logger
	Registerer prometheus.Registerer
	// Now is the clock of request times and sale windows (time.Now).
	Now func() time.Time

	// BodyBytesMax bounds the body of a request and a line of a batch (64 KiB).
	BodyBytesMax int
	// InFlightMax bounds the requests that are being answered at a time, and so
	// the memory that they hold while Kafka is slow; a further one is told to come
	// back (16,384).
	InFlightMax int
	// ProduceTimeout bounds the wait for Kafka's acknowledgement (5 s).
	ProduceTimeout time.Duration
	// OnSaleWait is how long the creation of an event waits for its places to be
	// open before it answers 202 (5 s).
	OnSaleWait time.Duration
	// UnknownEventWait is how long a registration waits for an event that is not
	// in the catalogue yet (500 ms).
	UnknownEventWait time.Duration
	// CatalogueTTL is how long a decoded event is used without looking again
	// (100 ms).
	CatalogueTTL time.Duration
	// BatchInFlightMax bounds the unacknowledged lines of one batch (1024).
	BatchInFlightMax int
	// BatchIdleMax ends a batch whose caller sends or takes nothing (30 s).
	BatchIdleMax time.Duration
	// RecentKeysMax bounds the idempotency keys that are remembered, 32 bytes
	// each (131,072).
	RecentKeysMax int
	// DrainDelay is how long a stopping server still takes requests while
	// /readyz already says no, so that balancers stop sending (0).
	DrainDelay time.Duration
	// ShutdownTimeout bounds the wait for requests that are being answered (30 s).
	ShutdownTimeout time.Duration
}

func (c *Config) setDefaults() {
	setDefault(&c.BodyBytesMax, 64<<10)
	setDefault(&c.InFlightMax, 16<<10)
	setDefault(&c.ProduceTimeout, 5*time.Second)
	setDefault(&c.OnSaleWait, 5*time.Second)
	setDefault(&c.UnknownEventWait, 500*time.Millisecond)
	setDefault(&c.CatalogueTTL, 100*time.Millisecond)
	setDefault(&c.BatchInFlightMax, 1024)
	setDefault(&c.BatchIdleMax, 30*time.Second)
	setDefault(&c.RecentKeysMax, 1<<17)
	setDefault(&c.ShutdownTimeout, 30*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate says what is missing or wrong, all of it at once.
func (c *Config) Validate() error {
	var errs []error
	for _, part := range []struct {
		name    string
		missing bool
	}{
		{"Producer", c.Producer == nil},
		{"Catalogue", c.Catalogue == nil},
		{"Keys", c.Keys == nil},
		{"Sealing", c.Sealing == nil},
		{"Log", c.Log == nil},
		{"Registerer", c.Registerer == nil},
	} {
		if part.missing {
			errs = append(errs, fmt.Errorf("%s is missing", part.name))
		}
	}
	if u, err := url.Parse(c.ViewsURL); err != nil || c.ViewsURL != "" && (u.Host == "" || u.Scheme == "") {
		errs = append(errs, fmt.Errorf("the views URL %q must be empty or start with http:// or https://", c.ViewsURL))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"produce timeout", c.ProduceTimeout},
		{"on-sale wait", c.OnSaleWait},
		{"unknown-event wait", c.UnknownEventWait},
		{"catalogue TTL", c.CatalogueTTL},
		{"batch idle limit", c.BatchIdleMax},
		{"drain delay", c.DrainDelay},
		{"shutdown timeout", c.ShutdownTimeout},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("%s must not be negative, it is %v", d.name, d.value))
		}
	}
	if c.BodyBytesMax < 0 || c.InFlightMax < 0 || c.BatchInFlightMax < 0 || c.RecentKeysMax < 0 {
		errs = append(errs, errors.New("limits must not be negative"))
	}
	return errors.Join(errs...)
}
