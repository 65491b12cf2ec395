package verify

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/wire"
)

// Headers of a dead letter, which are part of the contract between the runtime
// and its operators.
const (
	headerTopic     = "x-original-topic"
	headerPartition = "x-original-partition"
	headerOffset    = "x-original-offset"
	headerReason    = "x-reason"
)

// onDeadLetter remembers which records ended as dead letters.
func (w *world) onDeadLetter(r *kgo.Record) error {
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	partition, err := strconv.ParseInt(headers[headerPartition], 10, 32)
	if err != nil {
		return w.undecodable(r, fmt.Errorf("a dead letter without its origin: %w", err))
	}
	offset, err := strconv.ParseInt(headers[headerOffset], 10, 64)
	if err != nil {
		return w.undecodable(r, fmt.Errorf("a dead letter without its origin: %w", err))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	at := origin{part{headers[headerTopic], int32(partition)}, offset}
	if w.dead[at] {
		w.found.fail("I7", "%s/%d at offset %d is a dead letter twice", at.topic, at.id, at.offset)
	}
	w.dead[at] = true
	if w.report.DeadLetters == nil {
		w.report.DeadLetters = map[string]int64{}
	}
	w.report.DeadLetters[headers[headerTopic]+": "+headers[headerReason]]++
	return nil
}

// origin is the place of one record.
type origin struct {
	part
	offset int64
}

// onCommand takes a record of registration-commands. The tables were read
// before, so that it is known how far the commands of each key were answered.
//
// I2, I7: an accepted command was answered (its key's value names it or a later
// one), is a dead letter, or lies above what the group has committed.
func (w *world) onCommand(r *kgo.Record) error {
	w.mu.Lock()
	deadLetter := w.dead[origin{part{r.Topic, r.Partition}, r.Offset}]
	w.mu.Unlock()
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
	c := &w.commands
	w.found.checked("I7", int(c.answered+c.dead+c.waiting))
	w.found.detail("I7", "%d commands: %d answered, %d dead letters, %d waiting", c.answered+c.dead+c.waiting, c.answered, c.dead, c.waiting)
	letters := int64(0)
	for _, n := range w.report.DeadLetters {
		letters += n
	}
	w.found.detail("I7", "%d dead letters in all", letters)
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
	w.found.detail("I2", "%d answers to clients", n)
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
