package verify

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/wire"
)

// onCommand takes a record of registration-commands. The tables were read
// before, so that it is known how far the commands of each key were answered.
//
// I2, I7: an accepted command was put off, and then its return ends like any
// command; or is a dead letter; or was answered (its key's value names it or a
// later one); or lies above what the group has committed.
func (w *world) onCommand(r *kgo.Record) error {
	at := attemptOf(r)
	w.mu.Lock()
	deadLetter := w.dead[at.origin] > 0
	_, putOff := w.putOff[at.next()]
	w.returned[at] = true
	w.mu.Unlock()
	if putOff {
		w.count(&w.commands.putOff)
		return nil
	}
	var id uuid.UUID
	registers := false
	err := wire.Scan(r.Value, func(f wire.Field) {
		switch f.ID {
		case 1:
			id = idOf(f.Bytes)
		case 10:
			registers = true
		}
	})
	if err != nil {
		if deadLetter {
			w.count(&w.commands.dead)
			return nil
		}
		return w.undecodable(r, err)
	}
	handled := r.Offset < w.handled[part{r.Topic, r.Partition}]
	w.registrations.update(id, func(s *registration) {
		s.commands++
		switch {
		case deadLetter:
			w.count(&w.commands.dead)
			return
		case s.table.answered && s.table.partition == r.Partition && s.table.command >= r.Offset:
			w.count(&w.commands.answered)
		case handled:
			w.found.fail("I2", "registration %s: the command at %s/%d, offset %d, was handled and has no answer", id, r.Topic, r.Partition, r.Offset)
			w.found.fail("I7", "registration %s: the command at %s/%d, offset %d, ended nowhere", id, r.Topic, r.Partition, r.Offset)
		default:
			w.count(&w.commands.waiting)
		}
		if registers {
			s.registers++
		}
	})
	return nil
}

// checkCommands holds commands and registrations against each other, in both
// directions.
func (w *world) checkCommands() {
	w.registrations.each(func(id uuid.UUID, r *registration) {
		switch {
		case r.version > 0 && r.registers == 0 && !w.commandsExpired:
			w.found.fail("I2", "registration %s exists and nobody asked for it", id)
		case r.version == 0 && r.registers > 0 && r.table.answered && !w.report.Moving:
			w.found.fail("I2", "registration %s was asked for and has no event", id)
		case r.version == 0 && r.registers > 0:
			w.open(id.String(), false)
		}
	})
	held := w.checkPutOff()
	w.checkLetters()
	c := &w.commands
	all := c.answered + c.dead + c.putOff + c.waiting
	w.found.checked("I7", int(all))
	w.found.detail("I7", "%v commands: %v answered, %v dead letters, %v waiting", all, c.answered, c.dead, c.waiting)
	if c.putOff > 0 {
		w.found.detail("I7", "%v put off to be tried again, %v of them not back yet", c.putOff, held)
	}
	letters := int64(0)
	for _, n := range w.report.DeadLetters {
		letters += n
	}
	w.found.detail("I7", "%v dead letters in all", letters)
	if w.commandsExpired {
		w.found.detail("I2", "older commands were deleted by retention")
	}
}

// checkAccepted: what clients were told was accepted is in the log. The file has
// one answer a line: a JSON object with registration_id, or the id alone.
func (w *world) checkAccepted(path string) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading what was accepted: %w", err)
	}
	defer file.Close()
	in := bufio.NewScanner(file)
	in.Buffer(make([]byte, 0, 64<<10), 1<<20)
	n := 0
	for lineNumber := 1; in.Scan(); lineNumber++ {
		if len(bytes.TrimSpace(in.Bytes())) == 0 {
			continue
		}
		id, err := acceptedID(in.Bytes())
		if err != nil {
			return fmt.Errorf("%s, line %d: %w", path, lineNumber, err)
		}
		n++
		if r := w.registrations.get(id); r == nil || (r.commands == 0 && !w.commandsExpired) {
			w.found.fail("I2", "registration %s was accepted, and %s does not have it", id, topology.RegistrationCommands.Name)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("reading what was accepted: %w", err)
	}
	w.found.checked("I2", n)
	w.found.detail("I2", "%v answers to clients", n)
	return nil
}

func acceptedID(text []byte) (uuid.UUID, error) {
	text = bytes.TrimSpace(text)
	if !bytes.HasPrefix(text, []byte("{")) {
		return uuid.ParseBytes(text)
	}
	var answer struct {
		RegistrationID uuid.UUID `json:"registration_id"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return uuid.UUID{}, err
	}
	if answer.RegistrationID == (uuid.UUID{}) {
		return uuid.UUID{}, fmt.Errorf("no registration_id in %s", text)
	}
	return answer.RegistrationID, nil
}
