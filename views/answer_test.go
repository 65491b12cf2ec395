package views

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

func request(t testing.TB, method, path string) (*http.Request, *httptest.ResponseRecorder) {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), method, path, nil), httptest.NewRecorder()
}

// Each place of the saga has its one word, and only a confirmed registration
// has tickets: a seat that is merely held is nobody's ticket.
func TestStatusWordsAndTickets(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		step    pb.Step
		outcome pb.Outcome
		word    string
		tickets int
	}{
		{pb.Step_STEP_REQUESTED, 0, "requested", 0},
		{pb.Step_STEP_HOLDING, 0, "holding", 0},
		{pb.Step_STEP_CHARGING, 0, "charging", 0},
		{pb.Step_STEP_SETTLING, pb.Outcome_OUTCOME_CONFIRMED, "confirmed", 3},
		{pb.Step_STEP_SETTLED, pb.Outcome_OUTCOME_CONFIRMED, "confirmed", 3},
		{pb.Step_STEP_SETTLING, pb.Outcome_OUTCOME_SOLD_OUT, "sold_out", 0},
		{pb.Step_STEP_SETTLED, pb.Outcome_OUTCOME_PAYMENT_FAILED, "payment_failed", 0},
		{pb.Step_STEP_SETTLED, pb.Outcome_OUTCOME_EXPIRED, "expired", 0},
		{pb.Step_STEP_SETTLED, pb.Outcome_OUTCOME_CANCELLED, "cancelled", 0},
		{pb.Step_STEP_SETTLED, pb.Outcome_OUTCOME_REJECTED, "rejected", 0},
	} {
		r := confirmed()
		r.Step, r.Outcome = tc.step, tc.outcome
		a := registrationAnswer(r)
		if a.GetStatus() != tc.word || len(a.GetTickets()) != tc.tickets {
			t.Errorf("%v/%v: %q with %d tickets, want %q with %d", tc.step, tc.outcome, a.GetStatus(), len(a.GetTickets()), tc.word, tc.tickets)
		}
	}
}

// A ticket's id is the one that every other part derives for the seat.
func TestTicketIDs(t *testing.T) {
	t.Parallel()
	tickets := registrationAnswer(confirmed()).GetTickets()
	want := topology.TicketID(topology.HoldID(registrationID, 1, 2, 9), 63).String()
	if got := tickets[1]; got.GetTicketId() != want || got.GetSeat() != 63 || got.GetBlock() != 9 || got.GetTicketType() != "standard" {
		t.Errorf("got %v, want id %s", got, want)
	}
}

// lag_ms says how long ago a partition had read everything, not how long the
// server runs; it is absent before that ever was.
func TestLagInTime(t *testing.T) {
	t.Parallel()
	now := begin
	table := newMemTable()
	s := newSource("t", table, func() time.Time { return now })
	table.lag[1] = 3
	s.sample()
	if ms := s.lagMillis(table.Partitions()[1]); ms != nil {
		t.Errorf("never caught up, yet %d ms", *ms)
	}
	if asOf := s.overall().GetAsOf(); asOf.LagMs != nil || asOf.GetLagRecords() != 3 {
		t.Errorf("overall: %v", asOf)
	}
	table.lag[1] = 0
	s.sample()
	now = now.Add(1500 * time.Millisecond)
	table.lag[1] = 5
	s.sample()
	if ms := s.lagMillis(table.Partitions()[1]); ms == nil || *ms != 1500 {
		t.Errorf("lag_ms = %v, want 1500", ms)
	}
	if asOf := s.overall().GetAsOf(); asOf.GetLagMs() != 1500 || asOf.GetLagRecords() != 5 {
		t.Errorf("overall: %v", asOf)
	}
	if ms := s.lagMillis(table.Partitions()[0]); ms == nil || *ms != 0 {
		t.Errorf("a partition without lag: %v", ms)
	}
}

// Every counter exists before it is first needed, and requests are counted
// under route and status.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m := b.server.metrics
	if got := testutil.ToFloat64(m.routes[routePayment].requests[http.StatusGatewayTimeout]); got != 0 {
		t.Errorf("starts at %v", got)
	}
	b.get(t, ownKey, paths()["payment"])
	b.get(t, foreignKey, paths()["payment"])
	for status, want := range map[int]float64{200: 1, 404: 1, 503: 0} {
		if got := testutil.ToFloat64(m.routes[routePayment].requests[status]); got != want {
			t.Errorf("payment %d: %v, want %v", status, got, want)
		}
	}
	b.attendees.lag[2] = 9
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, f := range families {
		found[f.GetName()] = len(f.GetMetric())
	}
	for name, want := range map[string]int{
		"boxoffice_views_requests_total":           7 * len(statuses),
		"boxoffice_views_request_duration_seconds": 6,
		"boxoffice_views_waiters":                  1,
		"boxoffice_views_streams":                  1,
		"boxoffice_views_lag_records":              4 * testPartitions,
		"boxoffice_views_ready":                    4,
	} {
		if found[name] != want {
			t.Errorf("%s: %d series, want %d", name, found[name], want)
		}
	}
}

// overtaken is a table whose value changes just after it was read.
type overtaken struct {
	*memTable
	next proto.Message
}

func (o overtaken) Get(key string) (proto.Message, error) {
	value, err := o.memTable.Get(key)
	o.put(key, o.next)
	return value, err
}

// A newer value arrives while an answer is made: the answer does not claim to be
// as fresh as that.
func TestFreshnessNeverClaimsTooMuch(t *testing.T) {
	t.Parallel()
	table := overtaken{newMemTable(), confirmed()}
	table.put("k", at(pb.Step_STEP_HOLDING, 2))
	s := newSource("t", table, time.Now)
	value, fresh, err := s.get("k")
	if err != nil || value.(*pb.Registration).GetVersion() != 2 || fresh.GetAsOf().GetOffset() != 0 {
		t.Errorf("version %v as of %v, %v", value, fresh, err)
	}
}
