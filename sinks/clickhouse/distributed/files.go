package distributed

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Files is a folder of rewritten migrations, in memory.
type Files map[string][]byte

// Migrations rewrites every SQL file of a folder for a cluster.
func Migrations(plain fs.FS, to Target) (Files, error) {
	if err := to.Validate(); err != nil {
		return nil, err
	}
	names, err := fs.Glob(plain, "*.sql") // in the order of their versions
	if err != nil {
		return nil, err
	}
	files, w := Files{}, &rewriter{to: to, tables: map[string]bool{}, views: map[string]bool{}}
	for _, name := range names {
		sql, err := fs.ReadFile(plain, name)
		if err != nil {
			return nil, err
		}
		if files[name], err = w.file(string(sql)); err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
	}
	return files, nil
}

// file rewrites one migration; goose's annotations and other comments between
// statements stay where they are.
func (w *rewriter) file(sql string) ([]byte, error) {
	var out, statement strings.Builder
	for _, t := range lex(sql) {
		switch {
		case t.kind == comment && strings.Contains(t.text, "+goose Statement"):
			return nil, fmt.Errorf("%s is not known to the rewriting", strings.TrimSpace(t.text))
		case t.is(";"):
			rewritten, err := w.rewrite(statement.String())
			if err != nil {
				return nil, fmt.Errorf("%.60q: %w", strings.TrimSpace(statement.String()), err)
			}
			out.WriteString(strings.Join(rewritten, ";\n\n") + ";")
			statement.Reset()
		case statement.Len() > 0 || t.kind != space && t.kind != comment:
			statement.WriteString(t.text)
		default:
			out.WriteString(t.text)
		}
	}
	if rest := strings.TrimSpace(statement.String()); rest != "" {
		return nil, fmt.Errorf("%.60q does not end with a semicolon", rest)
	}
	return []byte(out.String()), nil
}

// Glob implements fs.GlobFS.
func (f Files) Glob(pattern string) ([]string, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		matched, err := path.Match(pattern, name)
		if err != nil {
			return nil, err
		}
		if matched {
			names = append(names, name)
		}
	}
	return names, nil
}

// Open implements fs.FS.
func (f Files) Open(name string) (fs.File, error) {
	content, ok := f[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{Reader: bytes.NewReader(content), name: name}, nil
}

// file is an open file and what there is to know about it.
type file struct {
	*bytes.Reader
	name string
}

func (f *file) Stat() (fs.FileInfo, error) { return f, nil }
func (f *file) Close() error               { return nil }
func (f *file) Name() string               { return f.name }
func (f *file) Mode() fs.FileMode          { return 0o444 }
func (f *file) ModTime() time.Time         { return time.Time{} }
func (f *file) IsDir() bool                { return false }
func (f *file) Sys() any                   { return nil }
