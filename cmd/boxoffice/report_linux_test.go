package main

import (
	"os"
	"strings"
	"testing"
)

// A workbook on a terminal is garbage, and may change how it writes: it is refused
// before anything is asked of the database.
func TestBinaryFormatsAreNotForATerminal(t *testing.T) {
	t.Parallel()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	for _, format := range []string{"xlsx", "pdf"} {
		var stderr strings.Builder
		status := run(t.Context(), []string{"report", "revenue", "--format", format}, strings.NewReader(""), terminal, &stderr)
		if status != exitUsage || !strings.Contains(stderr.String(), "use --out revenue."+format) {
			t.Errorf("%s: status %d, %q", format, status, stderr.String())
		}
	}
}
