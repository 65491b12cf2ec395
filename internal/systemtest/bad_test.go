package systemtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/apikey"
)

func asError(err error) *client.Error {
	var told *client.Error
	errors.As(err, &told)
	return told
}

// request is one call of the front door as a careless client makes it.
type request struct {
	path, key, idempotency, body string
}

// problem is the answer's status, stable code and faulty fields.
func (s *system) problem(t *testing.T, r request) (status int, code, fields string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url(s.ingest)+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	if r.idempotency != "" {
		req.Header.Set("Idempotency-Key", r.idempotency)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var told client.Error
	if err := json.Unmarshal(raw, &told); err != nil || told.Code == "" || told.Detail == "" {
		t.Fatalf("answered %d %s, want a problem with code and detail", res.StatusCode, raw)
	}
	var names []string
	for _, v := range told.Violations {
		names = append(names, v.Field)
	}
	return res.StatusCode, told.Code, strings.Join(names, ",")
}

// A careless client sends what cannot be: each request is refused with a status
// and a code that say why, nothing of it is sold, and the next order is served.
func testBadRequests(t *testing.T, s *system) {
	event := s.newEvent(t, "bad requests", 20)
	reader := "bo_test_reads_only_0123456789abcdef"
	entry := apikey.NewEntry("reader", reader, "eventpro", apikey.RegistrationsRead)
	if err := apikey.Append(filepath.Join(s.dir, "api-keys.json"), entry); err != nil {
		t.Fatal(err)
	}
	body := func(event string, quantity any) string {
		return fmt.Sprintf(`{"event_id":%q,"attendee":{"email":"a@example.org","name":"A"},"lines":[{"ticket_type":"seat","quantity":%v}],"payment_method":"tok_visa"}`, event, quantity)
	}
	const path = "/v1/registrations"
	unknown := "00000000-0000-5000-8000-000000000000"
	for _, c := range []struct {
		name         string
		request      request
		status       int
		code, fields string
	}{
		{"cut JSON", request{path, s.key, "bad-1", `{"event_id":`}, 400, "malformed_json", ""},
		{"no JSON", request{path, s.key, "bad-2", `hello`}, 400, "malformed_json", ""},
		{"an unknown field", request{path, s.key, "bad-3", strings.Replace(body(event, 1), "{", `{"evnt":1,`, 1)}, 422, "invalid_request", "evnt"},
		{"a text for a number", request{path, s.key, "bad-4", body(event, `"one"`)}, 422, "invalid_request", "lines[0].quantity"},
		{"an unknown event", request{path, s.key, "bad-5", body(unknown, 1)}, 404, "event_unknown", ""},
		{"no id", request{path, s.key, "bad-6", body("concert", 1)}, 422, "invalid_request", "event_id"},
		{"quantity 0", request{path, s.key, "bad-7", body(event, 0)}, 422, "invalid_request", "lines[0].quantity"},
		{"quantity 11", request{path, s.key, "bad-8", body(event, 11)}, 422, "invalid_request", "lines[0].quantity"},
		{"quantity -1", request{path, s.key, "bad-9", body(event, -1)}, 422, "invalid_request", "lines[0].quantity"},
		{"quantity 1e99", request{path, s.key, "bad-10", body(event, "1e99")}, 422, "invalid_request", "lines[0].quantity"},
		{"an oversized body", request{path, s.key, "bad-11", strings.Repeat(" ", 128<<10) + body(event, 1)}, 413, "body_too_large", ""},
		{"no API key", request{path, "", "bad-12", body(event, 1)}, 401, "api_key_missing", ""},
		{"a wrong API key", request{path, s.key + "x", "bad-13", body(event, 1)}, 401, "api_key_unknown", ""},
		{"no idempotency key", request{path, s.key, "", body(event, 1)}, 400, "idempotency_key_missing", ""},
		{"a blank in the idempotency key", request{path, s.key, "a b", body(event, 1)}, 400, "idempotency_key_invalid", ""},
		{"a long idempotency key", request{path, s.key, strings.Repeat("k", 256), body(event, 1)}, 400, "idempotency_key_invalid", ""},
		{"no such route", request{"/v1/tickets", s.key, "bad-14", body(event, 1)}, 404, "route_unknown", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, code, fields := s.problem(t, c.request)
			if status != c.status || code != c.code || fields != c.fields {
				t.Errorf("answered %d %s %q, want %d %s %q", status, code, fields, c.status, c.code, c.fields)
			}
		})
	}
	t.Run("a key without the scope", func(t *testing.T) {
		eventually(t, "the new key is read", func() error {
			status, code, _ := s.problem(t, request{path, reader, "bad-15", body(event, 1)})
			if status != 403 || code != "scope_missing" {
				return fmt.Errorf("answered %d %s, want 403 scope_missing", status, code)
			}
			return nil
		})
	})
	s.buy(t, event, "after-bad-requests")
	s.awaitSeats(t, event, 1, 19)
}

// An order comes before the sale has begun, another after it has ended: both
// are refused with what is wrong, and nothing is sold.
func testSaleWindow(t *testing.T, s *system) {
	before := s.newEvent(t, "sale not begun", 20, func(e *client.NewEvent) {
		e.SaleStartsAt = time.Now().Add(24 * time.Hour)
	})
	after := s.newEvent(t, "sale over", 20, func(e *client.NewEvent) {
		e.SaleStartsAt = time.Now().Add(-48 * time.Hour)
		e.SaleEndsAt = time.Now().Add(-24 * time.Hour)
	})
	for event, want := range map[string]string{before: "sale_not_started", after: "sale_ended"} {
		_, err := s.client.Register(bounded(t), order(event, "window-"+want))
		if told := asError(err); told == nil || told.Code != want || told.Status != http.StatusConflict {
			t.Errorf("answered %v, want 409 %s", err, want)
		}
		s.awaitSeats(t, event, 0, 20)
	}
}
