package clickhouse

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
)

// concatenable are the formats without a head or a tail: their output may be given out piece by piece, since the engine writes each
// piece of a stream as a document of its own.
var concatenable = []string{
	"Native", "RowBinary", "TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw", "Raw", "CSV", "LineAsString", "Null",
	"JSONEachRow", "JSONLines", "NDJSON", "JSONStringsEachRow", "JSONCompactEachRow", "JSONCompactStringsEachRow",
}

// streams tells whether a statement's output can be given out while it is computed.
func streams(s statement, text []byte, format string, settings []Parameter) bool {
	if !s.streamable() || !slices.Contains(concatenable, format) {
		return false
	}
	const asArray = "output_format_json_array_of_rows"
	return !bytes.Contains(text, []byte(asArray)) && !slices.ContainsFunc(settings, func(p Parameter) bool { return p.Name == asArray })
}

// answerQuery runs a statement that brings no rows and writes what it returns.
func (j *job) answerQuery(text []byte, s statement) error {
	if err := j.refuse(s); err != nil {
		return err
	}
	text = text[:s.end]
	format := s.format
	if format == "" {
		format = j.options.format
	}
	if format == "" {
		format = "TabSeparated"
	}
	j.answer.format(format)
	j.recoder = newRecoder(format, j.options.revision)
	if !streams(s, text, format, j.options.settings) {
		return j.runWhole(text, s, format)
	}
	reading, err := j.session.stream(text, format, j.options.parameters)
	if refused := new(Exception); errors.As(err, &refused) && errNotStreamable(refused) {
		return j.runWhole(text, s, format)
	}
	if err != nil {
		return err
	}
	defer reading.close()
	return j.copyStream(reading)
}

// refuse names what this interface cannot do, before the engine's client does something else with it.
func (j *job) refuse(s statement) error {
	switch {
	case s.first == "":
		return newException(codeSyntaxError, "SYNTAX_ERROR", "Syntax error: the query is empty")
	case s.extra:
		return newException(codeSyntaxError, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed): failed at position %d: one request carries one statement", s.end+1)
	case s.localFile:
		return newException(codeNotImplemented, "NOT_IMPLEMENTED", "INTO OUTFILE and FROM INFILE name files of the client: send the rows in the request's body, take them from the answer's")
	case j.options.session && (s.first == "SET" || s.first == "USE"):
		return newException(codeNotImplemented, "NOT_IMPLEMENTED", "This server keeps no sessions: give settings and the database with each request instead of %s", s.first)
	default:
		return nil
	}
}

func (j *job) copyStream(reading *reading) error {
	for {
		output, p, err := reading.next()
		if err != nil {
			return err
		}
		j.answer.count(p)
		if len(output) == 0 {
			return nil
		}
		if err := j.output(output); err != nil {
			return err
		}
	}
}

// wholeShare is the part of the engine's memory that a result may take which cannot be streamed: it is held twice, outside of the
// engine's own accounting.
const wholeShare = 10

func (s *Server) largestWhole() int64 { return s.options.MaxMemoryBytes / wholeShare }

// runWhole runs a statement whose output comes in one piece. Reads get a limit on it.
func (j *job) runWhole(text []byte, s statement, format string) error {
	if s.streamable() {
		limit := strconv.FormatInt(j.server.largestWhole(), 10)
		if err := j.session.set([]Parameter{{"max_result_bytes", limit}, {"result_overflow_mode", "throw"}}); err != nil {
			return err
		}
	}
	output, p, err := j.session.run(text, format, j.options.parameters)
	if tooLarge := new(Exception); errors.As(err, &tooLarge) && tooLarge.Code == codeResultTooLarge {
		tooLarge.Text += ". Results in the format " + format + " are not streamed; Native, RowBinary, CSV, TabSeparated and JSONEachRow are"
	}
	if err != nil {
		return err
	}
	if !s.reads() {
		if err := j.session.checkWrites(); err != nil {
			return err
		}
	}
	j.answer.count(p)
	return j.output(output)
}

// output passes a piece of the result on, for the client's revision.
func (j *job) output(b []byte) error {
	if j.recoder != nil {
		var err error
		if b, err = j.recoder.recode(b); err != nil {
			return newException(codeNotImplemented, "NOT_IMPLEMENTED", "The result cannot be written for the client's protocol version: %v", err)
		}
	}
	return j.answer.write(b)
}
