package simulation

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page in the documents is the list in the code, or people read of controls
// that are not there.
func TestPageIsWhatTheListSays(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	if err := WritePage(&want); err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../../docs/CONTROLS.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want.String() {
		t.Error("docs/CONTROLS.md is not what the list says: run 'make generate' and commit")
	}
}

// A control that names a Go test names one that exists, and none is without
// somebody who notices it.
func TestControlsAreNoticedBySomebody(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range Controls() {
		if seen[c.Name] || c.Breaks == "" || c.How == "" || (c.Test == "") == (len(c.Invariants) == 0) {
			t.Errorf("control %q is there twice, or incomplete", c.Name)
		}
		seen[c.Name] = true
		folder, name, named := strings.Cut(c.Test, " ")
		if !named {
			continue
		}
		files, err := filepath.Glob("../../" + folder + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(source), "\nfunc "+name+"(")
		}
		if !found {
			t.Errorf("control %s: there is no test %s in %s", c.Name, name, folder)
		}
	}
}
