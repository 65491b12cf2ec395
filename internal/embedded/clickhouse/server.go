package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/eventpro/boxoffice/internal/embedded/ports"
)

// Options say how to run the engine. Library and DataDir are required.
type Options struct {
	// Library is the path of libchdb, from [Locate].
	Library string
	// DataDir is made if it does not exist. One process at a time may have it open.
	DataDir string
	// Addr is where to listen; empty means a free port of the loopback interface. The server has no users and no passwords.
	Addr string
	// MaxMemoryBytes bounds what the engine allocates; 0 means 600 MB. Statements that would pass it fail with MEMORY_LIMIT_EXCEEDED.
	MaxMemoryBytes int64
	// Threads bounds the threads of one statement; 0 means 2.
	Threads int
	// Workers bounds how many statements run at once; 0 means 4.
	Workers int
	// Queue bounds how many requests may wait for a worker; 0 means 32 per worker. Further ones are refused at once, with status 503.
	Queue int
	// Logger gets what goes wrong behind an answer; nil means none.
	Logger *slog.Logger
}

const (
	defaultMaxMemory = 600 << 20
	defaultThreads   = 2
	defaultWorkers   = 4
	defaultQueue     = 32 // per worker
	// stopTimeout is how long requests may take to end after the server was told to stop, before they are cancelled.
	stopTimeout = 5 * time.Second
	// leastMemory is what the engine needs to start and to answer simple queries.
	leastMemory = 200 << 20
)

func (o *Options) complete() error {
	if o.Library == "" || o.DataDir == "" {
		return errors.New("clickhouse: Library and DataDir are required")
	}
	if o.MaxMemoryBytes == 0 {
		o.MaxMemoryBytes = defaultMaxMemory
	}
	if o.MaxMemoryBytes < leastMemory {
		return fmt.Errorf("clickhouse: the engine needs at least %d MB of memory, not %d MB", leastMemory>>20, o.MaxMemoryBytes>>20)
	}
	if o.Threads <= 0 {
		o.Threads = defaultThreads
	}
	if o.Workers <= 0 {
		o.Workers = defaultWorkers
	}
	if o.Queue <= 0 {
		o.Queue = o.Workers * defaultQueue
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Server is ClickHouse in this process, with its HTTP interface.
type Server struct {
	options  Options
	log      *slog.Logger
	engine   *engine
	listener net.Listener
}

// Open starts the engine on the data directory and takes the address. Requests wait until [Server.Serve] is called, which has to be
// called even if only to stop the engine again. One process can have one engine open.
func Open(o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	lib, err := loadLibrary(o.Library)
	if err != nil {
		return nil, err
	}
	listener, err := ports.Listen(o.Addr, "ClickHouse", "choose another one")
	if err != nil {
		return nil, fmt.Errorf("clickhouse: %w", err)
	}
	engine, err := openEngine(lib, o)
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return &Server{options: o, log: o.Logger, engine: engine, listener: listener}, nil
}

// Addr is where the server listens: host and port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers requests until ctx ends. Then it lets running requests end for some seconds, cancels the rest, and stops the engine.
// It returns nil after such a stop, and [ErrDisk] when the disk is full.
func (s *Server) Serve(ctx context.Context) error {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler:           s.handler(),
		BaseContext:       func(net.Listener) context.Context { return running },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(s.listener) }()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := s.engine.watchDisk(running); err != nil {
			failed <- err
		}
	}()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	err = errors.Join(err, s.stop(server, cancel))
	cancel()
	<-watched
	return errors.Join(err, s.engine.close())
}

// stop ends all requests.
func (s *Server) stop(server *http.Server, cancelRequests func()) error {
	patience, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := server.Shutdown(patience)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	cancelRequests()
	last, cancelLast := context.WithTimeout(context.Background(), stopTimeout)
	defer cancelLast()
	return server.Shutdown(last)
}
