package clickhouse

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
)

// job is one request being answered.
type job struct {
	server  *Server
	options *options
	answer  *answer
	session *session
	recoder *recoder
}

// maxStatement bounds a statement's text without the rows of an insert.
const maxStatement = 16 << 20

// headSize is how much text is looked at to find out what the statement is.
const headSize = 64 << 10

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Ok.\n") }
	mux.HandleFunc("/ping", ok)
	mux.HandleFunc("/replicas_status", ok)
	mux.HandleFunc("/{$}", s.answer)
	// A web page that the user happens to have open must not write into the database through the user's browser.
	return http.NewCrossOriginProtection().Handler(mux)
}

// answer serves one statement.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	j := &job{server: s}
	err := j.serve(w, r)
	defer func() { _ = j.answer.end() }()
	if err == nil {
		err = j.answer.finish()
	}
	exception := new(Exception)
	switch {
	case err == nil, errors.Is(err, errClientGone):
	case errors.As(err, &exception):
		err = j.answer.fail(exception)
	default:
		err = j.answer.fail(newException(codeUnknownException, "UNKNOWN_EXCEPTION", "%v", err))
	}
	if err != nil {
		s.log.Debug("clickhouse answer not delivered", "error", err)
	}
}

func (j *job) serve(w http.ResponseWriter, r *http.Request) error {
	o, err := parseOptions(r.URL.Query(), r.Header)
	if err != nil {
		o = &options{}
	}
	if o.queryID == "" {
		o.queryID = uuid.NewString()
	}
	j.options, j.answer = o, newAnswer(w, r, o)
	j.answer.header(o.queryID, "UTC")
	if o.waitForEnd {
		j.answer.wait = int(j.server.largestWhole())
	}
	if err != nil {
		return err
	}
	source, err := j.source(r)
	if err != nil {
		return err
	}
	if source == nil {
		j.answer.w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		return j.answer.write([]byte("Ok.\n"))
	}
	release, err := j.server.engine.admit(r.Context())
	if err != nil {
		return err
	}
	defer release()
	return j.run(r, source)
}

// source returns the statement's text and what follows it: the URL's query, a line end, the body. Nil means a request without any.
func (j *job) source(r *http.Request) (*bufio.Reader, error) {
	if isForm(r) {
		if err := j.options.readForm(r); err != nil {
			return nil, err
		}
		return bufio.NewReaderSize(strings.NewReader(j.options.query), headSize), nil
	}
	query := strings.TrimRight(j.options.query, " \t\r\n")
	if query == "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		return nil, nil
	}
	raw := bufio.NewReader(&patientBody{r: r.Body, controller: j.answer.controller})
	var body io.Reader = raw
	// An encoding may be announced although there is no body, as with a query in the URL.
	if _, err := raw.Peek(1); !errors.Is(err, io.EOF) {
		var err error
		if body, err = decoded(raw, r.Header.Get("Content-Encoding"), j.options.decompress); err != nil {
			return nil, err
		}
	}
	if query != "" {
		body = io.MultiReader(strings.NewReader(query+"\n"), body)
	}
	return bufio.NewReaderSize(body, headSize), nil
}

// run executes the statement on a session of its own.
func (j *job) run(r *http.Request, source *bufio.Reader) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	session, err := j.server.engine.newSession()
	if err != nil {
		return err
	}
	defer session.close()
	j.session = session
	stop := j.server.killWhenGone(r.Context(), j.options.queryID)
	defer stop()
	if err := j.prepare(r); err != nil {
		return err
	}
	head, err := source.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return newException(codeIncorrectData, "INCORRECT_DATA", "The request's body cannot be read: %v", err)
	}
	statement := parseStatement(head)
	if statement.data {
		text := append([]byte(nil), head[:statement.head]...)
		if _, err := source.Discard(statement.rows); err != nil {
			return err
		}
		return j.answerInsert(text, statement, source)
	}
	text, err := io.ReadAll(io.LimitReader(source, maxStatement+1))
	if err != nil {
		return newException(codeIncorrectData, "INCORRECT_DATA", "The request's body cannot be read: %v", err)
	}
	if len(text) > maxStatement {
		return newException(codeQueryTooLarge, "QUERY_IS_TOO_LARGE", "The statement is longer than %d bytes", maxStatement)
	}
	return j.answerQuery(text, parseStatement(text))
}

// prepare puts the request's settings, database and external tables into the session. The query id goes into log_comment, from where
// [engine.kill] finds the statement: the engine makes up query ids itself.
func (j *job) prepare(r *http.Request) error {
	o := j.options
	comment := strings.TrimSpace(o.take("log_comment") + " " + o.queryID)
	settings := append(o.settings, Parameter{"log_comment", comment})
	for name, table := range o.tables {
		if err := j.session.fill(name, table); err != nil {
			return err
		}
	}
	if o.database != "" && o.database != "default" {
		if err := j.session.use(o.database); err != nil {
			return err
		}
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		// As in ClickHouse: what GET may do has no effects. 2 still lets the statement have settings of its own.
		settings = append(settings, Parameter{"readonly", "2"})
	}
	return j.session.set(settings)
}

// patientBody gives up on a client that stops sending: it must not keep a worker for ever.
type patientBody struct {
	r          io.Reader
	controller *http.ResponseController
}

func (b *patientBody) Read(p []byte) (int, error) {
	if err := b.controller.SetReadDeadline(time.Now().Add(clientTimeout)); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	// While the statement runs net/http reads on, to notice when the client goes away; a deadline would look like that.
	if clearErr := b.controller.SetReadDeadline(time.Time{}); err == nil {
		err = clearErr
	}
	return n, err
}

// killInterval is the time between two attempts to cancel an abandoned statement: the first may come before the engine has it.
const killInterval = 50 * time.Millisecond

// killWhenGone cancels the request's statement when its client goes away or the server stops, until stop is called.
func (s *Server) killWhenGone(ctx context.Context, id string) (stop func()) {
	done := make(chan struct{})
	finished := make(chan struct{})
	unregister := context.AfterFunc(ctx, func() {
		defer close(finished)
		for {
			if err := s.engine.kill(id); err != nil {
				s.log.Warn("clickhouse statement not cancelled", "query_id", id, "error", err)
			}
			select {
			case <-done:
				return
			case <-time.After(killInterval):
			}
		}
	})
	return func() {
		close(done)
		if !unregister() {
			<-finished
		}
	}
}
