// Package docs checks what the hand-written pages say of the tree.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page of faults names tests and where they are: each of them exists.
func TestFaultsNameTests(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("FAULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, row := range strings.Split(string(page), "\n") {
		cells := strings.Split(row, "|")
		if len(cells) != 5 {
			continue
		}
		folder := ""
		for _, word := range regexp.MustCompile("`[^`]+`").FindAllString(cells[3], -1) {
			if word = strings.Trim(word, "`"); !strings.HasPrefix(word, "Test") {
				folder = word
				continue
			}
			named++
			if !declared(t, folder, word) {
				t.Errorf("there is no %s in %s", word, folder)
			}
		}
	}
	if named < 30 {
		t.Errorf("the page names %d tests", named)
	}
}

// declared reports whether a test function is in a folder of the tree.
func declared(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), "func "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
