package backfill

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/google/uuid"
)

// Mapping says what the other system's events and ticket types are here.
type Mapping struct {
	// Columns are headings of the files, by the field that they stand for.
	Columns map[string]string `json:"columns"`
	// Events are rules by the event's key in the other system.
	Events map[string]Rule `json:"events"`
}

// Rule is what an event is here: one that exists, or one to make.
type Rule struct {
	EventID *uuid.UUID `json:"event_id"`
	Create  *Event     `json:"create"`
	// TicketTypes are ids of ours by the other system's names.
	TicketTypes map[string]string `json:"ticket_types"`
}

// ReadMapping reads an event map.
func ReadMapping(path string) (*Mapping, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the event map: %w", err)
	}
	m := &Mapping{}
	if err := strict(content, m); err != nil {
		return nil, fmt.Errorf("the event map %s: %w", path, err)
	}
	for key, rule := range m.Events {
		if rule.EventID != nil && rule.Create != nil {
			return nil, fmt.Errorf("the event map %s: event %q has both event_id and create", path, key)
		}
	}
	return m, nil
}

// columnsKnown lists the fields that headings can be named for.
func columnsKnown() map[string]bool {
	known := map[string]bool{}
	for _, l := range layouts() {
		for field := range l.columns {
			known[field] = true
		}
	}
	return known
}

// Validate says which column names no field.
func (m *Mapping) Validate() error {
	known := columnsKnown()
	for field := range m.Columns {
		if !known[field] {
			return fmt.Errorf("the event map names a heading for %q, which no layout has", field)
		}
	}
	return nil
}

// NamesEvents reports whether a rule names an event that exists.
func (m *Mapping) NamesEvents() bool {
	for _, rule := range m.Events {
		if rule.EventID != nil {
			return true
		}
	}
	return false
}

// typeOf is the id of a ticket type here, by its name in the other system.
func (r Rule) typeOf(name string) (id string, named bool) {
	if id, named = r.TicketTypes[name]; named {
		return id, true
	}
	for theirs, ours := range r.TicketTypes {
		if strings.EqualFold(strings.TrimSpace(theirs), name) {
			return ours, true
		}
	}
	return slug(name), false
}

// text is the canonical form of a mapping, for the guard of a state file.
func (m *Mapping) text() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic("backfill: a mapping of strings does not encode: " + err.Error())
	}
	return b
}
