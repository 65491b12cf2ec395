package verify

import (
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
)

// Headers of a dead letter and of a record that was put off, which are part of the
// contract between the runtime and its operators.
const (
	headerTopic     = "x-original-topic"
	headerPartition = "x-original-partition"
	headerOffset    = "x-original-offset"
	headerReason    = "x-reason"
	headerAttempt   = "x-attempt"
	headerNotBefore = "x-not-before"
	headerRedriveOf = "x-redrive-of"
)

// origin is the place where one record was written first.
type origin struct {
	part
	offset int64
}

// attempt is one of the attempts at a record: number 0 is at the record itself,
// number n at what came back after n failures.
type attempt struct {
	origin
	number int
}

func (a attempt) next() attempt { a.number++; return a }

func headersOf(r *kgo.Record) map[string]string {
	headers := make(map[string]string, len(r.Headers))
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	return headers
}

func originOf(headers map[string]string) (origin, error) {
	partition, err := strconv.ParseInt(headers[headerPartition], 10, 32)
	if err != nil {
		return origin{}, fmt.Errorf("a record without its origin: %w", err)
	}
	offset, err := strconv.ParseInt(headers[headerOffset], 10, 64)
	if err != nil {
		return origin{}, fmt.Errorf("a record without its origin: %w", err)
	}
	return origin{part{headers[headerTopic], int32(partition)}, offset}, nil
}

// attemptOf is what handling the record was, or will be.
func attemptOf(r *kgo.Record) attempt {
	if len(r.Headers) > 0 {
		headers := headersOf(r)
		n, err := strconv.Atoi(headers[headerAttempt])
		if from, bad := originOf(headers); bad == nil && err == nil && headers[headerNotBefore] != "" {
			return attempt{from, n}
		}
	}
	return attempt{origin{part{r.Topic, r.Partition}, r.Offset}, 0}
}

// copied reports whether a record is there for one group that failed to handle it
// before: it came back from the retries, or was redriven. To everybody else it is a
// repetition, which says nothing new.
func copied(r *kgo.Record) bool {
	for _, h := range r.Headers {
		if h.Key == headerNotBefore || h.Key == headerRedriveOf {
			return true
		}
	}
	return false
}

// onDeadLetter remembers which records ended as dead letters.
func (w *world) onDeadLetter(r *kgo.Record) error {
	headers := headersOf(r)
	at, err := originOf(headers)
	if err != nil {
		return w.undecodable(r, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead[at]++
	if w.report.DeadLetters == nil {
		w.report.DeadLetters = map[string]int64{}
	}
	w.report.DeadLetters[headers[headerTopic]+": "+headers[headerReason]]++
	return nil
}

// onPutOff takes a record of retries: an attempt that failed and is made again.
func (w *world) onPutOff(r *kgo.Record) error {
	headers := headersOf(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	at := attemptOf(r)
	if at.number == 0 {
		return nil // no retry: the stage that reads it writes a dead letter
	}
	w.putOff[at] = origin{part{r.Topic, r.Partition}, r.Offset}
	if w.report.PutOff == nil {
		w.report.PutOff = map[string]int64{}
	}
	w.report.PutOff[headers[headerTopic]+": "+headers[headerReason]]++
	return nil
}

// checkPutOff: I7, a command that was put off waits, or came back. It returns how
// many wait; they are open.
func (w *world) checkPutOff() (waiting int) {
	for at, from := range w.putOff {
		switch {
		case at.topic != topology.RegistrationCommands.Name: // nobody has read what comes back
		case w.returned[at]:
		case from.offset < w.forwarded[from.part] && !w.commandsExpired:
			w.found.fail("I7", "the command at %s/%d, offset %d, was put off to %s/%d, offset %d, and never came back",
				at.topic, at.id, at.offset, from.topic, from.id, from.offset)
		default:
			waiting++
			w.open(fmt.Sprintf("%s/%d/%d (to be tried again)", at.topic, at.id, at.offset), false)
		}
	}
	return waiting
}

// checkLetters: I7, a record dies once. What was put off may come back twice, and
// then die twice, with one id.
func (w *world) checkLetters() {
	for at, n := range w.dead {
		if _, putOff := w.putOff[attempt{at, 1}]; n > 1 && !putOff {
			w.found.fail("I7", "%s/%d at offset %d is a dead letter twice", at.topic, at.id, at.offset)
		}
	}
}
