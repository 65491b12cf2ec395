package provider

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The hand-written line means to encoding/json what the entry is, whatever text
// the caller sent, and a line read back from the file is the line written.
func TestEntryJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// What is no UTF-8 cannot come out of a JSON request.
		text := rapid.Custom(func(t *rapid.T) string { return strings.ToValidUTF8(rapid.String().Draw(t, "text"), "?") })
		e := Entry{
			Kind: rapid.SampledFrom([]Kind{KindCharge, KindRefund, KindDecline}).Draw(t, "kind"),
			Seq:  rapid.Uint64Min(1).Draw(t, "seq"), ID: text.Draw(t, "id"), Reference: text.Draw(t, "reference"),
			PaymentReference: text.Draw(t, "payment"), ChargeID: text.Draw(t, "charge"),
			AmountMinor: rapid.Int64().Draw(t, "amount"), Currency: "EUR", FeeMinor: rapid.Int64().Draw(t, "fee"),
			Method: text.Draw(t, "method"), DeclineCode: text.Draw(t, "code"),
			At: time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "at")).UTC(),
		}
		if m := rapid.MapOfN(text, text, 0, 12).Draw(t, "metadata"); len(m) > 0 {
			e.Metadata = m
		}
		want := ledgerLine{key: digestOf([]byte(e.ID)), body: digestOf([]byte(e.Reference)), entry: e}
		raw := want.append(nil)
		if strings.Count(string(raw), "\n") != 1 {
			t.Fatalf("%q is not one line", raw)
		}
		got, err := parseLine(raw[:len(raw)-1])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("read %+v (%v), wrote %+v", got, err, want)
		}
		flipped := rapid.IntRange(0, len(raw)-2).Draw(t, "flipped")
		raw[flipped] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := parseLine(raw[:len(raw)-1]); err == nil && !strings.EqualFold(string(raw[:crcWidth]), string(want.append(nil)[:crcWidth])) {
			t.Fatalf("a changed bit at %d went unnoticed", flipped)
		}
	})
}

// The file's format outlives the code: a line of version 1 stays readable.
func TestLedgerLineGolden(t *testing.T) {
	t.Parallel()
	l := ledgerLine{key: digestOf([]byte("key")), body: digestOf([]byte("body")), entry: Entry{
		Kind: KindRefund, Seq: 2, ID: newID(refundPrefix, 2), Reference: "r-1", PaymentReference: "p-1",
		ChargeID: newID(chargePrefix, 1), AmountMinor: 900, Currency: "EUR", Method: "card",
		At: time.Date(2026, 3, 1, 22, 59, 59, 7e6, time.UTC), Metadata: map[string]string{"event_id": "e-1", "test": "1"},
	}}
	const golden = `5d90b755 2c70e12b7a0646f92279f427c7b38e73 230d8358dc8e8890b4c58deeb62912ee {"kind":"refund","seq":2,"id":"re_0000000000000002","reference":"r-1","payment_reference":"p-1","charge_id":"ch_0000000000000001","amount_minor":900,"currency":"EUR","fee_minor":0,"method":"card","at":"2026-03-01T22:59:59.007Z","metadata":{"event_id":"e-1","test":"1"}}` + "\n"
	if got := string(l.append(nil)); got != golden {
		t.Errorf("wrote  %s\nwant %s", got, golden)
	}
	var e Entry
	if err := json.Unmarshal([]byte(golden[jsonStart:]), &e); err != nil || !reflect.DeepEqual(e, l.entry) {
		t.Errorf("read %+v (%v), want %+v", e, err, l.entry)
	}
}

// Ids lead to their entries and to nothing else.
func TestIDs(t *testing.T) {
	t.Parallel()
	if seq, ok := seqOf(chargePrefix, newID(chargePrefix, 0xabc123)); !ok || seq != 0xabc123 {
		t.Errorf("read %x, %v", seq, ok)
	}
	for _, id := range []string{"", "ch_", "ch_1", newID(refundPrefix, 1), newID(chargePrefix, 0), "ch_00000000000000AB", "ch_+000000000000001", "ch_00000000000000011"} {
		if seq, ok := seqOf(chargePrefix, id); ok {
			t.Errorf("%q is taken for entry %d", id, seq)
		}
	}
}

// A fee is rounded half away from zero, to the minor unit.
func TestFee(t *testing.T) {
	t.Parallel()
	for amount, want := range map[int64]int64{
		1: 25, 35: 25, 36: 26, 100: 26, 250: 29, 1_000: 39, 9_900: 164, maxAmountMinor: 14_000_000_025,
	} {
		if got := DefaultFee.Of(amount); got != want {
			t.Errorf("fee of %d is %d, want %d", amount, got, want)
		}
	}
	if got := (Fee{BasisPoints: 50}).Of(-100); got != -1 {
		t.Errorf("half a unit below zero is rounded to %d, want -1", got)
	}
}
