package simulation

import (
	"fmt"
	"io"
)

// story is what happened, one line a step.
type story struct{ lines []line }

type line struct {
	step        int
	who, happen string
}

// tell adds a line, if anybody listens.
func (w *world) tell(who, format string, args ...any) {
	if w.story != nil {
		w.story.lines = append(w.story.lines, line{w.steps, who, fmt.Sprintf(format, args...)})
	}
}

// write writes the story; of one that is longer than most lines the beginning and
// the end.
func (s *story) write(out io.Writer, most int) error {
	skipped := len(s.lines) - most
	for i, l := range s.lines {
		if skipped > 0 && i >= most/2 && i < most/2+skipped {
			if i == most/2 {
				if _, err := fmt.Fprintf(out, "       ... %d lines ...\n", skipped); err != nil {
					return err
				}
			}
			continue
		}
		if _, err := fmt.Fprintf(out, "%5d  %-18s %s\n", l.step, l.who, l.happen); err != nil {
			return err
		}
	}
	return nil
}

// failByError notes that a handler gave up: it names the invariant that it would
// have broken.
func (w *world) failByError(p *process, err error) {
	invariant := "error"
	text := err.Error()
	for i := 0; i+1 < len(text); i++ {
		if text[i] == 'I' && text[i+1] >= '1' && text[i+1] <= '9' {
			invariant = text[i : i+2]
			break
		}
	}
	w.fail(invariant, "%s refused: %v", p.name, err)
}
