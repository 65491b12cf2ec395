package render

import (
	"io"

	"github.com/eventpro/boxoffice/internal/wholefile"
	"github.com/eventpro/boxoffice/reports/statement"
)

// WriteFile writes a report to a file, as a whole or not at all: whoever opens the
// file sees the old report or the new one.
func WriteFile(path string, f Format, r *statement.Report) error {
	return wholefile.Write(path, 0o644, func(w io.Writer) error { return f.Write(w, r) })
}
