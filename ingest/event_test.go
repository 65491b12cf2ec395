package ingest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

func eventBody(replacements ...string) string {
	body := `{"name":"Conference","venue":"Hall 1","region":"eu","currency":"EUR","starts_at":"2027-06-01T09:00:00+02:00",` +
		`"sale_starts_at":"2027-01-01T00:00:00Z","max_per_attendee":4,"test_mode":true,"ticket_types":[` +
		`{"id":"standard","name":"Standard","price_minor":11900,"tax_rate_bp":1900,"tax_mode":"included","capacity":1000,"block_size":40},` +
		`{"id":"vip","price_minor":9900,"tax_rate_bp":700,"capacity":10},{"id":"free","capacity":5}]}`
	return strings.NewReplacer(replacements...).Replace(body)
}

// An organiser creates an event; the view shows it opening, then on sale: 201,
// and the command carries every field with its defaults.
func TestCreateEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.OnSaleWait = time.Minute })
	done := make(chan answer)
	go func() { done <- b.do("POST", "/v1/events", eventBody(), key("new event")) }()
	a := <-done
	if a.code() != "idempotency_key_invalid" {
		t.Fatalf("a key with a blank: %d %s", a.status, a.body)
	}
	go func() { done <- b.do("POST", "/v1/events", eventBody(), key("new-event")) }()
	<-b.catalogue.waited
	id := topology.EventID(organiser, "new-event")
	cmd := b.log.all()[0].value.(*pb.CatalogCommand)
	event := &pb.Event{EventId: id[:], Organiser: organiser, Status: pb.EventStatus_EVENT_STATUS_OPENING, BodyDigest: cmd.BodyDigest}
	b.catalogue.put(event)
	event = proto.CloneOf(event)
	event.Status = pb.EventStatus_EVENT_STATUS_ON_SALE
	b.catalogue.put(event)
	a = <-done
	if a.status != 201 || a.json["event_id"] != id.String() || a.json["status"] != "on_sale" || a.json["status_url"] != "http://views/v1/events/"+id.String() {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	starts := time.Date(2027, 6, 1, 7, 0, 0, 0, time.UTC).UnixMilli()
	want := &pb.CreateEvent{
		Name: "Conference", Venue: "Hall 1", Region: "eu", Currency: "EUR", StartsAtUnixMs: starts,
		SaleStartsUnixMs: saleStart.UnixMilli(), SaleEndsUnixMs: starts, MaxPerAttendee: 4, TestMode: true,
		TicketTypes: []*pb.NewTicketType{
			{Id: "standard", Name: "Standard", PriceMinor: 11900, TaxRateBp: 1900, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, Capacity: 1000, BlockSize: 40},
			{Id: "vip", Name: "vip", PriceMinor: 9900, TaxRateBp: 700, TaxMode: pb.TaxMode_TAX_MODE_INCLUDED, Capacity: 10, BlockSize: 50},
			{Id: "free", Name: "free", TaxMode: pb.TaxMode_TAX_MODE_EXEMPT, Capacity: 5, BlockSize: 50},
		},
	}
	if !proto.Equal(cmd.GetCreateEvent(), want) || cmd.Organiser != organiser || cmd.RequestTimeUnixMs != inSale.UnixMilli() || len(cmd.BodyDigest) != 32 {
		t.Errorf("command %v\nwant %v", cmd, want)
	}
}

// The view does not show the event in time: the command is accepted all the
// same, 202.
func TestCreateEventNotShownInTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if a := b.do("POST", "/v1/events", eventBody()); a.status != 202 || a.json["status"] != "opening" || a.json["position"] == nil {
		t.Errorf("answered %d %s", a.status, a.body)
	}
}

