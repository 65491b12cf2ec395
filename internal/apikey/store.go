package apikey

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/eventpro/boxoffice/internal/problem"
)

// Store answers who calls. It is safe for concurrent use.
type Store struct {
	path string
	log  *slog.Logger
	now  func() time.Time
	set  atomic.Pointer[Set]
	// seen is what the file looked like when it was last read; only Watch and
	// Open touch it.
	seen fingerprint
}

type fingerprint struct {
	modified time.Time
	size     int64
}

func fingerprintOf(info fs.FileInfo) fingerprint {
	return fingerprint{modified: info.ModTime(), size: info.Size()}
}

// Fixed returns a store of a set that never changes.
func Fixed(set *Set) *Store {
	s := &Store{now: time.Now}
	s.set.Store(set)
	return s
}

// Open reads the key file. Run Watch to follow its changes.
func Open(path string, log *slog.Logger) (*Store, error) {
	s := &Store{path: path, log: log, now: time.Now}
	if err := s.reload(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) reload() error {
	// The fingerprint is taken first: a change between it and the read is seen
	// again at the next look.
	info, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("API key file: %w", err)
	}
	content, err := os.ReadFile(s.path)
	if err != nil {
		return fmt.Errorf("API key file: %w", err)
	}
	s.seen = fingerprintOf(info)
	set, err := Parse(content)
	if err != nil {
		return fmt.Errorf("API key file %s: %w", s.path, err)
	}
	s.set.Store(set)
	return nil
}

// Watch looks at the file once an interval and reads it again when it has
// changed, until ctx ends. A file that cannot be used is logged and leaves the
// keys as they were: a slip of the editor must not lock everybody out.
func (s *Store) Watch(ctx context.Context, interval time.Duration) {
	if s.path == "" {
		return
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.look()
		}
	}
}

func (s *Store) look() {
	info, err := os.Stat(s.path)
	if err == nil && fingerprintOf(info) == s.seen {
		return
	}
	if err == nil {
		err = s.reload()
	}
	if err != nil {
		s.log.Error("API keys stay as they were", "error", err)
		return
	}
	s.log.Info("API keys read again", "file", s.path, "keys", s.set.Load().Len())
}

// Authenticate returns who sent an Authorization header. The error is a
// *problem.Problem: api_key_missing or api_key_unknown.
func (s *Store) Authenticate(authorization string) (*Identity, error) {
	scheme, key, _ := strings.Cut(authorization, " ")
	key = strings.TrimSpace(key)
	if key == "" || !strings.EqualFold(scheme, "Bearer") {
		return nil, problem.New(problem.APIKeyMissing, "Send the header Authorization: Bearer <key>.")
	}
	id := s.set.Load().find(HashOf(key))
	if id == nil {
		return nil, problem.New(problem.APIKeyUnknown, "This API key is not listed; use one that is.")
	}
	if !id.Expires.IsZero() && !s.now().Before(id.Expires) {
		return nil, problem.New(problem.APIKeyUnknown, "This API key expired at %s; use a newer one.", id.Expires.UTC().Format(time.RFC3339))
	}
	return id, nil
}

// Authorize returns who sent an Authorization header if the caller may do what
// the scope names. The error is a *problem.Problem: api_key_missing,
// api_key_unknown or scope_missing.
func (s *Store) Authorize(authorization string, scope Scope) (*Identity, error) {
	id, err := s.Authenticate(authorization)
	if err != nil {
		return nil, err
	}
	if !id.Has(scope) {
		return nil, problem.New(problem.ScopeMissing, "This needs a key with the scope %s; the key %q does not have it.", scope, id.Name)
	}
	return id, nil
}
