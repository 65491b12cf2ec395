package simulation

import (
	"fmt"
	"io"
	"strings"
)

// WritePage writes the negative controls as a Markdown page.
func WritePage(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Negative controls\n\nGenerated from `internal/simulation`; `make generate` rewrites it.\n\n" +
		"Each line is a system that is broken on purpose. `TestControls` runs those that the simulation notices until it does, and\n" +
		"fails if it does not; the others name the test that faces what they break. The rules, traces and invariants are those of\n" +
		"[ARCHITECTURE.md](../ARCHITECTURE.md) and of [the runtime](../internal/stream/README.md).\n\n" +
		"| control | breaks | how | noticed by |\n| --- | --- | --- | --- |\n")
	for _, c := range Controls() {
		by := "the simulation, as " + strings.Join(c.Invariants, " or ")
		if folder, test, ok := strings.Cut(c.Test, " "); ok {
			by = "`" + test + "` in `" + folder + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Name, c.Breaks, c.How, by)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
