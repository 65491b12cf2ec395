package load

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Accepted is a line of the file of what was accepted: the claim that a
// verification holds against the log.
type Accepted struct {
	IdempotencyKey string    `json:"idempotency_key"`
	RegistrationID uuid.UUID `json:"registration_id"`
	IntendedAt     time.Time `json:"intended_at"`
	AcceptedAt     time.Time `json:"accepted_at"`
	Quantity       int       `json:"quantity"`
	AmountMinor    int64     `json:"amount_minor"`
	Currency       string    `json:"currency"`
}

// acceptedFile appends lines; nil writes nothing.
type acceptedFile struct {
	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
	line []byte
}

func openAccepted(path string) (*acceptedFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("file of what was accepted: %w", err)
	}
	return &acceptedFile{file: f, w: bufio.NewWriterSize(f, 64<<10)}, nil
}

// add writes one line, as json.Marshal would write an Accepted.
func (f *acceptedFile) add(p *Plan, r *Request, id uuid.UUID, intended, accepted time.Time) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b := append(f.line[:0], `{"idempotency_key":"`...)
	b = p.AppendKey(b, r.Index)
	b = append(b, `","registration_id":"`...)
	b = append(b, id.String()...)
	b = append(b, `","intended_at":"`...)
	b = intended.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","accepted_at":"`...)
	b = accepted.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","quantity":`...)
	b = strconv.AppendInt(b, int64(r.Quantity), 10)
	b = append(b, `,"amount_minor":`...)
	b = strconv.AppendInt(b, r.AmountMinor, 10)
	b = append(b, `,"currency":"EUR"}`...)
	f.line = append(b, '\n')
	_, err := f.w.Write(f.line)
	return err
}

// flush hands what was added to the operating system, so that a run that is
// killed leaves all but the last second behind.
func (f *acceptedFile) flush() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.w.Flush()
}

func (f *acceptedFile) close() error {
	if f == nil {
		return nil
	}
	err := f.flush()
	if cerr := f.file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("file of what was accepted: %w", err)
	}
	return nil
}
