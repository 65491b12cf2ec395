package clickhouse

import (
	"github.com/google/uuid"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

var eventStatusNames = namesOf(pb.EventStatus(0).Descriptor())

// catalogRows is the table catalog_events.
type catalogRows struct {
	table
	id                             *plain[uuid.UUID]
	organiser, name, venue, region *plain[string]
	currency, status, cancelReason *plain[string]
	types                          ticketTypeColumns
	limit                          *plain[uint32]
	testMode                       *plain[bool]
	starts, saleStarts, saleEnds   *plain[int64]
	created, changed               *plain[int64]
	version                        *plain[uint64]
	source                         source
}

type ticketTypeColumns struct {
	id, name, taxMode         *list[string]
	price                     *list[int64]
	taxRate, capacity, blocks *list[uint32]
}

func newCatalogRows() *catalogRows {
	r := &catalogRows{table: table{name: "catalog_events"}}
	t := &r.table
	r.id = field[uuid.UUID](t, "event_id", wireUUID)
	r.organiser = field[string](t, "organiser", "String")
	r.name = field[string](t, "name", "String")
	r.venue = field[string](t, "venue", "String")
	r.region = field[string](t, "region", "String")
	r.currency = field[string](t, "currency", "String")
	r.status = field[string](t, "status", "String")
	r.types = ticketTypeColumns{
		id:       nested[string](t, "ticket_types.id", "String"),
		name:     nested[string](t, "ticket_types.name", "String"),
		price:    nested[int64](t, "ticket_types.price_minor", "Int64"),
		taxRate:  nested[uint32](t, "ticket_types.tax_rate_bp", "UInt32"),
		taxMode:  nested[string](t, "ticket_types.tax_mode", "String"),
		capacity: nested[uint32](t, "ticket_types.capacity", "UInt32"),
		blocks:   nested[uint32](t, "ticket_types.blocks", "UInt32"),
	}
	r.limit = field[uint32](t, "max_per_attendee", "UInt32")
	r.testMode = field[bool](t, "test_mode", "Bool")
	r.cancelReason = field[string](t, "cancel_reason", "String")
	r.starts = field[int64](t, "starts_at", wireTime)
	r.saleStarts = field[int64](t, "sale_starts_at", wireTime)
	r.saleEnds = field[int64](t, "sale_ends_at", wireTime)
	r.created = field[int64](t, "created_at", wireTime)
	r.changed = field[int64](t, "changed_at", wireTime)
	r.version = field[uint64](t, "version", "UInt64")
	r.source = sourceColumns(t)
	return r
}

func (r *catalogRows) add(v *pb.Event, at position) {
	r.id.add(optionalID(v.GetEventId()))
	r.organiser.add(v.GetOrganiser())
	r.name.add(v.GetName())
	r.venue.add(v.GetVenue())
	r.region.add(v.GetRegion())
	r.currency.add(v.GetCurrency())
	r.status.add(eventStatusNames.name(uint64(v.GetStatus())))
	for _, t := range v.GetTicketTypes() {
		r.types.add(t)
	}
	r.types.end()
	r.limit.add(v.GetMaxPerAttendee())
	r.testMode.add(v.GetTestMode())
	r.cancelReason.add(v.GetCancelReason())
	r.starts.add(instant(v.GetStartsAtUnixMs()))
	r.saleStarts.add(instant(v.GetSaleStartsUnixMs()))
	r.saleEnds.add(instant(v.GetSaleEndsUnixMs()))
	r.created.add(instant(v.GetCreatedAtUnixMs()))
	r.changed.add(instant(v.GetChangedAtUnixMs()))
	r.version.add(v.GetVersion())
	r.source.add(at)
}

func (c *ticketTypeColumns) add(t *pb.TicketType) {
	var capacity uint32
	for _, size := range t.GetBlockSizes() {
		capacity += size
	}
	c.id.add(t.GetId())
	c.name.add(t.GetName())
	c.price.add(t.GetPriceMinor())
	c.taxRate.add(t.GetTaxRateBp())
	c.taxMode.add(taxModeNames.name(uint64(t.GetTaxMode())))
	c.capacity.add(capacity)
	c.blocks.add(uint32(len(t.GetBlockSizes())))
}

func (c *ticketTypeColumns) end() {
	c.id.end()
	c.name.end()
	c.price.end()
	c.taxRate.end()
	c.taxMode.end()
	c.capacity.end()
	c.blocks.end()
}
