package clickhouse

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// options are what a request says beside its statement: in the URL, in headers and, for a form, in fields.
type options struct {
	query    string
	database string
	queryID  string
	format   string
	revision uint64
	// settings apply to this request alone.
	settings   []Parameter
	parameters []Parameter
	tables     map[string]externalTable
	// compress and decompress ask for ClickHouse's own block compression of the answer and of the body.
	compress, decompress bool
	// codec is the method of compress: LZ4 or ZSTD.
	codec string
	// waitForEnd asks for an answer only when it is complete, so that an error always is the status.
	waitForEnd bool
	// session tells that the client counts on state that outlives the request.
	session bool
}

// connectionOptions belong to other authentication, routing and buffering than this server's; they are accepted and have no effect.
var connectionOptions = []string{
	"user", "password", "quota_key", "role", "session_timeout", "session_check", "stacktrace", "buffer_size",
	"http_headers_progress_interval_ms", "send_progress_in_http_headers", "http_write_exception_in_output_format",
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parseOptions reads the URL's parameters and the headers that mean the same.
func parseOptions(values url.Values, header http.Header) (*options, error) {
	o := &options{
		database: header.Get("X-ClickHouse-Database"), format: header.Get("X-ClickHouse-Format"), queryID: header.Get("X-ClickHouse-Query-Id"),
		codec: "LZ4", tables: map[string]externalTable{},
	}
	for _, name := range sortedKeys(values) {
		if err := o.add(name, values.Get(name)); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// add takes one parameter. Whatever is not known here is a setting of the engine, which refuses unknown ones itself.
func (o *options) add(name, value string) error {
	switch name {
	case "query":
		o.query = value
	case "database":
		o.database = value
	case "default_format":
		o.format = value
	case "query_id":
		o.queryID = value
	case "session_id":
		o.session = true
	case "wait_end_of_query":
		o.waitForEnd = isTrue(value)
	case "compress":
		o.compress = isTrue(value)
	case "decompress":
		o.decompress = isTrue(value)
	case "client_protocol_version":
		revision, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return newException(codeBadArguments, "BAD_ARGUMENTS", "client_protocol_version is %q, which is no number", value)
		}
		o.revision = revision
	default:
		if !settingName.MatchString(name) {
			return newException(codeUnknownSetting, "UNKNOWN_SETTING", "%q is not the name of a setting", name)
		}
		o.addSetting(name, value)
	}
	return nil
}

// addSetting takes a parameter that is none of the interface's own.
func (o *options) addSetting(name, value string) {
	if parameter, ok := strings.CutPrefix(name, "param_"); ok {
		o.parameters = append(o.parameters, Parameter{parameter, value})
		return
	}
	if slices.Contains(connectionOptions, name) || o.addExternal(name, value) {
		return
	}
	if name == "network_compression_method" {
		o.codec = strings.ToUpper(value)
	}
	o.settings = append(o.settings, Parameter{name, value})
}

// take removes a setting and returns its value.
func (o *options) take(name string) string {
	for i, s := range o.settings {
		if s.Name == name {
			o.settings = slices.Delete(o.settings, i, i+1)
			return s.Value
		}
	}
	return ""
}

func isTrue(value string) bool { return value != "" && value != "0" && value != "false" }

func sortedKeys(values url.Values) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
