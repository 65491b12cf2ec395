package stream

import (
	"strings"
	"testing"

	"github.com/eventpro/boxoffice/internal/topology"
)

// A configuration that cannot work is refused before anything connects, with
// all that is wrong with it.
func TestValidationNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := NewRunner(Config{Compression: "rar", BatchRecordsMax: -1}, Processor{Group: topology.Group{Name: "g", Table: topology.Topic{Name: "other"}}})
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, want := range []string{"brokers", "rar", "batch limit", "member id", "data directory", "no handler", "no inputs", `must be "g-table"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if _, err := NewStage(Config{}, Stage{}); err == nil || !strings.Contains(err.Error(), "exactly one of Handle, Batch and Forward") {
		t.Errorf("stage: %v", err)
	}
	if _, err := NewView(Config{Brokers: []string{"b"}}, "", table, ViewOptions{}); err == nil {
		t.Error("a view without a role and a directory was accepted")
	}
	if _, err := NewFollower(Config{Brokers: []string{"b"}}, nil, nil); err == nil {
		t.Error("a follower of nothing was accepted")
	}
}
