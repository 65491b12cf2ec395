// Package datadir lays out, locks and checks the directory in which everything
// embedded keeps its state.
//
//	VERSION      which layout this is; makes a directory one of ours
//	lock         held by the one process that uses it; says who that is
//	children     held as long as any child of such a process lives
//	dev-key      a key for development, readable by its owner only
//	kafka/ clickhouse/ tables/ views/ provider/   one per part
package datadir

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

const (
	versionFile  = "VERSION"
	lockFile     = "lock"
	childrenFile = "children"
	keyFile      = "dev-key"
	// layout is what VERSION says, before the number.
	layout = "boxoffice data directory, version "

	keyBytes = 32
	// freeBytesMin is what a start needs on the disk: the smallest demo writes
	// about a tenth of it.
	freeBytesMin = 512 << 20
)

// Dir is a data directory that this process holds.
type Dir struct {
	path     string
	lock     *flock.Flock
	children *os.File
	key      []byte
}

// ErrInUse says that another process holds the directory.
var ErrInUse = errors.New("in use")

// Open creates the directory if needed, locks it and brings it to the present
// layout. command says to a second starter what holds it ("boxoffice up"). It
// fails, saying what to do, when another process holds the directory ([ErrInUse]),
// when it is not one of ours, when it was made by a newer version, when it cannot
// be written, and when its disk is full.
func Open(path, command string) (*Dir, error) {
	return open(path, command, freeBytes, migrations)
}

// OpenExisting is Open for a directory that must be there already.
func OpenExisting(path, command string) (*Dir, error) {
	if _, err := os.Stat(filepath.Join(path, versionFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no data directory of boxoffice: it has no file %s; give the folder that 'boxoffice up' or 'boxoffice demo' was given", path, versionFile)
	}
	return Open(path, command)
}

func open(path, command string, free func(string) (uint64, error), steps []migration) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, explain(path, err)
	}
	// Before anything is written into a directory that may be somebody else's.
	if _, err := checkOurs(path, steps); err != nil {
		return nil, err
	}
	if n, err := free(path); err == nil && n < freeBytesMin {
		return nil, fmt.Errorf("only %d MB are free on the disk of the data directory %s, and %d MB are needed: free some, or choose another directory", n>>20, path, uint64(freeBytesMin)>>20)
	}
	d := &Dir{path: path}
	if err := d.hold(command); err != nil {
		return nil, err
	}
	if err := d.holdChildren(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := d.migrate(steps); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := d.prepare(steps); err != nil {
		return nil, errors.Join(explain(path, err), d.Close())
	}
	return d, nil
}

// orphanPatience is how long the children of a holder that was killed may take
// to end: each finishes what it can.
const orphanPatience = time.Minute

