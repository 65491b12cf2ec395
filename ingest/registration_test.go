package ingest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// An order that is in order is answered 202 with its id and position, and the
// command in the log carries all that a decision needs, with personal data
// sealed.
func TestRegister(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.do("POST", "/v1/registrations", orderBody(`"quantity":2}`, `"quantity":2},{"ticket_type":"vip","quantity":3,"discount_minor":100}`))
	id := registrationID("key-1")
	if a.status != 202 || a.json["registration_id"] != id.String() || a.json["status_url"] != "http://views/v1/registrations/"+id.String() {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	if p := a.json["position"].(map[string]any); p["topic"] != "registration-commands" || p["partition"] != 3.0 || p["offset"] != 0.0 {
		t.Errorf("position %v", p)
	}
	rec := b.log.all()[0]
	cmd := rec.value.(*pb.RegistrationCommand)
	reg := cmd.GetRegister()
	if rec.topic != topology.RegistrationCommands.Name || rec.key != id.String() || topology.UUID(cmd.RegistrationId) != id {
		t.Errorf("record %s %s", rec.topic, rec.key)
	}
	if cmd.Organiser != organiser || cmd.RequestTimeUnixMs != inSale.UnixMilli() || len(cmd.BodyDigest) != 32 {
		t.Errorf("command %v", cmd)
	}
	want := []*pb.Line{
		{Line: 1, TicketType: "standard", Quantity: 2, UnitPriceMinor: 11900, TaxRateBp: 1900, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, TaxMinor: 3800, TotalMinor: 23800},
		{Line: 2, TicketType: "vip", Quantity: 3, UnitPriceMinor: 9999, TaxRateBp: 700, TaxMode: pb.TaxMode_TAX_MODE_ON_TOP, DiscountMinor: 100, TaxMinor: 2093, TotalMinor: 31990},
	}
	for i, l := range want {
		if !proto.Equal(reg.Lines[i], l) {
			t.Errorf("line %v, want %v", reg.Lines[i], l)
		}
	}
	if reg.Imported || reg.ImportedOrder != nil {
		t.Errorf("the front door lets an import in: %v", reg)
	}
	if reg.Currency != "EUR" || reg.EventVersion != 7 || reg.BlockListVersion != 3 || !reg.TestMode || reg.MaxPerAttendee != 12 ||
		reg.Channel != "web" || reg.Region != "eu" || reg.PaymentMethod != "tok_visa" {
		t.Errorf("stamped %v", reg)
	}
	attendee := topology.UUID(reg.AttendeeId)
	if attendee != b.keyring.AttendeeID(organiser, "ada@example.com") {
		t.Errorf("attendee %s", attendee)
	}
	plain, err := b.keyring.Open(attendee, reg.KeyId, reg.AttendeeSealed)
	var contact pb.AttendeeContact
	if err != nil || proto.Unmarshal(plain, &contact) != nil || contact.Email != "Ada@example.com" || contact.Name != "Ada Lovelace" {
		t.Errorf("contact %v, %v", &contact, err)
	}
	encoded, err := proto.Marshal(cmd)
	if err != nil || strings.Contains(strings.ToLower(string(encoded)), "ada") {
		t.Error("personal data leaves the front door unsealed")
	}
}

// Everything that is wrong with a request is told at once, by field, and nothing
// is written.
func TestRegisterRefusesFields(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, tc := range map[string]struct {
		body   string
		fields []string
	}{
		"quantity 0":       {orderBody(`"quantity":2`, `"quantity":0`), []string{"lines[0].quantity"}},
		"quantity 11":      {orderBody(`"quantity":2`, `"quantity":11`), []string{"lines[0].quantity"}},
		"quantity missing": {orderBody(`,"quantity":2`, ``), []string{"lines[0].quantity"}},
		"negative":         {orderBody(`"quantity":2`, `"quantity":-1,"discount_minor":-5`), []string{"lines[0].quantity", "lines[0].discount_minor"}},
		"half a ticket":    {orderBody(`"quantity":2`, `"quantity":1.5`), []string{"lines[0].quantity"}},
		"quantity as text": {orderBody(`"quantity":2`, `"quantity":"2"`), []string{"lines[0].quantity"}},
		"unknown field":    {orderBody(`"channel"`, `"chanel"`), []string{"chanel"}},
		// Nobody at the door can say that an order was paid for elsewhere.
		"an import":            {orderBody(`"channel"`, `"imported":true,"channel"`), []string{"imported"}},
		"imported money":       {orderBody(`"channel"`, `"imported_order":{"source":"x","money":{"captured_minor":1}},"channel"`), []string{"imported_order"}},
		"a cancelled line":     {orderBody(`"quantity":2`, `"quantity":2,"cancelled":true`), []string{"lines[0].cancelled"}},
		"unknown nested field": {orderBody(`"name"`, `"nam"`), []string{"attendee.nam"}},
		"unknown ticket type":  {orderBody(`"standard"`, `"balcony"`), []string{"lines[0].ticket_type"}},
		"discount too high":    {orderBody(`"quantity":2`, `"quantity":1,"discount_minor":11901`), []string{"lines[0].discount_minor"}},
		"no lines":             {orderBody(`{"ticket_type":"standard","quantity":2}`, ``), []string{"lines"}},
		"eleven lines":         {orderBody(`"lines":[`, `"lines":[`+strings.Repeat(`{"ticket_type":"vip","quantity":1},`, 10)), []string{"lines"}},
		"over the limit":       {orderBody(`"quantity":2}`, `"quantity":10},{"ticket_type":"vip","quantity":3}`), []string{"lines"}},
		"no payment method":    {orderBody(`"tok_visa"`, `""`), []string{"payment_method"}},
		"card number":          {orderBody(`tok_visa`, `4111-1111-1111-1111`), []string{"payment_method"}},
		"bad event id":         {orderBody(eventID.String(), `42`), []string{"event_id"}},
		"bad e-mail":           {orderBody(`Ada@example.com`, `ada`), []string{"attendee.email"}},
		"body is a list":       {`[]`, []string{"(body)"}},
		"everything":           {`{}`, []string{"event_id", "attendee.email", "attendee.name", "lines"}},
	} {
		a := b.do("POST", "/v1/registrations", tc.body)
		if a.status != 422 || a.code() != "invalid_request" || !slices.Equal(a.fields(), tc.fields) {
			t.Errorf("%s: answered %d %s, fields %v, want %v", name, a.status, a.code(), a.fields(), tc.fields)
		}
		if strings.Contains(a.body, "4111") {
			t.Errorf("%s: the value is repeated: %s", name, a.body)
		}
	}
	if n := len(b.log.all()); n != 0 {
		t.Errorf("%d commands were written", n)
	}
}

// A request that fails before its fields are looked at says why by status and
// code, and nothing is written.
func TestRegisterRefusesRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, tc := range map[string]struct {
		method, body string
		change       option
		status       int
		code         string
	}{
		"malformed JSON":      {"POST", `{"event_id":`, nil, 400, "malformed_json"},
		"no JSON at all":      {"POST", `hello`, nil, 400, "malformed_json"},
		"empty":               {"POST", ``, nil, 400, "malformed_json"},
		"two documents":       {"POST", orderBody() + orderBody(), nil, 400, "malformed_json"},
		"a field twice":       {"POST", orderBody(`"channel":"web"`, `"channel":"web","channel":"app"`), nil, 400, "malformed_json"},
		"bad UTF-8":           {"POST", orderBody(`Lovelace`, "\xff"), nil, 400, "malformed_json"},
		"too large":           {"POST", orderBody(`Lovelace`, strings.Repeat("x", 64<<10)), nil, 413, "body_too_large"},
		"no idempotency key":  {"POST", orderBody(), key(""), 400, "idempotency_key_missing"},
		"bad idempotency key": {"POST", orderBody(), key("a b"), 400, "idempotency_key_invalid"},
		"long one":            {"POST", orderBody(), key(strings.Repeat("k", 256)), 400, "idempotency_key_invalid"},
		"no API key":          {"POST", orderBody(), header("Authorization", ""), 401, "api_key_missing"},
		"wrong API key":       {"POST", orderBody(), bearer("nope"), 401, "api_key_unknown"},
		"wrong scope":         {"POST", orderBody(), bearer(readKey), 403, "scope_missing"},
		"another organiser":   {"POST", orderBody(), bearer(otherKey), 404, "event_unknown"},
		"unknown event":       {"POST", orderBody(eventID.String(), topology.EventID("x", "y").String()), nil, 404, "event_unknown"},
		"wrong type":          {"POST", orderBody(), header("Content-Type", "text/plain"), 415, "content_type_unsupported"},
		"no type":             {"POST", orderBody(), header("Content-Type", ""), 415, "content_type_unsupported"},
		"wrong method":        {"PUT", orderBody(), nil, 405, "method_not_allowed"},
	} {
		options := []option{}
		if tc.change != nil {
			options = append(options, tc.change)
		}
		a := b.do(tc.method, "/v1/registrations", tc.body, options...)
		if a.status != tc.status || a.code() != tc.code {
			t.Errorf("%s: answered %d %s, want %d %s", name, a.status, a.code(), tc.status, tc.code)
		}
		if a.json["detail"] == "" || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: no proper problem: %v %s", name, a.header, a.body)
		}
	}
	if n := len(b.log.all()); n != 0 {
		t.Errorf("%d commands were written", n)
	}
	if a := b.do("POST", "/v1/registrations", orderBody(), header("Content-Type", "application/json; charset=utf-8")); a.status != 202 {
		t.Errorf("a content type with a parameter: %d %s", a.status, a.body)
	}
}

