package deadletters

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/audit"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// A program with a bug in every group: it fails for the order of a number, at one
// step each. Order 0 is spared.
var bugs = map[string]int{
	topology.RegistrationCommands.Name + "/" + registrationOf(1).String(): 1,
	topology.SeatEvents.Name + "/" + registrationOf(2).String():           2,
	topology.PaymentEvents.Name + "/" + registrationOf(3).String():        3,
	topology.SeatCommands.Name + "/" + blockOf(4):                         4,
	topology.PaymentCommands.Name + "/" + paymentOf(6):                    6,
	topology.GatewayResults.Name + "/" + paymentOf(7):                     7,
	topology.AttendeeUpdates.Name + "/" + attendeeOf(8).String():          8,
	topology.BlockEvents.Name + "/" + eventOf(9).String():                 9,
}

func buggy(m *transition.Message) bool {
	n := bugs[m.Topic+"/"+m.Key]
	if c, ok := m.Value.(*pb.SeatCommand); ok && c.GetOpen() != nil {
		return false // the block is there; its holds fail
	}
	if c, ok := m.Value.(*pb.SeatCommand); ok && m.Key == blockOf(5) {
		return c.GetConfirm() != nil
	}
	return n > 0
}

// sale sells and cancels; the first order and the last are cancelled when they are
// settled.
func (w *world) sale(spared ...int) {
	w.t.Helper()
	w.createEvents()
	for n := range orders {
		w.order(n)
	}
	w.eventually("what nothing is wrong with is settled", func() error { return w.settled(spared...) })
	w.cancel(0)
	w.eventually("the refund is made", func() error {
		for _, r := range w.tables(topology.RegistrationsTable) {
			if r := r.(*pb.Registration); r.Outcome == pb.Outcome_OUTCOME_CANCELLED && r.Settled {
				return nil
			}
		}
		return fmt.Errorf("it is not")
	})
}

func redrive() Order {
	return Order{Kind: pb.OperatorActionKind_OPERATOR_ACTION_KIND_REDRIVE, Operator: "ana", Note: "mended"}
}