// holdChildren waits until no child of an earlier holder lives: those of a
// killed one still use the directory and its ports for a moment.
func (d *Dir) holdChildren() error {
	f, err := os.OpenFile(d.Path(childrenFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return explain(d.path, err)
	}
	d.children = f
	for deadline := time.Now().Add(orphanPatience); ; time.Sleep(20 * time.Millisecond) {
		held, err := lockInherited(f)
		switch {
		case err != nil:
			return explain(d.path, err)
		case held:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("the data directory %s is still in use by the roles of a process that was killed: they take longer than %v to end; stop them, then start again", d.path, orphanPatience)
		}
	}
}

// checkOurs refuses a directory that has other things in it, and one of a
// version that is not known. The version is 0 when the directory is new.
func checkOurs(path string, steps []migration) (version int, err error) {
	raw, err := os.ReadFile(filepath.Join(path, versionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, checkEmpty(path)
	}
	if err != nil {
		return 0, explain(path, err)
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(string(raw)), layout)
	version, err = strconv.Atoi(number)
	if !ok || err != nil || version < 1 {
		return 0, fmt.Errorf("%s is damaged, or %s is no data directory of boxoffice: choose another directory, or move this one away", filepath.Join(path, versionFile), path)
	}
	if newest := present(steps); version > newest {
		return 0, fmt.Errorf("the data directory %s has layout version %d, and this program knows versions up to %d: use the release that made it or a newer one, restore the copy that was taken before the upgrade, or choose another directory", path, version, newest)
	}
	return version, nil
}

// checkEmpty allows what a start leaves that was killed before it wrote VERSION,
// and what a fresh file system has.
func checkEmpty(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return explain(path, err)
	}
	for _, e := range entries {
		switch e.Name() {
		case lockFile, childrenFile, versionFile + newSuffix, "lost+found":
		default:
			return fmt.Errorf("%s has other things in it (%s) and is no data directory of boxoffice: choose an empty or a new directory", path, e.Name())
		}
	}
	return nil
}

// hold takes the lock or says who has it. The lock ends with the process, however
// it ends.
func (d *Dir) hold(command string) error {
	path := d.Path(lockFile)
	lock := flock.New(path)
	held, err := lock.TryLock()
	if err != nil {
		return explain(d.path, err)
	}
	if !held {
		who, err := os.ReadFile(path)
		if err != nil || len(who) == 0 {
			who = []byte("another process")
		}
		return fmt.Errorf("the data directory %s is %w by %s: stop that, or choose another directory", d.path, ErrInUse, strings.TrimSpace(string(who)))
	}
	d.lock = lock
	if err := os.WriteFile(path, fmt.Appendf(nil, "pid %d (%s)\n", os.Getpid(), command), 0o644); err != nil {
		return errors.Join(explain(d.path, err), d.Close())
	}
	return nil
}

// prepare writes what is missing.
func (d *Dir) prepare(steps []migration) error {
	if err := writeOnce(d.Path(versionFile), versionText(present(steps)), 0o644); err != nil {
		return err
	}
	for _, part := range []string{d.Kafka(), d.ClickHouse(), d.Tables(), d.Views(), d.Provider()} {
		if err := os.MkdirAll(part, 0o755); err != nil {
			return err
		}
	}
	fresh := make([]byte, keyBytes)
	// Never fails, says crypto/rand.
	_, _ = rand.Read(fresh)
	if err := writeOnce(d.Path(keyFile), append(hex.AppendEncode(nil, fresh), '\n'), 0o600); err != nil {
		return err
	}
	return d.readKey()
}

func (d *Dir) readKey() error {
	path := d.Path(keyFile)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if others := info.Mode().Perm() & 0o077; others != 0 {
		return fmt.Errorf("%s can be read by others: run chmod 600 on it", path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(key) != keyBytes {
		return fmt.Errorf("%s is damaged: restore it from a copy; without it what was sealed with it cannot be read", path)
	}
	d.key = key
	return nil
}

const newSuffix = ".new"

// writeOnce creates a file with its whole content, or leaves the one that is
// there: a kill in between leaves none.
func writeOnce(path string, content []byte, mode fs.FileMode) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return replace(path, content, mode)
}

// replace writes a file so that a kill in between leaves the old content or the
// new one, and no mixture.
func replace(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path+newSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+newSuffix, path)
}

// explain says what a person can do about an error of the file system.
func explain(path string, err error) error {
	var todo string
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		todo = "its disk is full: free some space, or choose another directory"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		todo = "it cannot be written: change its permissions, or choose another directory"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		todo = "a file is in its way: choose another directory"
	default:
		return fmt.Errorf("data directory %s: %w", path, err)
	}
	return fmt.Errorf("data directory %s: %s: %w", path, todo, err)
}

// Root is the directory itself, absolute.
func (d *Dir) Root() string { return d.path }

// Path joins a name to the directory.
func (d *Dir) Path(name string) string { return filepath.Join(d.path, name) }

// Kafka is the embedded broker's directory.
func (d *Dir) Kafka() string { return d.Path("kafka") }

// ClickHouse is the database's directory.
func (d *Dir) ClickHouse() string { return d.Path("clickhouse") }

// Tables is where processors keep their local tables.
func (d *Dir) Tables() string { return d.Path("tables") }

// Views is where views keep their local tables.
func (d *Dir) Views() string { return d.Path("views") }

// Provider is the payment provider's directory.
func (d *Dir) Provider() string { return d.Path("provider") }

// DevKey is 32 random bytes that were drawn when the directory was made.
func (d *Dir) DevKey() []byte { return d.key }

// Children is a file for child processes to inherit: as long as one of them has
// it, nobody else gets the directory.
func (d *Dir) Children() *os.File { return d.children }

// Close lets the next process use the directory.
func (d *Dir) Close() error {
	if d.children != nil {
		_ = d.children.Close() // nothing was written
	}
	return d.lock.Unlock()
}
