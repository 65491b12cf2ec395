package views

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/problem"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// failure is a problem with what a look-up knows beside it: how fresh the view
// was that did not have the thing, and what became of a command for it.
type failure struct {
	*problem.Problem
	freshness   *pb.LookupFreshness
	lastCommand *pb.LookupCommandResult
}

// Unwrap makes the problem visible to errors.As.
func (f *failure) Unwrap() error { return f.Problem }

// unknown is the answer for what does not exist or belongs to somebody else;
// the freshness tells whether waiting may help.
func unknown(code problem.Code, what, id string, fresh *pb.LookupFreshness) error {
	return &failure{
		Problem: problem.New(code, "There is no %s %s that this key may see, as of the freshness given here. "+
			"If it was accepted a moment ago, ask again with wait_for and the position that the 202 answer carried.", what, id),
		freshness: fresh,
	}
}

// refused is the answer for an id that nothing exists under because the command
// that was to make it was refused.
func refused(code problem.Code, what, id string, fresh *pb.LookupFreshness, c *pb.LookupCommandResult) error {
	return &failure{
		Problem: problem.New(code, "There is no %s %s: the last command for it was %s (%s). "+
			"Correct the reason and send a new command.", what, id, c.GetResult(), c.GetReason()),
		freshness:   fresh,
		lastCommand: c,
	}
}

// recovering is the answer while a view catches up: what it has may be old.
func recovering(topic string) error {
	return problem.New(problem.ViewRecovering, "The view of %s is still catching up, so nothing that it knows is served yet; "+
		"ask again after Retry-After, or another instance.", topic)
}

// notYetVisible is the answer to a wait that took too long.
func notYetVisible(p position, fresh *pb.LookupFreshness) error {
	return &failure{
		Problem: problem.New(problem.WaitTimedOut, "The command at %s was not visible here within the timeout. "+
			"If it was accepted it is not lost: ask again with the same wait_for, or with a longer timeout (at most %v).", p, waitMax),
		freshness: fresh,
	}
}

// crowded is the answer when too many requests hold a connection already.
func crowded(what string, limit int64) error {
	return problem.New(problem.Overloaded, "%d requests already %s here, which is the limit; "+
		"ask again after Retry-After, or look up without waiting.", limit, what)
}

func invalidParameter(field, code, message string) error {
	p := problem.New(problem.InvalidParameter, "%s: %s.", field, message)
	p.Violations = []problem.Violation{{Field: field, Code: code, Message: message}}
	return p
}

// broken is a failure of our own; its cause goes to the log only.
func broken(err error) error {
	return problem.New(problem.Internal, "The look-up failed inside; ask again.").Because(err)
}

// writeFailure answers a REST request with err.
func writeFailure(w http.ResponseWriter, err error) (status int) {
	p := problem.From(err)
	var f *failure
	if !errors.As(err, &f) {
		p.Write(w)
		return p.Status()
	}
	setFreshnessHeaders(w.Header(), f.freshness)
	p.Write(&extendingWriter{ResponseWriter: w, failure: f})
	return p.Status()
}

// extendingWriter adds the members that a failure has beyond a problem's to the
// document that the problem writes.
type extendingWriter struct {
	http.ResponseWriter
	failure *failure
}

// Write takes the whole document, which ends in "}\n".
func (w *extendingWriter) Write(document []byte) (int, error) {
	o := object{b: append([]byte(nil), document[:len(document)-len("}\n")]...)}
	o.freshness(w.failure.freshness)
	o.command("last_command", w.failure.lastCommand)
	if _, err := w.ResponseWriter.Write(append(o.b, '}', '\n')); err != nil {
		return 0, err
	}
	return len(document), nil
}

// rpcFailure is err as Connect and gRPC carry it.
func rpcFailure(err error) *connect.Error {
	e := problem.RPC(err)
	var f *failure
	if !errors.As(err, &f) {
		return e
	}
	addDetail(e, f.freshness)
	if f.lastCommand != nil {
		addDetail(e, f.lastCommand)
	}
	setFreshnessHeaders(e.Meta(), f.freshness)
	return e
}

func addDetail(e *connect.Error, m proto.Message) {
	if d, err := connect.NewErrorDetail(m); err == nil {
		e.AddDetail(d)
	}
}