// execute opens a desk and carries out an order on what the filter chooses.
func (w *world) execute(o Order, f Filter) (done, left []string) {
	w.t.Helper()
	desk, err := OpenDesk(w.t.Context(), w.options(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	defer desk.Close()
	chosen, err := f.Select(desk.Letters())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := desk.Execute(w.t.Context(), chosen, func(o Outcome) {
		if o.Done {
			done = append(done, o.Letter.ID)
		} else {
			left = append(left, fmt.Sprintf("%s, impossible: %t", o.Text, o.Impossible))
		}
	}); err != nil {
		w.t.Fatal(err)
	}
	return done, left
}

func (w *world) letters() []*Letter {
	w.t.Helper()
	letters, err := Read(w.t.Context(), w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	return letters
}

// I5, and what a redrive is for: every group has a bug, each order but one is stuck
// at another step, everything goes on around them. The program is mended, the dead
// letters are redriven: every table is as in a run that never failed. Redriving
// again changes nothing; being told to do it nevertheless changes no table.
func TestARedriveMakesItAsIfNothingHadFailed(t *testing.T) {
	t.Parallel()
	sound := newWorld(t)
	stop := sound.start(nil)
	sound.sale(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	sound.handled()
	stop()
	want := sound.tables()

	w := newWorld(t)
	stop = w.start(buggy)
	w.sale(0, 8, 9) // 8 and 9 lack what nobody waits for
	w.eventually("each bug has its letters", func() error {
		hit := map[string]bool{}
		for _, l := range w.letters() {
			hit[l.Original.Topic+"/"+l.Key] = true
		}
		if want := len(bugs) + 1; len(hit) != want { // and the confirm of block 5
			return fmt.Errorf("letters of %v, want %d", slices.Sorted(maps.Keys(hit)), want)
		}
		return nil
	})
	stop()
	for _, l := range w.letters() {
		if l.Attempts != 3 || l.Class != stream.ClassError || l.State() != Open {
			t.Errorf("a letter after %d attempts, %s, %s", l.Attempts, l.Class, l.State())
		}
	}

	if differences(want, w.tables()) == nil {
		t.Fatal("the bugs make no difference")
	}

	stop = w.start(nil)
	letters := len(w.letters())
	if done, _ := w.execute(redrive(), Filter{}); len(done) != letters {
		t.Fatalf("%d of %d letters were redriven", len(done), letters)
	}
	w.eventually("everything is as if nothing had failed", func() error { return differences(want, w.tables()) })
	before := w.ends()
	if done, left := w.execute(redrive(), Filter{}); len(done) != 0 || len(left) != letters || !strings.Contains(left[0], "redriven already") {
		t.Fatalf("the second time %d were redriven, and %v left", len(done), left)
	}
	if after := w.ends(); after != before {
		t.Fatalf("redriving twice wrote something:\n%s\n%s", before, after)
	}
	again := redrive()
	again.Again = true
	if done, _ := w.execute(again, Filter{}); len(done) != letters {
		t.Fatalf("%d were redriven again", len(done))
	}
	w.handled()
	stop()
	if err := differences(want, w.tables()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.letters()); n != letters {
		t.Fatalf("%d letters, there were %d", n, letters)
	}
}

// bury writes a dead letter of the record of a key, as the runtime does.
func (w *world) bury(topic topology.Topic, key, reason string, headers ...kgo.RecordHeader) *kgo.Record {
	w.t.Helper()
	at := stream.Position{Topic: topic.Name, Partition: stream.Partition(key, 2), Offset: int64(len(key) + len(reason))}
	r := &kgo.Record{Topic: topology.DeadLetters.Name, Key: []byte(key), Value: []byte(reason), Headers: append([]kgo.RecordHeader{
		{Key: stream.HeaderID, Value: []byte(stream.DeadLetterID(at))},
		{Key: stream.HeaderOriginalTopic, Value: []byte(at.Topic)},
		{Key: stream.HeaderOriginalPartition, Value: fmt.Append(nil, at.Partition)},
		{Key: stream.HeaderOriginalOffset, Value: fmt.Append(nil, at.Offset)},
		{Key: stream.HeaderGroup, Value: []byte("payments")},
		{Key: stream.HeaderErrorClass, Value: []byte(stream.ClassPoison)},
		{Key: stream.HeaderReason, Value: []byte(reason)},
		{Key: stream.HeaderAttempt, Value: []byte("5")},
		{Key: stream.HeaderFirstFailedAt, Value: []byte("2026-01-01T00:00:00Z")},
		{Key: "trace", Value: []byte("t1")},
	}, headers...)}
	if err := w.client.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// handled waits until every group has read all of its inputs.
func (w *world) handled() {
	w.t.Helper()
	w.eventually("all is handled", func() error { return w.behind() })
}

// A redrive is killed between its audit record and the record that it sends. That
// never happened: the letter is open, and the same command does both, once.
func TestARedriveThatIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.bury(topology.PaymentCommands, "k1", "no_command")
	killed, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.TransactionalID(transactionalID), kgo.TransactionTimeout(2*patience))
	if err != nil {
		t.Fatal(err)
	}
	defer killed.Close()
	half, err := audit.Record(&pb.OperatorAction{
		Kind: redrive().Kind, Operator: "ana", TimeUnixMs: 1, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: "k1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := killed.ProduceSync(t.Context(), half).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if done, left := w.execute(redrive(), Filter{}); len(done) != 1 {
		t.Fatalf("redriven %v, left alone %v", done, left)
	}
	if err := killed.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("the killed redrive committed")
	}
	if done, _ := w.execute(redrive(), Filter{}); len(done) != 0 {
		t.Error("it was redriven twice")
	}
	sent := w.read(topology.PaymentCommands)
	if len(sent) != 1 || len(w.read(topology.OperatorActions)) != 1 {
		t.Fatalf("%d records and %d audit records, want one of each", len(sent), len(w.read(topology.OperatorActions)))
	}
	headers := map[string]string{}
	for _, h := range sent[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	want := map[string]string{
		"trace": "t1", stream.HeaderRedriveOf: w.letters()[0].ID, stream.HeaderAttempt: "5", stream.HeaderFirstFailedAt: "2026-01-01T00:00:00Z",
	}
	if !maps.Equal(headers, want) || string(sent[0].Key) != "k1" || string(sent[0].Value) != "no_command" || sent[0].Partition != stream.Partition("k1", 2) {
		t.Errorf("what was sent is %s %q in %d with %v", sent[0].Key, sent[0].Value, sent[0].Partition, headers)
	}
}

// A letter is discarded, one is redriven and dies again, one is no letter at all:
// the list tells all of it, and nothing is done to what is done with.
func TestWhatWasDoneIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bury(topology.PaymentCommands, "k1", "no_command")
	w.bury(topology.PaymentCommands, "k2", "charge_conflict")
	w.put(topology.DeadLetters, "k3", &pb.Timer{NowUnixMs: 7})
	discard := Order{Kind: pb.OperatorActionKind_OPERATOR_ACTION_KIND_DISCARD, Operator: "ben", Note: "a test order"}
	if done, _ := w.execute(discard, Filter{Reasons: []string{"no_command"}}); len(done) != 1 {
		t.Fatal("it was not discarded")
	}
	dry := redrive()
	dry.DryRun = true
	if done, left := w.execute(dry, Filter{}); len(done) != 1 || len(left) != 2 || len(w.read(topology.PaymentCommands)) != 0 {
		t.Fatalf("a dry run would redrive %v and leave %v", done, left)
	}
	done, left := w.execute(redrive(), Filter{})
	if len(done) != 1 || !strings.Contains(strings.Join(left, "\n"), "discarded already (--again does it nevertheless), impossible: false") || !strings.Contains(strings.Join(left, "\n"), "has not written it, impossible: true") {
		t.Fatalf("redriven %v, left %v", done, left)
	}
	w.bury(topology.PaymentCommands, "k2", "charge_conflict_again", kgo.RecordHeader{Key: stream.HeaderRedriveOf, Value: []byte(done[0])})
	var list, one strings.Builder
	letters := w.letters()
	if err := WriteList(&list, letters); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"4 dead letters: 2 open, 1 redriven, 1 discarded", "redriven, died again as ", "open, was " + done[0][:8],
		"payments: no_command (poison)", "unreadable",
	} {
		if !strings.Contains(list.String(), want) {
			t.Errorf("the list lacks %q:\n%s", want, list.String())
		}
	}
	chosen, err := (&Filter{IDs: []string{done[0][:8]}}).Select(letters)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteLetter(&one, chosen[0]); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"header trace", "redrive", "by ana: mended", "sent to payment-commands/", "are no message of the topic"} {
		if !strings.Contains(one.String(), want) {
			t.Errorf("the letter lacks %q:\n%s", want, one.String())
		}
	}
}

// Each filter chooses what it names and nothing else; a slip in an id chooses
// nothing.
func TestFilters(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	letters := []*Letter{
		{ID: "aaaa1111", Group: "g1", Class: "poison", Reason: "r1", Key: "k1", Time: at(1), Original: stream.Position{Topic: "t1"}},
		{ID: "aaaa2222", Group: "g1", Class: "error", Reason: "r2", Key: "k2", Time: at(2), Original: stream.Position{Topic: "t2"}},
		{ID: "bbbb3333", Group: "g2", Class: "error", Reason: "r2", Key: "k1", Time: at(3), Original: stream.Position{Topic: "t1"}, Actions: []*pb.OperatorAction{{}}},
	}
	for name, c := range map[string]struct {
		f    Filter
		want string
	}{
		"nothing": {Filter{}, "aaaa1111 aaaa2222 bbbb3333"},
		"id":      {Filter{IDs: []string{"AAAA1", "bbbb"}}, "aaaa1111 bbbb3333"},
		"group":   {Filter{Groups: []string{"g1"}}, "aaaa1111 aaaa2222"},
		"class":   {Filter{Classes: []string{"error"}}, "aaaa2222 bbbb3333"},
		"reason":  {Filter{Reasons: []string{"r1", "r2"}, Keys: []string{"k1"}}, "aaaa1111 bbbb3333"},
		"topic":   {Filter{Topics: []string{"t2"}}, "aaaa2222"},
		"since":   {Filter{Since: at(2)}, "aaaa2222 bbbb3333"},
		"until":   {Filter{Until: at(2)}, "aaaa1111"},
		"state":   {Filter{States: []State{Open}, Limit: 1}, "aaaa1111"},
	} {
		chosen, err := c.f.Select(letters)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, l := range chosen {
			ids = append(ids, l.ID)
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%s chooses %s, want %s", name, got, c.want)
		}
	}
	for id, want := range map[string]string{"aaa": "too short", "aaaa": "2 dead letters", "cccc": "no dead letter"} {
		if _, err := (&Filter{IDs: []string{id}}).Select(letters); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// Without Kafka, the operator is told so and does not wait for ever.
func TestKafkaIsAway(t *testing.T) {
	t.Parallel()
	_, err := Read(context.Background(), Options{Brokers: []string{"127.0.0.1:1"}, Patience: 50 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Fatal(err)
	}
}
