package ingest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Whatever comes in as an order: the door answers a proper document, writes only
// what it answered 202, what it wrote adds up, and nothing personal leaves it
// unsealed.
func FuzzRegister(f *testing.F) {
	for _, seed := range []string{
		orderBody(), `{}`, `[]`, `null`, ``, `{"event_id":`, "\xff", `{"lines":[{"quantity":1e400}]}`,
		orderBody(`"quantity":2`, `"quantity":9223372036854775808`), orderBody(`"quantity":2`, `"quantity":-0`),
		orderBody(`"quantity":2`, `"quantity":10,"discount_minor":119000`), orderBody(`Lovelace`, `\u0000\ud800`),
		orderBody(`Ada Lovelace`, strings.Repeat(`\n`, 400)), orderBody(`standard`, `free`), orderBody(`"lines":[`, `"lines":[null,`),
	} {
		f.Add(seed, "key-1")
	}
	f.Add(orderBody(), "")
	f.Add(orderBody(), "\x00")
	b := newBench(f)
	statuses := []int{http.StatusAccepted, 400, 404, 409, 413, 422}
	f.Fuzz(func(t *testing.T, body, key string) {
		b.t = t
		b.log.records = nil
		a := b.do("POST", "/v1/registrations", body, func(r *http.Request) { r.Header.Set("Idempotency-Key", key) })
		if !slices.Contains(statuses, a.status) || !utf8.ValidString(a.body) || !json.Valid([]byte(a.body)) {
			t.Fatalf("answered %d %q", a.status, a.body)
		}
		written := b.log.all()
		if (a.status == http.StatusAccepted) != (len(written) == 1) || len(written) > 1 {
			t.Fatalf("answered %d and wrote %d records", a.status, len(written))
		}
		if len(written) == 0 {
			return
		}
		reg := written[0].value.(*pb.RegistrationCommand).GetRegister()
		for _, l := range reg.Lines {
			gross := l.UnitPriceMinor * int64(l.Quantity)
			if l.Quantity < 1 || l.Quantity > quantityMax || l.DiscountMinor < 0 || l.DiscountMinor > gross || l.TaxMinor < 0 || l.TotalMinor < 0 {
				t.Fatalf("line %v", l)
			}
		}
		var contact pb.AttendeeContact
		plain, err := b.keyring.Open([16]byte(reg.AttendeeId), reg.KeyId, reg.AttendeeSealed)
		if err != nil || proto.Unmarshal(plain, &contact) != nil || contact.Email == "" {
			t.Fatalf("sealed data: %v", err)
		}
	})
}

// Whatever comes in as a batch: there is one answer a line, in order.
func FuzzBatch(f *testing.F) {
	f.Add(batchLine("a") + "{\n" + batchLine("b"))
	f.Add("\n\n\r\n{}")
	f.Add("null\n[]\n\xff\n")
	b := newBench(f)
	f.Fuzz(func(t *testing.T, body string) {
		b.t = t
		b.log.records = nil
		lines := 0
		for line := range strings.SplitSeq(body, "\n") {
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
		a := b.do("POST", "/v1/registrations:batch", body, ndjsonBody)
		if a.status != http.StatusOK {
			t.Fatalf("answered %d", a.status)
		}
		answers := parseAnswers(t, a.body)
		for i, got := range answers {
			if got.Index != i || (got.Status == 202) != (got.RegistrationID != "") || (got.Status == 202) == (got.Problem.Code != "") {
				t.Fatalf("answer %d: %+v", i, got)
			}
		}
		if len(answers) != lines {
			t.Fatalf("%d answers to %d lines", len(answers), lines)
		}
	})
}
