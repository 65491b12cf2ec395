package views

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request that may wait, and returns at once.
func (b *bench) ask(ctx context.Context, path string, header http.Header) <-chan reply {
	answer := make(chan reply, 1)
	go func() {
		status, h, body := b.getContext(ctx, ownKey, path, header)
		answer <- reply{status, h, body}
	}()
	return answer
}

func waitFor(id uuid.UUID, offset int64) string {
	return fmt.Sprintf("registration-commands/%d/%d", partitionOf(id), offset)
}

func commandResult(id uuid.UUID, offset int64, v pb.CommandVerdict, reason string) *pb.CommandResult {
	return &pb.CommandResult{Partition: partitionOf(id), Offset: offset, Verdict: v, Reason: reason}
}

// A client reads its own write: it asks with the position of its 202 before the
// view has seen the command, and is answered when the view has.
func TestWaitIsFulfilledLater(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]bool{"query": false, "header": true} {
		b := newBench(t)
		id := topology.RegistrationID("acme", "order-2")
		path, h := "/v1/registrations/"+id.String(), http.Header{}
		if header {
			h.Set(headerWaitFor, waitFor(id, 100))
		} else {
			path += "?timeout=30s&wait_for=" + waitFor(id, 100)
		}
		answer := b.ask(t.Context(), path, h)
		b.registrations.untilWaited(t)
		if n := b.server.waiters.Load(); n != 1 {
			t.Errorf("%s: %d waiters are counted", name, n)
		}
		// An earlier command of the same id becomes visible first: not enough.
		early := at(pb.Step_STEP_HOLDING, 1)
		early.LastCommand = commandResult(id, 99, pb.CommandVerdict_COMMAND_VERDICT_APPLIED, "")
		b.registrations.put(id.String(), early)
		b.registrations.untilWaited(t)
		select {
		case r := <-answer:
			t.Fatalf("%s: answered before its command was visible: %v", name, r)
		default:
		}
		late := at(pb.Step_STEP_CHARGING, 3)
		late.LastCommand = commandResult(id, 100, pb.CommandVerdict_COMMAND_VERDICT_APPLIED, "")
		b.registrations.put(id.String(), late)
		if r := <-answer; r.status != http.StatusOK || !strings.Contains(r.body, `"status":"charging"`) {
			t.Errorf("%s: %v", name, r)
		}
		if n := b.server.waiters.Load(); n != 0 {
			t.Errorf("%s: %d waiters remain", name, n)
		}
	}
}

// The command waited for was a duplicate, came before a later one, or was
// refused for an id that does not exist: each left its trace, so no wait hangs.
func TestWaitEndsForEveryVerdict(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, v := range []pb.CommandVerdict{
		pb.CommandVerdict_COMMAND_VERDICT_APPLIED, pb.CommandVerdict_COMMAND_VERDICT_DUPLICATE,
		pb.CommandVerdict_COMMAND_VERDICT_CONFLICT, pb.CommandVerdict_COMMAND_VERDICT_REJECTED,
	} {
		r := confirmed()
		r.LastCommand = commandResult(registrationID, 50, v, "some_reason")
		b.registrations.put(registrationID.String(), r)
		for _, offset := range []int64{41, 50} {
			status, _, body := b.get(t, ownKey, paths()["registration"]+"?wait_for="+waitFor(registrationID, offset))
			if status != http.StatusOK || !strings.Contains(body, `"result":"`+verdict(v)+`"`) {
				t.Errorf("%v, offset %d: %d %s", v, offset, status, body)
			}
		}
	}
	unknown := topology.RegistrationID("acme", "never made")
	b.registrations.put(unknown.String(), &pb.Registration{
		LastCommand: commandResult(unknown, 7, pb.CommandVerdict_COMMAND_VERDICT_REJECTED, "unknown_registration"),
	})
	status, _, body := b.get(t, ownKey, "/v1/registrations/"+unknown.String()+"?wait_for="+waitFor(unknown, 7))
	if status != http.StatusNotFound || !strings.Contains(body, `"last_command":{"result":"rejected","reason":"unknown_registration"`) {
		t.Errorf("refused for an unknown id: %d %s", status, body)
	}
}

