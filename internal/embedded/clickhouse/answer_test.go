package clickhouse

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// deadlineRecorder is a response that remembers its connection's deadline.
type deadlineRecorder struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (d *deadlineRecorder) SetWriteDeadline(t time.Time) error {
	d.deadline = t
	return nil
}

// A connection that was idle for longer than a client may take to read serves again: the deadline of an answer ends with it. An insert's
// answer has no body and would be the first to meet an old deadline.
func TestDeadlineEndsWithTheAnswer(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "some rows\n"} {
		w := &deadlineRecorder{ResponseRecorder: httptest.NewRecorder()}
		a := newAnswer(w, httptest.NewRequest(http.MethodPost, "/", nil), &options{})
		if err := a.write([]byte(body)); err != nil {
			t.Fatal(err)
		}
		if err := a.finish(); err != nil {
			t.Fatal(err)
		}
		if w.deadline.IsZero() {
			t.Fatal("a client may take for ever to read the answer")
		}
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		if !w.deadline.IsZero() || w.Code != http.StatusOK || w.Body.String() != body {
			t.Fatalf("deadline %v after %d %q", w.deadline, w.Code, w.Body)
		}
	}
}
