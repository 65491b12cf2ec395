// Package render writes statements: as a table for a terminal, as CSV and as JSON.
//
// Formats for people write figures and dates in the report's locale; formats for
// machines always write them the same way.
package render

import (
	"io"
	"slices"

	"github.com/eventpro/boxoffice/reports/statement"
)

// Format is a way of writing a report.
type Format struct {
	Name string
	// Extension is that of the format's files, with the dot.
	Extension string
	// MediaType is for HTTP and mail.
	MediaType string
	// Binary formats make no sense on a terminal.
	Binary bool
	// Write writes the whole report, or nothing when it fails before writing.
	Write func(io.Writer, *statement.Report) error
}

var formats = []Format{
	{Name: "csv", Extension: ".csv", MediaType: "text/csv; charset=utf-8", Write: writeCSV},
	{Name: "html", Extension: ".html", MediaType: "text/html; charset=utf-8", Write: writeHTML},
	{Name: "json", Extension: ".json", MediaType: "application/json", Write: writeJSON},
	{Name: "pdf", Extension: ".pdf", MediaType: "application/pdf", Binary: true, Write: writePDF},
	{Name: Table, Extension: ".txt", MediaType: "text/plain; charset=utf-8", Write: writeTable},
	{Name: "xlsx", Extension: ".xlsx", MediaType: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Binary: true, Write: writeXLSX},
}

// Formats are all formats, in the order of their names.
func Formats() []Format { return slices.Clone(formats) }

// Names are the names of the formats.
func Names() []string {
	names := make([]string, 0, len(formats))
	for _, f := range formats {
		names = append(names, f.Name)
	}
	return names
}

// Find gives a format by its name.
func Find(name string) (Format, bool) {
	return first(func(f Format) bool { return f.Name == name })
}

// ByExtension gives the format of a file by its name's end, ".pdf".
func ByExtension(extension string) (Format, bool) {
	return first(func(f Format) bool { return f.Extension == extension })
}

func first(is func(Format) bool) (Format, bool) {
	if i := slices.IndexFunc(formats, is); i >= 0 {
		return formats[i], true
	}
	return Format{}, false
}
