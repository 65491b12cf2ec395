package render

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/eventpro/boxoffice/reports/statement"
)

// A report fails half way: last month's file is still there as it was, and no half
// of this month's.
func TestWriteFileIsAllOrNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "report.csv")
	csv, _ := Find("csv")
	if err := WriteFile(path, csv, fixture(t)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("disk full")
	half := Format{Write: func(w io.Writer, _ *statement.Report) error {
		_, err := io.WriteString(w, "half")
		return errors.Join(err, broken)
	}}
	if err := WriteFile(path, half, fixture(t)); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the file is %d bytes, was %d, %v", len(after), len(before), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}