// Before the window, at its first and last moment, after it, and for a cancelled
// or opening event.
func TestSaleWindow(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.CatalogueTTL = 1 })
	for i, tc := range []struct {
		at     time.Time
		event  pb.EventStatus
		status int
		code   string
	}{
		{saleStart.Add(-time.Millisecond), pb.EventStatus_EVENT_STATUS_ON_SALE, 409, "sale_not_started"},
		{saleStart, pb.EventStatus_EVENT_STATUS_ON_SALE, 202, ""},
		{saleEnd.Add(-time.Millisecond), pb.EventStatus_EVENT_STATUS_ON_SALE, 202, ""},
		{saleEnd, pb.EventStatus_EVENT_STATUS_ON_SALE, 409, "sale_ended"},
		{inSale, pb.EventStatus_EVENT_STATUS_CANCELLED, 409, "event_cancelled"},
		{inSale, pb.EventStatus_EVENT_STATUS_OPENING, 409, "event_opening"},
		{inSale, pb.EventStatus_EVENT_STATUS_UNKNOWN, 404, "event_unknown"},
	} {
		event := conference()
		event.Status = tc.event
		b.catalogue.put(event)
		b.now.Store(&tc.at)
		a := b.do("POST", "/v1/registrations", orderBody(), key(fmt.Sprint("window-", i)))
		if a.status != tc.status || a.code() != tc.code {
			t.Errorf("%v %v: answered %d %s, want %d %s", tc.at, tc.event, a.status, a.code(), tc.status, tc.code)
		}
	}
}

