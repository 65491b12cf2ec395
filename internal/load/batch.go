package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/eventpro/boxoffice/internal/pause"
)

// due is a request that is to be sent, and until when it is tried.
type due struct {
	Request
	intended, until time.Time
}

func (r *run) due(n int, intended time.Time) due {
	return due{r.plan.Request(n), intended, time.Now().Add(r.cfg.RetryFor)}
}

// sendInBatches sends what is due, many in one request, until there is nothing
// any more. What the door refuses for now goes with the next batch.
func (r *run) sendInBatches(ctx context.Context) {
	var batch []due
	for {
		if len(batch) == 0 {
			n, intended, ok := r.pace.take(ctx)
			if !ok {
				return
			}
			batch = append(batch, r.due(n, intended))
		}
		for len(batch) < r.cfg.BatchLinesMax {
			n, intended, ok := r.pace.takeNow()
			if !ok {
				break
			}
			batch = append(batch, r.due(n, intended))
		}
		left, err := r.sendBatch(ctx, batch)
		if err != nil {
			for range batch {
				r.refused(ctx, err)
			}
			left = nil
		}
		if batch = left; len(batch) > 0 && !pause.For(ctx, retryPauseMax/2) {
			return
		}
	}
}

// sendBatch sends one batch and returns what was refused for now. It repeats a
// batch whose answer is lost: the door knows the keys again.
func (r *run) sendBatch(ctx context.Context, batch []due) (left []due, err error) {
	buf := r.door.buffer()
	defer r.door.reuse(buf)
	buf.body = buf.body[:0]
	for i := range batch {
		buf.body = append(buf.body, `{"idempotency_key":"`...)
		buf.body = r.plan.AppendKey(buf.body, batch[i].Index)
		buf.body = append(buf.body, `",`...)
		buf.body = append(r.plan.AppendBody(buf.body, r.eventText, &batch[i].Request), "}\n"...)
	}
	if _, err := r.door.insist(ctx, "/v1/registrations:batch", "", ndjsonType, buf); err != nil {
		return nil, err
	}
	now := time.Now()
	answered := make([]bool, len(batch))
	lines := bufio.NewScanner(&buf.answer)
	lines.Buffer(nil, lineMax)
	for lines.Scan() {
		if i, ok := r.batchLine(ctx, lines.Bytes(), batch, now); ok {
			answered[i] = true
		}
	}
	// A batch may end early; what has no definite answer goes again.
	for i := range batch {
		switch {
		case answered[i]:
		case now.After(batch[i].until):
			r.refused(ctx, fmt.Errorf("request %d: %w within %v", batch[i].Index, errNoAnswer, r.cfg.RetryFor))
		default:
			left = append(left, batch[i])
		}
	}
	return left, nil
}

var errNoNumber = errors.New("no such number")

// batchLine takes one line of the answer, {"index":n,"status":s,...}, and reports
// which request of the batch it answers; ok is false when it is no definite
// answer to any.
func (r *run) batchLine(ctx context.Context, line []byte, batch []due, now time.Time) (i int, ok bool) {
	i, err := numberIn(line, "index")
	if err != nil || i >= len(batch) {
		return 0, false
	}
	status, err := numberIn(line, "status")
	if err != nil {
		return 0, false
	}
	if status == http.StatusAccepted {
		id, err := idIn(line, "registration_id")
		if err != nil {
			return 0, false
		}
		r.accepted(&batch[i].Request, id, batch[i].intended, now)
		return i, true
	}
	var answer struct {
		Problem Refusal `json:"problem"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return 0, false
	}
	answer.Problem.Status = status
	if passing(&answer.Problem) {
		return 0, false
	}
	r.refused(ctx, &answer.Problem)
	return i, true
}

// numberIn reads a whole number of a JSON object, without decoding the rest.
func numberIn(line []byte, member string) (int, error) {
	_, rest, ok := bytes.Cut(line, []byte(`"`+member+`":`))
	if !ok {
		return 0, errNoNumber
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	return strconv.Atoi(string(rest[:end]))
}