// An organiser waits for the creation of an event, which is refused.
func TestWaitForRefusedEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := topology.EventID("acme", "refused")
	partition := stream.Partition(id.String(), testPartitions)
	b.events.put(id.String(), &pb.Event{
		Status: pb.EventStatus_EVENT_STATUS_UNKNOWN, Organiser: "acme",
		LastCommand: &pb.CommandResult{Partition: partition, Offset: 3, Verdict: pb.CommandVerdict_COMMAND_VERDICT_REJECTED, Reason: "no_ticket_types"},
	})
	status, _, body := b.get(t, ownKey, fmt.Sprintf("/v1/events/%s?wait_for=catalog-commands/%d/3", id, partition))
	if status != http.StatusNotFound || !strings.Contains(body, "no_ticket_types") {
		t.Errorf("%d %s", status, body)
	}
}

// The command does not become visible in time: 504 says that it is not lost and
// what to do.
func TestWaitTimesOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	status, header, body := b.get(t, ownKey, paths()["registration"]+"?timeout=5ms&wait_for="+waitFor(registrationID, 1000))
	if status != http.StatusGatewayTimeout || header.Get("Retry-After") == "" || header.Get(headerAsOf) == "" ||
		!strings.Contains(body, "wait_timed_out") || !strings.Contains(body, "ask again") {
		t.Errorf("%d %v %s", status, header, body)
	}
}

// The view loses its place while a client waits, and does not find it in time:
// 503, which is the view's fault, and not 504.
func TestWaitMeetsRecovery(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.registrations.setReady(false)
	w := waiting{position{topology.RegistrationCommands.Name, partitionOf(registrationID), 41}, time.Millisecond}
	err := b.server.block(t.Context(), b.server.registrations, registrationID.String(), w)
	if p := problem.From(err); p.Code != problem.ViewRecovering {
		t.Errorf("%v", err)
	}
}

// More clients wait than the limit allows: the next one is told so at once,
// look-ups without waiting go on.
func TestWaitersAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.WaitersMax = 1 })
	ctx, leave := context.WithCancel(t.Context())
	path := paths()["registration"] + "?timeout=30s&wait_for=" + waitFor(registrationID, 1000)
	first := b.ask(ctx, path, nil)
	b.registrations.untilWaited(t)
	if status, header, body := b.get(t, ownKey, path); status != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
		t.Errorf("second waiter: %d %s", status, body)
	}
	if status, _, _ := b.get(t, ownKey, paths()["registration"]); status != http.StatusOK {
		t.Errorf("look-up without waiting: %d", status)
	}
	leave()
	<-first
	if n := b.server.waiters.Load(); n != 0 {
		t.Errorf("%d waiters remain after the caller left", n)
	}
}

// The time that a client chose to wait is not counted as the look-up's.
func TestWaitedTimeIsNotWork(t *testing.T) {
	t.Parallel()
	now := begin
	b := newBench(t, func(c *Config) { c.Clock = func() time.Time { now = now.Add(time.Second); return now } })
	c := &call{}
	w := waiting{position{topology.RegistrationCommands.Name, partitionOf(registrationID), 1000}, time.Millisecond}
	if err := b.server.await(t.Context(), c, b.server.registrations, registrationID.String(), w); err == nil {
		t.Fatal("did not time out")
	}
	if c.waited < time.Second {
		t.Errorf("waited %v by the clock", c.waited)
	}
}

// wait_for comes from strangers: whatever parses is written back the same, and
// nothing panics.
func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{
		"registration-commands/3/1207", "a/0/0", "a/b/c", "//", "a/-1/2", "a/1/9223372036854775807",
		"a/1/9223372036854775808", "a/2147483648/1", "a/1/2/3", "a/+1/1", "é/1/1", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePosition(s)
		if err != nil {
			return
		}
		if p.GetPartition() < 0 || p.GetOffset() < 0 || p.GetTopic() == "" {
			t.Fatalf("%q became %v", s, p)
		}
		text := position{p.GetTopic(), p.GetPartition(), p.GetOffset()}.String()
		q, err := parsePosition(text)
		if err != nil || q.GetTopic() != p.GetTopic() || q.GetPartition() != p.GetPartition() || q.GetOffset() != p.GetOffset() {
			t.Fatalf("%q became %v, which is written %q and read %v (%v)", s, p, text, q, err)
		}
	})
}

// A timeout is never longer than the limit, nor zero, whatever is asked.
func FuzzParseTimeout(f *testing.F) {
	for _, s := range []string{"5s", "2", "0.5", "1ms", "-1s", "1e300", "NaN", "Inf", "30s", "31s", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ms, err := parseTimeout(s)
		if err == nil && (ms == 0 || time.Duration(ms)*time.Millisecond > waitMax) {
			t.Fatalf("%q became %d ms", s, ms)
		}
	})
}