// A caller whose answer was lost repeats the request after the sale has ended:
// it was accepted, so it is accepted again, under the same id.
func TestRepeatAfterTheSale(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.do("POST", "/v1/registrations", orderBody())
	b.now.Store(&saleEnd)
	second := b.do("POST", "/v1/registrations", orderBody())
	if first.status != 202 || second.status != 202 || first.json["registration_id"] != second.json["registration_id"] {
		t.Errorf("answers %s and %s", first.body, second.body)
	}
	if a := b.do("POST", "/v1/registrations", orderBody(), key("new")); a.code() != "sale_ended" {
		t.Errorf("a new order after the sale: %s", a.body)
	}
}

// The same key with the same body, however it is written, is the same
// registration; with another body it is refused and points at the first.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.do("POST", "/v1/registrations", orderBody())
	spaced := b.do("POST", "/v1/registrations", strings.ReplaceAll(orderBody(), ",", " ,\n "))
	if spaced.status != 202 || first.json["registration_id"] != spaced.json["registration_id"] {
		t.Errorf("the same order written differently: %d %s", spaced.status, spaced.body)
	}
	records := b.log.all()
	digest := func(i int) string { return string(records[i].value.(*pb.RegistrationCommand).BodyDigest) }
	if len(records) != 2 || digest(0) != digest(1) {
		t.Errorf("%d records, or their digests differ", len(records))
	}
	other := b.do("POST", "/v1/registrations", orderBody(`"quantity":2`, `"quantity":3`))
	if other.status != 409 || other.code() != "idempotency_key_reused" || other.json["instance"] != "/v1/registrations/"+registrationID("key-1").String() {
		t.Errorf("another order under the key: %d %s", other.status, other.body)
	}
}

