package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// engine is the running ClickHouse on one data directory, and who may use it now.
type engine struct {
	lib       *library
	arguments []string
	lock      *flock.Flock
	// anchor serves no request. The engine stops, merges included, when its last connection closes.
	anchor  *session
	slots   chan struct{}
	waiting chan struct{}
}

// openEngines makes sure that one process has one engine: libchdb's state is global.
var openEngines sync.Mutex

// maxWait bounds how long a request waits for a worker.
const maxWait = 20 * time.Second

// openEngine locks the data directory, writes the configuration and starts the engine.
func openEngine(lib *library, o Options) (_ *engine, err error) {
	if !openEngines.TryLock() {
		return nil, errors.New("this process already runs a ClickHouse engine: one process can have one data directory open")
	}
	defer func() {
		if err != nil {
			openEngines.Unlock()
		}
	}()
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return nil, err
	}
	dataDir := filepath.Join(dir, "data")
	if err := os.MkdirAll(dataDir, 0o750); err != nil {
		return nil, fmt.Errorf("clickhouse data directory: %w", err)
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	config := newConfiguration(dir, o.MaxMemoryBytes, o.Threads)
	text, err := config.render()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(config.File, text, 0o600); err != nil {
		return nil, fmt.Errorf("clickhouse data directory: %w", err)
	}
	e := &engine{
		lib: lib, arguments: config.arguments(dataDir), lock: lock,
		slots: make(chan struct{}, o.Workers), waiting: make(chan struct{}, o.Queue),
	}
	if err := e.start(dir); err != nil {
		return nil, err
	}
	return e, nil
}

// start opens the anchor and asks the engine something, since it may load damaged metadata without complaining.
func (e *engine) start(dir string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	anchor, err := e.newSession()
	if err == nil {
		_, _, err = anchor.run([]byte("SELECT count() FROM system.tables"), "Null", nil)
		if err != nil {
			anchor.close()
		}
	}
	if err != nil {
		// The C interface has no message for a failed start: the engine prints it.
		return fmt.Errorf("clickhouse did not start on %s: %w, for the reason on standard error; if the directory is damaged, move it away: the next start loads it anew from the topics", dir, err)
	}
	e.anchor = anchor
	return nil
}

// newSession opens a connection. The caller stays on its thread until it has closed it.
func (e *engine) newSession() (*session, error) {
	conn, err := e.lib.open(e.arguments)
	if err != nil {
		return nil, err
	}
	return &session{lib: e.lib, conn: conn}, nil
}

// errBusy says that a request was not admitted.
var errBusy = &Exception{Code: codeTooManyQueries, Text: "Code: 202. DB::Exception: Too many simultaneous queries: every worker is busy and the queue is full; try again later. (TOO_MANY_SIMULTANEOUS_QUERIES)"}

// admit waits for a worker's place; the returned function gives it back. It refuses with [errBusy] when too many wait or it takes too long.
func (e *engine) admit(ctx context.Context) (release func(), err error) {
	select {
	case e.slots <- struct{}{}:
		return e.release, nil
	default:
	}
	select {
	case e.waiting <- struct{}{}:
		defer func() { <-e.waiting }()
	default:
		return nil, errBusy
	}
	patience := time.NewTimer(maxWait)
	defer patience.Stop()
	select {
	case e.slots <- struct{}{}:
		return e.release, nil
	case <-patience.C:
		return nil, errBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *engine) release() { <-e.slots }

// kill cancels the statement that was tagged with id, from another connection, since a connection is blocked while it computes.
// Nothing happens when there is no such statement (it has not begun or has ended).
func (e *engine) kill(id string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s, err := e.newSession()
	if err != nil {
		return err
	}
	defer s.close()
	_, _, err = s.run([]byte("KILL QUERY WHERE endsWith(Settings['log_comment'], "+quote(id)+") ASYNC FORMAT Null"), "Null", nil)
	return err
}

// close stops the engine once all sessions are closed: it writes out what is in memory and lets the directory go.
func (e *engine) close() error {
	e.anchor.close()
	err := e.lock.Close()
	openEngines.Unlock()
	return err
}

// lockDirectory makes sure that one process at a time works on dir. The lock goes with its process, also after a kill -9.
func lockDirectory(dir string) (*flock.Flock, error) {
	path := filepath.Join(dir, "lock")
	lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("clickhouse data directory: %w", err)
	}
	if !held {
		holder, _ := os.ReadFile(path)
		return nil, fmt.Errorf("the clickhouse data directory %s is in use by process %s: stop that one or choose another directory", dir, strings.TrimSpace(string(holder)))
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("clickhouse data directory: %w", err)
	}
	return lock, nil
}
