package systemtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
)

// operate runs the program beside the system, as an operator does.
func (s *system) operate(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(bounded(t), binary, append(args, "--kafka-brokers", strings.Join(s.brokers(), ","))...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("%v: %w: %s%s", args, err, &stdout, &stderr)
	}
	return stdout.String(), err
}

func (s *system) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.operate(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// listedLetter is what the tests read of a letter in JSON.
type listedLetter struct {
	ID        string `json:"id"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Reason    string `json:"reason"`
	Attempts  int    `json:"attempts"`
	RedriveOf string `json:"redrive_of"`
}

func (s *system) listLetters(t *testing.T, args ...string) (letters []listedLetter) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.must(t, append([]string{"dlq", "list", "--json"}, args...)...)), &letters); err != nil {
		t.Fatal(err)
	}
	return letters
}

// A producer writes garbage and puts an order into the wrong partition. The operator
// sees both, looks at them, redrives both: the order is handled, the garbage dies
// again and is linked to what it was. It is discarded, with a reason. A second
// redrive does nothing, and the books are right.
func TestDeadLettersAreWorkedOff(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t))
	event := s.newEvent(t, "letters", 10)
	s.buy(t, event, "sound")
	producer := s.kafkaClient(t)
	real := s.firstRecord(t, topology.RegistrationCommands.Name)
	at := s.put(t, producer, topology.RegistrationCommands.Name, poison{what: "garbage", key: "nobody", value: []byte("\xff\xffgarbage")})
	s.put(t, producer, topology.RegistrationCommands.Name, poison{what: "misplaced", key: string(real.Key), value: real.Value, misplaced: true})
	var open []listedLetter
	eventually(t, "both are listed", func() error {
		if open = s.listLetters(t, "--state", "open"); len(open) != 2 {
			return fmt.Errorf("listed are %+v", open)
		}
		return nil
	})
	garbage, order := open[0], open[1]
	if garbage.Reason != stream.ClassUndecodable {
		garbage, order = order, garbage
	}
	if (stream.Position{Topic: garbage.Topic, Partition: garbage.Partition, Offset: garbage.Offset}) != at || order.Reason != "wrong_partition" {
		t.Fatalf("the garbage at %v is listed as %+v, the order as %+v", at, garbage, order)
	}
	for id, want := range map[string]string{garbage.ID: "|..garbage|", order.ID: "boxoffice.v1.RegistrationCommand {"} {
		if text := s.must(t, "dlq", "show", id[:8]); !strings.Contains(text, want) {
			t.Errorf("the letter lacks %q:\n%s", want, text)
		}
	}
	if out := s.must(t, "dlq", "redrive", "--topic", topology.RegistrationCommands.Name, "--dry-run"); !strings.Contains(out, "nothing was done") {
		t.Errorf("the dry run says %s", out)
	}
	if out := s.must(t, "dlq", "redrive", "--all", "--operator", "ana"); !strings.Contains(out, "2 of 2 letters were acted on") {
		t.Errorf("the redrive says %s", out)
	}
	eventually(t, "the garbage is dead again", func() error {
		if open = s.listLetters(t, "--state", "open"); len(open) != 1 || open[0].RedriveOf != garbage.ID || open[0].Attempts != 2 {
			return fmt.Errorf("open are %+v", open)
		}
		return nil
	})
	if _, err := s.operate(t, "dlq", "discard", "--id", open[0].ID); err == nil || !strings.Contains(err.Error(), "--note") {
		t.Errorf("a discard without a reason: %v", err)
	}
	s.must(t, "dlq", "discard", "--id", open[0].ID[:8], "--operator", "ana", "--note", "a scanner's test")
	if left := s.listLetters(t, "--state", "open"); len(left) != 0 {
		t.Errorf("open are %+v", left)
	}
	if out := s.must(t, "dlq", "redrive", "--all"); !strings.Contains(out, "0 of 3 letters were acted on, 3 left alone") {
		t.Errorf("the second redrive says %s", out)
	}
	if out := s.must(t, "dlq", "list"); !strings.Contains(out, "3 dead letters: 0 open, 2 redriven, 1 discarded") || !strings.Contains(out, "died again as "+open[0].ID[:8]) {
		t.Errorf("the list says\n%s", out)
	}
	eventually(t, "the books are right", func() error {
		_, err := s.operate(t, "verify", "--at-rest", "--provider-url", url(s.provider), "--clickhouse-url", url(s.clickhouse))
		return err
	})
	s.put(t, producer, topology.DeadLetters.Name, poison{what: "no letter", key: "nobody", value: []byte("no letter")})
	if out, err := s.operate(t, "dlq", "redrive", "--all"); err == nil || !strings.Contains(err.Error(), "1 open letters cannot be acted on") {
		t.Errorf("a letter that says not where it belongs: %v\n%s", err, out)
	}
}
