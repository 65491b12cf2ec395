package topology_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/topology"
)

// A topic that a group reads must be written by somebody, or the group waits
// for ever.
func TestEveryInputIsWrittenBySomebody(t *testing.T) {
	t.Parallel()
	written := map[string]bool{
		topology.CatalogCommands.Name:      true, // ingest
		topology.RegistrationCommands.Name: true, // ingest
		topology.Retries.Name:              true, // every stateful group
	}
	for _, g := range topology.Groups() {
		for _, o := range g.Outputs {
			written[o.Name] = true
		}
		if g.Timers.Name != "" {
			written[g.Timers.Name] = true // the runtime's own timers
		}
	}
	for _, g := range topology.Groups() {
		for _, in := range g.Inputs {
			if !written[in.Name] {
				t.Errorf("%s reads %s, which nobody writes", g.Name, in.Name)
			}
		}
	}
}

// A stateful group's table must be called "<group>-table", as Goka calls it,
// and be compacted, or recovery takes for ever.
func TestTablesAreNamedAndCompacted(t *testing.T) {
	t.Parallel()
	for _, g := range topology.Groups() {
		if g.Kind != topology.Stateful {
			continue
		}
		if g.Table.Name != g.Name+"-table" || g.Table.Cleanup != topology.Compact {
			t.Errorf("%s: table %q with clean-up %d", g.Name, g.Table.Name, g.Table.Cleanup)
		}
	}
}

// Two lines of one ticket type, or two attempts at one block, must never share
// a hold id, or they get the same seats (trace 6).
func TestHoldIDsDifferByLineAttemptAndBlock(t *testing.T) {
	t.Parallel()
	registration := topology.RegistrationID("eventpro", "order-1")
	seen := map[uuid.UUID]bool{}
	for line := uint32(1); line <= 3; line++ {
		for attempt := range uint32(3) {
			for block := uint32(1); block <= 3; block++ {
				seen[topology.HoldID(registration, line, attempt, block)] = true
			}
		}
	}
	if len(seen) != 27 {
		t.Fatalf("27 holds have %d ids", len(seen))
	}
}

// A derived id is for ever: a change of the derivation would orphan every
// stored state.
func TestDerivedIDsAreForEver(t *testing.T) {
	t.Parallel()
	registration := topology.RegistrationID("eventpro", "order-1")
	hold := topology.HoldID(registration, 1, 0, 7)
	payment := topology.PaymentID(registration)
	for _, c := range []struct {
		name string
		got  uuid.UUID
		want string
	}{
		{"event", topology.EventID("eventpro", "conference"), "0e914d41-93c9-5d1c-b5ae-49dfd432b09d"},
		{"registration", registration, "0261a15a-94b0-5c10-a0c6-63ef91c6e666"},
		{"hold", hold, "cf488ee0-1222-5f8a-9439-5b08e2cfbd5c"},
		{"ticket", topology.TicketID(hold, 12), "8ebd21b2-1faf-5aeb-8b6f-83621ad7c0e9"},
		{"payment", payment, "eb4f1f1e-8856-5439-8f1d-0a0dff7b824b"},
		{"refund", topology.RefundID(payment, 0), "65c9e09c-ec34-5921-a7f9-0959fa2c49ef"},
		{"dead letter", topology.DeadLetterID("payments", "gateway-results", 3, 42), "f188d3f9-df67-5994-94f5-1985138afb8d"},
		{"operator action", topology.OperatorActionID(1, "dead-letters/2/41"), "d66429fe-d409-55dd-a05c-acd90d9087b3"},
	} {
		if c.got.String() != c.want {
			t.Errorf("%s id is %s, was %s", c.name, c.got, c.want)
		}
	}
}

// The parts of an id must not run together: ("a", "bc") is not ("ab", "c").
func TestIDPartsDoNotRunTogether(t *testing.T) {
	t.Parallel()
	if topology.RegistrationID("a", "bc") == topology.RegistrationID("ab", "c") {
		t.Fatal("two idempotency keys share a registration")
	}
}

// A block's key must survive the round trip, since tools parse it.
func TestBlockKeyRoundTrip(t *testing.T) {
	t.Parallel()
	event := topology.EventID("eventpro", "conference")
	key := topology.BlockKey(event[:], "standard", 12345)
	gotEvent, gotType, gotBlock, err := topology.ParseBlockKey(key)
	if err != nil || gotEvent != event || gotType != "standard" || gotBlock != 12345 {
		t.Fatalf("%q parsed as %s %q %d, %v", key, gotEvent, gotType, gotBlock, err)
	}
	for _, bad := range []string{"", "x/y/1", event.String(), event.String() + "/a/b", event.String() + "/a/1/2"} {
		if _, _, _, err := topology.ParseBlockKey(bad); err == nil {
			t.Errorf("%q was taken for a block key", bad)
		}
	}
}

// The page must name every topic, or a newcomer misses a part of the data's
// way.
func TestPageNamesEveryTopic(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	if err := topology.WritePage(&page); err != nil {
		t.Fatal(err)
	}
	for _, topic := range topology.Topics() {
		if !strings.Contains(page.String(), "`"+topic.Name+"`") {
			t.Errorf("the page lacks %s", topic.Name)
		}
	}
}
