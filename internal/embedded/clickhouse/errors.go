package clickhouse

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Exception is an error of the engine, or one that this server words in the same way.
type Exception struct {
	// Code is ClickHouse's error code, as in system.errors.
	Code int
	// Text is the whole message: "Code: 60. DB::Exception: ... (UNKNOWN_TABLE)".
	Text string
}

func (e *Exception) Error() string { return e.Text }

// ClickHouse's codes that this package gives out or reacts to itself.
const (
	codeBadArguments     = 36
	codeNotImplemented   = 48
	codeSyntaxError      = 62
	codeUnknownSetting   = 115
	codeIncorrectData    = 117
	codeReadonly         = 164
	codeTooManyQueries   = 202
	codeQueryTooLarge    = 229
	codeResultTooLarge   = 396
	codeUnknownException = 1002
)

// newException words an error as the engine would.
func newException(code int, name, format string, arguments ...any) *Exception {
	return &Exception{Code: code, Text: fmt.Sprintf("Code: %d. DB::Exception: %s (%s)", code, fmt.Sprintf(format, arguments...), name)}
}

var exceptionCode = regexp.MustCompile(`^(?:Error: )?Code: (\d+)\.`)

// parseException reads the code out of the engine's message.
func parseException(message string) *Exception {
	message = strings.TrimSpace(message)
	match := exceptionCode.FindStringSubmatch(message)
	if match == nil {
		return newException(codeUnknownException, "UNKNOWN_EXCEPTION", "%s", message)
	}
	code, err := strconv.Atoi(match[1])
	if err != nil {
		code = codeUnknownException
	}
	text := strings.TrimPrefix(message, "Error: ")
	if code == codeReadonly {
		text += ". For queries over HTTP, the method GET implies readonly: use POST for statements that change something"
	}
	return &Exception{Code: code, Text: text}
}

// errNotStreamable tells whether the engine refused to stream a statement that it can run otherwise.
func errNotStreamable(err *Exception) bool {
	return err.Code == codeBadArguments && strings.Contains(err.Text, "Streaming query is not supported")
}

// statusOf is the HTTP status of an error code, as ClickHouse has it in exceptionCodeToHTTPStatus.
func statusOf(code int) int {
	if status, ok := statuses[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

var statuses = func() map[int]int {
	byStatus := map[int][]int{
		http.StatusUnauthorized: {194},
		http.StatusForbidden:    {192, 193, 497, 512, 516},
		http.StatusBadRequest: {
			codeBadArguments, codeSyntaxError, codeIncorrectData,
			6, 8, 15, 25, 26, 27, 37, 38, 41, 44, 53, 72, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676,
		},
		http.StatusNotFound:              {46, 47, 50, 56, 60, 63, 73, 78, 81, codeUnknownSetting, 152, 336, 511},
		http.StatusRequestEntityTooLarge: {codeQueryTooLarge},
		http.StatusNotImplemented:        {codeNotImplemented},
		http.StatusServiceUnavailable:    {76, 209, 439, codeTooManyQueries},
		http.StatusLengthRequired:        {381},
		http.StatusRequestTimeout:        {159},
		http.StatusUnsupportedMediaType:  {779},
	}
	statuses := map[int]int{}
	for status, codes := range byStatus {
		for _, code := range codes {
			statuses[code] = status
		}
	}
	return statuses
}()
