package stream

import (
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/stream/core"
	"github.com/eventpro/boxoffice/internal/topology"
)

// DeadLetterTopic takes the records that could not be handled, as they were,
// with headers that say where they come from and why.
var DeadLetterTopic = topology.DeadLetters

// Headers of a dead letter and of a record that was put off. The original is
// where the record was first; that it came again from the retries changes
// nothing in it, nor in the id.
const (
	HeaderID                = "x-id" // derived from the original: a repeat has the same
	HeaderOriginalTopic     = "x-original-topic"
	HeaderOriginalPartition = "x-original-partition"
	HeaderOriginalOffset    = "x-original-offset"
	HeaderGroup             = "x-group"
	HeaderErrorClass        = "x-error-class"
	HeaderReason            = "x-reason"
	HeaderDetail            = "x-detail"
	// HeaderAttempt counts the failed attempts: of a dead letter all of them, of
	// a record that was put off those since it was written or redriven.
	HeaderAttempt       = "x-attempt"
	HeaderFirstFailedAt = "x-first-failed-at"
	// HeaderNotBefore, only of a record that was put off, is when it is due.
	HeaderNotBefore = "x-not-before"
	// HeaderEarlierAttempts, of a redriven record that was put off, counts the
	// attempts before the redrive.
	HeaderEarlierAttempts = "x-earlier-attempts"
	// HeaderRedriveOf, of a redriven record, is the id of the letter that it was;
	// a letter of it keeps that.
	HeaderRedriveOf = "x-redrive-of"
)

// Error classes of a dead letter.
const (
	// ClassUndecodable: the value is no message of the topic's type.
	ClassUndecodable = core.ClassUndecodable
	// ClassPoison: no correct peer can have sent the message.
	ClassPoison = core.ClassPoison
	// ClassError: the handler failed again and again; the fault may be ours.
	ClassError = core.ClassError
)

// Reasons of class ClassError.
const (
	// ReasonFailed: the handler failed.
	ReasonFailed = core.ReasonFailed
	// ReasonDamagedState: the state of the record's key cannot be decoded.
	ReasonDamagedState = core.ReasonDamagedState
)

// detailBytesMax bounds the text that goes into a header.
const detailBytesMax = 1024

// letterSpace is the name space of dead letter ids.
var letterSpace = uuid.MustParse("5b8f7f0e-9f4b-5d0c-8a3e-1f6f0d2c7a41")

// DeadLetterID returns the id of the dead letter of a record. It is derived
// from where the record is, so that a second attempt makes no second letter.
func DeadLetterID(p Position) string {
	return uuid.NewSHA1(letterSpace, []byte(p.String())).String()
}

// letter is why a record could not be handled, and what is known of its past.
type letter struct {
	class, reason, detail string
	original              Position
	attempt               int // this one included, since it was written or redriven
	earlier               int // before it was redriven
	firstFailed           string
	// before: it had failed before this attempt, so that it is no news.
	before bool
}

// newLetter describes the failure of a record that carries headers. One that
// comes from the retries goes on with its history; any other, a redriven one
// among them, begins a new one, to which the earlier attempts are only added.
func newLetter(at Position, carried []kgo.RecordHeader, now time.Time, err error) letter {
	l := letter{original: at, attempt: 1, firstFailed: now.UTC().Format(time.RFC3339Nano)}
	if first, ok := find(carried, HeaderFirstFailedAt); ok {
		l.firstFailed, l.before = first, true
	}
	if o, due, retried := retryOf(carried); retried && due != (time.Time{}) {
		l.original = o
		l.attempt += number(carried, HeaderAttempt)
		l.earlier = number(carried, HeaderEarlierAttempts)
	} else {
		l.earlier = number(carried, HeaderAttempt)
	}
	l.class, l.reason, l.detail = core.Judge(err)
	return l
}

