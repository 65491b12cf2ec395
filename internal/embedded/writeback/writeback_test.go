package writeback

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// recorder is a Writer over a folder that notes what it would send.
type recorder struct {
	*Writer
	t    *testing.T
	dir  string
	sent []string
}

func newRecorder(t *testing.T) *recorder {
	r := &recorder{t: t, dir: t.TempDir()}
	r.Writer = New(slog.New(slog.DiscardHandler), filepath.Join(r.dir, "a"), filepath.Join(r.dir, "not there yet"))
	r.send = func(path string) error {
		name, err := filepath.Rel(r.dir, path)
		r.sent = append(r.sent, name)
		return err
	}
	return r
}

// write writes a file at a moment.
func (r *recorder) write(name string, at time.Time) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(name), 0o600), os.Chtimes(path, at, at)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *recorder) expect(what string, now time.Time, names ...string) {
	r.t.Helper()
	r.sent = nil
	if !r.round(r.t.Context(), now) {
		r.t.Fatalf("%s: there is no point in another round", what)
	}
	slices.Sort(r.sent)
	if !slices.Equal(r.sent, names) {
		r.t.Errorf("%s: sent %q, want %q", what, r.sent, names)
	}
}

// A file that is written to is sent once for each round in which it was, wherever it
// lies, and one at rest costs nothing.
func TestWhatWasWrittenIsSent(t *testing.T) {
	t.Parallel()
	r, start := newRecorder(t), time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	r.write("a/log", at(-1))
	r.write("a/b/c/segment", at(-2))
	r.write("a/old", at(-3600))
	r.write("elsewhere", at(-1))
	r.expect("first round", at(0), "a/b/c/segment", "a/log")
	r.expect("nothing was written", at(1))
	r.write("a/log", at(1.5))
	r.expect("one was written to", at(2), "a/log")
	r.write("a/new", at(2.5))
	r.write("not there yet/now", at(2.5))
	r.write("a/old", at(2.5))
	r.expect("before the next search", at(3))
	r.expect("the search finds them", at(5), "a/new", "a/old", "not there yet/now")
}

// A file that is removed, or at rest, is not looked at for ever.
func TestFilesAreForgotten(t *testing.T) {
	t.Parallel()
	r, start := newRecorder(t), time.Now()
	r.write("a/log", start)
	r.write("a/gone", start)
	r.expect("first round", start, "a/gone", "a/log")
	if err := os.Remove(filepath.Join(r.dir, "a/gone")); err != nil {
		t.Fatal(err)
	}
	r.expect("one is gone", start.Add(interval))
	if n := len(r.written); n != 1 {
		t.Errorf("%d files are looked at, want 1", n)
	}
	r.expect("long after", start.Add(forgetAfter+interval))
	if n := len(r.written); n != 0 {
		t.Errorf("%d files are looked at, want none", n)
	}
}

// A folder may be a link to a larger disk, and the clock may be set back.
func TestLinkedFoldersAndClocksSetBack(t *testing.T) {
	t.Parallel()
	r, start := newRecorder(t), time.Now()
	r.write("disk/log", start)
	if err := os.Symlink(filepath.Join(r.dir, "disk"), filepath.Join(r.dir, "a")); err != nil {
		t.Fatal(err)
	}
	r.expect("through the link", start, "disk/log")
	r.write("disk/log", start.Add(-time.Hour))
	r.expect("an hour earlier", start.Add(interval-time.Hour), "disk/log")
}

// A system that has no such call is asked once, not every second for ever; one file
// that cannot be sent holds up no other.
func TestWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	r := newRecorder(t)
	for _, name := range []string{"a/1", "a/2", "a/3"} {
		r.write(name, time.Now())
	}
	send := r.send
	r.send = func(path string) error {
		return errors.Join(send(path), &os.PathError{Op: "open", Path: path, Err: os.ErrPermission})
	}
	r.expect("all fail", time.Now(), "a/1", "a/2", "a/3")
	r.write("a/1", time.Now().Add(time.Second))
	r.send = func(string) error { return errors.ErrUnsupported }
	if r.round(t.Context(), time.Now().Add(interval)) {
		t.Error("a system that has no such call is asked again")
	}
	r.written = map[string]time.Time{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Errorf("a stop gives %v", err)
	}
}
