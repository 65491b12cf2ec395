package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/embedded/ports"
)

// Options says where and how a provider runs. Dir, Logger and Registerer are
// required.
type Options struct {
	// Dir holds the ledger. It is created; one provider at a time uses it.
	Dir string
	// Addr is the TCP address to listen on; "127.0.0.1:0" when empty.
	Addr   string
	Logger *slog.Logger
	// Registerer receives the boxoffice_provider_* metrics.
	Registerer prometheus.Registerer
	// Behaviour is what it starts with; what was PUT later survives a restart
	// with the same Behaviour.
	Behaviour Behaviour
	// Fee is DefaultFee when nil.
	Fee *Fee
	// KeyLifetime is how long an idempotency key keeps its answer; 24 hours when 0.
	KeyLifetime time.Duration
	// SyncEvery is the least time between two fsyncs of the ledger, 2 ms when 0: it
	// bounds what a charge waits for its group under load.
	SyncEvery time.Duration
	// Clock stamps entries; time.Now when nil.
	Clock func() time.Time
	// PatienceMax is how long a charge that is to be applied after its caller has
	// given up waits for that; one minute when 0.
	PatienceMax time.Duration
}

func (o *Options) complete() error {
	if o.Dir == "" || o.Logger == nil || o.Registerer == nil {
		return errors.New("provider: Dir, Logger and Registerer are required")
	}
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.KeyLifetime = cmp.Or(o.KeyLifetime, 24*time.Hour)
	o.SyncEvery = cmp.Or(o.SyncEvery, 2*time.Millisecond)
	o.PatienceMax = cmp.Or(o.PatienceMax, time.Minute)
	if o.Fee == nil {
		o.Fee = &DefaultFee
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.KeyLifetime < 0 {
		return fmt.Errorf("provider: key lifetime is %v: want more than 0", o.KeyLifetime)
	}
	return errors.Join(o.Fee.validate(), o.Behaviour.Validate())
}

// Provider is a running payment provider.
type Provider struct {
	options   Options
	logger    *slog.Logger
	lock      *flock.Flock
	listener  net.Listener
	book      *book
	behaviour atomic.Pointer[Behaviour]
	metrics   *metrics
	// closing ends what is travelling when the provider stops.
	closing context.Context
	close   context.CancelFunc
}

// Open reads the ledger of o.Dir and listens on o.Addr. Requests are answered
// once Serve runs. A torn last line of the ledger is cut off; a ledger that is
// damaged elsewhere, a directory in use and a taken address are errors.
func Open(o Options) (*Provider, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("creating the provider's directory: %w", err)
	}
	lock := flock.New(filepath.Join(o.Dir, "lock"))
	if held, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("locking the provider's directory: %w", err)
	} else if !held {
		return nil, fmt.Errorf("another provider uses %s: stop it, or choose another directory", o.Dir)
	}
	p, err := open(o, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return p, nil
}

func open(o Options, lock *flock.Flock) (*Provider, error) {
	behaviour, err := loadBehaviour(o.Dir, o.Behaviour)
	if err != nil {
		return nil, err
	}
	metrics, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	started := o.Clock()
	book, err := openBook(o.Dir, o)
	if err != nil {
		return nil, err
	}
	listener, err := ports.Listen(o.Addr, "the payment provider", "choose another one")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("provider: %w", err), book.ledger.file.Close())
	}
	p := &Provider{options: o, logger: o.Logger, lock: lock, listener: listener, book: book, metrics: metrics}
	p.behaviour.Store(&behaviour)
	p.closing, p.close = context.WithCancel(context.Background())
	book.ledger.observe, book.ledger.syncEvery = metrics.group, o.SyncEvery
	p.logger.Info("provider open", "addr", p.Addr(), "entries", book.slots.count, "read_in", o.Clock().Sub(started))
	return p, nil
}

// Addr is the address that it listens on, as host:port.
func (p *Provider) Addr() string { return p.listener.Addr().String() }

// shutdownGrace is how long answers on their way may take when the provider stops.
const shutdownGrace = 5 * time.Second

// Serve answers requests until ctx ends, then finishes what can be answered at
// once and closes everything; it runs once. What is still travelling then is not
// applied. It returns an error when the ledger cannot be written: the caller
// starts again with Open, which reads what the disk has.
func (p *Provider) Serve(ctx context.Context) error {
	server := &http.Server{
		Handler:           p.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(p.logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(p.listener) }()
	stopLedger, written := make(chan struct{}), make(chan error, 1)
	go func() { written <- p.book.ledger.run(stopLedger) }()

	var err, writeErr error
	wrote := false
	select {
	case <-ctx.Done():
	case err = <-served:
		err = fmt.Errorf("provider: serving: %w", err)
	case writeErr = <-written:
		wrote = true
	}
	p.close()
	grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	if server.Shutdown(grace) != nil {
		// A connection that does not end is cut: its caller repeats the request.
		_ = server.Close()
	}
	if !wrote {
		close(stopLedger)
		writeErr = <-written
	}
	return errors.Join(err, writeErr, p.book.ledger.file.Close(), p.lock.Unlock())
}
