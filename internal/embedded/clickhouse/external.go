package clickhouse

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
)

// externalTable is data that a client sends with its query, to be joined with: a file of a multipart form, and its format and columns
// in parameters that begin with the table's name.
type externalTable struct {
	format, structure string
	rows              []byte
}

// addExternal takes a parameter that describes an external table: NAME_format, NAME_structure or NAME_types.
// It is one only if it is no setting of that name; output_format_... settings end otherwise.
func (o *options) addExternal(name, value string) bool {
	for _, suffix := range []string{"_format", "_structure", "_types"} {
		table, ok := strings.CutSuffix(name, suffix)
		if !ok || (suffix == "_format" && knownFormatSetting(name)) {
			continue
		}
		t := o.tables[table]
		switch suffix {
		case "_format":
			t.format = value
		case "_structure":
			t.structure = value
		case "_types":
			t.structure = numberedColumns(value)
		}
		o.tables[table] = t
		return true
	}
	return false
}

// knownFormatSetting tells the engine's settings that end in _format from the names of external tables.
func knownFormatSetting(name string) bool {
	for _, prefix := range []string{"input_", "output_", "date_time_", "format_", "cast_", "http_", "schema_", "s3queue_", "show_", "dictionary_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// numberedColumns names the columns of a list of types _1, _2, ... as ClickHouse does.
func numberedColumns(types string) string {
	var columns []string
	sc := scanner{text: []byte(types)}
	start := 0
	for {
		t := sc.next()
		if t.kind != none && (!t.is(sc.text, ",") || sc.depth > 0) {
			continue
		}
		columns = append(columns, "_"+strconv.Itoa(len(columns)+1)+" "+strings.TrimSpace(types[start:t.start]))
		if t.kind == none {
			return strings.Join(columns, ", ")
		}
		start = t.end
	}
}

// maxExternalBytes bounds the external tables of one request.
const maxExternalBytes = 64 << 20

// readForm reads a multipart form: fields are parameters, files are external tables.
func (o *options) readForm(r *http.Request) error {
	reader, err := r.MultipartReader()
	if err != nil {
		return newException(codeBadArguments, "BAD_ARGUMENTS", "The multipart form cannot be read: %v", err)
	}
	left := int64(maxExternalBytes)
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return newException(codeBadArguments, "BAD_ARGUMENTS", "The multipart form cannot be read: %v", err)
		}
		content, err := io.ReadAll(io.LimitReader(part, left+1))
		if err != nil {
			return newException(codeBadArguments, "BAD_ARGUMENTS", "The multipart form cannot be read: %v", err)
		}
		if left -= int64(len(content)); left < 0 {
			return newException(codeQueryTooLarge, "QUERY_IS_TOO_LARGE", "The external tables are larger than %d bytes", maxExternalBytes)
		}
		if err := o.addPart(part, content); err != nil {
			return err
		}
	}
}

func (o *options) addPart(part *multipart.Part, content []byte) error {
	name := part.FormName()
	if !isFile(part) {
		return o.add(name, string(content))
	}
	t := o.tables[name]
	t.rows = content
	o.tables[name] = t
	return nil
}

// isFile tells a file from a field: it has a filename, which may be empty.
func isFile(part *multipart.Part) bool {
	_, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return false
	}
	_, ok := parameters["filename"]
	return ok
}

func isForm(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "multipart/form-data"
}

// fill makes the external table a temporary one of the session.
func (s *session) fill(name string, t externalTable) error {
	if t.structure == "" {
		return newException(codeBadArguments, "BAD_ARGUMENTS", "The external table %s has neither %s_structure nor %s_types", name, name, name)
	}
	if t.format == "" {
		t.format = "TabSeparated"
	}
	if _, _, err := s.run([]byte("CREATE TEMPORARY TABLE "+quoteName(name)+" ("+t.structure+")"), "Null", nil); err != nil {
		return err
	}
	w, err := s.insert([]byte("INSERT INTO "+quoteName(name)), t.format, nil)
	if err != nil {
		return err
	}
	w.append(t.rows)
	_, err = w.finish()
	return err
}
