package stream

import (
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
)

// DeadLetterTopic takes the records that could not be handled, as they were,
// with headers that say where they come from and why.
var DeadLetterTopic = topology.DeadLetters

// Headers of a dead letter.
const (
	HeaderID                = "x-id" // derived from the origin: a repeat has the same
	HeaderOriginalTopic     = "x-original-topic"
	HeaderOriginalPartition = "x-original-partition"
	HeaderOriginalOffset    = "x-original-offset"
	HeaderGroup             = "x-group"
	HeaderErrorClass        = "x-error-class"
	HeaderReason            = "x-reason"
	HeaderDetail            = "x-detail"
	HeaderAttempt           = "x-attempt"
	HeaderFirstFailedAt     = "x-first-failed-at"
)

// Error classes of a dead letter.
const (
	// ClassUndecodable: the value is no message of the topic's type.
	ClassUndecodable = "undecodable"
	// ClassPoison: no correct peer can have sent the message.
	ClassPoison = "poison"
	// ClassError: the handler failed again and again; the fault may be ours.
	ClassError = "error"
)

// detailBytesMax bounds the text that goes into a header.
const detailBytesMax = 1024

// letter is why a record is dead.
type letter struct {
	class, reason, detail string
	attempt               int
	firstFailed           time.Time
}

// deadLetterSpace is the name space of dead letter ids.
var deadLetterSpace = uuid.MustParse("5b8f7f0e-9f4b-5d0c-8a3e-1f6f0d2c7a41")

// DeadLetterID returns the id of the dead letter of a record. It is derived
// from where the record is, so that a second attempt makes no second letter.
func DeadLetterID(p Position) string {
	return uuid.NewSHA1(deadLetterSpace, []byte(p.String())).String()
}

// headers describes the letter. What the record carried is passed on, except
// what an earlier death left: of that the attempts add up and the first
// failure stays.
func (l letter) headers(group string, at Position, carried []kgo.RecordHeader) []kgo.RecordHeader {
	first := l.firstFailed.UTC().Format(time.RFC3339Nano)
	attempt := max(l.attempt, 1)
	out := make([]kgo.RecordHeader, 0, len(carried)+10)
	for _, h := range carried {
		switch h.Key {
		case HeaderFirstFailedAt:
			first = string(h.Value)
		case HeaderAttempt:
			if n, err := strconv.Atoi(string(h.Value)); err == nil && n > 0 {
				attempt += n
			}
		default:
			if !isDeadLetterHeader(h.Key) {
				out = append(out, h)
			}
		}
	}
	add := func(key, value string) { out = append(out, kgo.RecordHeader{Key: key, Value: []byte(value)}) }
	add(HeaderID, DeadLetterID(at))
	add(HeaderOriginalTopic, at.Topic)
	add(HeaderOriginalPartition, strconv.Itoa(int(at.Partition)))
	add(HeaderOriginalOffset, strconv.FormatInt(at.Offset, 10))
	add(HeaderGroup, group)
	add(HeaderErrorClass, l.class)
	add(HeaderReason, l.reason)
	add(HeaderDetail, l.detail[:min(len(l.detail), detailBytesMax)])
	add(HeaderAttempt, strconv.Itoa(attempt))
	add(HeaderFirstFailedAt, first)
	return out
}

// isDeadLetterHeader tells the runtime's headers from those that travel with
// a message.
func isDeadLetterHeader(key string) bool {
	switch key {
	case HeaderID, HeaderOriginalTopic, HeaderOriginalPartition, HeaderOriginalOffset, HeaderGroup,
		HeaderErrorClass, HeaderReason, HeaderDetail, HeaderAttempt, HeaderFirstFailedAt:
		return true
	}
	return false
}