// The catalogue refuses the event, or another one has the key: the caller is
// told, before the write where it can be known.
func TestCreateEventRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.OnSaleWait = time.Minute })
	id := topology.EventID(organiser, "key-1")
	b.catalogue.put(&pb.Event{
		EventId: id[:], Status: pb.EventStatus_EVENT_STATUS_UNKNOWN,
		LastCommand: &pb.CommandResult{Partition: 3, Offset: 0, Verdict: pb.CommandVerdict_COMMAND_VERDICT_REJECTED, Reason: "invalid_capacity"},
	})
	if a := b.do("POST", "/v1/events", eventBody()); a.status != 409 || a.code() != "command_rejected" || !strings.Contains(a.body, "invalid_capacity") {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	b.catalogue.put(&pb.Event{EventId: id[:], Organiser: organiser, Status: pb.EventStatus_EVENT_STATUS_ON_SALE, BodyDigest: make([]byte, 32)})
	if a := b.do("POST", "/v1/events", eventBody()); a.status != 409 || a.code() != "idempotency_key_reused" {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	if n := len(b.log.all()); n != 1 {
		t.Errorf("%d commands, want 1", n)
	}
}

// Everything that is wrong with an event is told by field.
func TestCreateEventRefusesFields(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, tc := range map[string]struct {
		body   string
		fields []string
	}{
		"empty":          {`{}`, []string{"name", "currency", "starts_at", "ticket_types"}},
		"currency":       {eventBody(`"EUR"`, `"eur"`), []string{"currency"}},
		"no such one":    {eventBody(`"EUR"`, `"EUX"`), []string{"currency"}},
		"time":           {eventBody(`2027-01-01T00:00:00Z`, `tomorrow`), []string{"sale_starts_at"}},
		"window":         {eventBody(`2027-01-01T00:00:00Z`, `2028-01-01T00:00:00Z`), []string{"sale_ends_at"}},
		"same type":      {eventBody(`"vip"`, `"standard"`), []string{"ticket_types[1].id"}},
		"slug":           {eventBody(`"vip"`, `"VIP"`), []string{"ticket_types[1].id"}},
		"price":          {eventBody(`9900`, `-1`), []string{"ticket_types[1].price_minor"}},
		"tax rate":       {eventBody(`:700`, `:10001`), []string{"ticket_types[1].tax_rate_bp"}},
		"tax mode":       {eventBody(`"included"`, `"inside"`), []string{"ticket_types[0].tax_mode"}},
		"exempt":         {eventBody(`"included"`, `"exempt"`), []string{"ticket_types[0].tax_rate_bp"}},
		"capacity":       {eventBody(`"capacity":5`, `"capacity":0`), []string{"ticket_types[2].capacity"}},
		"block size":     {eventBody(`:40`, `:65`), []string{"ticket_types[0].block_size"}},
		"blocks":         {eventBody(`:1000,`, `:1000000,`), []string{"ticket_types"}},
		"long name":      {eventBody(`Conference`, strings.Repeat("x", 301)), []string{"name"}},
		"control":        {eventBody(`Hall 1`, `Hall\u0000`), []string{"venue"}},
		"per attendee":   {eventBody(`:4,`, `:-4,`), []string{"max_per_attendee"}},
		"ancient":        {eventBody(`2027-06-01T09`, `1900-06-01T09`), []string{"sale_ends_at", "starts_at", "sale_ends_at"}},
		"boolean":        {eventBody(`true`, `1`), []string{"test_mode"}},
		"types no list":  {`{"ticket_types":{}}`, []string{"ticket_types"}},
		"type no object": {`{"ticket_types":[1]}`, []string{"ticket_types[0]"}},
	} {
		a := b.do("POST", "/v1/events", tc.body)
		if a.status != 422 || !slices.Equal(a.fields(), tc.fields) {
			t.Errorf("%s: answered %d %s, fields %v, want %v", name, a.status, a.code(), a.fields(), tc.fields)
		}
	}
	if n := len(b.log.all()); n != 0 {
		t.Errorf("%d commands were written", n)
	}
}

// Capacity is changed and an event cancelled, by its organiser only.
func TestChangeEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.CatalogueTTL = 1 })
	path := "/v1/events/" + eventID.String()
	if a := b.do("POST", path+"/capacity", `{"ticket_type":"vip","capacity":0}`); a.status != 202 || a.json["event_id"] != eventID.String() {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	if a := b.do("POST", path+"/cancel", `{"reason":"The hall burned down."}`, key("")); a.status != 202 {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	records := b.log.all()
	capacity, cancel := records[0].value.(*pb.CatalogCommand), records[1].value.(*pb.CatalogCommand)
	if records[0].key != eventID.String() || records[0].topic != topology.CatalogCommands.Name || topology.UUID(capacity.EventId) != eventID ||
		capacity.Organiser != organiser || len(capacity.BodyDigest) != 32 ||
		!proto.Equal(capacity.GetSetCapacity(), &pb.SetCapacity{TicketType: "vip"}) ||
		cancel.GetCancelEvent().GetReason() != "The hall burned down." {
		t.Errorf("commands %v and %v", capacity, cancel)
	}
	for name, tc := range map[string]struct {
		path, body, code string
		options          []option
	}{
		"unknown type":        {"/capacity", `{"ticket_type":"x","capacity":1}`, "invalid_request", nil},
		"no capacity":         {"/capacity", `{"ticket_type":"vip"}`, "invalid_request", nil},
		"negative":            {"/capacity", `{"ticket_type":"vip","capacity":-1}`, "invalid_request", nil},
		"somebody else's":     {"/capacity", `{"ticket_type":"vip","capacity":1}`, "event_unknown", []option{bearer(otherKey)}},
		"cancel another's":    {"/cancel", ``, "event_unknown", []option{bearer(otherKey)}},
		"cancel without body": {"/cancel", ``, "", nil},
		"reading key":         {"/cancel", ``, "scope_missing", []option{bearer(readKey)}},
	} {
		if a := b.do("POST", path+tc.path, tc.body, tc.options...); a.code() != tc.code {
			t.Errorf("%s: answered %d %s", name, a.status, a.body)
		}
	}
	cancelled := conference()
	cancelled.Status = pb.EventStatus_EVENT_STATUS_CANCELLED
	b.catalogue.put(cancelled)
	b.events.now = func() time.Time { return time.Now().Add(time.Hour) }
	if a := b.do("POST", path+"/capacity", `{"ticket_type":"vip","capacity":1}`); a.code() != "event_cancelled" {
		t.Errorf("capacity of a cancelled event: %s", a.body)
	}
}
