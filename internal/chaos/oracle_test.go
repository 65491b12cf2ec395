package chaos

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// sources are a log of registrations and a ledger, as a run may leave them.
type sources struct {
	System
	log    *kgo.Client
	ledger []string
}

func newSources(t *testing.T) *sources {
	t.Helper()
	topic := topology.RegistrationEvents.Name
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	s := &sources{System: System{Brokers: cluster.ListenAddrs(), Organiser: "acme"}}
	if s.log, err = kgo.NewClient(kgo.SeedBrokers(s.Brokers...), kgo.DefaultProduceTopic(topic)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.log.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		after := 0
		fmt.Sscan(r.URL.Query().Get("after"), &after)
		for _, line := range s.ledger[min(after, len(s.ledger)):] {
			fmt.Fprintln(w, line)
		}
	}))
	t.Cleanup(server.Close)
	s.ProviderURL = server.URL
	return s
}

// publish writes the versions of a registration: its outcomes, one after the
// other, the last one settled or not.
func (s *sources) publish(t *testing.T, key string, settled bool, outcomes ...pb.Outcome) {
	t.Helper()
	id := topology.RegistrationID("acme", key)
	for i, outcome := range outcomes {
		value, err := proto.Marshal(&pb.Registration{RegistrationId: id[:], Outcome: outcome, Settled: settled && i == len(outcomes)-1})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.log.ProduceSync(t.Context(), &kgo.Record{Key: []byte(id.String()), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *sources) capture(payment string) {
	n := len(s.ledger) + 1
	s.ledger = append(s.ledger, fmt.Sprintf(`{"kind":"charge","seq":%d,"id":"ch-%d","payment_reference":%q}`, n, n, payment))
}

func accepted(key string, id uuid.UUID) string {
	return fmt.Sprintf("{\"idempotency_key\":%q,\"registration_id\":%q}\n", key, id)
}

// Whatever can go wrong is counted as what it is, once: lost, doubled or stuck;
// and what a rightful owner may do is not.
func TestAuditTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	const (
		none      = pb.Outcome_OUTCOME_UNSPECIFIED
		confirmed = pb.Outcome_OUTCOME_CONFIRMED
		cancelled = pb.Outcome_OUTCOME_CANCELLED
		soldOut   = pb.Outcome_OUTCOME_SOLD_OUT
	)
	s := newSources(t)
	s.publish(t, "sold", true, none, confirmed)
	s.publish(t, "cancelled", true, none, confirmed, confirmed, cancelled)
	s.publish(t, "unheard", true, soldOut)
	s.publish(t, "undecided", false, none)
	s.publish(t, "open", false, none, confirmed)
	s.publish(t, "twice", true, none, soldOut, confirmed)
	s.capture("p1")
	s.capture("p2")
	s.capture("p1")

	var text strings.Builder
	for _, key := range []string{"sold", "cancelled", "undecided", "open", "twice", "vanished"} {
		text.WriteString(accepted(key, topology.RegistrationID("acme", key)))
	}
	text.WriteString(accepted("sold", topology.RegistrationID("acme", "unheard"))) // one key, two registrations
	file := filepath.Join(t.TempDir(), "accepted")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := audit(t.Context(), &s.System, []string{file})
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Join(got.Examples, "\n")
	got.Examples = nil
	if want := (Counts{Accepted: 7, Lost: 2, Doubled: 3, Stuck: 1}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, says := range []string{
		"key sold was answered with", "payment p1 was captured twice", topology.RegistrationID("acme", "vanished").String() + " was accepted and is not decided",
		topology.RegistrationID("acme", "open").String() + " is not settled", topology.RegistrationID("acme", "twice").String() + " was decided twice",
	} {
		if !strings.Contains(examples, says) {
			t.Errorf("%q is missing in\n%s", says, examples)
		}
	}
}

// A registration that no client was told of may exist, and is not lost.
func TestAuditCountsWhatNobodyHeardOf(t *testing.T) {
	t.Parallel()
	s := newSources(t)
	s.publish(t, "unheard", true, pb.Outcome_OUTCOME_CONFIRMED)
	got, err := audit(t.Context(), &s.System, nil)
	if err != nil || got.Unheard != 1 || got.Lost+got.Doubled+got.Stuck != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A counter of Prometheus' text format is summed over its labels, and another
// one that begins like it is not.
func TestSumOf(t *testing.T) {
	t.Parallel()
	text := "# HELP calls_total Calls.\ncalls_total{cause=\"a\"} 3\ncalls_total{cause=\"b\"} 1e+06\ncalls_total_other{cause=\"a\"} 7\n"
	if got := sumOf([]byte(text), "calls_total"); got != 1_000_003 {
		t.Errorf("%d", got)
	}
}
