package backfill

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Version is that of the own format. A file says which one it has, so that an
// older program refuses what it would misread.
const Version = 1

// lineMax bounds a line of the own format, in bytes.
const lineMax = 1 << 20

// header is the first line of a file of the own format.
type header struct {
	Type    string `json:"type"`
	Version int    `json:"version"`
	Source  string `json:"source"`
}

// ndjson reads a file of the own format: a header, then events and registrations.
func (r *reader) ndjson(name string, content []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(make([]byte, 0, 64<<10), lineMax)
	began, n := false, 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		r.Lines++
		if !began {
			if err := r.begin(name, line); err != nil {
				return err
			}
			began = true
			continue
		}
		if err := r.record(place{name, n}, line); err != nil {
			r.Problems = append(r.Problems, Problem{File: name, Line: n, Reason: err.Error()})
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading %s after line %d: %w", name, n, err)
	}
	return nil
}

func (r *reader) begin(name string, line []byte) error {
	var h header
	if err := strict(line, &h); err != nil || h.Type != "header" {
		return fmt.Errorf("%s: %w: its first line must be a header like {\"type\":\"header\",\"version\":%d,\"source\":\"monolith\"}", name, ErrFormat, Version)
	}
	if h.Version != Version {
		return fmt.Errorf("%s has version %d of the format, this program reads version %d", name, h.Version, Version)
	}
	return r.from(name, h.Source)
}

// record takes an event or a registration.
func (r *reader) record(at place, line []byte) error {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return errors.New("this is no JSON object") // what it says of the content may be personal
	}
	switch kind.Type {
	case "event":
		v := struct {
			Type string `json:"type"`
			Event
		}{}
		if err := strict(line, &v); err != nil {
			return err
		}
		if r.Events[v.ID] != nil {
			return fmt.Errorf("the event %q is described twice", v.ID)
		}
		v.place = at
		r.Events[v.ID] = &v.Event
	case "registration":
		v := struct {
			Type string `json:"type"`
			Order
		}{}
		if err := strict(line, &v); err != nil {
			return err
		}
		v.place = at
		r.Orders = append(r.Orders, &v.Order)
	default:
		return fmt.Errorf("a line of type %q: want event or registration", kind.Type)
	}
	return nil
}

// strict decodes one JSON object that has no field that nobody knows.
func strict(line []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return fmt.Errorf("%s must be %s", wrong.Field, wrong.Type)
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}
