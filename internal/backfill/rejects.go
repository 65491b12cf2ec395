package backfill

import (
	"encoding/json"
	"fmt"
	"os"
)

// rejects is the file of what was not imported, a JSON object a line. It is made
// with the first, and an earlier run's stay in it.
type rejects struct {
	path string
	file *os.File
}

func (r *rejects) write(p Problem) (err error) {
	if r.file == nil {
		if r.file, err = os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("writing what is not imported: %w", err)
		}
	}
	if err := json.NewEncoder(r.file).Encode(p); err != nil {
		return fmt.Errorf("writing what is not imported: %w", err)
	}
	return nil
}

func (r *rejects) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// WriteRejects appends problems to the file of what is not imported.
func WriteRejects(path string, problems []Problem) error {
	r := rejects{path: path}
	for _, p := range problems {
		if err := r.write(p); err != nil {
			_ = r.close()
			return err
		}
	}
	return r.close()
}
