package render

import (
	"encoding/json"
	"io"
	"time"

	"github.com/eventpro/boxoffice/reports/statement"
)

type jsonSection struct {
	Name    string           `json:"section"`
	Title   string           `json:"title"`
	Columns []jsonColumn     `json:"columns"`
	Rows    []map[string]any `json:"rows"`
	Totals  []map[string]any `json:"totals"`
	Notes   []string         `json:"notes,omitempty"`
}

type jsonColumn struct {
	Field string `json:"field"`
	Kind  string `json:"kind"`
	Title string `json:"title"`
}

// writeJSON writes one object. Amounts are integers of minor units, percentages
// of basis points, durations of milliseconds; the field's name says so. No figure
// is null.
func writeJSON(w io.Writer, r *statement.Report) error {
	sections := make([]jsonSection, 0, len(r.Sections))
	for _, s := range r.Sections {
		section := jsonSection{
			Name: s.Name, Title: s.Title, Notes: s.Notes,
			Columns: make([]jsonColumn, 0, len(s.Columns)), Rows: objects(r, s, s.Rows), Totals: objects(r, s, s.Totals),
		}
		for _, c := range s.Columns {
			section.Columns = append(section.Columns, jsonColumn{Field: c.Field(), Kind: c.Kind.String(), Title: c.Heading})
		}
		sections = append(sections, section)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(struct {
		Alarm      string            `json:"alarm,omitempty"`
		Report     string            `json:"report"`
		Title      string            `json:"title"`
		ID         string            `json:"id"`
		AsOf       string            `json:"as_of"`
		Zone       string            `json:"zone"`
		Parameters map[string]string `json:"parameters"`
		Notes      []string          `json:"notes"`
		Sections   []jsonSection     `json:"sections"`
	}{
		Alarm: r.Alarm, Report: r.Name, Title: r.Title, ID: r.ID.String(), AsOf: r.AsOf.UTC().Format(time.RFC3339Nano),
		Zone: r.Zone.String(), Parameters: r.Parameters, Notes: append([]string{}, r.Notes...), Sections: sections,
	})
}

func objects(r *statement.Report, s *statement.Section, rows []statement.Row) []map[string]any {
	out := make([]map[string]any, 0, len(rows))
	for _, row := range rows {
		object := make(map[string]any, len(s.Columns))
		for i, c := range s.Columns {
			object[c.Field()] = typed(r, c, row.Cells[i])
		}
		out = append(out, object)
	}
	return out
}

func typed(r *statement.Report, c statement.Column, cell any) any {
	switch v := cell.(type) {
	case time.Time:
		if c.Kind == statement.Day {
			return v.Format(time.DateOnly)
		}
		return v.In(r.Zone).Format(time.RFC3339Nano)
	case time.Duration:
		return v.Milliseconds()
	default:
		return v
	}
}