// A view of the registrations tells of a reused key also after a restart, when
// this process remembers nothing.
func TestIdempotencyKeyKnownToTheView(t *testing.T) {
	t.Parallel()
	before := newBench(t)
	before.do("POST", "/v1/registrations", orderBody())
	cmd := before.log.all()[0].value.(*pb.RegistrationCommand)
	view := newFakeCatalogue()
	view.values[registrationID("key-1").String()] = &pb.Registration{RegistrationId: cmd.RegistrationId, Organiser: organiser, BodyDigest: cmd.BodyDigest}
	b := newBench(t, func(c *Config) { c.Registrations, c.Sealing = view, before.keyring })
	if a := b.do("POST", "/v1/registrations", orderBody(`"quantity":2`, `"quantity":3`)); a.code() != "idempotency_key_reused" {
		t.Errorf("another body: %s", a.body)
	}
	b.now.Store(&saleEnd)
	if a := b.do("POST", "/v1/registrations", orderBody()); a.status != 202 {
		t.Errorf("the same body, after the sale: %s", a.body)
	}
}

// Two clients send the same registration in parallel: both get the same id.
func TestParallelClientsGetOneID(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			a := b.do("POST", "/v1/registrations", orderBody())
			ids[i], _ = a.json["registration_id"].(string)
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != registrationID("key-1").String() {
			t.Errorf("id %q", id)
		}
	}
	for _, r := range b.log.all() {
		if r.key != registrationID("key-1").String() {
			t.Errorf("record under key %s", r.key)
		}
	}
}

// Kafka's buffer is full, then Kafka is away: 429 and 503 with Retry-After,
// nothing is remembered, and the repetition is accepted.
func TestKafkaFullAndAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, tc := range []struct {
		err    error
		status int
		code   string
	}{
		{fmt.Errorf("emit: %w", stream.ErrFull), 429, "overloaded"},
		{errors.New("broker 2 is gone"), 503, "kafka_unavailable"},
	} {
		b.log.fail = func() error { return tc.err }
		a := b.do("POST", "/v1/registrations", orderBody())
		if a.status != tc.status || a.code() != tc.code || a.header.Get("Retry-After") == "" || strings.Contains(a.body, "broker") {
			t.Errorf("%v: answered %d %v %s", tc.err, a.status, a.header, a.body)
		}
		if b.recent.use(registrationID("key-1"), [32]byte{}) != keyUnseen {
			t.Error("a key that was not accepted is remembered")
		}
	}
	b.log.fail = nil
	if a := b.do("POST", "/v1/registrations", orderBody()); a.status != 202 {
		t.Errorf("the repetition: %d %s", a.status, a.body)
	}
}

// Kafka does not answer at all: the request ends with 503 after its time.
func TestKafkaSilent(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.ProduceTimeout = time.Millisecond })
	b.log.hold = make(chan struct{})
	if a := b.do("POST", "/v1/registrations", orderBody()); a.status != 503 || a.code() != "kafka_unavailable" {
		t.Errorf("answered %d %s", a.status, a.body)
	}
}

// The event was created a moment ago through another instance and this one's
// view lags: the registration waits for it instead of being refused (trace 7).
func TestEventJustCreated(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.UnknownEventWait = time.Minute })
	b.catalogue.mu.Lock()
	clear(b.catalogue.values)
	b.catalogue.mu.Unlock()
	done := make(chan answer)
	go func() { done <- b.do("POST", "/v1/registrations", orderBody()) }()
	<-b.catalogue.waited
	opening := conference()
	opening.Status = pb.EventStatus_EVENT_STATUS_OPENING
	b.catalogue.put(opening)
	b.catalogue.put(conference())
	if a := <-done; a.status != 202 {
		t.Errorf("answered %d %s", a.status, a.body)
	}
}

