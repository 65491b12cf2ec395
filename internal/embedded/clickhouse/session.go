package clickhouse

import (
	"strings"
	"unsafe"
)

// Parameter is a value for a placeholder like {name:Type} in a statement.
type Parameter struct{ Name, Value string }

// session is one connection to the engine. It serves one request and is closed after it: what the request sets ends with it.
// It is used from one goroutine, which has to stay on its operating system thread, since the engine keeps a query's state there.
type session struct {
	lib  *library
	conn *unsafe.Pointer
}

// progress counts what a statement read and wrote, as the engine tells it.
type progress struct {
	ResultRows, ResultBytes, ReadRows, ReadBytes, WrittenRows, WrittenBytes uint64
}

func (s *session) close() { s.lib.closeConn(s.conn) }

// set changes settings for the rest of the session.
func (s *session) set(settings []Parameter) error {
	if len(settings) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("SET ")
	for i, setting := range settings {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(setting.Name + " = " + quote(setting.Value))
	}
	_, _, err := s.run([]byte(b.String()), "Null", nil)
	return err
}

// use makes database the one that unqualified names refer to.
func (s *session) use(database string) error {
	_, _, err := s.run([]byte("USE "+quoteName(database)), "Null", nil)
	return err
}

// run executes a statement and returns its whole output.
func (s *session) run(statement []byte, format string, parameters []Parameter) ([]byte, progress, error) {
	result := call(s.lib.query, *s.conn, statement, format, parameters)
	defer s.lib.resultDestroy(result)
	return s.take(result)
}

// take copies a result out of the engine's memory.
func (s *session) take(result unsafe.Pointer) ([]byte, progress, error) {
	if message := s.lib.resultError(result); message != "" {
		return nil, progress{}, parseException(message)
	}
	p := progress{
		ResultRows:   s.lib.resultRows(result),
		ResultBytes:  s.lib.resultLength(result),
		ReadRows:     s.lib.resultReadRows(result),
		ReadBytes:    s.lib.resultReadBytes(result),
		WrittenRows:  s.lib.resultWrittenRows(result),
		WrittenBytes: s.lib.resultWrittenBytes(result),
	}
	if p.ResultBytes == 0 {
		return nil, p, nil
	}
	output := make([]byte, p.ResultBytes)
	copy(output, unsafe.Slice((*byte)(s.lib.resultBuffer(result)), p.ResultBytes))
	return output, p, nil
}

// stream starts a statement whose output is taken piece by piece. Only reads can be streamed; see [errNotStreamable].
func (s *session) stream(statement []byte, format string, parameters []Parameter) (*reading, error) {
	handle := call(s.lib.streamQuery, *s.conn, statement, format, parameters)
	if message := s.lib.resultError(handle); message != "" {
		s.lib.resultDestroy(handle)
		return nil, parseException(message)
	}
	return &reading{session: s, handle: handle}, nil
}

// reading is a streamed query.
type reading struct {
	session *session
	handle  unsafe.Pointer
	ended   bool
}

// next returns the next piece of output, empty at the end.
func (r *reading) next() ([]byte, progress, error) {
	result := r.session.lib.streamFetch(*r.session.conn, r.handle)
	defer r.session.lib.resultDestroy(result)
	output, p, err := r.session.take(result)
	r.ended = err != nil || len(output) == 0
	return output, p, err
}

// close ends the query, also before its end.
func (r *reading) close() {
	if !r.ended {
		r.session.lib.streamCancel(*r.session.conn, r.handle)
	}
	r.session.lib.resultDestroy(r.handle)
}

// insert starts an INSERT whose data comes in pieces. The statement ends before its FORMAT clause.
func (s *session) insert(statement []byte, format string, parameters []Parameter) (*writing, error) {
	handle := call(s.lib.insert, *s.conn, statement, format, parameters)
	if message := s.lib.insertError(handle); message != "" {
		s.lib.insertDestroy(handle)
		return nil, parseException(message)
	}
	return &writing{session: s, handle: handle}, nil
}

// writing is an INSERT in progress.
type writing struct {
	session *session
	handle  unsafe.Pointer
}

// append hands over a piece of data; it waits while the engine is behind. False means that the engine has given up: finish tells why.
func (w *writing) append(data []byte) bool {
	if len(data) == 0 {
		return true
	}
	return w.session.lib.insertAppend(w.handle, unsafe.Pointer(&data[0]), uint64(len(data))) == 0
}

// finish waits until everything is written. The rows are durable as far as the data directory's settings say.
func (w *writing) finish() (progress, error) {
	defer w.session.lib.insertDestroy(w.handle)
	result := w.session.lib.insertDone(w.handle)
	defer w.session.lib.resultDestroy(result)
	_, p, err := w.session.take(result)
	return p, err
}

// cancel gives up. Blocks that were complete before it stay written, as with any ClickHouse server.
func (w *writing) cancel() {
	w.session.lib.insertCancel(w.handle)
	w.session.lib.insertDestroy(w.handle)
}

var (
	stringEscapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	nameEscapes   = strings.NewReplacer(`\`, `\\`, "`", "\\`")
)

func quote(value string) string    { return "'" + stringEscapes.Replace(value) + "'" }
func quoteName(name string) string { return "`" + nameEscapes.Replace(name) + "`" }
