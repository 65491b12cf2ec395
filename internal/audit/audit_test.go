package audit_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/audit"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

func redrive() *pb.OperatorAction {
	return &pb.OperatorAction{
		Kind: pb.OperatorActionKind_OPERATOR_ACTION_KIND_REDRIVE, Operator: "ana", TimeUnixMs: 1_800_000_000_000,
		Topic: topology.DeadLetters.Name, Partition: 2, Offset: 41, Key: "k1",
	}
}

// What was written is what is read, under the key of what was acted on.
func TestAnActionIsReadBack(t *testing.T) {
	t.Parallel()
	a := redrive()
	r, err := audit.Record(a)
	if err != nil {
		t.Fatal(err)
	}
	back, err := audit.Parse(r)
	if err != nil || !proto.Equal(a, back) || r.Topic != topology.OperatorActions.Name || string(r.Key) != "k1" {
		t.Fatalf("%v came back as %v under %s/%s, %v", a, back, r.Topic, r.Key, err)
	}
}

// The same action done twice, by whomever, has one id; another action on the
// same record, or the same on another, has another.
func TestIDsAreOfKindAndThing(t *testing.T) {
	t.Parallel()
	id := audit.ID(redrive())
	again := redrive()
	again.Operator, again.TimeUnixMs, again.Note = "ben", 1_900_000_000_000, "once more"
	if audit.ID(again) != id {
		t.Error("the same redrive has two ids")
	}
	for what, change := range map[string]func(*pb.OperatorAction){
		"another kind":   func(a *pb.OperatorAction) { a.Kind = pb.OperatorActionKind_OPERATOR_ACTION_KIND_DISCARD },
		"another record": func(a *pb.OperatorAction) { a.Offset++ },
		"a saga":         func(a *pb.OperatorAction) { a.Topic, a.Partition, a.Offset = "", 0, 0 },
	} {
		other := redrive()
		change(other)
		if audit.ID(other) == id {
			t.Errorf("%s has the same id", what)
		}
	}
}

// A record that does not say who did what is refused before anything happens.
func TestHolesAreRefused(t *testing.T) {
	t.Parallel()
	_, err := audit.Record(&pb.OperatorAction{})
	for _, want := range []string{"what was done", "who did it", "what it was done to", "when"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not ask %q", err, want)
		}
	}
}
