package inventory

import (
	"testing"

	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// The group is wired to its transition, for known and unknown keys, and tells a
// table of another type apart.
func TestTheGroupIsWired(t *testing.T) {
	t.Parallel()
	p := New(Config{})
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	m := &transition.Message{Key: "k", Value: &pb.Timer{}}
	for name, err := range map[string]error{
		"unknown": second(p.Handle(nil, m)), "known": second(p.Handle(&pb.Block{}, m)),
	} {
		if _, ok := transition.AsPoison(err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := second(p.Handle(&pb.Timer{}, m))
	if _, ok := transition.AsPoison(err); err == nil || ok {
		t.Errorf("a table of another type: %v", err)
	}
}

func second(_ transition.Effect, err error) error { return err }
