// Package deadletters is what an operator does with records that could not be
// handled: read them, look at one, send them to their topic again once the cause
// is mended, or discard them. Each deed leaves an audit record, which is also what
// says that a letter is done with.
package deadletters

import (
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/stream"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// State says what was done with a letter.
type State string

// The states.
const (
	Open      State = "open"
	Redriven  State = "redriven"
	Discarded State = "discarded"
)

// classUnreadable is of a record in the dead letters that the runtime has not
// written: it does not say where it belongs.
const classUnreadable = "unreadable"

// Letter is one record that could not be handled.
type Letter struct {
	// ID is derived from where the record was first.
	ID string
	// At is where the letter lies, Time when it was written.
	At   stream.Position
	Time time.Time
	// Group could not handle the record, which was at Original.
	Group    string
	Original stream.Position
	Key      string
	// Class and Reason are codes, Detail is for people.
	Class, Reason, Detail string
	// Attempts counts all that failed, those before a redrive too.
	Attempts      int
	FirstFailedAt string
	// RedriveOf is the letter that the record was before it was redriven and died
	// again; DiedAgain are the letters that redrives of this one have become.
	RedriveOf string
	DiedAgain []string
	// Actions is what was done with it, the oldest first.
	Actions []*pb.OperatorAction

	record *kgo.Record
}

// State is what was done with the letter last.
func (l *Letter) State() State {
	if len(l.Actions) == 0 {
		return Open
	}
	if l.Actions[len(l.Actions)-1].Kind == pb.OperatorActionKind_OPERATOR_ACTION_KIND_DISCARD {
		return Discarded
	}
	return Redriven
}

// ShortID is the beginning of the id, as people name it.
func (l *Letter) ShortID() string { return l.ID[:min(len(l.ID), 8)] }

// letterOf reads a record of the dead letters.
func letterOf(r *kgo.Record) *Letter {
	headers := make(map[string]string, len(r.Headers))
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	at := stream.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	l := &Letter{
		ID: headers[stream.HeaderID], At: at, Time: r.Timestamp, Group: headers[stream.HeaderGroup], Key: string(r.Key),
		Class: headers[stream.HeaderErrorClass], Reason: headers[stream.HeaderReason], Detail: headers[stream.HeaderDetail],
		FirstFailedAt: headers[stream.HeaderFirstFailedAt], RedriveOf: headers[stream.HeaderRedriveOf], record: r,
	}
	l.Attempts, _ = strconv.Atoi(headers[stream.HeaderAttempt])
	partition, bad := strconv.ParseInt(headers[stream.HeaderOriginalPartition], 10, 32)
	offset, bad2 := strconv.ParseInt(headers[stream.HeaderOriginalOffset], 10, 64)
	if l.ID == "" || headers[stream.HeaderOriginalTopic] == "" || bad != nil || bad2 != nil {
		l.ID, l.Class, l.Reason = stream.DeadLetterID(at), classUnreadable, classUnreadable
		l.Detail = "its headers do not say where it belongs: the runtime has not written it"
		return l
	}
	l.Original = stream.Position{Topic: headers[stream.HeaderOriginalTopic], Partition: int32(partition), Offset: offset}
	return l
}