// retryOf reads where a record that was put off belongs, and when it is due.
func retryOf(headers []kgo.RecordHeader) (original Position, due time.Time, ok bool) {
	topic, hasTopic := find(headers, HeaderOriginalTopic)
	partition, hasPartition := find(headers, HeaderOriginalPartition)
	offset, hasOffset := find(headers, HeaderOriginalOffset)
	at, hasDue := find(headers, HeaderNotBefore)
	if !hasTopic || !hasPartition || !hasOffset || !hasDue {
		return original, due, false
	}
	p, err1 := strconv.ParseInt(partition, 10, 32)
	o, err2 := strconv.ParseInt(offset, 10, 64)
	due, err3 := time.Parse(time.RFC3339Nano, at)
	return Position{topic, int32(p), o}, due, errors.Join(err1, err2, err3) == nil
}

// headers describes the letter. What the record carried is passed on, except
// what earlier failures left.
func (l letter) headers(group string, carried []kgo.RecordHeader) []kgo.RecordHeader {
	out := make([]kgo.RecordHeader, 0, len(carried)+12)
	for _, h := range carried {
		if !isOwnHeader(h.Key) || h.Key == HeaderRedriveOf {
			out = append(out, h)
		}
	}
	add := func(key, value string) { out = append(out, kgo.RecordHeader{Key: key, Value: []byte(value)}) }
	add(HeaderID, DeadLetterID(l.original))
	add(HeaderOriginalTopic, l.original.Topic)
	add(HeaderOriginalPartition, strconv.Itoa(int(l.original.Partition)))
	add(HeaderOriginalOffset, strconv.FormatInt(l.original.Offset, 10))
	add(HeaderGroup, group)
	add(HeaderErrorClass, l.class)
	add(HeaderReason, l.reason)
	add(HeaderDetail, l.detail[:min(len(l.detail), detailBytesMax)])
	add(HeaderFirstFailedAt, l.firstFailed)
	return out
}

// dead are the headers of the dead letter.
func (l letter) dead(group string, carried []kgo.RecordHeader) []kgo.RecordHeader {
	return append(l.headers(group, carried), kgo.RecordHeader{Key: HeaderAttempt, Value: []byte(strconv.Itoa(l.earlier + l.attempt))})
}

// putOff are the headers of the record in the retries.
func (l letter) putOff(group string, carried []kgo.RecordHeader, due time.Time) []kgo.RecordHeader {
	out := append(l.headers(group, carried),
		kgo.RecordHeader{Key: HeaderAttempt, Value: []byte(strconv.Itoa(l.attempt))},
		kgo.RecordHeader{Key: HeaderNotBefore, Value: []byte(due.UTC().Format(time.RFC3339Nano))})
	if l.earlier > 0 {
		out = append(out, kgo.RecordHeader{Key: HeaderEarlierAttempts, Value: []byte(strconv.Itoa(l.earlier))})
	}
	return out
}

func find(headers []kgo.RecordHeader, key string) (string, bool) {
	for _, h := range headers {
		if h.Key == key {
			return string(h.Value), true
		}
	}
	return "", false
}

// number reads a header that counts; 0 when there is none.
func number(headers []kgo.RecordHeader, key string) int {
	text, _ := find(headers, key)
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// isOwnHeader tells the runtime's headers from those that travel with a
// message.
func isOwnHeader(key string) bool {
	switch key {
	case HeaderID, HeaderOriginalTopic, HeaderOriginalPartition, HeaderOriginalOffset, HeaderGroup,
		HeaderErrorClass, HeaderReason, HeaderDetail, HeaderAttempt, HeaderFirstFailedAt,
		HeaderNotBefore, HeaderEarlierAttempts, HeaderRedriveOf:
		return true
	}
	return false
}

// Travelling are the headers of a record that are not the runtime's: those that
// a message keeps wherever it goes.
func Travelling(headers []kgo.RecordHeader) []kgo.RecordHeader {
	var out []kgo.RecordHeader
	for _, h := range headers {
		if !isOwnHeader(h.Key) {
			out = append(out, h)
		}
	}
	return out
}
