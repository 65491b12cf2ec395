package registrations

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/availability"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// The index is what the running group picks from.
var _ Availability = (*availability.Index)(nil)

// A sale fills the index with what it asks and what it is answered: a block that
// refuses is not picked again, even before the table's own record arrives.
func TestTheGroupTeachesItsIndex(t *testing.T) {
	t.Parallel()
	index := availability.New(availability.Options{Seed: 1})
	index.SetRecovered(true)
	index.Update(eventID[:], "regular", 1, availability.Figures{Version: 1, Size: 1, Free: 1})
	p := New(Config{Availability: index, Clock: func() time.Time { return time.UnixMilli(startMS) }})
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	effect, err := p.Handle(nil, &transition.Message{
		Key: registrationID.String(), Time: time.UnixMilli(startMS),
		Value: &pb.RegistrationCommand{
			RegistrationId: registrationID[:], RequestTimeUnixMs: startMS, BodyDigest: []byte("body"),
			Command: &pb.RegistrationCommand_Register{Register: order(line(1, "regular", 1, ticketPrice))},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := effect.State.(*pb.Registration)
	if len(r.Holds) != 1 || r.Holds[0].Block != 1 {
		t.Fatalf("holds: %v", r.Holds)
	}
	index.Update(eventID[:], "regular", 2, availability.Figures{Version: 1, Size: 1, Free: 1})
	for range 20 {
		if b, _ := index.Pick(eventID[:], "regular", 1, nil); b != 2 {
			t.Fatalf("block %d is picked although its seat is asked for", b)
		}
	}
	effect, err = p.Handle(r, &transition.Message{
		Key: registrationID.String(), Time: time.UnixMilli(startMS),
		Value: &pb.SeatEvent{
			Kind: pb.SeatEventKind_SEAT_EVENT_KIND_REFUSED, EventId: eventID[:], TicketType: "regular",
			Block: 1, RegistrationId: registrationID[:], HoldId: r.Holds[0].HoldId, BlockVersion: 2, BlockSize: 1, Sold: 1,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r = effect.State.(*pb.Registration); len(r.Holds) != 2 || r.Holds[1].Block != 2 {
		t.Fatalf("holds: %v", r.Holds)
	}
	if rooms := index.Summary(eventID[:]); rooms[0].Sold != 1 || rooms[0].Free != 1 {
		t.Errorf("%+v", rooms)
	}
}

// Trace 9: storage reads the deadline from the encoded value to arm the timer, and
// finds none in a settled one.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		r    *pb.Registration
		want int64
	}{
		"open":    {newStory(t).register(order(line(1, "regular", 1, ticketPrice))).r, startMS + overallDeadline.Milliseconds()},
		"settled": {sale(t).r, 0},
		"empty":   {&pb.Registration{}, 0},
	} {
		raw, err := proto.Marshal(c.r)
		if err != nil {
			t.Fatal(err)
		}
		if have, open := Deadline(raw); have != c.want || open != (c.want > 0) {
			t.Errorf("%s: %d, %v", name, have, open)
		}
	}
	// Another encoder may write the fields in another order.
	if have, open := Deadline([]byte{0x50, 0x02, 0x08, 0x07}); have != 7 || !open {
		t.Errorf("the last field: %d, %v", have, open)
	}
	for _, rubbish := range [][]byte{{0x80}, {0x12, 0x05, 1}, {0x08, 0x80}} {
		if have, open := Deadline(rubbish); open {
			t.Errorf("rubbish %x has the deadline %d", rubbish, have)
		}
	}
	if timer := Timer("any", time.UnixMilli(7)).(*pb.Timer); timer.NowUnixMs != 7 {
		t.Errorf("%v", timer)
	}
}

// A table of another type, or a group without its index, is told apart at once.
func TestMiswired(t *testing.T) {
	t.Parallel()
	if (Config{}).Validate() == nil {
		t.Error("a group without an index was accepted")
	}
	index := availability.New(availability.Options{})
	if err := (Config{Availability: index}).Validate(); err != nil {
		t.Error(err)
	}
	if (Config{Availability: index, Rules: Rules{HoldTimeout: 1}}).Validate() == nil {
		t.Error("half a set of rules was accepted")
	}
	p := New(Config{Availability: index})
	if _, err := p.Handle(&pb.Block{}, &transition.Message{Key: "k"}); err == nil {
		t.Error("a block was taken for a registration")
	}
	if _, err := p.Handle(nil, &transition.Message{Key: "k", Value: &pb.Block{}}); err == nil {
		t.Error("a block was taken for a message")
	}
	if p.Group.Name != topology.Registrations.Name {
		t.Error(p.Group.Name)
	}
}
