package wire

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Each kind of field is read, and the raw fields together are the message.
func TestScan(t *testing.T) {
	t.Parallel()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&pb.Hold{HoldId: []byte("id"), Line: 300, Seats: 1 << 63, Status: pb.HoldStatus_HOLD_STATUS_KEPT})
	if err != nil {
		t.Fatal(err)
	}
	var raw []byte
	got := map[int32]Field{}
	if err := Scan(b, func(f Field) { got[int32(f.ID)] = f; raw = append(raw, f.Raw...) }); err != nil {
		t.Fatal(err)
	}
	if string(got[1].Bytes) != "id" || got[2].Number != 300 || got[6].Number != 1<<63 || got[7].Number != 2 || len(got) != 4 {
		t.Errorf("fields %+v", got)
	}
	if !bytes.Equal(raw, b) {
		t.Errorf("raw fields are %x, want %x", raw, b)
	}
}

// A message that was cut off is an error at every place where it can be cut
// inside a field.
func TestScanOfTornMessages(t *testing.T) {
	t.Parallel()
	b, err := proto.Marshal(&pb.Hold{HoldId: []byte("0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(b); n++ {
		if err := Scan(b[:n], func(Field) {}); err == nil {
			t.Errorf("the first %d of %d bytes were taken for a message", n, len(b))
		}
	}
}