// While the catalogue recovers nothing is refused for good: 503 and not ready.
func TestRecoveringCatalogue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.catalogue.recovering.Store(true)
	if a := b.do("POST", "/v1/registrations", orderBody()); a.status != 503 || a.code() != "view_recovering" || a.header.Get("Retry-After") == "" {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	if a := b.do("GET", "/readyz", ""); a.status != 503 {
		t.Errorf("ready: %d %s", a.status, a.body)
	}
	if a := b.do("GET", "/healthz", ""); a.status != 200 {
		t.Errorf("alive: %d %s", a.status, a.body)
	}
	b.catalogue.recovering.Store(false)
	if a := b.do("GET", "/readyz", ""); a.status != 200 {
		t.Errorf("ready: %d %s", a.status, a.body)
	}
}

// An order that names no region has the event's.
func TestRegionOfTheEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.do("POST", "/v1/registrations", orderBody(`,"region":"eu"`, ``))
	b.do("POST", "/v1/registrations", orderBody(`"region":"eu"`, `"region":"us"`), key("key-2"))
	region := func(i int) string {
		return b.log.all()[i].value.(*pb.RegistrationCommand).GetRegister().Region
	}
	if region(0) != "eu" || region(1) != "us" {
		t.Errorf("regions %q and %q", region(0), region(1))
	}
}

// A free order needs no payment method, and its lines cost nothing.
func TestFreeOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if a := b.do("POST", "/v1/registrations", orderBody(`standard`, `free`, `,"payment_method":"tok_visa"`, ``)); a.status != 202 {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	if l := b.log.all()[0].value.(*pb.RegistrationCommand).GetRegister().Lines[0]; l.TotalMinor != 0 || l.TaxMinor != 0 {
		t.Errorf("line %v", l)
	}
}

// A cancellation of two lines and of all lines is written under the
// registration's id; bad ones are refused.
func TestCancelRegistration(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := registrationID("key-1")
	path := "/v1/registrations/" + id.String() + "/cancel"
	if a := b.do("POST", path, `{"lines":[2,1],"reason":"by_attendee"}`); a.status != 202 || a.json["registration_id"] != id.String() {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	if a := b.do("POST", path, ``, key("key-2")); a.status != 202 {
		t.Fatalf("without a body: %d %s", a.status, a.body)
	}
	records := b.log.all()
	first, second := records[0].value.(*pb.RegistrationCommand), records[1].value.(*pb.RegistrationCommand)
	if records[0].key != id.String() || !slices.Equal(first.GetCancel().Lines, []uint32{2, 1}) || first.GetCancel().Reason != "by_attendee" ||
		second.GetCancel() == nil || len(second.GetCancel().Lines) != 0 || string(first.BodyDigest) == string(second.BodyDigest) {
		t.Errorf("commands %v and %v", first, second)
	}
	for body, want := range map[string]string{
		`{"lines":[0]}`:           "lines[0]",
		`{"lines":[1,1]}`:         "lines[1]",
		`{"lines":[-1]}`:          "lines[0]",
		`{"line":[1]}`:            "line",
		`{"reason":"Ada is ill"}`: "reason",
	} {
		if a := b.do("POST", path, body); a.status != 422 || !slices.Equal(a.fields(), []string{want}) {
			t.Errorf("%s: answered %d %s", body, a.status, a.body)
		}
	}
	if a := b.do("POST", path, ``, key("")); a.code() != "idempotency_key_missing" {
		t.Errorf("without a key: %s", a.body)
	}
	if a := b.do("POST", "/v1/registrations/42/cancel", ``); a.status != 400 || a.code() != "invalid_parameter" {
		t.Errorf("bad id: %s", a.body)
	}
}

// Somebody else's registration cannot be cancelled when the door can know whose
// it is.
func TestCancelOfAnotherOrganiser(t *testing.T) {
	t.Parallel()
	id := registrationID("key-1")
	view := newFakeCatalogue()
	view.values[id.String()] = &pb.Registration{RegistrationId: id[:], Organiser: organiser}
	b := newBench(t, func(c *Config) { c.Registrations = view })
	if a := b.do("POST", "/v1/registrations/"+id.String()+"/cancel", ``, bearer(otherKey)); a.code() != "registration_unknown" {
		t.Errorf("answered %s", a.body)
	}
	if a := b.do("POST", "/v1/registrations/"+id.String()+"/cancel", ``); a.status != 202 {
		t.Errorf("its own: %s", a.body)
	}
}
