package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/pause"
)

const (
	retryPauseMin = 20 * time.Millisecond
	retryPauseMax = time.Second
	// answerMax bounds an answer, lineMax one line of a batch's.
	answerMax = 64 << 20
	lineMax   = 64 << 10
)

// Refusal is a definite no of the front door.
type Refusal struct {
	Status int
	// Code is the problem's stable code.
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Error implements error.
func (r *Refusal) Error() string {
	return fmt.Sprintf("the front door refused (%d %s): %s", r.Status, r.Code, r.Detail)
}

// door is the front door as a client sees it.
type door struct {
	client   *http.Client
	base     string
	auth     []string
	retryFor time.Duration
	buffers  sync.Pool
	// unanswered counts attempts whose outcome is not known: they may have
	// counted or not, and are made again with the same key.
	unanswered atomic.Int64
}

func newDoor(cfg *Config) *door {
	return &door{
		client: &http.Client{
			Timeout: cfg.RequestTimeout,
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
				MaxIdleConns:        cfg.Connections + 8,
				MaxIdleConnsPerHost: cfg.Connections + 8,
				IdleConnTimeout:     time.Minute,
				DisableCompression:  true,
			},
		},
		base:     cfg.IngestURL,
		auth:     []string{"Bearer " + cfg.APIKey},
		retryFor: cfg.RetryFor,
		buffers:  sync.Pool{New: func() any { return new(buffer) }},
	}
}

func (d *door) close() { d.client.CloseIdleConnections() }

// buffer holds a request's body and its answer's.
type buffer struct {
	body   []byte
	answer bytes.Buffer
}

func (d *door) buffer() *buffer   { return d.buffers.Get().(*buffer) }
func (d *door) reuse(buf *buffer) { d.buffers.Put(buf) }

var (
	jsonType   = []string{"application/json"}
	ndjsonType = []string{"application/x-ndjson"}
)

// post sends buf.body once and leaves the answer in buf.answer.
func (d *door) post(ctx context.Context, path, key string, contentType []string, buf *buffer) (status int, h http.Header, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+path, bytes.NewReader(buf.body))
	if err != nil {
		return 0, nil, err
	}
	r.Header["Content-Type"] = contentType
	r.Header["Authorization"] = d.auth
	if key != "" {
		r.Header["Idempotency-Key"] = []string{key}
	}
	res, err := d.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	buf.answer.Reset()
	if _, err = buf.answer.ReadFrom(io.LimitReader(res.Body, answerMax)); err != nil {
		return 0, nil, err
	}
	return res.StatusCode, res.Header, nil
}

// insist sends buf.body until there is a definite answer, always with the same
// idempotency key, so that a repetition counts once. It fails with a *Refusal,
// or with the last error when retryFor has passed.
func (d *door) insist(ctx context.Context, path, key string, contentType []string, buf *buffer) (status int, err error) {
	deadline := time.Now().Add(d.retryFor)
	for attempt := 0; ; attempt++ {
		status, header, err := d.post(ctx, path, key, contentType, buf)
		var rest time.Duration
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case err != nil:
			d.unanswered.Add(1)
			rest = backoff(attempt)
		case status < http.StatusMultipleChoices:
			return status, nil
		default:
			refusal := refusalOf(status, buf.answer.Bytes())
			if !passing(refusal) {
				return status, refusal
			}
			err, rest = refusal, max(retryAfter(header), backoff(attempt))
		}
		if time.Now().Add(rest).After(deadline) {
			return 0, fmt.Errorf("%w within %v: %w", errNoAnswer, d.retryFor, err)
		}
		if !pause.For(ctx, rest) {
			return 0, ctx.Err()
		}
	}
}

// passing reports whether a refusal says "not now" rather than "no".
func passing(r *Refusal) bool {
	switch {
	case r.Status == http.StatusTooManyRequests, r.Status >= http.StatusInternalServerError:
		return true
	}
	return r.Code == "event_opening" || r.Code == "event_unknown" || r.Code == "registration_unknown"
}

func refusalOf(status int, body []byte) *Refusal {
	r := &Refusal{Status: status}
	if err := json.Unmarshal(body, r); err != nil || r.Code == "" {
		r.Code, r.Detail = "status_"+strconv.Itoa(status), string(body[:min(len(body), 200)])
	}
	return r
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, 5*time.Second)
}

// backoff grows with each attempt, and differs between the many that were
// refused together.
func backoff(attempt int) time.Duration {
	pause := min(retryPauseMin<<min(attempt, 10), retryPauseMax)
	return pause/2 + rand.N(pause)
}

// errNoAnswer is a door that neither accepts nor refuses.
var errNoAnswer = errors.New("the front door gave no definite answer")

var errNoID = errors.New("the answer carries no id: is this the front door?")

// idIn reads the UUID of a member of a JSON object, without decoding the rest.
func idIn(answer []byte, member string) (uuid.UUID, error) {
	_, rest, ok := bytes.Cut(answer, []byte(`"`+member+`":"`))
	if !ok || len(rest) < 36 {
		return uuid.UUID{}, errNoID
	}
	id, err := uuid.ParseBytes(rest[:36])
	if err != nil {
		return uuid.UUID{}, errNoID
	}
	return id, nil
}

// createEvent creates the event and returns when it is on sale. The same body is
// sent each time, so that the repetitions are the same event.
func (d *door) createEvent(ctx context.Context, plan *Plan, now time.Time) (uuid.UUID, error) {
	buf := d.buffer()
	defer d.reuse(buf)
	var err error
	if buf.body, err = plan.Event(now); err != nil {
		return uuid.UUID{}, fmt.Errorf("event: %w", err)
	}
	deadline := now.Add(d.retryFor)
	for {
		status, err := d.insist(ctx, "/v1/events", plan.EventKey(), jsonType, buf)
		if err != nil {
			return uuid.UUID{}, fmt.Errorf("create the event: %w", err)
		}
		id, err := idIn(buf.answer.Bytes(), "event_id")
		if err != nil {
			return uuid.UUID{}, fmt.Errorf("create the event: %w", err)
		}
		if status == http.StatusCreated {
			return id, nil
		}
		if time.Now().After(deadline) {
			return uuid.UUID{}, fmt.Errorf("event %s was accepted and is not on sale after %v: is the catalog running?", id, d.retryFor)
		}
		if !pause.For(ctx, retryPauseMin) {
			return uuid.UUID{}, ctx.Err()
		}
	}
}

// cancel asks for the cancellation of a whole registration.
func (d *door) cancel(ctx context.Context, plan *Plan, id uuid.UUID, n int) error {
	buf := d.buffer()
	defer d.reuse(buf)
	buf.body = append(buf.body[:0], `{"reason":"cannot_come"}`...)
	key := string(append(plan.AppendKey(nil, n), "-cancel"...))
	_, err := d.insist(ctx, "/v1/registrations/"+id.String()+"/cancel", key, jsonType, buf)
	return err
}
