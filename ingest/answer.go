package ingest

import (
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/stream"
)

// Header values that every answer shares; net/http does not change them.
var (
	contentTypeJSON   = []string{jsonType}
	contentTypeNDJSON = []string{ndjsonType}
	noStore           = []string{"no-store"}
)

// acceptance is what an accepted command is answered with.
type acceptance struct {
	// idName is the name of the id's field.
	idName   string
	id       uuid.UUID
	position stream.Position
	// path is where to look up what became of it, under ViewsURL.
	path string
	// status is the event's status, where that is known.
	status string
}

func (a *acceptance) write(s *Server, w http.ResponseWriter, code int) {
	buf := s.buffers.get()
	defer s.buffers.put(buf)
	buf.b = append(a.append(append(buf.b[:0], '{'), s.cfg.ViewsURL), "}\n"...)
	h := w.Header()
	h["Content-Type"] = contentTypeJSON
	h["Cache-Control"] = noStore
	w.WriteHeader(code)
	// The caller may be gone: the command counts all the same, and its
	// idempotency key finds it.
	_, _ = w.Write(buf.b)
}

// append appends the fields of the answer, without braces. Ids, topics and paths
// need no escaping.
func (a *acceptance) append(dst []byte, viewsURL string) []byte {
	dst = append(dst, '"')
	dst = append(dst, a.idName...)
	dst = append(dst, `":"`...)
	dst = appendUUID(dst, a.id)
	if a.status != "" {
		dst = append(dst, `","status":"`...)
		dst = append(dst, a.status...)
	}
	dst = append(dst, `","position":{"topic":"`...)
	dst = append(dst, a.position.Topic...)
	dst = append(dst, `","partition":`...)
	dst = strconv.AppendInt(dst, int64(a.position.Partition), 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, a.position.Offset, 10)
	dst = append(dst, `},"status_url":"`...)
	dst = append(dst, viewsURL...)
	dst = append(dst, a.path...)
	dst = appendUUID(dst, a.id)
	return append(dst, '"')
}

func appendUUID(dst []byte, id uuid.UUID) []byte {
	dst = hex.AppendEncode(dst, id[:4])
	for _, part := range [...][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		dst = append(dst, '-')
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

const (
	registrationsPath = "/v1/registrations/"
	eventsPath        = "/v1/events/"
)

func registrationAccepted(id uuid.UUID, position stream.Position) acceptance {
	return acceptance{idName: "registration_id", id: id, position: position, path: registrationsPath}
}

func eventAccepted(id uuid.UUID, position stream.Position) acceptance {
	return acceptance{idName: "event_id", id: id, position: position, path: eventsPath}
}
