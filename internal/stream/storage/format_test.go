package storage

import (
	"os"
	"path/filepath"
	"testing"
)

// A release finds local tables that another one wrote in another format, or that
// were cut off in the middle of being dropped: it starts with empty ones, which
// the log fills again. Those of its own format, and those of the first format,
// which had no number, are kept.
func TestAnotherFormatIsRebuilt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		content string
		kept    bool
	}{
		"the same": {"1\n", true}, "none": {"", true}, "newer": {"2\n", false}, "torn": {"x", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			p := partition(t, s, 0, Direct)
			must(t, p.Set("k", []byte("7")))
			must(t, p.SetOffset(3))
			must(t, p.Close())
			must(t, s.Close())
			file := filepath.Join(dir, formatFile)
			must(t, os.Remove(file))
			if c.content != "" {
				must(t, os.WriteFile(file, []byte(c.content), 0o600))
			}
			s = open(t, dir)
			defer s.Close()
			p = partition(t, s, 0, Direct)
			want := map[bool]string{true: "7", false: ""}[c.kept]
			expect(t, p, "k", want)
			must(t, p.Close())
			if raw, err := os.ReadFile(file); err != nil || string(raw) != "1\n" {
				t.Errorf("the number is %q, %v", raw, err)
			}
		})
	}
}
