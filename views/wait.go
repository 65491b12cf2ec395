package views

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/stream"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	// waitDefault is how long a wait_for waits when the request names no
	// timeout, waitMax the longest that it may ask for.
	waitDefault = 5 * time.Second
	waitMax     = 30 * time.Second
)

// position is where a command stands in its topic.
type position struct {
	topic     string
	partition int32
	offset    int64
}

// String is the form that parsePosition reads.
func (p position) String() string { return fmt.Sprintf("%s/%d/%d", p.topic, p.partition, p.offset) }

// parsePosition reads "<topic>/<partition>/<offset>".
func parsePosition(s string) (*pb.Position, error) {
	malformed := invalidParameter("wait_for", problem.BadFormat,
		"must be <topic>/<partition>/<offset> as the 202 answer gave it, for example registration-commands/3/1207")
	topic, rest, ok := strings.Cut(s, "/")
	if !ok || topic == "" {
		return nil, malformed
	}
	first, second, ok := strings.Cut(rest, "/")
	if !ok {
		return nil, malformed
	}
	partition, err := strconv.ParseUint(first, 10, 31)
	if err != nil {
		return nil, malformed
	}
	offset, err := strconv.ParseUint(second, 10, 63)
	if err != nil {
		return nil, malformed
	}
	return &pb.Position{Topic: topic, Partition: int32(partition), Offset: int64(offset)}, nil
}

// parseTimeout reads a Go duration ("1500ms", "2s") or a number of seconds, as
// milliseconds.
func parseTimeout(s string) (uint32, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		seconds, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1e6 {
			return 0, badTimeout()
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	if d < time.Millisecond || d > waitMax {
		return 0, badTimeout()
	}
	return uint32(d.Milliseconds()), nil
}

func badTimeout() error {
	return invalidParameter("timeout", problem.OutOfRange,
		fmt.Sprintf("must be a duration from 1ms to %v, for example 2s or 500ms", waitMax))
}

// waiting is a checked wish to wait for a command; the zero value waits for
// nothing.
type waiting struct {
	position
	timeout time.Duration
}

// newWaiting checks what the request asks for. topic is the one whose commands
// leave their position in the values that are looked up.
func newWaiting(p *pb.Position, timeoutMillis uint32, topic string) (waiting, error) {
	if p == nil {
		return waiting{}, nil
	}
	if p.GetTopic() != topic {
		return waiting{}, invalidParameter("wait_for", problem.BadFormat, "the topic must be "+topic+", whose commands this look-up shows")
	}
	if p.GetPartition() < 0 || p.GetOffset() < 0 {
		return waiting{}, invalidParameter("wait_for", problem.OutOfRange, "partition and offset must not be negative")
	}
	timeout := time.Duration(timeoutMillis) * time.Millisecond
	switch {
	case timeout == 0:
		timeout = waitDefault
	case timeout > waitMax:
		return waiting{}, badTimeout()
	}
	return waiting{position: position{p.GetTopic(), p.GetPartition(), p.GetOffset()}, timeout: timeout}, nil
}

// commanded is a table value that carries its last command's position.
type commanded interface{ GetLastCommand() *pb.CommandResult }

// reached reports whether the value carries the command waited for, or a later
// one; false when nothing is waited for. Offsets grow along a partition and a key
// stays in its partition (await checks that it is the right one), so a later
// command of the key proves that the earlier one was handled.
func (w waiting) reached(value proto.Message) bool {
	v, ok := value.(commanded)
	if !ok || w.timeout == 0 {
		return false
	}
	last := v.GetLastCommand()
	return last != nil && last.GetOffset() >= w.offset
}

// await returns when key's value in the table has reached w. The time it took
// is added to c.waited.
func (s *Server) await(ctx context.Context, c *call, t *source, key string, w waiting) error {
	if w.timeout == 0 {
		return nil
	}
	value, fresh, err := t.get(key)
	if err != nil {
		return err
	}
	// Tables and their command topics are co-partitioned, so a position in
	// another partition can never be reached by this key.
	if own := fresh.GetAsOf().GetPartition(); own != w.partition {
		return invalidParameter("wait_for", problem.BadFormat,
			fmt.Sprintf("the position is in partition %d, but this id lives in partition %d: use the position of the answer that gave this id", w.partition, own))
	}
	if w.reached(value) {
		return nil
	}
	if n := s.waiters.Add(1); n > s.cfg.WaitersMax {
		s.waiters.Add(-1)
		return crowded("wait", s.cfg.WaitersMax)
	}
	defer s.waiters.Add(-1)
	start := s.cfg.Clock()
	defer func() { c.waited += s.cfg.Clock().Sub(start) }()
	return s.block(ctx, t, key, w)
}

func (s *Server) block(ctx context.Context, t *source, key string, w waiting) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	stop := context.AfterFunc(s.closing, cancel)
	defer stop()
	_, err := t.WaitFor(ctx, key, w.reached)
	switch {
	case err == nil:
		return nil
	case s.closing.Err() != nil:
		return problem.New(problem.ShuttingDown, "This instance is shutting down; ask another one.")
	case errors.Is(err, stream.ErrRecovering) || !t.Ready():
		return recovering(t.topic)
	case ctx.Err() == nil:
		return broken(err)
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err() // the caller is gone
	}
	return notYetVisible(w.position, t.freshness(key))
}

// follower takes what follow sends.
type follower interface {
	// open says that there is something to follow, maybe later.
	open() error
	send(*pb.LookupServiceGetRegistrationResponse) error
}

// follow sends the registration and then each newer version that the view sees,
// versions rising, until it is settled (nil) or the caller, the view or this
// instance goes away. It returns nil without open when there is nothing to come.
func (s *Server) follow(ctx context.Context, c *call, req *pb.LookupServiceWatchRegistrationRequest, to follower) error {
	look := &pb.LookupServiceGetRegistrationRequest{
		RegistrationId: req.GetRegistrationId(), WaitFor: req.GetWaitFor(), TimeoutMs: req.GetTimeoutMs(),
	}
	answer, err := s.getRegistration(ctx, c, look)
	if err != nil {
		return err
	}
	sent := req.GetAfterVersion()
	if r := answer.GetRegistration(); r.GetSettled() && r.GetVersion() <= sent {
		return nil
	}
	if n := s.streams.Add(1); n > s.cfg.StreamsMax {
		s.streams.Add(-1)
		return crowded("follow a registration", s.cfg.StreamsMax)
	}
	defer s.streams.Add(-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	if err := to.open(); err != nil {
		return err
	}
	look.WaitFor = nil
	for _, err := range s.registrations.Watch(ctx, answer.GetRegistration().GetRegistrationId()) {
		if err != nil {
			break
		}
		// Watch only says that there is something new; the look-up gives value
		// and freshness as for any other request.
		if answer, err = s.getRegistration(ctx, c, look); err != nil {
			return err
		}
		r := answer.GetRegistration()
		if r.GetVersion() > sent {
			if err := to.send(answer); err != nil {
				return err
			}
			sent = r.GetVersion()
		}
		if r.GetSettled() {
			return nil
		}
	}
	if s.closing.Err() != nil {
		return problem.New(problem.ShuttingDown, "This instance is shutting down; follow from another one.")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return recovering(s.registrations.topic)
}
